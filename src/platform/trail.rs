//! The audit trail: who looked at what and who did what, in the order it happened. Nothing takes a line out of it.

use serde::Serialize;

use crate::base::clock::Wall;
use crate::platform::db::{self, Connection, Transaction, params};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Entry {
    pub number: i64,
    pub at: i64,
    pub person: String,
    pub role: String,
    /// `read`, `signed in`, `refused`, or the step of a case.
    pub act: String,
    pub what: String,
}

/// Most of what somebody sent that a line keeps.
const MOST_WHAT: usize = 300;

/// Writes one line down.
pub fn enter(
    tx: &Transaction<'_>,
    (person, role): (&str, &str),
    act: &str,
    what: &str,
    now: Wall,
) -> db::Result<()> {
    let what: String = what.chars().take(MOST_WHAT).collect();
    tx.prepare_cached("INSERT INTO trail (at_ms, person, role, act, what) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![now.0, person, role, act, what])?;
    Ok(())
}

/// The newest lines before `before`, at most `most`, of everybody or of one person.
pub fn list(
    connection: &Connection,
    before: Option<i64>,
    person: Option<&str>,
    most: i64,
) -> db::Result<Vec<Entry>> {
    connection
        .prepare_cached(
            "SELECT number, at_ms, person, role, act, what FROM trail
             WHERE number < ?1 AND (?2 IS NULL OR person = ?2) ORDER BY number DESC LIMIT ?3",
        )?
        .query_map(params![before.unwrap_or(i64::MAX), person, most], |row| {
            Ok(Entry {
                number: row.get(0)?,
                at: row.get(1)?,
                person: row.get(2)?,
                role: row.get(3)?,
                act: row.get(4)?,
                what: row.get(5)?,
            })
        })?
        .collect()
}
