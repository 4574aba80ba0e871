//! What happened around one exception, as the platform knows it: since when the stay was on which bed of the roster and
//! until when, checks of it with the time they were done and received, spot checks of its bed, and who opened which evidence.
//!
//! Admission, transfer and discharge reach the platform as rosters only: a stay that is listed for the first time was
//! admitted or transferred before, one that is listed no more has left. Both have the time the roster had in the hospital
//! and the time it was received here.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::domain::facts::Excuse;
use crate::domain::verdict::{CheckResult, Verdict};
use crate::platform::db::{self, Connection, Transaction, params};
use crate::platform::handling::{self, Handling};
use crate::platform::queue::{self, Queued};
use crate::platform::sessions::Visitor;
use crate::platform::{rights, view};
use crate::wire::event::RosterSeen;

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
    /// Why nobody had to lie there, as it was known before the check.
    #[schema(value_type = Option<String>)]
    pub excuse: Option<Excuse>,
}

/// A stay on a bed of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lying {
    pub bed: String,
    /// When it was first listed: received here, and said by the hospital.
    pub since: (i64, i64),
    pub gone: Option<(i64, i64)>,
}

/// A spot check that had this bed in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Spot {
    pub order: Option<String>,
    pub issued: i64,
    pub until: i64,
    pub answered: Option<i64>,
}

/// One opening that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Opening {
    pub first: String,
    pub asked: i64,
    pub second: Option<String>,
    pub approved: Option<i64>,
}

/// What happened around a case.
#[derive(Default)]
pub struct History {
    pub lying: Vec<Lying>,
    pub checks: Vec<Check>,
    pub spots: Vec<Spot>,
    pub openings: Vec<Opening>,
}

/// A case with everything known around it.
pub struct Around {
    pub queued: Queued,
    pub handling: Handling,
    pub history: History,
    /// Whether the device's chain holds, as [`view::ChainView`] says it.
    pub chain: &'static str,
}

/// Everything around one exception that `visitor` may know of: a hospital does not learn here what it must do next.
pub fn around(
    connection: &Connection,
    place: (&str, &str),
    visitor: &Visitor,
    now: Wall,
) -> db::Result<Option<Around>> {
    let (device, scope) = (place.0, visitor.scope());
    let Some(queued) = queue::find(connection, place, scope, now)? else { return Ok(None) };
    let Some(handling) = handling::find(connection, place, scope)? else { return Ok(None) };
    let checks = match (&queued.row.bed, &queued.row.stay) {
        (Some(bed), Some(of_stay)) => checks(connection, device, bed, of_stay)?,
        (None, _) | (_, None) => Vec::new(),
    };
    let lying = match &queued.row.stay {
        Some(of_stay) => lying(connection, device, of_stay)?,
        None => Vec::new(),
    };
    // Those ordered before it began say nothing of it.
    let spots = match &queued.row.bed {
        Some(bed) if rights::may_read(visitor.role, "/orders") => {
            spots(connection, device, bed, queued.row.first)?
        }
        Some(_) | None => Vec::new(),
    };
    let openings = openings(connection, device, &checks)?;
    let chain = view::chain(connection, device)?.state;
    let history = History { lying, checks, spots, openings };
    Ok(Some(Around { queued, handling, history, chain }))
}

/// Compares a roster with the one before: who is new on a bed, and who is no more.
pub fn note(tx: &Transaction<'_>, device: &DeviceId, roster: &RosterSeen, now: Wall) -> db::Result<()> {
    let mut listed =
        tx.prepare_cached("SELECT bed, stay FROM lying WHERE device = ?1 AND gone_ms IS NULL")?;
    let before: Vec<(String, String)> = listed
        .query_map([device.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<db::Result<_>>()?;
    let is_listed = |bed: &str, stay: &str| {
        roster.stays.iter().any(|row| row.bed.as_str() == bed && row.stay.as_str() == stay)
    };
    for (bed, stay) in before.iter().filter(|(bed, stay)| !is_listed(bed, stay)) {
        tx.prepare_cached(
            "UPDATE lying SET gone_ms = ?4, gone_said_ms = ?5
             WHERE device = ?1 AND bed = ?2 AND stay = ?3 AND gone_ms IS NULL",
        )?
        .execute(params![device.as_str(), bed, stay, now.0, roster.received.0])?;
    }
    for row in &roster.stays {
        tx.prepare_cached(
            "INSERT OR IGNORE INTO lying (device, stay, bed, since_ms, since_said_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![device.as_str(), row.stay.as_str(), row.bed.as_str(), now.0, roster.received.0])?;
    }
    Ok(())
}

/// Beds a stay was on, the oldest first.
pub fn lying(connection: &Connection, device: &str, stay: &str) -> db::Result<Vec<Lying>> {
    connection
        .prepare_cached(
            "SELECT bed, since_ms, since_said_ms, gone_ms, gone_said_ms FROM lying
             WHERE device = ?1 AND stay = ?2 ORDER BY since_ms, rowid LIMIT ?3",
        )?
        .query_map(params![device, stay, MOST_CHECKS], |row| {
            let (gone, said): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            Ok(Lying { bed: row.get(0)?, since: (row.get(1)?, row.get(2)?), gone: gone.zip(said) })
        })?
        .collect()
}

/// The newest spot checks that had this bed in them, ordered since `from`.
pub fn spots(connection: &Connection, device: &str, bed: &str, from: i64) -> db::Result<Vec<Spot>> {
    connection
        .prepare_cached(
            "SELECT spot_order, issued_ms, until_ms, answered_ms FROM spot_check
             WHERE device = ?1 AND issued_ms >= ?3
               AND (beds = '' OR instr('\n' || beds || '\n', '\n' || ?2 || '\n') > 0)
             ORDER BY issued_ms DESC LIMIT ?4",
        )?
        .query_map(params![device, bed, from, MOST_CHECKS], |row| {
            Ok(Spot { order: row.get(0)?, issued: row.get(1)?, until: row.get(2)?, answered: row.get(3)? })
        })?
        .collect()
}

/// The newest checks of a stay in a bed, the newest first.
pub fn checks(connection: &Connection, device: &str, bed: &str, stay: &str) -> db::Result<Vec<Check>> {
    connection
        .prepare_cached(
            "SELECT u.due_ms, u.state, o.verdict, o.done_ms, o.received_ms, o.event, o.evidence, o.result
             FROM due u LEFT JOIN done o USING (device, epoch, round, bed)
             WHERE u.device = ?1 AND u.bed = ?2 AND u.stay = ?3 ORDER BY u.due_ms DESC LIMIT ?4",
        )?
        .query_map(params![device, bed, stay, MOST_CHECKS], |row| {
            let has_evidence = row.get::<_, Option<bool>>(6)?.unwrap_or(false);
            let event: Option<String> = row.get(5)?;
            let result: Option<String> = row.get(7)?;
            let result = result.and_then(|json| serde_json::from_str::<CheckResult>(&json).ok());
            Ok(Check {
                due: row.get(0)?,
                state: row.get(1)?,
                verdict: row.get(2)?,
                done: row.get(3)?,
                received: row.get(4)?,
                evidence: event.filter(|_| has_evidence),
                excuse: result.and_then(|result| match result.verdict {
                    Verdict::Excused { excuse } => Some(excuse),
                    Verdict::Verified
                    | Verdict::Absent
                    | Verdict::FaceHidden
                    | Verdict::Mismatch
                    | Verdict::WrongBed { .. }
                    | Verdict::NotLive { .. }
                    | Verdict::Inconclusive { .. } => None,
                }),
            })
        })?
        .collect()
}

/// Who asked for and approved openings of these events.
pub fn openings(connection: &Connection, device: &str, checks: &[Check]) -> db::Result<Vec<Opening>> {
    let mut openings = Vec::new();
    for event in checks.iter().filter_map(|check| check.evidence.as_ref()) {
        openings.extend(openings_of(connection, device, event)?);
    }
    Ok(openings)
}

/// Who asked for and approved openings of one event.
pub fn openings_of(connection: &Connection, device: &str, event: &str) -> db::Result<Vec<Opening>> {
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
pub fn is_sealed(connection: &Connection, device: &str, event: &str) -> db::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link WHERE device = ?1 AND id = ?2 AND evidence IS NOT NULL)",
        )?
        .query_row([device, event], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{BedId, StayId, WardId};
    use crate::platform::db::Database;
    use crate::platform::devices;
    use crate::wire::event::RosterRow;

    fn roster(at: i64, rows: &[(&str, &str)]) -> RosterSeen {
        let row = |(bed, stay): &(&str, &str)| RosterRow {
            bed: BedId::new(*bed).unwrap(),
            stay: StayId::new(*stay).unwrap(),
            masked_name: "张*".into(),
            templates: 1,
        };
        RosterSeen {
            ward: WardId::new("w").unwrap(),
            received: Wall(at),
            digest: String::new(),
            stays: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn admission_transfer_and_discharge_are_read_from_one_roster_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        db.write(|tx| {
            devices::enter(tx, &device)?;
            note(tx, &device, &roster(10, &[("01", "A"), ("02", "B")]), Wall(15))?;
            note(tx, &device, &roster(20, &[("01", "A"), ("02", "B")]), Wall(25))?;
            note(tx, &device, &roster(30, &[("03", "A"), ("02", "B")]), Wall(35))?;
            note(tx, &device, &roster(40, &[("02", "B")]), Wall(99))?;
            // Back again: another time on the same bed.
            note(tx, &device, &roster(120, &[("02", "B"), ("03", "A")]), Wall(125))?;
            let on = |bed: &str, since, gone| Lying { bed: bed.into(), since, gone };
            assert_eq!(
                lying(tx, "d", "A")?,
                [
                    on("01", (15, 10), Some((35, 30))),
                    on("03", (35, 30), Some((99, 40))),
                    on("03", (125, 120), None)
                ]
            );
            assert_eq!(lying(tx, "d", "B")?, [on("02", (15, 10), None)]);
            Ok(())
        })
        .unwrap();
    }
}
