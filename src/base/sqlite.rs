//! How every database of both programs is opened: owner-only, durable at each commit, of a version we understand.

use std::fs::OpenOptions;
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
    // SQLite would create the file by the umask and give its journal the same mode.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
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
