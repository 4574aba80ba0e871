//! The ledger of checks that are due: silence, gap and lateness count against the device, not for it.
//!
//! A round that was announced must be proved bed by bed; what is not proved in time is `NotDone` 未执行. A device may
//! not promise itself more time than its registration allows.

use std::time::Duration;

use tracing::{info, warn};

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::domain::round::RoundPlan;
use crate::domain::verdict::CheckResult;
use crate::platform::cases::{self, Own};
use crate::platform::db::{self, Transaction, number, params};
use crate::platform::orders;

/// Three missed beats of 60 s ± 10 %.
pub const BEATS_MISSED: Duration = Duration::from_secs(200);

/// When a round's checks end and the next round begins, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    pub until: Wall,
    pub next_by: Wall,
}

/// The plan's own times, but never later than the registration allows, counted from when we heard of it: a device
/// with a clock of its own making gains nothing.
pub fn deadlines(plan: &RoundPlan, received: Wall, round_every: Duration) -> Deadlines {
    let latest = received.plus(round_every.saturating_mul(2));
    Deadlines { until: plan.until.min(latest), next_by: plan.next_by.min(latest) }
}

/// What is known of a device's presence.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    /// The next round begins before this.
    pub expected: Wall,
    /// When anything came from it, on our clock.
    pub last_contact: Option<Wall>,
    /// The latest time it spoke of, on its own clock.
    pub last_said: Option<Wall>,
}

/// Whether a device keeps its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attendance {
    Present,
    /// Three beats did not come, or nothing ever did.
    Silent,
    /// It speaks, and the round did not begin.
    NoRound,
}

/// Judges a device. `since` is when the platform began to listen: its own outage is nobody's fault.
pub fn attendance(presence: &Presence, now: Wall, since: Wall, grace: Duration) -> Attendance {
    if presence.last_contact.is_some_and(|contact| now.since(contact.max(since)) > BEATS_MISSED) {
        return Attendance::Silent;
    }
    if now <= presence.expected.max(since).plus(grace) {
        return Attendance::Present;
    }
    let quiet_from = presence.expected.max(since);
    let is_quiet = presence
        .last_contact
        .is_none_or(|contact| contact <= quiet_from || now.since(contact) > BEATS_MISSED + grace);
    // While a backlog drains, the device speaks of the past: it may still bring the round.
    let is_past_due = presence.last_said.is_some_and(|said| said > presence.expected.plus(grace));
    match (is_quiet, is_past_due) {
        (true, _) => Attendance::Silent,
        (false, true) => Attendance::NoRound,
        (false, false) => Attendance::Present,
    }
}

/// Whether an open check's time is over.
pub fn is_overdue(until: Wall, received: Wall, now: Wall, since: Wall, grace: Duration) -> bool {
    now > until.max(received).max(since).plus(grace)
}

/// Enters the checks of a round that began.
pub fn begin_round(
    tx: &Transaction<'_>,
    device: &DeviceId,
    epoch: &str,
    plan: &RoundPlan,
    received: Wall,
    round_every: Duration,
) -> db::Result<()> {
    let deadlines = deadlines(plan, received, round_every);
    for check in &plan.due {
        tx.execute(
            "INSERT OR IGNORE INTO due VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open')",
            params![
                device.as_str(),
                epoch,
                number(plan.round),
                check.bed.as_str(),
                check.stay.as_str(),
                check.masked_name,
                plan.began.0,
                deadlines.until.0,
                received.0,
            ],
        )?;
    }
    tx.execute(
        "UPDATE device SET expected_ms = ?2 WHERE device = ?1",
        params![device.as_str(), deadlines.next_by.0],
    )?;
    cases::end(tx, device, Own::NoRound, received)?;
    Ok(())
}

/// Where a settled check comes from.
pub struct Source<'a> {
    pub epoch: &'a str,
    pub event: &'a str,
    pub has_evidence: bool,
    pub received: Wall,
}

/// Settles a check, also one that was already called not done: `received` against `done` tells how late.
pub fn settle(
    tx: &Transaction<'_>,
    device: &DeviceId,
    result: &CheckResult,
    source: &Source<'_>,
) -> db::Result<()> {
    let json =
        serde_json::to_string(result).map_err(|error| db::Error::ToSqlConversionFailure(Box::new(error)))?;
    tx.execute(
        "INSERT INTO due VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'settled')
         ON CONFLICT (device, epoch, round, bed) DO UPDATE SET state = 'settled'",
        params![
            device.as_str(),
            source.epoch,
            number(result.round),
            result.bed.as_str(),
            result.stay.as_str(),
            result.masked_name,
            result.due.0,
            result.done.0,
            source.received.0,
        ],
    )?;
    // The first word stands: a second verdict under the same round and bed changes nothing.
    tx.execute(
        "INSERT OR IGNORE INTO done VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            device.as_str(),
            source.epoch,
            number(result.round),
            result.bed.as_str(),
            result.stay.as_str(),
            source.event,
            result.verdict.name(),
            json,
            result.done.0,
            source.received.0,
            source.has_evidence,
        ],
    )?;
    Ok(())
}

/// Notes that something came from a device, which ends its silence.
pub fn heard(tx: &Transaction<'_>, device: &DeviceId, said: Option<Wall>, now: Wall) -> db::Result<()> {
    tx.execute(
        "UPDATE device SET last_contact_ms = ?2, last_said_ms = max(coalesce(last_said_ms, 0), coalesce(?3, 0))
         WHERE device = ?1",
        params![device.as_str(), now.0, said.map(|said| said.0)],
    )?;
    if cases::end(tx, device, Own::Silence, now)? {
        info!(%device, "A silent device speaks again.");
    }
    Ok(())
}

/// Turns what is overdue into `NotDone`, silence and missing rounds; true when anything changed.
pub fn sweep(tx: &Transaction<'_>, now: Wall, since: Wall, grace: Duration) -> db::Result<bool> {
    let limit = now.0.saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    // The same rule as `is_overdue`, which the tests hold against it.
    let overdue = tx.execute(
        "UPDATE due SET state = 'not_done' WHERE state = 'open' AND max(until_ms, received_ms, ?2) < ?1",
        [limit, since.0],
    )?;
    let mut changed = orders::sweep(tx, now, grace)? || overdue > 0;
    for (device, presence) in present(tx)? {
        let (kind, other) = match attendance(&presence, now, since, grace) {
            Attendance::Present => continue,
            Attendance::Silent => (Own::Silence, Own::NoRound),
            Attendance::NoRound => (Own::NoRound, Own::Silence),
        };
        if !cases::is_open(tx, &device, kind)? {
            cases::end(tx, &device, other, now)?;
            changed |= cases::raise(tx, &device, kind, now)?;
            warn!(%device, kind = kind.name(), "A device does not keep its rounds.");
        }
    }
    Ok(changed)
}

fn present(tx: &Transaction<'_>) -> db::Result<Vec<(DeviceId, Presence)>> {
    let mut query = tx.prepare_cached(
        "SELECT device, expected_ms, last_contact_ms, last_said_ms FROM device WHERE revoked_ms IS NULL",
    )?;
    let rows = query.query_map([], |row| {
        let presence = Presence {
            expected: Wall(row.get(1)?),
            last_contact: row.get::<_, Option<i64>>(2)?.map(Wall),
            last_said: row.get::<_, Option<i64>>(3)?.map(Wall),
        };
        Ok((row.get::<_, String>(0)?, presence))
    })?;
    let mut present = Vec::new();
    for row in rows {
        let (device, presence) = row?;
        if let Ok(device) = DeviceId::new(device) {
            present.push((device, presence));
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(60);
    const MINUTE: i64 = 60_000;

    fn plan(until: i64, next_by: i64) -> RoundPlan {
        RoundPlan {
            round: 1,
            began: Wall(0),
            until: Wall(until),
            next_by: Wall(next_by),
            due: vec![],
            spared: vec![],
            slot: None,
            order: None,
            revealed: None,
        }
    }

    #[test]
    fn a_device_cannot_promise_itself_more_time_than_it_was_registered_with() {
        let every = Duration::from_secs(600);
        let honest = deadlines(&plan(5 * MINUTE, 12 * MINUTE), Wall(0), every);
        assert_eq!((honest.until, honest.next_by), (Wall(5 * MINUTE), Wall(12 * MINUTE)));
        let greedy = deadlines(&plan(i64::MAX, i64::MAX), Wall(MINUTE), every);
        assert_eq!((greedy.until, greedy.next_by), (Wall(21 * MINUTE), Wall(21 * MINUTE)));
    }

    #[test]
    fn three_missed_beats_are_silence_and_so_is_a_first_round_that_never_came() {
        let never = Presence { expected: Wall(10 * MINUTE), last_contact: None, last_said: None };
        let at = |presence: &Presence, now| attendance(presence, Wall(now), Wall(0), GRACE);
        assert_eq!(at(&never, 11 * MINUTE), Attendance::Present);
        assert_eq!(at(&never, 11 * MINUTE + 1), Attendance::Silent);
        let once = Presence { last_contact: Some(Wall(MINUTE)), last_said: Some(Wall(MINUTE)), ..never };
        assert_eq!(at(&once, MINUTE + 200_000), Attendance::Present);
        assert_eq!(at(&once, MINUTE + 200_001), Attendance::Silent);
    }

    #[test]
    fn a_device_that_beats_without_rounds_is_not_present() {
        let contact = Wall(12 * MINUTE);
        let presence =
            Presence { expected: Wall(10 * MINUTE), last_contact: Some(contact), last_said: Some(contact) };
        assert_eq!(attendance(&presence, Wall(12 * MINUTE + 1), Wall(0), GRACE), Attendance::NoRound);
        assert_eq!(attendance(&presence, Wall(20 * MINUTE), Wall(0), GRACE), Attendance::Silent);
        // Draining a backlog: it came just now and speaks of before.
        let draining = Presence { last_said: Some(Wall(9 * MINUTE)), ..presence };
        assert_eq!(attendance(&draining, Wall(12 * MINUTE + 1), Wall(0), GRACE), Attendance::Present);
    }

    #[test]
    fn an_outage_of_the_platform_is_not_the_devices_silence() {
        let presence =
            Presence { expected: Wall(10 * MINUTE), last_contact: Some(Wall(MINUTE)), last_said: None };
        let began = Wall(60 * MINUTE);
        assert_eq!(attendance(&presence, Wall(60 * MINUTE + 1), began, GRACE), Attendance::Present);
        assert_eq!(attendance(&presence, Wall(61 * MINUTE + 1), began, GRACE), Attendance::Silent);
        assert!(!is_overdue(Wall(0), Wall(0), Wall(60 * MINUTE + 1), began, GRACE));
    }

    #[test]
    fn an_announcement_that_came_late_leaves_time_for_its_checks() {
        assert!(!is_overdue(Wall(0), Wall(5 * MINUTE), Wall(6 * MINUTE), Wall(0), GRACE));
        assert!(is_overdue(Wall(0), Wall(5 * MINUTE), Wall(6 * MINUTE + 1), Wall(0), GRACE));
    }

    fn at(minute: i64) -> Wall {
        Wall(minute * MINUTE)
    }

    fn kinds(tx: &Transaction<'_>, state: &str) -> Vec<String> {
        tx.prepare("SELECT kind FROM exception WHERE state = ?1 ORDER BY kind")
            .unwrap()
            .query_map([state], |row| row.get(0))
            .unwrap()
            .collect::<db::Result<_>>()
            .unwrap()
    }

    fn state(tx: &Transaction<'_>) -> String {
        tx.query_row("SELECT state FROM due", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_check_that_is_not_proved_in_time_is_not_done_until_it_arrives_late() {
        use crate::base::ids::{BedId, StayId};
        use crate::domain::round::DueCheck;
        use crate::domain::verdict::Verdict;

        let folder = tempfile::tempdir().unwrap();
        let db = crate::platform::db::Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        let (bed, stay) = (BedId::new("04").unwrap(), StayId::new("S4").unwrap());
        let due = DueCheck { bed: bed.clone(), stay: stay.clone(), masked_name: "张*".into(), tickets: 1 };
        let result = CheckResult {
            round: 1,
            bed,
            stay,
            masked_name: "张*".into(),
            due: at(0),
            done: at(3),
            verdict: Verdict::Verified,
            similarity: Some(0.7),
            threshold: 0.4,
            fmr: "1e-3".into(),
            looks: 1,
            life: None,
            later: None,
            synthetic: false,
        };
        db.write(|tx| {
            crate::platform::devices::enter(tx, &device)?;
            let plan = RoundPlan { due: vec![due], ..plan(5 * MINUTE, 10 * MINUTE) };
            begin_round(tx, &device, "e", &plan, at(0), Duration::from_secs(600))?;
            heard(tx, &device, Some(at(0)), at(5))?;

            assert!(!sweep(tx, at(6), at(0), GRACE)?);
            assert_eq!(state(tx), "open");
            assert!(sweep(tx, Wall(6 * MINUTE + 1), at(0), GRACE)?);
            assert_eq!((state(tx).as_str(), kinds(tx, "raised").len()), ("not_done", 0));
            assert!(sweep(tx, at(12), at(0), GRACE)?);
            assert!(!sweep(tx, at(13), at(0), GRACE)?);
            assert_eq!(kinds(tx, "raised"), ["silence"]);

            let source = Source { epoch: "e", event: "x", has_evidence: false, received: at(20) };
            settle(tx, &device, &result, &source)?;
            heard(tx, &device, Some(at(3)), at(20))?;
            assert_eq!((state(tx).as_str(), kinds(tx, "ended")), ("settled", vec!["silence".to_owned()]));
            Ok(())
        })
        .unwrap();
    }
}
