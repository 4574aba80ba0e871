//! The controls: the agent's journal and the platform's database from their own sources, compiled against a way of
//! opening SQLite that syncs less. The product has no such switch; only `weak::base::sqlite` here differs.

/// The library's `base`, with another `sqlite` in it.
pub mod base {
    pub use bedcheck::base::*;

    pub mod sqlite {
        use std::path::Path;

        pub use bedcheck::base::sqlite::Schema;
        use rusqlite::Connection;

        /// Read here and nowhere else: `NORMAL` or `OFF` sync less, `MEMORY` keeps the way back in memory only.
        pub const VARIABLE: &str = "BEDCHECK_PROOF_SYNCHRONOUS";

        pub fn open(path: &Path, schema: &Schema) -> rusqlite::Result<Connection> {
            let connection = bedcheck::base::sqlite::open(path, schema)?;
            let level = std::env::var(VARIABLE).unwrap();
            let setting = if level == "MEMORY" { "journal_mode" } else { "synchronous" };
            connection.pragma_update(None, setting, level)?;
            Ok(connection)
        }
    }
}

pub mod domain {
    pub use bedcheck::domain::*;
}

pub mod wire {
    pub use bedcheck::wire::*;
}

pub mod store {
    pub use super::schema;
    pub use bedcheck::store::{room, row, told};
}

use db::Database;
use journal::{Commit, Journal, Signer};

#[expect(dead_code, unused_imports, reason = "the writer needs a part of the journal, and not its tests")]
#[path = "../../src/store/journal.rs"]
mod journal;
#[path = "../../src/store/schema.rs"]
pub mod schema;

#[expect(dead_code, reason = "the writer needs a part of the database")]
#[path = "../../src/platform/db/mod.rs"]
mod db;

#[expect(clippy::duplicate_mod, reason = "the same writer on two makes of the parts")]
#[path = "write.rs"]
pub mod write;
