//! What happened around one exception, as the platform knows it: checks of that stay in that bed with the time they were
//! done and received, and who opened which evidence.

use rusqlite::{Connection, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::platform::handling::{self, Handling};
use crate::platform::queue::{self, Queued};
use crate::platform::view;

/// Checks that are shown, the newest.
const MOST_CHECKS: i64 = 40;

/// One check of the stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// On the device's clock, as `done`.
    pub due: i64,
    /// `open`, `settled` or `not_done`.
    pub state: String,
    pub verdict: Option<String>,
    pub done: Option<i64>,
    /// On the platform's clock.
    pub received: Option<i64>,
    /// The event whose sealed picture may be opened.
    pub evidence: Option<String>,
}

/// One opening that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Opening {
    pub first: String,
    pub asked: i64,
    pub second: Option<String>,
    pub approved: Option<i64>,
}

/// A case with everything known around it.
pub struct Around {
    pub queued: Queued,
    pub handling: Handling,
    pub checks: Vec<Check>,
    pub openings: Vec<Opening>,
    /// Whether the device's chain holds, as [`view::ChainView`] says it.
    pub chain: &'static str,
}

/// Everything around one exception, where it concerns `scope`.
pub fn around(
    connection: &Connection,
    place: (&str, &str),
    scope: Option<&str>,
    now: Wall,
) -> rusqlite::Result<Option<Around>> {
    let device = place.0;
    let Some(queued) = queue::find(connection, place, scope, now)? else { return Ok(None) };
    let Some(handling) = handling::find(connection, place, scope)? else { return Ok(None) };
    let checks = match (&queued.row.bed, &queued.row.stay) {
        (Some(bed), Some(of_stay)) => checks(connection, device, bed, of_stay)?,
        (None, _) | (_, None) => Vec::new(),
    };
    let openings = openings(connection, device, &checks)?;
    let chain = view::chain(connection, device)?.state;
    Ok(Some(Around { queued, handling, checks, openings, chain }))
}

/// The newest checks of a stay in a bed, the newest first.
pub fn checks(connection: &Connection, device: &str, bed: &str, stay: &str) -> rusqlite::Result<Vec<Check>> {
    connection
        .prepare_cached(
            "SELECT u.due_ms, u.state, o.verdict, o.done_ms, o.received_ms, o.event, o.evidence
             FROM due u LEFT JOIN done o USING (device, epoch, round, bed)
             WHERE u.device = ?1 AND u.bed = ?2 AND u.stay = ?3 ORDER BY u.due_ms DESC LIMIT ?4",
        )?
        .query_map(params![device, bed, stay, MOST_CHECKS], |row| {
            let has_evidence = row.get::<_, Option<bool>>(6)?.unwrap_or(false);
            let event: Option<String> = row.get(5)?;
            Ok(Check {
                due: row.get(0)?,
                state: row.get(1)?,
                verdict: row.get(2)?,
                done: row.get(3)?,
                received: row.get(4)?,
                evidence: event.filter(|_| has_evidence),
            })
        })?
        .collect()
}

/// Who asked for and approved openings of these events.
pub fn openings(connection: &Connection, device: &str, checks: &[Check]) -> rusqlite::Result<Vec<Opening>> {
    let mut openings = Vec::new();
    for event in checks.iter().filter_map(|check| check.evidence.as_ref()) {
        openings.extend(openings_of(connection, device, event)?);
    }
    Ok(openings)
}

/// Who asked for and approved openings of one event.
pub fn openings_of(connection: &Connection, device: &str, event: &str) -> rusqlite::Result<Vec<Opening>> {
    connection
        .prepare_cached(
            "SELECT first, asked_ms, second, approved_ms FROM viewing WHERE device = ?1 AND event = ?2",
        )?
        .query_map([device, event], |row| {
            Ok(Opening { first: row.get(0)?, asked: row.get(1)?, second: row.get(2)?, approved: row.get(3)? })
        })?
        .collect()
}

/// Whether an event came with a sealed picture.
pub fn is_sealed(connection: &Connection, device: &str, event: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link WHERE device = ?1 AND id = ?2 AND evidence IS NOT NULL)",
        )?
        .query_row([device, event], |row| row.get(0))
}
