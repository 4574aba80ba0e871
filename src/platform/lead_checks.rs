//! Steps people take with a lead, and the spot check one of them orders: of the bed the person lies in now, else of a
//! sample over the hospital it is about.

use std::time::Duration;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, DeviceId};
use crate::domain::draw::Seed;
use crate::domain::lead::{self, State, Step};
use crate::platform::association::{self, Kind, Node};
use crate::platform::db::{self, Connection, Database, DatabaseError, OptionalExtension, Transaction};
use crate::platform::keys::Keys;
use crate::platform::leads::{self, Decision, LeadRow, NotTaken};
use crate::platform::sessions::Visitor;
use crate::platform::spot_checks::{self, Chance, NotPlaced, Wanted, What};

/// Time the ward has, and beds of a sample.
const WITHIN: Duration = Duration::from_secs(3600);
const SAMPLE: usize = 10;

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub enum NotOrdered {
    #[error(transparent)]
    Lead(#[from] NotTaken),
    #[error(
        "此人不在任何在用设备的名册上，机构也没有设备 / nobody of it is on a roster here, and its hospital has no device"
    )]
    Nowhere,
    #[error(transparent)]
    Check(#[from] NotPlaced),
}

impl From<DatabaseError> for NotOrdered {
    fn from(error: DatabaseError) -> NotOrdered {
        NotOrdered::Lead(error.into())
    }
}

/// What a spot check of this lead looks at; nothing where no device of ours can.
pub fn target(connection: &Connection, row: &LeadRow) -> db::Result<Option<What>> {
    let lies: Option<(String, String)> = connection
        .prepare_cached(
            "SELECT r.device, r.bed FROM roster r JOIN device d ON d.device = r.device
             WHERE r.stay = ?1 AND d.revoked_ms IS NULL ORDER BY r.device, r.bed LIMIT 1",
        )?
        .query_row([row.mdtrt_id.as_deref().unwrap_or_default()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((device, bed)) = lies
        && let (Ok(device), Ok(bed)) = (DeviceId::new(device), BedId::new(bed))
    {
        return Ok(Some(What::Beds { device, beds: vec![bed] }));
    }
    let Some(code) = &row.institution else { return Ok(None) };
    let hospital = association::name(connection, &Node { kind: Kind::Institution, id: code.clone() })?;
    let institution = hospital.unwrap_or_else(|| code.clone());
    let has_beds: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM device d JOIN roster r ON r.device = d.device
             WHERE d.institution = ?1 AND d.revoked_ms IS NULL",
        )?
        .query_row([&institution], |row| row.get(0))?;
    Ok((has_beds > 0).then_some(What::Sample { institution, count: SAMPLE }))
}

/// Where a lead is after a step, and the spot check that was ordered with it.
pub struct Done {
    pub state: State,
    pub order: Option<String>,
}

/// Takes a step as `visitor`; with a spot check the order and the step are both there or neither.
///
/// # Errors
/// [`NotOrdered`]; nothing was changed.
pub fn take(
    db: &Database,
    keys: &Keys,
    id: &str,
    visitor: &Visitor,
    decision: &Decision,
    now: Wall,
) -> Result<Done, NotOrdered> {
    let (chance, root) = (Chance::new()?, spot_checks::root(keys));
    db.write(|tx| take_in(tx, (&chance, root), id, visitor, decision, now))?
}

/// As [`take`], as part of a transaction.
pub fn take_in(
    tx: &Transaction<'_>,
    (chance, root): (&Chance, Seed),
    id: &str,
    visitor: &Visitor,
    decision: &Decision,
    now: Wall,
) -> db::Result<Result<Done, NotOrdered>> {
    if decision.step != Step::SpotCheck {
        return written(tx, id, visitor, decision, None, now);
    }
    let Some(found) = leads::find(tx, id)? else { return Ok(Err(NotTaken::Unknown.into())) };
    // Asked before anything is written, so that a refusal leaves nothing behind.
    if found.row.version != decision.version {
        return Ok(Err(NotTaken::Overtaken.into()));
    }
    if let Err(error) = lead::after(found.row.state, Step::SpotCheck, visitor.role, None, "") {
        return Ok(Err(NotTaken::from(error).into()));
    }
    let Some(what) = target(tx, &found.row)? else { return Ok(Err(NotOrdered::Nowhere)) };
    let wanted = Wanted { what, within: WITHIN, evidence: false };
    let order = match spot_checks::place_in(tx, chance, root, Some(visitor.as_actor()), &wanted, now)? {
        Ok(order) => order,
        Err(why) => return Ok(Err(why.into())),
    };
    let (step, version, text) = (Step::SpotCheck, decision.version, order.clone());
    let decision = Decision { step, version, reason: None, text, assignee: None };
    written(tx, id, visitor, &decision, Some(order), now)
}

fn written(
    tx: &Transaction<'_>,
    id: &str,
    visitor: &Visitor,
    decision: &Decision,
    order: Option<String>,
    now: Wall,
) -> db::Result<Result<Done, NotOrdered>> {
    let taken = leads::take_in(tx, id, visitor, decision, now)?;
    Ok(taken.map(|state| Done { state, order }).map_err(Into::into))
}
