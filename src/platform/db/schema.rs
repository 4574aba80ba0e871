//! The tables of version 9; what later versions have more is in `migrations`.

use crate::base::sqlite::Schema;

pub const SCHEMA: Schema = Schema { version: 9, tables: TABLES, page_bytes: 4096 };

/// Tables whose rows are paged by their number, which SQLite gives each row by itself and PostgreSQL by a column.
pub const WITH_ROWID: [&str; 6] =
    ["lying", "due", "verification", "exception", "spot_order", "webhook_message"];

const TABLES: &str = "
-- Who may speak. Times are milliseconds since 1970 on the platform's clock unless named otherwise.
CREATE TABLE device (
    device         TEXT    PRIMARY KEY,
    ward           TEXT    NOT NULL,
    institution    TEXT    NOT NULL,
    statement_key  BLOB    NOT NULL,
    cert_sha256    TEXT    NOT NULL,
    cert_until_ms  INTEGER NOT NULL,
    next_cert_sha256 TEXT,              -- issued and not used yet; its first use ends the one before
    round_every_ms INTEGER NOT NULL,
    added_ms       INTEGER NOT NULL,
    logged         INTEGER NOT NULL REFERENCES log_entry, -- its admission with this key
    revoked_ms     INTEGER,
    last_contact_ms INTEGER,
    last_said_ms   INTEGER,             -- the latest time on the device's own clock
    expected_ms    INTEGER NOT NULL,    -- the next round begins before this
    epoch          TEXT,                -- the chain that grows now
    gap_starts     INTEGER NOT NULL DEFAULT 0,
    accepted       INTEGER NOT NULL DEFAULT 0,
    duplicates     INTEGER NOT NULL DEFAULT 0,
    forks          INTEGER NOT NULL DEFAULT 0,
    version        TEXT,
    mode           TEXT,
    stored_faces   INTEGER,
    unsent         INTEGER,
    cameras        TEXT,
    bundle         TEXT                 -- what it said of its signed updates when it was last not behind
) STRICT;
-- Every certificate issued by us. `ended_ms`: since when it is not accepted, long before it expires.
CREATE TABLE certificate (
    sha256    TEXT    PRIMARY KEY,
    device    TEXT    NOT NULL REFERENCES device,
    serial    BLOB    NOT NULL,
    pem       TEXT    NOT NULL,
    until_ms  INTEGER NOT NULL,
    ended_ms  INTEGER,
    revoked   INTEGER NOT NULL DEFAULT 0   -- 1: ended because its device was shut out
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_device ON certificate (device, until_ms);
-- Enrolment tokens. `key` is derived from the printed secret: it checks proofs, and no token can be printed from it.
CREATE TABLE token (
    id             TEXT    PRIMARY KEY,
    key            BLOB    NOT NULL,
    device         TEXT    NOT NULL,
    ward           TEXT    NOT NULL,
    serial         TEXT,
    institution    TEXT    NOT NULL,
    url            TEXT    NOT NULL,
    round_every_ms INTEGER NOT NULL,
    made_ms        INTEGER NOT NULL,
    until_ms       INTEGER NOT NULL,
    used_ms        INTEGER,
    used_by        TEXT                 -- digest of the keys it admitted
) STRICT, WITHOUT ROWID;
CREATE TABLE head (
    device TEXT    NOT NULL REFERENCES device,
    epoch  TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    link   TEXT    NOT NULL,
    PRIMARY KEY (device, epoch)
) STRICT;
-- Accepted statements. `id` is NULL where the body is unreadable or repeats an id.
CREATE TABLE link (
    device      TEXT    NOT NULL REFERENCES device,
    epoch       TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    id          TEXT,
    envelope    TEXT    NOT NULL,
    link        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    evidence    BLOB,
    received_ms INTEGER NOT NULL,
    logged      INTEGER NOT NULL REFERENCES log_entry,
    PRIMARY KEY (device, epoch, seq),
    UNIQUE (device, id)
) STRICT;
-- What the platform answered: the anchors of later statements are their digests.
CREATE TABLE receipt (
    sha256      TEXT    PRIMARY KEY,
    device      TEXT    NOT NULL REFERENCES device,
    epoch       TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    envelope    TEXT    NOT NULL,
    received_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_head ON receipt (device, epoch, seq);
-- The log of everything accepted: entries, nodes of whole subtrees, signed heads.
CREATE TABLE log_entry (
    at    INTEGER PRIMARY KEY,
    entry TEXT    NOT NULL
) STRICT;
CREATE TABLE log_node (
    level INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    hash  BLOB    NOT NULL,
    PRIMARY KEY (level, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_head (
    size  INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    note  TEXT    NOT NULL
) STRICT;
-- What contradicts an accepted statement, kept as proof.
CREATE TABLE quarantine (
    device      TEXT    NOT NULL,
    epoch       TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    link        TEXT    NOT NULL,
    envelope    TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,
    UNIQUE (device, epoch, seq, link)
) STRICT;
CREATE TABLE roster (
    device      TEXT    NOT NULL REFERENCES device,
    bed         TEXT    NOT NULL,
    stay        TEXT    NOT NULL,
    masked_name TEXT    NOT NULL,
    templates   INTEGER NOT NULL,
    PRIMARY KEY (device, bed)
) STRICT;
-- Since when a stay is on a bed of the roster, and until when: what the platform knows of admission, transfer and
-- discharge. `said` is the roster's own time, on the device's clock.
CREATE TABLE lying (
    device      TEXT    NOT NULL REFERENCES device,
    stay        TEXT    NOT NULL,
    bed         TEXT    NOT NULL,
    since_ms    INTEGER NOT NULL,       -- received
    since_said_ms INTEGER NOT NULL,
    gone_ms     INTEGER,
    gone_said_ms INTEGER
) STRICT;
CREATE INDEX lying_stay ON lying (device, stay);
CREATE UNIQUE INDEX lying_now ON lying (device, bed, stay) WHERE gone_ms IS NULL;
-- The ledger: `state` is open, settled or not_done.
CREATE TABLE due (
    device      TEXT    NOT NULL REFERENCES device,
    epoch       TEXT    NOT NULL,
    round       INTEGER NOT NULL,
    bed         TEXT    NOT NULL,
    stay        TEXT    NOT NULL,
    masked_name TEXT    NOT NULL,
    due_ms      INTEGER NOT NULL,       -- device's clock
    until_ms    INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'settled', 'not_done')),
    PRIMARY KEY (device, epoch, round, bed)
) STRICT;
CREATE INDEX due_bed ON due (device, bed, stay, due_ms);
CREATE INDEX due_time ON due (due_ms);
CREATE INDEX due_device ON due (device, due_ms);
CREATE INDEX due_open ON due (until_ms) WHERE state = 'open';
CREATE TABLE done (
    device      TEXT    NOT NULL REFERENCES device,
    epoch       TEXT    NOT NULL,
    round       INTEGER NOT NULL,
    bed         TEXT    NOT NULL,
    stay        TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    verdict     TEXT    NOT NULL,
    result      TEXT    NOT NULL,       -- the CheckResult as JSON
    done_ms     INTEGER NOT NULL,       -- device's clock
    received_ms INTEGER NOT NULL,
    evidence    INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, round, bed)
) STRICT;
-- What verifications at kiosks came to. `amount_fen`, `drugs` (one a line) and the proxy are for the pharmacy rules.
CREATE TABLE verification (
    device      TEXT    NOT NULL REFERENCES device,
    event       TEXT    NOT NULL,
    visit       TEXT    NOT NULL,       -- the same for every result of one visit
    purpose     TEXT    NOT NULL,
    stay        TEXT    NOT NULL,
    masked_name TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT,                   -- of what was not decided, or the cue of an attack
    resembles   TEXT,                   -- another stay whose face it was
    proxy       TEXT,                   -- digest of the proxy's number, of this device alone
    proxy_name  TEXT,
    staff       TEXT,                   -- who signed, one a line
    amount_fen  INTEGER,
    drugs       TEXT,
    synthetic   INTEGER NOT NULL,
    done_ms     INTEGER NOT NULL,       -- device's clock
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (device, event)
) STRICT;
CREATE INDEX verification_done ON verification (done_ms);
CREATE INDEX verification_stay ON verification (stay, done_ms);
-- The ledger added up by bed and day of China (UTC+8), for pages over months; kept by the triggers below it.
CREATE TABLE bed_day (
    device   TEXT    NOT NULL REFERENCES device,
    day      INTEGER NOT NULL,          -- days since 1970
    bed      TEXT    NOT NULL,
    due      INTEGER NOT NULL DEFAULT 0,
    missed   INTEGER NOT NULL DEFAULT 0,
    verified INTEGER NOT NULL DEFAULT 0,
    excused  INTEGER NOT NULL DEFAULT 0,
    unclear  INTEGER NOT NULL DEFAULT 0,
    against  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device, day, bed)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER due_counted AFTER INSERT ON due BEGIN
    INSERT INTO bed_day (device, day, bed, due, missed)
    VALUES (NEW.device, (NEW.due_ms + 28800000) / 86400000, NEW.bed, 1, NEW.state = 'not_done')
    ON CONFLICT DO UPDATE SET due = due + 1, missed = missed + excluded.missed;
END;
CREATE TRIGGER due_missed AFTER UPDATE OF state ON due WHEN (NEW.state = 'not_done') <> (OLD.state = 'not_done') BEGIN
    UPDATE bed_day SET missed = missed + iif(NEW.state = 'not_done', 1, -1)
    WHERE device = NEW.device AND day = (NEW.due_ms + 28800000) / 86400000 AND bed = NEW.bed;
END;
CREATE TRIGGER done_counted AFTER INSERT ON done BEGIN
    UPDATE bed_day SET
        verified = verified + (NEW.verdict = 'Verified'),
        excused = excused + (NEW.verdict = 'Excused'),
        unclear = unclear + (NEW.verdict IN ('Inconclusive', 'FaceHidden')),
        against = against + (NEW.verdict IN ('Absent', 'Mismatch', 'WrongBed', 'NotLive'))
    WHERE device = NEW.device AND bed = NEW.bed AND day = (
        SELECT (due_ms + 28800000) / 86400000 FROM due
        WHERE device = NEW.device AND epoch = NEW.epoch AND round = NEW.round AND bed = NEW.bed);
END;
CREATE INDEX done_bed ON done (device, bed, stay);
CREATE TABLE exception (
    device      TEXT    NOT NULL REFERENCES device,
    id          TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('raised', 'confirmed', 'ended')),
    origin      TEXT    NOT NULL CHECK (origin IN ('device', 'platform')),
    bed         TEXT,
    stay        TEXT,
    masked_name TEXT,
    verdict     TEXT,
    rounds      INTEGER NOT NULL,
    first_ms    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,
    ended_ms    INTEGER,
    detail      TEXT,                   -- an Irregularity as JSON
    handling    TEXT    NOT NULL DEFAULT 'raised', -- what people made of it: a state of domain::handling
    version     INTEGER NOT NULL DEFAULT 0,        -- steps taken: who decides on an older one is refused
    due_ms      INTEGER,                -- the next step is due; NULL before the first
    escalated   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device, id)
) STRICT;
CREATE INDEX exception_board ON exception (state = 'ended', last_ms DESC, id);
CREATE INDEX exception_open ON exception (device, kind, state);
CREATE INDEX exception_last ON exception (last_ms);
CREATE INDEX exception_kind ON exception (kind, last_ms);
CREATE INDEX exception_handling ON exception (handling, last_ms);
CREATE INDEX exception_bed ON exception (device, bed, stay);
-- What the board of a ward lists: few, however many there ever were.
CREATE INDEX exception_seen ON exception (device, last_ms) WHERE state <> 'ended';
-- When the next step of an open case is due; before the first one the time runs from the exception itself.
CREATE INDEX exception_due ON exception (version = 0, iif(version = 0, first_ms, due_ms), device)
    WHERE handling <> 'closed';
-- Cases by device and state, kept by the triggers below it: no page counts a hundred thousand rows.
CREATE TABLE case_count (
    device   TEXT    NOT NULL REFERENCES device,
    handling TEXT    NOT NULL,
    seen     INTEGER NOT NULL,          -- 1: still seen in the ward
    cases    INTEGER NOT NULL,
    PRIMARY KEY (device, handling, seen)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER exception_counted AFTER INSERT ON exception BEGIN
    INSERT INTO case_count VALUES (NEW.device, NEW.handling, NEW.state <> 'ended', 1)
    ON CONFLICT DO UPDATE SET cases = cases + 1;
END;
CREATE TRIGGER exception_moved AFTER UPDATE OF state, handling ON exception
WHEN OLD.handling <> NEW.handling OR (OLD.state = 'ended') <> (NEW.state = 'ended') BEGIN
    UPDATE case_count SET cases = cases - 1
    WHERE device = OLD.device AND handling = OLD.handling AND seen = (OLD.state <> 'ended');
    INSERT INTO case_count VALUES (NEW.device, NEW.handling, NEW.state <> 'ended', 1)
    ON CONFLICT DO UPDATE SET cases = cases + 1;
END;
-- Every step of a case; the key is what makes the second of two decisions fail.
CREATE TABLE case_step (
    device      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    version     INTEGER NOT NULL,       -- after the step
    step        TEXT    NOT NULL,
    state       TEXT    NOT NULL,       -- after the step
    person      TEXT    NOT NULL REFERENCES person,
    role        TEXT    NOT NULL,
    reason      TEXT,
    remark      TEXT,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (device, id, version),
    FOREIGN KEY (device, id) REFERENCES exception
) STRICT;
-- What the draws of a device are bound by, and announced rounds whose seed is not shown yet.
CREATE TABLE commitment (
    device TEXT    NOT NULL REFERENCES device,
    epoch  TEXT    NOT NULL,
    round  INTEGER NOT NULL,
    sha256 TEXT    NOT NULL,
    PRIMARY KEY (device, epoch)
) STRICT;
CREATE TABLE drawn (
    device TEXT    NOT NULL REFERENCES device,
    epoch  TEXT    NOT NULL,
    round  INTEGER NOT NULL,
    plan   TEXT    NOT NULL,
    PRIMARY KEY (device, epoch, round)
) STRICT;
-- Spot checks as people order them, over one ward or, drawn by lot, over a hospital.
CREATE TABLE spot_order (
    id          TEXT    PRIMARY KEY,
    person      TEXT    REFERENCES person, -- NULL: on the command line
    kind        TEXT    NOT NULL CHECK (kind IN ('beds', 'ward', 'sample')),
    institution TEXT    NOT NULL,
    issued_ms   INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    evidence    INTEGER NOT NULL,
    draw        INTEGER UNIQUE,         -- of a sample: its number, from 0 on
    wanted      INTEGER,                -- beds to draw
    bound_by    TEXT,                   -- the Commitment that was public when it was drawn, as JSON
    among       TEXT                    -- the beds it was drawn from, as JSON
) STRICT;
CREATE INDEX spot_order_issued ON spot_order (issued_ms);
-- What of it a device must do.
CREATE TABLE spot_check (
    id          TEXT    PRIMARY KEY,
    device      TEXT    NOT NULL REFERENCES device,
    nonce       TEXT    NOT NULL,
    beds        TEXT    NOT NULL,       -- one a line; none is the whole ward
    issued_ms   INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    evidence    INTEGER NOT NULL,       -- pictures are wanted
    answered_ms INTEGER,
    missed      INTEGER NOT NULL,
    spot_order  TEXT    REFERENCES spot_order,
    epoch       TEXT,                   -- the round that answered
    round       INTEGER
) STRICT;
CREATE INDEX spot_check_order ON spot_check (spot_order);
CREATE INDEX spot_check_device ON spot_check (device, issued_ms);
-- Who has an account, and each request to open evidence; `token` is of the one look at it.
CREATE TABLE person (
    name       TEXT    PRIMARY KEY,
    role       TEXT    NOT NULL,
    institution TEXT,                   -- the hospital of an officer
    passphrase TEXT    NOT NULL,        -- Argon2id, as PHC string
    added_ms   INTEGER NOT NULL,
    failures   INTEGER NOT NULL DEFAULT 0,
    locked_ms  INTEGER NOT NULL DEFAULT 0,
    removed_ms INTEGER
) STRICT;
CREATE TABLE viewing (
    id          TEXT    PRIMARY KEY,
    device      TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    first       TEXT    NOT NULL REFERENCES person,
    asked_ms    INTEGER NOT NULL,
    second      TEXT    REFERENCES person,
    approved_ms INTEGER,
    token       TEXT
) STRICT;
CREATE TABLE opened (
    at_ms   INTEGER NOT NULL,
    device  TEXT    NOT NULL,
    event   TEXT    NOT NULL,
    opened  INTEGER NOT NULL,           -- 0: the seal did not open
    viewing TEXT    NOT NULL REFERENCES viewing,
    logged  INTEGER NOT NULL REFERENCES log_entry
) STRICT;
-- Who is signed in, by digest of the secret: browsers, links that are good once, programs.
CREATE TABLE session (
    sha256     TEXT    PRIMARY KEY,
    person     TEXT    NOT NULL REFERENCES person,
    form_token TEXT    NOT NULL,
    made_ms    INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,
    ended_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE sign_in_link (
    sha256   TEXT    PRIMARY KEY,
    person   TEXT    NOT NULL REFERENCES person,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE program (
    sha256   TEXT    PRIMARY KEY,
    person   TEXT    NOT NULL REFERENCES person,
    made_ms  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Answers to writes of programs, for a request that is sent again.
CREATE TABLE answered (
    person  TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    request TEXT    NOT NULL,           -- digest of what was asked
    status  INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (person, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answered_at ON answered (at_ms);
-- The audit trail: who looked at what, who did what.
CREATE TABLE trail (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    person TEXT    NOT NULL,
    role   TEXT    NOT NULL,
    act    TEXT    NOT NULL,
    what   TEXT    NOT NULL
) STRICT;
CREATE INDEX trail_person ON trail (person, number);
-- Programs that are told (webhooks), what happened and is not yet a message, and messages until they are taken.
CREATE TABLE webhook (
    id          TEXT    PRIMARY KEY,
    url         TEXT    NOT NULL,
    events      TEXT    NOT NULL,       -- one a line
    secret      BLOB    NOT NULL,       -- what messages are signed with; empty when ended
    certificate TEXT,                   -- who vouches for the receiver, as PEM
    added_ms    INTEGER NOT NULL,
    ended_ms    INTEGER,
    ended       TEXT,                   -- removed, or gone: it answered 410
    failures    INTEGER NOT NULL DEFAULT 0,  -- in a row
    next_ms     INTEGER NOT NULL DEFAULT 0,  -- left alone until then
    sent        INTEGER NOT NULL DEFAULT 0,
    given_up    INTEGER NOT NULL DEFAULT 0,
    dropped     INTEGER NOT NULL DEFAULT 0,
    trouble     TEXT
) STRICT;
CREATE TABLE happening (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    type      TEXT    NOT NULL,
    device    TEXT    NOT NULL,
    exception TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    handling  TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL
) STRICT;
CREATE TABLE webhook_message (
    id        TEXT    PRIMARY KEY,
    webhook   TEXT    NOT NULL REFERENCES webhook,
    body      TEXT    NOT NULL,
    queued_ms INTEGER NOT NULL,
    tries     INTEGER NOT NULL DEFAULT 0,
    next_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_message_next ON webhook_message (webhook, queued_ms);
CREATE INDEX webhook_message_age ON webhook_message (queued_ms);
-- Whatever writes an exception or a step, it is told; nothing is kept while nobody is to be told.
CREATE TRIGGER exception_raised AFTER INSERT ON exception
WHEN EXISTS (SELECT 1 FROM webhook WHERE ended_ms IS NULL) BEGIN
    INSERT INTO happening (type, device, exception, kind, state, handling, at_ms)
    VALUES ('exception.' || NEW.state, NEW.device, NEW.id, NEW.kind, NEW.state, NEW.handling, NEW.last_ms);
END;
CREATE TRIGGER exception_changed AFTER UPDATE OF state ON exception
WHEN NEW.state <> OLD.state AND EXISTS (SELECT 1 FROM webhook WHERE ended_ms IS NULL) BEGIN
    INSERT INTO happening (type, device, exception, kind, state, handling, at_ms)
    VALUES ('exception.' || NEW.state, NEW.device, NEW.id, NEW.kind, NEW.state, NEW.handling, NEW.last_ms);
END;
CREATE TRIGGER case_moved AFTER INSERT ON case_step
WHEN EXISTS (SELECT 1 FROM webhook WHERE ended_ms IS NULL) BEGIN
    INSERT INTO happening (type, device, exception, kind, state, handling, at_ms)
    SELECT 'case.moved', device, id, kind, state, NEW.state, NEW.at_ms FROM exception
    WHERE device = NEW.device AND id = NEW.id;
END;
";
