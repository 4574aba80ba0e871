//! The controls: the agent's journal from its own source, and the platform's database, on a way of opening SQLite that
//! syncs less. The product has no such switch; only `weak::base::sqlite` here differs.

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

pub mod platform {
    pub use bedcheck::platform::db::DatabaseError;

    /// The library's database on a file that is opened so.
    pub struct Database(bedcheck::platform::db::Database);

    impl Database {
        pub fn open(path: &std::path::Path) -> Result<Database, DatabaseError> {
            bedcheck::platform::db::Database::opened_by(path, super::base::sqlite::open).map(Database)
        }
    }

    impl std::ops::Deref for Database {
        type Target = bedcheck::platform::db::Database;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}

use journal::{Commit, Journal, Signer};
use platform::Database;

#[expect(dead_code, unused_imports, reason = "the writer needs a part of the journal, and not its tests")]
#[path = "../../src/store/journal.rs"]
mod journal;
#[path = "../../src/store/schema.rs"]
pub mod schema;

#[expect(clippy::duplicate_mod, reason = "the same writer on two makes of the parts")]
#[path = "write.rs"]
pub mod write;
