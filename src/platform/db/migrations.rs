//! Versions of the tables, from 9 on: a new database is made as version 9 and taken through every step, an old one through
//! those it has not seen, so that both are the same.
//!
//! A program opens its own version only; `bedcheck-platform migrate` takes a database to it, and nothing else changes one.

use std::path::Path;
use std::sync::LazyLock;

use super::schema::SCHEMA;
use super::sql::{Error, Result};
#[cfg(feature = "postgres")]
use super::{postgres, sql::Connection};
use crate::base::sqlite::Schema;

/// What one version has more than the one before it.
pub struct Step {
    pub version: i64,
    /// For SQLite; tables and indexes among it are made for PostgreSQL as well.
    pub sqlite: &'static str,
    /// For PostgreSQL besides: triggers, which each database has in its own words.
    #[cfg(feature = "postgres")]
    pub postgres: &'static str,
}

/// In the order of their versions, from 10 on. What a version has more is written here, never into `schema`.
pub const STEPS: &[Step] = &[Step {
    version: 10,
    sqlite: concat!(
        "-- Fewer beds are watched at once, as the device last said; NULL where not.
         ALTER TABLE device ADD COLUMN eased TEXT;\n",
        include_str!("screening.sql")
    ),
    #[cfg(feature = "postgres")]
    postgres: "",
}];

/// The version after the last of these steps.
fn newest(steps: &[Step]) -> i64 {
    steps.last().map_or(SCHEMA.version, |step| step.version)
}

/// A new file as this program makes it.
pub fn sqlite() -> Schema {
    static WHOLE: LazyLock<String> = LazyLock::new(|| {
        let steps: String = STEPS.iter().map(|step| step.sqlite).collect();
        format!("{}{steps}", SCHEMA.tables)
    });
    Schema { version: newest(STEPS), tables: &WHOLE, page_bytes: SCHEMA.page_bytes }
}

/// Takes a file to this program's version; from which to which.
///
/// # Errors
/// [`Error::Unfit`] for a newer file or one that is not ours; what SQLite says. Nothing was changed.
pub fn upgrade_sqlite(path: &Path) -> Result<(i64, i64)> {
    upgrade_sqlite_by(path, STEPS)
}

fn upgrade_sqlite_by(path: &Path, steps: &[Step]) -> Result<(i64, i64)> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in missing(found, steps)? {
        transaction.execute_batch(step.sqlite)?;
    }
    transaction.pragma_update(None, "user_version", newest(steps))?;
    transaction.commit()?;
    Ok((found, newest(steps)))
}

/// The steps a database of version `found` has not seen.
fn missing(found: i64, steps: &[Step]) -> Result<impl Iterator<Item = &Step>> {
    let known = SCHEMA.version..=newest(steps);
    if !known.contains(&found) {
        return Err(Error::Unfit(format!(
            "the database has version {found}, this program understands {} to {}: use a newer program",
            known.start(),
            known.end()
        )));
    }
    Ok(steps.iter().filter(move |step| step.version > found))
}

/// What a database of another version is told.
#[cfg(feature = "postgres")]
pub(super) fn other_version(found: i64) -> Error {
    let ours = newest(STEPS);
    let remedy = if found < ours {
        "bring it up to date with `bedcheck-platform migrate --dir DIR`"
    } else {
        "use a newer program"
    };
    Error::Unfit(format!("the database has version {found}, this program understands {ours}: {remedy}"))
}

/// Makes the tables where there are none; refuses another version.
///
/// # Errors
/// [`Error::Unfit`]; what the server says.
#[cfg(feature = "postgres")]
pub(super) fn begin_postgres(session: &postgres::Session) -> Result<()> {
    match version_of(session)? {
        None => {
            session.batch("CREATE SCHEMA IF NOT EXISTS bedcheck")?;
            session.batch(&postgres::whole(SCHEMA.tables))?;
            for step in STEPS {
                session.batch(&postgres::step(step))?;
            }
            let version = newest(STEPS);
            session.batch(&format!(
                "CREATE TABLE schema_version (version BIGINT NOT NULL); INSERT INTO schema_version VALUES ({version})"
            ))
        }
        Some(found) if found == newest(STEPS) => Ok(()),
        Some(found) => Err(other_version(found)),
    }
}

/// Takes a database to this program's version, as part of the transaction that is open; from which to which.
///
/// # Errors
/// [`Error::Unfit`] for a newer database or none of ours; what the server says.
#[cfg(feature = "postgres")]
pub(super) fn upgrade_postgres(session: &postgres::Session) -> Result<(i64, i64)> {
    let Some(found) = version_of(session)? else {
        return Err(Error::Unfit(
            "there are no tables of bedcheck in it: `bedcheck-platform init` makes them".to_owned(),
        ));
    };
    for step in missing(found, STEPS)? {
        session.batch(&postgres::step(step))?;
    }
    session.batch(&format!("UPDATE schema_version SET version = {}", newest(STEPS)))?;
    Ok((found, newest(STEPS)))
}

#[cfg(feature = "postgres")]
fn version_of(session: &postgres::Session) -> Result<Option<i64>> {
    let connection = Connection::postgres(session);
    let is_ours: bool =
        connection
            .query_row("SELECT to_regclass('bedcheck.schema_version') IS NOT NULL", [], |row| row.get(0))?;
    if !is_ours {
        return Ok(None);
    }
    connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_UP: [Step; 2] = [
        Step {
            version: 10,
            sqlite: "CREATE TABLE ten (a INTEGER NOT NULL) STRICT;",
            #[cfg(feature = "postgres")]
            postgres: "",
        },
        Step {
            version: 11,
            sqlite: "ALTER TABLE ten ADD COLUMN b TEXT;",
            #[cfg(feature = "postgres")]
            postgres: "",
        },
    ];

    #[test]
    fn an_old_file_sees_each_step_once_and_keeps_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let old = crate::base::sqlite::open(&path, &SCHEMA).unwrap();
        old.execute("INSERT INTO log_entry VALUES (0, 'first')", []).unwrap();
        drop(old);
        assert_eq!(upgrade_sqlite_by(&path, &MADE_UP[..1]).unwrap(), (9, 10));
        assert_eq!(upgrade_sqlite_by(&path, &MADE_UP).unwrap(), (10, 11));
        assert_eq!(upgrade_sqlite_by(&path, &MADE_UP).unwrap(), (11, 11));
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute("INSERT INTO ten VALUES (1, 'b')", []).unwrap();
        let entry: String = file.query_row("SELECT entry FROM log_entry", [], |row| row.get(0)).unwrap();
        assert_eq!(entry, "first");
    }

    #[test]
    fn a_file_of_version_9_becomes_what_a_new_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
        drop(crate::base::sqlite::open(&old, &SCHEMA).unwrap());
        assert_eq!(upgrade_sqlite(&old).unwrap(), (9, newest(STEPS)));
        let tables = |path: &Path| -> Vec<(String, String)> {
            let file = crate::base::sqlite::open(path, &sqlite()).unwrap();
            let mut query = file.prepare("SELECT name, sql FROM sqlite_master ORDER BY rowid").unwrap();
            let read =
                |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<_>>(1)?.unwrap_or_default()));
            query.query_map([], read).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        assert_eq!(tables(&old), tables(&new));
    }

    #[test]
    fn a_newer_file_and_one_of_another_program_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        assert!(upgrade_sqlite(&path).is_err() && !path.exists());
        for version in [3, 99] {
            let file = rusqlite::Connection::open(&path).unwrap();
            file.pragma_update(None, "user_version", version).unwrap();
            drop(file);
            let error = upgrade_sqlite(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("version {version}")), "{error}");
        }
    }
}
