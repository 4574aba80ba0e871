//! The same tests on PostgreSQL: `tests/platform/on-postgres cargo test` names a server in `BEDCHECK_TEST_POSTGRES`, and what
//! would be a file is a database there. Compiled for tests only.

use std::path::Path;

use super::postgres::{Driver, Server};
use super::{Database, DatabaseError};
use crate::base::files::sha256_hex;

/// The database that stands for this file, made where there is none yet.
pub fn instead_of(path: &Path) -> Option<Result<Database, DatabaseError>> {
    let server = std::env::var("BEDCHECK_TEST_POSTGRES").ok()?;
    let name = format!("t{}", &sha256_hex(path.as_os_str().as_encoded_bytes())[..16]);
    let driver = Driver::start().expect("a thread for the connections");
    // Held until the end: with it the connection ends.
    let there = Server::at(&server, driver).expect("an address of a server");
    let made = there.connect().and_then(|session| session.batch(&format!("CREATE DATABASE {name}")));
    if let Err(error) = made {
        // Another handle to the same one.
        assert!(error.to_string().contains("exists"), "{error}");
    }
    Some(Database::connect(&server.replacen("///postgres?", &format!("///{name}?"), 1), None))
}
