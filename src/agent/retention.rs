//! What is kept of a patient goes a day after the discharge: templates, names and numbers. So do templates of nobody's
//! stay and of models that are not used any more. What was withdrawn goes at once.
//!
//! Runs on the ward's thread, beside whatever `bedcheck privacy` does at the same time in another process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use crate::agent::ward::Ward;
use crate::base::clock::{Mono, Now, Wall};
use crate::base::ids::StayId;
use crate::domain::facts::StayHistory;
use crate::domain::retention::{KEEP, Moment, Waiting};
use crate::store::{Asked, FactLogError, Privacy, PrivacyError};
use crate::wire::privacy::{Step, Why};

/// How often anything can become due.
const LOOK: Duration = Duration::from_secs(60);
/// How often the time that passed is written down: a restart believes the wall clock for no longer than this, and for as
/// long as the box was off.
const WRITE: Duration = Duration::from_secs(600);

/// Why nothing was erased; the next look tries again.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    #[error(transparent)]
    Facts(#[from] FactLogError),
}

/// Erases what has been kept long enough.
pub struct Retention {
    privacy: Privacy,
    /// SHA-256 of the embedder in use.
    models: String,
    boot_id: String,
    next: Mono,
    next_write: Mono,
    /// Something was erased whose older bytes may still lie in a log; also so after a start.
    must_scrub: bool,
}

impl Retention {
    /// # Errors
    /// [`PrivacyError`].
    pub fn open(state: &Path, models: &str, boot_id: String) -> Result<Retention, PrivacyError> {
        let (privacy, models) = (Privacy::open(state)?, models.to_owned());
        let (next, next_write, must_scrub) = (Mono::default(), Mono::default(), true);
        Ok(Retention { privacy, models, boot_id, next, next_write, must_scrub })
    }

    /// Erases what is due; whether anything was.
    ///
    /// # Errors
    /// [`RetentionError`]; what was not erased is tried again with the next look.
    pub fn look(&mut self, ward: &mut Ward, now: Now) -> Result<bool, RetentionError> {
        if now.mono < self.next {
            return Ok(false);
        }
        self.next = now.mono + LOOK;
        let mut erased = self.withdrawn(now.wall)?;
        let moment = Moment { wall: now.wall, boot: now.boot, boot_id: self.boot_id.clone() };
        let due = self.wait(&self.leaving(ward, now.wall)?, &moment, now.mono)?;
        for (stay, why) in &due {
            self.erase(ward, stay, *why, now.wall)?;
        }
        erased |= !due.is_empty();
        if self.must_scrub || erased {
            self.must_scrub = !(self.privacy.scrub()? & ward.scrub()?);
        }
        if self.must_scrub {
            warn!(
                "What was erased may still lie in a database's log, which another program reads; will try again."
            );
        }
        Ok(erased)
    }

    /// Templates whose consent was withdrawn while nobody could erase them.
    fn withdrawn(&mut self, now: Wall) -> Result<bool, RetentionError> {
        let stored = self.privacy.stored()?;
        if stored.is_empty() {
            return Ok(false);
        }
        let mut grounds = BTreeMap::new();
        for (entry, _) in self.privacy.ledger()? {
            grounds.insert(entry.subject, entry.step);
        }
        let is_withdrawn =
            |stay: &&StayId| grounds.get(&self.privacy.subject(stay)) == Some(&Step::Withdrawn);
        let stays: Vec<StayId> = stored.keys().filter(is_withdrawn).cloned().collect();
        for stay in &stays {
            self.privacy.erase(stay, &Asked::all(Why::Withdrawn, now))?;
        }
        Ok(!stays.is_empty())
    }

    /// Everything that is kept and not needed any more.
    fn leaving(&self, ward: &Ward, now: Wall) -> Result<BTreeSet<(StayId, Why)>, RetentionError> {
        let believed = ward.believed();
        // Nothing was heard in the future: a clock set back makes nobody come again.
        let now = believed.values().filter_map(StayHistory::latest).fold(now, Wall::max);
        let has_left = |stay: &StayId| {
            let discharged = believed.get(stay).and_then(|history| history.discharged);
            discharged.is_some_and(|heard| heard.at <= now)
        };
        let mut leaving = BTreeSet::new();
        for (stay, models) in self.privacy.stored()? {
            let is_known = believed.get(&stay).is_some_and(|history| history.admitted.is_some());
            let is_outdated = models.iter().any(|one| *one != self.models);
            match (is_known, has_left(&stay)) {
                (false, _) => leaving.insert((stay, Why::UnknownStay)),
                (true, true) => leaving.insert((stay, Why::Discharged)),
                (true, false) => is_outdated && leaving.insert((stay, Why::Models)),
            };
        }
        let named = ward.left_behind().into_iter().filter(|stay| has_left(stay));
        leaving.extend(named.map(|stay| (stay, Why::Discharged)));
        Ok(leaving)
    }

    /// What has waited long enough; the rest goes on waiting, and what came back begins anew.
    fn wait(
        &mut self,
        leaving: &BTreeSet<(StayId, Why)>,
        now: &Moment,
        mono: Mono,
    ) -> Result<Vec<(StayId, Why)>, PrivacyError> {
        let known = self.privacy.leaving()?;
        let has_changed = known.len() != leaving.len() || !leaving.iter().all(|one| known.contains_key(one));
        let is_of_another_boot = known.values().any(|waiting| waiting.seen.boot_id != now.boot_id);
        let waiting: BTreeMap<(StayId, Why), Waiting> = leaving
            .iter()
            .map(|one| {
                let waiting = known.get(one).map(|waiting| waiting.later(now.clone()));
                (one.clone(), waiting.unwrap_or_else(|| Waiting::since(now.clone())))
            })
            .collect();
        if has_changed || is_of_another_boot || (mono >= self.next_write && !waiting.is_empty()) {
            self.next_write = mono + WRITE;
            self.privacy.keep_leaving(&waiting)?;
        }
        let due = waiting.into_iter().filter(|(_, waiting)| waiting.waited(now) >= KEEP);
        Ok(due.map(|(one, _)| one).collect())
    }

    fn erase(&mut self, ward: &mut Ward, stay: &StayId, why: Why, now: Wall) -> Result<(), RetentionError> {
        let keep = (why == Why::Models).then_some(self.models.as_str());
        // Names first: the note is written with the templates, and must not promise what did not happen.
        let facts = match why {
            Why::Discharged if ward.left_behind().contains(stay) => {
                let (facts, is_gone) = ward.forget(stay, now)?;
                self.must_scrub |= !is_gone;
                facts
            }
            Why::Discharged | Why::UnknownStay | Why::Models | Why::Request | Why::Withdrawn => 0,
        };
        let erased = self.privacy.erase(stay, &Asked { keep, facts, ..Asked::all(why, now) })?;
        info!(why = why.name(), templates = erased.templates, facts = erased.facts, "A stay was erased.");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{BedId, WardId};
    use crate::base::redact::Private;
    use crate::domain::facts::{Change, Fact, Person, What};
    use crate::hospital::adt::Adt;
    use crate::store::{FactLog, TemplateStore};

    const HOUR: u64 = 3_600_000;

    struct Box {
        folder: tempfile::TempDir,
        ward: Ward,
        retention: Retention,
    }

    fn stay(id: &str) -> StayId {
        StayId::new(id).unwrap()
    }

    fn at(hour: u64) -> Now {
        Now {
            mono: Mono(hour * HOUR),
            wall: Wall((1_000_000 + hour as i64) * HOUR as i64),
            boot: hour * HOUR,
        }
    }

    fn fact(id: &str, who: Option<&str>, hour: u64, change: Change) -> Fact {
        Fact { id: id.into(), stay: who.map(stay), at: at(hour).wall, received: at(hour).wall, change }
    }

    fn admitted(who: &str) -> Change {
        let private = |text: String| Private::new(text);
        let person = Person { psn_no: private(format!("no-{who}")), psn_name: private(format!("张{who}")) };
        Change::Admitted { person, bed: BedId::new("1").ok() }
    }

    impl Box {
        /// S1 and S2 are in and enrolled, S1 with two models.
        fn new() -> Box {
            let folder = tempfile::tempdir().unwrap();
            let log = FactLog::open(folder.path()).unwrap();
            let mut ward = Ward::open(WardId::new("3A").unwrap(), log).unwrap();
            let facts = ["S1", "S2"].map(|who| fact(who, Some(who), 0, admitted(who)));
            ward.take(&Adt::Facts(facts.to_vec())).unwrap();
            let mut store = TemplateStore::open(folder.path()).unwrap();
            for who in ["S1", "S2"] {
                store.replace(&stay(who), "new", &[Private::new(vec![0.5; 64])]).unwrap();
            }
            let retention = Retention::open(folder.path(), "new", "boot".into()).unwrap();
            Box { folder, ward, retention }
        }

        fn hear(&mut self, id: &str, who: &str, hour: u64, change: Change) {
            self.ward.take(&Adt::Facts(vec![fact(id, Some(who), hour, change)])).unwrap();
        }

        fn look(&mut self, now: Now) -> bool {
            self.retention.look(&mut self.ward, now).unwrap()
        }

        fn stored(&self) -> Vec<String> {
            self.retention.privacy.stored().unwrap().keys().map(ToString::to_string).collect()
        }

        fn whys(&self) -> Vec<(Why, u64, u64)> {
            let all = self.retention.privacy.erasures().unwrap();
            all.iter().map(|one| (one.why, one.templates, one.facts)).collect()
        }
    }

    #[test]
    fn a_day_after_the_discharge_templates_and_names_are_gone_and_nobody_elses() {
        let mut box_ = Box::new();
        box_.hear("d", "S1", 10, Change::Discharged);
        assert!(!box_.look(at(10)));
        assert!(!box_.look(at(33)));
        assert_eq!(box_.stored(), ["S1", "S2"]);
        assert!(box_.look(at(34)));
        assert_eq!((box_.stored(), box_.whys()), (vec!["S2".to_owned()], vec![(Why::Discharged, 1, 1)]));
        let reopened = FactLog::open(box_.folder.path()).unwrap().all().unwrap();
        assert_eq!(reopened.len(), 3, "what happened stays");
        assert_eq!(reopened[0].change.without_person(), None, "without whom it happened to");
        assert!(reopened[1].change.without_person().is_some());
        assert!(!box_.look(at(40)), "once");
        assert_eq!(box_.whys().len(), 1);
    }

    #[test]
    fn a_clock_that_jumps_and_a_discharge_taken_back_erase_nothing() {
        let mut box_ = Box::new();
        box_.hear("d", "S1", 10, Change::Discharged);
        box_.look(at(10));
        let jumped = Now { wall: at(9_000).wall, ..at(11) };
        assert!(!box_.look(jumped));
        box_.hear("c", "S1", 12, Change::Cancelled { what: What::Discharge });
        box_.look(at(12));
        box_.hear("d2", "S1", 30, Change::Discharged);
        assert!(!box_.look(at(36)), "the first discharge does not count");
        assert!(!box_.look(at(59)));
        assert!(box_.look(at(60)));
    }

    #[test]
    fn the_wait_goes_on_after_a_restart_of_the_machine() {
        let mut box_ = Box::new();
        box_.hear("d", "S1", 10, Change::Discharged);
        box_.look(at(10));
        box_.retention = Retention::open(box_.folder.path(), "new", "another boot".into()).unwrap();
        assert!(!box_.look(Now { mono: Mono(0), wall: at(20).wall, boot: 5 }));
        let later = |hours: u64| Now { mono: Mono(hours * HOUR), wall: at(0).wall, boot: 5 + hours * HOUR };
        assert!(!box_.look(later(13)));
        assert!(box_.look(later(14)));
    }

    #[test]
    fn templates_of_other_models_and_of_nobody_go_after_a_day_and_withdrawn_ones_at_once() {
        let mut box_ = Box::new();
        let mut store = TemplateStore::open(box_.folder.path()).unwrap();
        store.replace(&stay("S1"), "old", &[Private::new(vec![0.1; 64])]).unwrap();
        store.replace(&stay("S9"), "new", &[Private::new(vec![0.1; 64])]).unwrap();
        box_.look(at(0));
        assert!(box_.look(at(24)));
        assert_eq!(box_.stored(), ["S2"]);
        assert_eq!(box_.whys(), [(Why::Models, 1, 0), (Why::UnknownStay, 1, 0)]);
        let written = crate::store::ledger::Written {
            notice: None,
            notice_sha256: None,
            by: "医务处".into(),
            at: at(24).wall,
        };
        box_.retention.privacy.write_down(&stay("S2"), Step::Withdrawn, written).unwrap();
        assert!(box_.look(at(25)));
        assert_eq!(box_.stored(), [] as [&str; 0]);
    }

    #[test]
    fn whom_the_insurer_still_lists_is_still_named_and_not_compared() {
        let mut box_ = Box::new();
        let person = Person { psn_no: Private::new("no".into()), psn_name: Private::new("张".into()) };
        box_.hear("i", "S1", 1, Change::Insured { person: person.clone(), listed: true });
        box_.hear("d", "S1", 10, Change::Discharged);
        box_.look(at(10));
        assert!(box_.look(at(34)));
        assert_eq!(box_.whys(), [(Why::Discharged, 1, 0)]);
        box_.hear("i2", "S1", 40, Change::Insured { person, listed: false });
        box_.look(at(40));
        assert!(box_.look(at(64)));
        assert_eq!(box_.whys()[1], (Why::Discharged, 0, 3));
    }
}
