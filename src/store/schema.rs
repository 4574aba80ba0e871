//! The tables.

use std::path::Path;

use rusqlite::Connection;

use crate::base::sqlite::{self, Schema};

/// Opens the journal's file. What was added later is made where it is not there yet, so that a box in use goes on.
///
/// # Errors
/// What SQLite says.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = sqlite::open(path, &SCHEMA)?;
    // Looked at first: a program that only reads must not wait for the writer.
    let found: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'told'",
        [],
        |row| row.get(0),
    )?;
    if found == 0 {
        let privacy = format!("BEGIN IMMEDIATE;{PRIVACY}COMMIT;");
        connection.execute_batch(&privacy)?;
    }
    Ok(connection)
}

/// A signed statement with its body has 2 to 3 kB: of pages of 4 KiB each would leave a third empty.
const SCHEMA: Schema = Schema { version: 2, tables: TABLES, page_bytes: 8192 };

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
    worth     INTEGER NOT NULL,             -- `room::Worth`
    pruned    INTEGER NOT NULL DEFAULT 0,   -- 1: evidence went for want of room, 2: the body too
    PRIMARY KEY (epoch, seq)
) STRICT;
CREATE INDEX event_unsent ON event (seq) WHERE acked_ms IS NULL;
CREATE TABLE chain (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    link   TEXT    NOT NULL,
    anchor TEXT    NOT NULL,
    evidence_key BLOB                       -- where the platform has changed it since enrolment
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

const PRIVACY: &str = "
-- What digests of stays are salted with, sealed.
CREATE TABLE IF NOT EXISTS privacy_salt (one INTEGER PRIMARY KEY CHECK (one = 1), sealed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS erasure (
    number INTEGER PRIMARY KEY,
    note   TEXT    NOT NULL,        -- `wire::privacy::Erased` as JSON
    reason BLOB                     -- what somebody wrote, sealed
) STRICT;
CREATE TABLE IF NOT EXISTS ledger (
    number INTEGER PRIMARY KEY,
    entry  TEXT    NOT NULL,        -- `store::ledger::Entry` as JSON, exact bytes
    link   TEXT    NOT NULL         -- of the entry, and through it of all before
) STRICT;
CREATE TRIGGER IF NOT EXISTS erasure_grows BEFORE UPDATE ON erasure BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS erasure_stays BEFORE DELETE ON erasure BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_grows BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'append only'); END;
-- Whoever must not be enrolled before somebody wants it: digests of stays.
CREATE TABLE IF NOT EXISTS barred (subject TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
-- What will be erased, and how long it has waited.
CREATE TABLE IF NOT EXISTS leaving (
    stay      TEXT    NOT NULL,
    why       TEXT    NOT NULL,
    waited_ms INTEGER NOT NULL,
    wall_ms   INTEGER NOT NULL,
    boot_ms   INTEGER NOT NULL,
    boot_id   TEXT    NOT NULL,
    PRIMARY KEY (stay, why)
) STRICT, WITHOUT ROWID;
-- How far the chain has told of it. The last table: where it is, all are.
CREATE TABLE IF NOT EXISTS told (what TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";
