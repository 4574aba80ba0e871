//! Steps people take with a lead. Each names the version it was decided on: of two at once the second is refused.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::domain::lead::{self, NotAllowed, State, Step};
use crate::platform::db::{self, Connection, DatabaseError, OptionalExtension, Transaction, params};
use crate::platform::sessions::Visitor;
use crate::platform::trail;

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LeadStep)]
pub struct Taken {
    #[schema(value_type = String)]
    pub step: Step,
    /// After the step.
    #[schema(value_type = String)]
    pub state: State,
    pub person: String,
    pub role: String,
    pub reason: Option<String>,
    pub remark: Option<String>,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// What somebody sent.
#[derive(Clone, Debug)]
pub struct Decision {
    pub step: Step,
    /// The version that was on the page.
    pub version: i64,
    pub reason: Option<String>,
    pub text: String,
    /// Of an assignment: whose it is now.
    pub assignee: Option<String>,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("没有此线索 / there is no such lead")]
    Unknown,
    #[error("他人已先处理，请看最新情况 / somebody decided first: see what")]
    Overtaken,
    #[error("没有此人 / there is no such person with an account")]
    NoPerson,
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Takes a step as `visitor`, as part of a transaction; the state after it, or why nothing was changed.
pub fn take_in(
    tx: &Transaction<'_>,
    id: &str,
    visitor: &Visitor,
    decision: &Decision,
    now: Wall,
) -> db::Result<Result<State, NotTaken>> {
    let found: Option<(String, i64)> = tx
        .query_row("SELECT state, version FROM lead WHERE id = ?1", [id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((state, version)) = found else { return Ok(Err(NotTaken::Unknown)) };
    let Some(state) = State::named(&state) else { return Ok(Err(NotTaken::Unknown)) };
    if version != decision.version {
        return Ok(Err(NotTaken::Overtaken));
    }
    let reason = decision.reason.as_deref();
    let then = match lead::after(state, decision.step, visitor.role, reason, &decision.text) {
        Ok(then) => then,
        Err(error) => return Ok(Err(error.into())),
    };
    if decision.step == Step::Assign && !has_account(tx, decision.assignee.as_deref())? {
        return Ok(Err(NotTaken::NoPerson));
    }
    write(tx, id, visitor, decision, then, now)?;
    Ok(Ok(then))
}

fn has_account(tx: &Transaction<'_>, name: Option<&str>) -> db::Result<bool> {
    let Some(name) = name else { return Ok(false) };
    let people: i64 =
        tx.query_row("SELECT count(*) FROM person WHERE name = ?1 AND removed_ms IS NULL", [name], |row| {
            row.get(0)
        })?;
    Ok(people > 0)
}

fn write(
    tx: &Transaction<'_>,
    id: &str,
    visitor: &Visitor,
    decision: &Decision,
    then: State,
    now: Wall,
) -> db::Result<()> {
    let version = decision.version + 1;
    let (person, role) = visitor.as_actor();
    // An assignment is remembered with whom it went to.
    let said = decision.assignee.as_deref().unwrap_or_else(|| decision.text.trim());
    let remark = Some(said).filter(|text| !text.is_empty());
    tx.execute(
        "INSERT INTO lead_step (lead, version, step, state, person, role, reason, remark, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![id, version, decision.step.name(), then.name(), person, role, decision.reason, remark, now.0],
    )?;
    let decided = then.is_decided().then_some(now.0);
    tx.execute(
        "UPDATE lead SET state = ?2, version = ?3, decided_ms = ?4 WHERE id = ?1",
        params![id, then.name(), version, decided],
    )?;
    if let (Step::Assign, Some(to)) = (decision.step, &decision.assignee) {
        tx.execute("UPDATE lead SET assigned_to = ?2 WHERE id = ?1", params![id, to])?;
    }
    trail::enter(tx, (person, role), decision.step.name(), &format!("lead {id}"), now)
}

/// Every step of a lead, the first one first.
pub(super) fn taken(connection: &Connection, id: &str) -> db::Result<Vec<Taken>> {
    let mut query = connection.prepare_cached(
        "SELECT step, state, person, role, reason, remark, at_ms FROM lead_step WHERE lead = ?1 ORDER BY version",
    )?;
    let mut rows = query.query([id])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let (step, state): (String, String) = (row.get(0)?, row.get(1)?);
        // Only `write` writes them.
        let (Some(step), Some(state)) = (Step::named(&step), State::named(&state)) else { continue };
        steps.push(Taken {
            step,
            state,
            person: row.get(2)?,
            role: row.get(3)?,
            reason: row.get(4)?,
            remark: row.get(5)?,
            at: row.get(6)?,
        });
    }
    Ok(steps)
}
