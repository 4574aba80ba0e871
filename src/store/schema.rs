//! The tables, and how the file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

/// Version of these tables, in `user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE event (
    epoch     TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    id        TEXT    NOT NULL UNIQUE,
    envelope  TEXT    NOT NULL,
    link      TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    evidence  BLOB,
    made_ms   INTEGER NOT NULL,
    acked_ms  INTEGER,
    PRIMARY KEY (epoch, seq)
) STRICT;
CREATE INDEX event_unsent ON event (seq) WHERE acked_ms IS NULL;
CREATE TABLE chain (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    link   TEXT    NOT NULL,
    anchor TEXT    NOT NULL
) STRICT;
CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE template (
    stay   TEXT    NOT NULL,
    shot   INTEGER NOT NULL,
    models TEXT    NOT NULL,
    sealed BLOB    NOT NULL,
    PRIMARY KEY (stay, shot, models)
) STRICT;
";

/// Opens or creates the file; a newer version than ours is refused rather than guessed at.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?,
        VERSION => {}
        newer => {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISMATCH),
                Some(format!("the database has version {newer}, this program understands {VERSION}")),
            ));
        }
    }
    Ok(connection)
}
