//! How every database of both programs is opened: owner-only, durable at each commit, of a version we understand.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

/// The tables of one database and their version (`user_version`, from 1).
pub struct Schema {
    pub version: i64,
    pub tables: &'static str,
    /// For new files. Large pages waste less where rows are large; small ones cost less where each commit touches many.
    pub page_bytes: u32,
}

/// Opens or creates the file with write-ahead log and `synchronous=FULL`.
///
/// # Errors
/// What SQLite says; a version that is not ours is refused rather than guessed at.
pub fn open(path: &Path, schema: &Schema) -> rusqlite::Result<Connection> {
    // SQLite would create the file by the umask and give its journal the same mode. A file that is there must not even be
    // opened: closing it again would end every lock this process has on it (POSIX), and the next program that closes the
    // database, taking itself for the last, would fold the log in and delete it under us.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "page_size", schema.page_bytes)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // A large statement would write older pages into a file in /var/tmp, where nobody overwrites them.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Looked at under the write lock: two programs may open a new file at once.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 0 {
        transaction.execute_batch(schema.tables)?;
        transaction.pragma_update(None, "user_version", schema.version)?;
    } else if found != schema.version {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISMATCH),
            Some(format!("the database has version {found}, this program understands {}", schema.version)),
        ));
    }
    transaction.commit()?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_connection_leaves_the_first_its_lock() {
        use std::os::unix::fs::MetadataExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.db");
        let schema = Schema { version: 1, tables: "CREATE TABLE t (a INTEGER) STRICT", page_bytes: 4096 };
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let first = open(&path, &schema).unwrap();
        assert_eq!(count(&first), 0);
        let second = open(&path, &schema).unwrap();
        assert_eq!(count(&second), 0);
        // `1: POSIX  ADVISORY  READ  PID MAJOR:MINOR:INODE FROM TO`.
        let inode = std::fs::metadata(&path).unwrap().ino();
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let of_us = format!(" {} ", std::process::id());
        let is_held = locks.lines().any(|line| line.contains(&of_us) && line.contains(&format!(":{inode} ")));
        assert!(is_held, "this process has no lock on its database:\n{locks}");
    }

    #[test]
    fn a_database_of_another_version_is_refused_and_ours_is_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let schema =
            |version| Schema { version, tables: "CREATE TABLE t (x INTEGER) STRICT;", page_bytes: 4096 };
        open(&path, &schema(1)).unwrap();
        open(&path, &schema(1)).unwrap();
        let error = open(&path, &schema(2)).unwrap_err().to_string();
        assert!(error.contains("version 1") && error.contains("understands 2"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
