//! The tables in PostgreSQL: made from SQLite's, so that neither is ever ahead, with triggers and indexes that had to be
//! written anew. `tests` hold the two against each other.

use super::dialect::FUNCTIONS;
use crate::platform::db::migrations::Step;
use crate::platform::db::schema::WITH_ROWID;

/// Indexes that must be otherwise here: SQLite's end with the row's number by themselves, and a condition is no column.
const INDEXES: [&str; 9] = [
    "CREATE INDEX due_time ON due (due_ms, rowid)",
    "CREATE INDEX due_device ON due (device, due_ms, rowid)",
    "CREATE INDEX verification_done ON verification (done_ms, rowid)",
    "CREATE INDEX exception_board ON exception (last_ms DESC, id) WHERE state <> 'ended'",
    "CREATE INDEX exception_last ON exception (last_ms, rowid)",
    "CREATE INDEX exception_kind ON exception (kind, last_ms, rowid)",
    "CREATE INDEX exception_handling ON exception (handling, last_ms, rowid)",
    "CREATE INDEX spot_order_issued ON spot_order (issued_ms, rowid)",
    "CREATE INDEX exception_due ON exception (iif(version = 0, first_ms, due_ms), device) WHERE handling <> 'closed'",
];

/// What keeps the sums and tells webhooks, under the names it has in SQLite.
const TRIGGERS: &str = "
CREATE FUNCTION due_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO bed_day AS b (device, day, bed, due, missed)
    VALUES (NEW.device, (NEW.due_ms + 28800000) / 86400000, NEW.bed, 1, (NEW.state = 'not_done')::int)
    ON CONFLICT (device, day, bed) DO UPDATE SET due = b.due + 1, missed = b.missed + excluded.missed;
    RETURN NULL;
END $$;
CREATE TRIGGER due_counted AFTER INSERT ON due FOR EACH ROW EXECUTE FUNCTION due_counted();
CREATE FUNCTION due_missed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE bed_day SET missed = missed + CASE WHEN NEW.state = 'not_done' THEN 1 ELSE -1 END
    WHERE device = NEW.device AND day = (NEW.due_ms + 28800000) / 86400000 AND bed = NEW.bed;
    RETURN NULL;
END $$;
CREATE TRIGGER due_missed AFTER UPDATE OF state ON due FOR EACH ROW
    WHEN ((NEW.state = 'not_done') <> (OLD.state = 'not_done')) EXECUTE FUNCTION due_missed();
CREATE FUNCTION done_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE bed_day SET
        verified = verified + (NEW.verdict = 'Verified')::int,
        excused = excused + (NEW.verdict = 'Excused')::int,
        unclear = unclear + (NEW.verdict IN ('Inconclusive', 'FaceHidden'))::int,
        against = against + (NEW.verdict IN ('Absent', 'Mismatch', 'WrongBed', 'NotLive'))::int
    WHERE device = NEW.device AND bed = NEW.bed AND day = (
        SELECT (due_ms + 28800000) / 86400000 FROM due
        WHERE device = NEW.device AND epoch = NEW.epoch AND round = NEW.round AND bed = NEW.bed);
    RETURN NULL;
END $$;
CREATE TRIGGER done_counted AFTER INSERT ON done FOR EACH ROW EXECUTE FUNCTION done_counted();
CREATE FUNCTION exception_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO case_count AS c VALUES (NEW.device, NEW.handling, (NEW.state <> 'ended')::int, 1)
    ON CONFLICT (device, handling, seen) DO UPDATE SET cases = c.cases + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER exception_counted AFTER INSERT ON exception FOR EACH ROW EXECUTE FUNCTION exception_counted();
CREATE FUNCTION exception_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE case_count SET cases = cases - 1
    WHERE device = OLD.device AND handling = OLD.handling AND seen = (OLD.state <> 'ended')::int;
    INSERT INTO case_count AS c VALUES (NEW.device, NEW.handling, (NEW.state <> 'ended')::int, 1)
    ON CONFLICT (device, handling, seen) DO UPDATE SET cases = c.cases + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER exception_moved AFTER UPDATE OF state, handling ON exception FOR EACH ROW
    WHEN (OLD.handling <> NEW.handling OR (OLD.state = 'ended') <> (NEW.state = 'ended'))
    EXECUTE FUNCTION exception_moved();
CREATE FUNCTION exception_raised() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO happening (type, device, exception, kind, state, handling, at_ms)
    SELECT 'exception.' || NEW.state, NEW.device, NEW.id, NEW.kind, NEW.state, NEW.handling, NEW.last_ms
    WHERE EXISTS (SELECT 1 FROM webhook WHERE ended_ms IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER exception_raised AFTER INSERT ON exception FOR EACH ROW EXECUTE FUNCTION exception_raised();
CREATE TRIGGER exception_changed AFTER UPDATE OF state ON exception FOR EACH ROW
    WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION exception_raised();
CREATE FUNCTION case_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO happening (type, device, exception, kind, state, handling, at_ms)
    SELECT 'case.moved', device, id, kind, state, NEW.state, NEW.at_ms FROM exception
    WHERE device = NEW.device AND id = NEW.id AND EXISTS (SELECT 1 FROM webhook WHERE ended_ms IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER case_moved AFTER INSERT ON case_step FOR EACH ROW EXECUTE FUNCTION case_moved();
";

/// Everything an empty database needs, from the tables as SQLite has them.
pub fn whole(sqlite: &str) -> String {
    format!("{FUNCTIONS}{}{TRIGGERS}", tables(sqlite))
}

/// One step of the migrations.
pub fn step(step: &Step) -> String {
    format!("{}{}", tables(step.sqlite), step.postgres)
}

/// Tables and indexes written for SQLite, as PostgreSQL makes them; triggers are left out.
fn tables(sqlite: &str) -> String {
    let bare: String = sqlite.lines().map(|line| line.split("--").next().unwrap_or_default()).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    );
    let (mut made, mut keys, mut is_trigger) = (String::new(), String::new(), false);
    for statement in bare.split_inclusive(';') {
        let statement = statement.trim().trim_end_matches(';').trim();
        is_trigger |= statement.starts_with("CREATE TRIGGER");
        if is_trigger {
            is_trigger = statement != "END";
        } else if let Some(table) = statement.strip_prefix("CREATE TABLE ") {
            let (table, foreign) = table_of(table);
            made.push_str(&table);
            keys.push_str(&foreign);
        } else if statement.starts_with("ALTER TABLE ") {
            made.push_str(&format!("{};\n", typed(statement)));
        } else if !statement.is_empty() {
            made.push_str(&format!("{};\n", index_of(statement)));
        }
    }
    made + &keys
}

/// A table, and its references for when all tables are there.
fn table_of(sqlite: &str) -> (String, String) {
    let (name, columns) = sqlite.split_once('(').unwrap_or((sqlite, ""));
    let (name, columns) = (name.trim(), columns.rsplit_once(')').map_or(columns, |(columns, _)| columns));
    let (mut made, mut keys) = (Vec::new(), String::new());
    for column in parts(columns) {
        let words: Vec<&str> = column.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "REFERENCES");
        if let Some(to) = at.and_then(|at| words.get(at + 1)) {
            let from = if words[0] == "FOREIGN" {
                column.split("REFERENCES").next().unwrap_or_default().trim().to_owned()
            } else {
                format!("FOREIGN KEY ({})", words[0])
            };
            keys.push_str(&format!("ALTER TABLE {name} ADD {from} REFERENCES {to} DEFERRABLE;\n"));
        }
        let own = &words[..at.unwrap_or(words.len())];
        if own[0] != "FOREIGN" {
            made.push(typed(&own.join(" ")));
        }
    }
    if WITH_ROWID.contains(&name) {
        made.push("rowid BIGINT GENERATED BY DEFAULT AS IDENTITY UNIQUE".to_owned());
    }
    (format!("CREATE TABLE {name} (\n    {}\n);\n", made.join(",\n    ")), keys)
}

/// What stands between commas that are in no parenthesis.
fn parts(columns: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, letter) in columns.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(columns[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(columns[begin..].trim());
    found
}

fn typed(column: &str) -> String {
    let identity = "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY";
    let column = column.replace("INTEGER PRIMARY KEY AUTOINCREMENT", identity);
    // Texts are ordered by their bytes, as in SQLite, whatever the database's language.
    let words = column.split(' ').map(|word| match word {
        "TEXT" => "TEXT COLLATE \"C\"",
        "INTEGER" => "BIGINT",
        "BLOB" => "BYTEA",
        "REAL" => "DOUBLE PRECISION",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn index_of(sqlite: &str) -> &str {
    let named = |text: &str| text.split(" ON ").next().map(str::to_owned);
    INDEXES.into_iter().find(|ours| named(ours) == named(sqlite)).unwrap_or(sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::db::migrations::{self, STEPS};

    fn names<'t>(text: &'t str, what: &str) -> Vec<&'t str> {
        let mut names: Vec<&str> = text
            .split(what)
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn both_databases_have_the_same_tables_indexes_and_triggers() {
        let theirs = migrations::sqlite().tables;
        let steps: String = STEPS.iter().map(step).collect();
        let ours = whole(crate::platform::db::schema::SCHEMA.tables) + &steps;
        for what in ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX ", "CREATE TRIGGER "] {
            assert_eq!(names(&ours, what), names(theirs, what), "{what}");
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_meant() {
        let made = tables(
            "-- A thing.\nCREATE TABLE thing (\n id TEXT NOT NULL, -- its, name\n n INTEGER NOT NULL REFERENCES other,
             s TEXT CHECK (s IN ('a', 'b')),\n b BLOB,\n PRIMARY KEY (id, n),\n FOREIGN KEY (id, n) REFERENCES pair\n) STRICT;
             CREATE TRIGGER t AFTER INSERT ON thing BEGIN\n SELECT 1;\nEND;\nCREATE INDEX thing_n ON thing (n);",
        );
        assert_eq!(
            made,
            "CREATE TABLE thing (\n    id TEXT COLLATE \"C\" NOT NULL,\n    n BIGINT NOT NULL,\n    \
             s TEXT COLLATE \"C\" CHECK (s IN ('a', 'b')),\n    b BYTEA,\n    PRIMARY KEY (id, n)\n);\n\
             CREATE INDEX thing_n ON thing (n);\n\
             ALTER TABLE thing ADD FOREIGN KEY (n) REFERENCES other DEFERRABLE;\n\
             ALTER TABLE thing ADD FOREIGN KEY (id, n) REFERENCES pair DEFERRABLE;\n"
        );
    }
}
