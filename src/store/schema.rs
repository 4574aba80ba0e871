//! The tables.

use crate::base::sqlite::Schema;

pub const SCHEMA: Schema = Schema { version: 2, tables: TABLES };

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
