//! Cases as people work them: reads where one is and takes a step, or says what somebody else did first.
//!
//! Two reviewers may decide at once and a form may be sent twice. Every step therefore names the version it was decided
//! on; the version is the key of `case_step`, and the second step finds it taken.

use serde::Serialize;

use crate::base::clock::Wall;
use crate::domain::handling::{self, Before, NotAllowed, State, Step, Wish};
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Transaction, params,
};
use crate::platform::sessions::Visitor;
use crate::platform::trail;

/// Where a case is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handling {
    pub state: State,
    pub version: i64,
    pub due: Option<i64>,
    pub escalated: bool,
    pub steps: Vec<Taken>,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Taken {
    #[schema(value_type = String)]
    pub step: Step,
    #[schema(value_type = String)]
    pub state: State,
    pub person: String,
    pub role: String,
    pub reason: Option<String>,
    pub remark: Option<String>,
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
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("没有此异常 / there is no such exception")]
    Unknown,
    #[error("他人已先处理，请看最新情况 / somebody decided first: see what")]
    Overtaken,
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// When the next step is due for a case that reached `state` at `since`.
pub fn due(state: State, since: i64) -> Option<i64> {
    state.hours().map(|hours| since.saturating_add(hours * 3_600_000))
}

/// The case of an exception, where it concerns `scope` (an institution, or all of them).
pub fn find(
    connection: &Connection,
    (device, id): (&str, &str),
    scope: Option<&str>,
) -> db::Result<Option<Handling>> {
    let found: Option<(String, i64, Option<i64>, bool, i64)> = connection
        .prepare_cached(
            "SELECT e.handling, e.version, e.due_ms, e.escalated, e.first_ms
             FROM exception e JOIN device d USING (device)
             WHERE e.device = ?1 AND e.id = ?2 AND (?3 IS NULL OR d.institution = ?3)",
        )?
        .query_row(params![device, id, scope], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((state, version, due_ms, escalated, first)) = found else { return Ok(None) };
    let Some(state) = State::named(&state) else { return Ok(None) };
    let due = if version == 0 { due(state, first) } else { due_ms };
    Ok(Some(Handling { state, version, due, escalated, steps: taken(connection, device, id)? }))
}

fn taken(connection: &Connection, device: &str, id: &str) -> db::Result<Vec<Taken>> {
    let mut query = connection.prepare_cached(
        "SELECT step, state, person, role, reason, remark, at_ms FROM case_step
         WHERE device = ?1 AND id = ?2 ORDER BY version",
    )?;
    let mut rows = query.query([device, id])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let (step, state): (String, String) = (row.get(0)?, row.get(1)?);
        // Only `take` writes them.
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

/// Takes a step as `visitor`; the state after it.
///
/// # Errors
/// [`NotTaken`]; nothing was changed.
pub fn take(
    db: &Database,
    (device, id): (&str, &str),
    visitor: &Visitor,
    decision: &Decision,
    now: Wall,
) -> Result<State, NotTaken> {
    db.write(|tx| take_in(tx, (device, id), visitor, decision, now))?
}

/// As [`take`], as part of a transaction.
pub fn take_in(
    tx: &Transaction<'_>,
    (device, id): (&str, &str),
    visitor: &Visitor,
    decision: &Decision,
    now: Wall,
) -> db::Result<Result<State, NotTaken>> {
    let Some(case) = find(tx, (device, id), visitor.scope())? else { return Ok(Err(NotTaken::Unknown)) };
    if case.version != decision.version {
        return Ok(Err(NotTaken::Overtaken));
    }
    let upheld = case.steps.iter().rev().find(|taken| taken.step == Step::Uphold);
    let before = Before {
        state: case.state,
        upheld_by: upheld.map(|taken| taken.person.as_str()),
        was_appealed: case.steps.iter().any(|taken| taken.step == Step::Appeal),
    };
    let wish = Wish {
        step: decision.step,
        person: &visitor.name,
        role: visitor.role,
        reason: decision.reason.as_deref(),
        text: &decision.text,
    };
    let then = match handling::after(before, wish) {
        Ok(then) => then,
        Err(error) => return Ok(Err(error.into())),
    };
    write(tx, (device, id), visitor, decision, then, case.version + 1, now)?;
    Ok(Ok(then))
}

fn write(
    tx: &Transaction<'_>,
    (device, id): (&str, &str),
    visitor: &Visitor,
    decision: &Decision,
    then: State,
    version: i64,
    now: Wall,
) -> db::Result<()> {
    let remark = Some(decision.text.trim()).filter(|text| !text.is_empty());
    let (person, role) = visitor.as_actor();
    let step = decision.step.name();
    tx.execute(
        "INSERT INTO case_step VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![device, id, version, step, then.name(), person, role, decision.reason, remark, now.0],
    )?;
    // An escalation gives nobody more time.
    let is_escalation = decision.step == Step::Escalate;
    tx.execute(
        "UPDATE exception SET handling = ?3, version = ?4, escalated = max(escalated, ?6),
                due_ms = CASE WHEN ?6 <> 0 THEN due_ms ELSE ?5 END WHERE device = ?1 AND id = ?2",
        params![device, id, then.name(), version, due(then, now.0), is_escalation],
    )?;
    trail::enter(tx, visitor.as_actor(), step, &format!("{device} {id}"), now)
}
