-- Screening 智慧筛查: the rules as they last ran, the runs, and the leads they found. Days are counted from 1970 in China.
CREATE TABLE screening_rule (
    rule           TEXT    PRIMARY KEY,
    version        INTEGER NOT NULL,
    severity       INTEGER NOT NULL,    -- 1 to 3
    title_zh       TEXT    NOT NULL,
    title_en       TEXT    NOT NULL,
    explanation_zh TEXT    NOT NULL,
    explanation_en TEXT    NOT NULL,
    article        TEXT    NOT NULL,    -- of the regulation
    parameters     TEXT    NOT NULL,    -- JSON: name, value, default, min, max, unit, words
    tuned          TEXT,                -- the parameter a suggestion is made for: what `lead.measure` is compared with
    tuned_up       INTEGER NOT NULL     -- 1: a higher value finds less
) STRICT;
CREATE TABLE screening_run (
    id         TEXT    PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER NOT NULL,
    since_day  INTEGER,                 -- NULL: everything
    found      INTEGER NOT NULL,
    fresh      INTEGER NOT NULL,        -- never found before
    rules      TEXT    NOT NULL         -- JSON: per rule leads, rows read, milliseconds
) STRICT;
CREATE INDEX screening_run_started ON screening_run (started_ms);
CREATE TABLE lead (
    id             TEXT    PRIMARY KEY, -- digest of rule and subject: found again, it is the same lead
    rule           TEXT    NOT NULL,
    rule_version   INTEGER NOT NULL,
    severity       INTEGER NOT NULL,
    priority       INTEGER NOT NULL,    -- 0 to 100
    institution    TEXT,                -- fixmedins_code
    psn_no         TEXT,
    certno_hash    TEXT,
    dr_code        TEXT,
    mdtrt_id       TEXT,
    begin_day      INTEGER NOT NULL,
    end_day        INTEGER NOT NULL,
    amount_fen     INTEGER NOT NULL,
    proving_rows   INTEGER NOT NULL,    -- all of them; `proof` keeps the first
    measure        REAL,                -- what the tuned parameter was compared with
    subject        TEXT    NOT NULL,    -- JSON object
    claim_zh       TEXT    NOT NULL,
    claim_en       TEXT    NOT NULL,
    fields         TEXT    NOT NULL,    -- JSON object: the fields that fired
    proof          TEXT    NOT NULL,    -- JSON array of rows
    first_found_ms INTEGER NOT NULL,
    last_found_ms  INTEGER NOT NULL,
    run            TEXT    NOT NULL,    -- the last that found it
    state          TEXT    NOT NULL,    -- of domain::lead
    version        INTEGER NOT NULL,    -- steps taken
    assigned_to    TEXT REFERENCES person,
    decided_ms     INTEGER              -- confirmed or refuted
) STRICT;
CREATE INDEX lead_queue ON lead (priority, id);
CREATE INDEX lead_state ON lead (state, priority, id);
CREATE INDEX lead_rule ON lead (rule, state, priority, id);
CREATE INDEX lead_institution ON lead (institution, priority, id);
CREATE INDEX lead_psn ON lead (psn_no);
CREATE INDEX lead_stay ON lead (mdtrt_id);
CREATE INDEX lead_doctor ON lead (dr_code);
CREATE INDEX lead_assigned ON lead (assigned_to, priority, id);
CREATE INDEX lead_decided ON lead (rule, decided_ms);
CREATE TABLE lead_step (
    lead    TEXT    NOT NULL REFERENCES lead,
    version INTEGER NOT NULL,           -- after the step: of two decisions at once the second finds it taken
    step    TEXT    NOT NULL,
    state   TEXT    NOT NULL,           -- after the step
    person  TEXT    NOT NULL REFERENCES person,
    role    TEXT    NOT NULL,
    reason  TEXT,
    remark  TEXT,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (lead, version)
) STRICT;
-- Who has to do with whom, as far as the leads reach; computed with every full run. `from` sorts before `to` by kind.
CREATE TABLE association (
    from_kind  TEXT    NOT NULL,
    from_id    TEXT    NOT NULL,
    to_kind    TEXT    NOT NULL,
    to_id      TEXT    NOT NULL,
    visits     INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL,
    run        TEXT    NOT NULL,
    PRIMARY KEY (from_kind, from_id, to_kind, to_id)
) STRICT;
CREATE INDEX association_from ON association (from_kind, from_id, amount_fen);
CREATE INDEX association_to ON association (to_kind, to_id, amount_fen);
-- What a node is called, where a reference list says it.
CREATE TABLE association_name (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
