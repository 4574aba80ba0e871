//! What the hospital told us, fact by fact, and what follows from it: the roster is never stored, it is computed.
//!
//! A fact says what happened, when it happened and when we *received* it. Facts arrive late, twice, in any order and are
//! taken back; the same set of facts always gives the same wards, because they are folded in the order in which things
//! happened. What was believed at a moment is the fold of what had been received until then: an excuse heard later
//! excuses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::base::redact::Private;

/// Whoever stays: `psn_no`, `psn_name` of the national interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    pub psn_no: Private<String>,
    pub psn_name: Private<String>,
}

/// Why a patient may be away from the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excuse {
    /// 请假
    Leave,
    /// 外出检查
    Examination,
    /// 手术
    Surgery,
    /// 隔离
    Isolation,
}

/// What can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Admission,
    Transfer,
    Discharge,
    Leave,
    Return,
}

/// What happened to one stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// HL7 A01, national 2401.
    Admitted { person: Person, bed: Option<BedId> },
    /// HL7 A02, A17 (once for each of the two). No bed: out of this ward.
    Moved { bed: Option<BedId> },
    /// HL7 A08, national 2403.
    Corrected { person: Person },
    /// HL7 A40: `psn_no` was another number of the person who is known as `into`. Told of a person, not of a stay.
    Merged { psn_no: Private<String>, into: Private<String> },
    /// HL7 A21, A09.
    Left { excuse: Excuse, until: Option<Wall> },
    /// HL7 A22, A10.
    Returned,
    /// HL7 A03, national 2402.
    Discharged,
    /// HL7 A11, A12, A13, A52, A53, national 2404.
    Cancelled { what: What },
    /// National 5303: on the insurer's own list of who is in this ward, or no longer on it.
    Insured { person: Person, listed: bool },
}

impl Change {
    /// What a cancellation must name to take this back.
    fn what(&self) -> Option<What> {
        match self {
            Change::Admitted { .. } => Some(What::Admission),
            Change::Moved { .. } => Some(What::Transfer),
            Change::Discharged => Some(What::Discharge),
            Change::Left { .. } => Some(What::Leave),
            Change::Returned => Some(What::Return),
            Change::Corrected { .. }
            | Change::Merged { .. }
            | Change::Cancelled { .. }
            | Change::Insured { .. } => None,
        }
    }
}

/// One thing somebody told us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Sender and its number of the message: what came twice counts once, as first received.
    pub id: String,
    /// Absent only where a person is meant ([`Change::Merged`]).
    pub stay: Option<StayId>,
    /// When it happened, as the sender says.
    pub at: Wall,
    /// When it reached us.
    pub received: Wall,
    #[serde(flatten)]
    pub change: Change,
}

impl Excuse {
    pub fn name(self) -> &'static str {
        match self {
            Excuse::Leave => "leave",
            Excuse::Examination => "examination",
            Excuse::Surgery => "surgery",
            Excuse::Isolation => "isolation",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Excuse::Leave => "请假",
            Excuse::Examination => "外出检查",
            Excuse::Surgery => "手术",
            Excuse::Isolation => "隔离",
        }
    }
}

/// A time away from the bed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    pub excuse: Excuse,
    pub from: Wall,
    /// Until the patient came back, else until the announced end, else open.
    pub to: Option<Wall>,
    /// When we heard that the patient would leave.
    pub received: Wall,
}

impl Away {
    pub fn covers(&self, at: Wall) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// A cancellation and what it took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    pub what: What,
    pub received: Wall,
    /// When the thing that was taken back had reached us.
    pub said: Wall,
    /// Whether it had taken the patient out of the ward, so that no check was due.
    pub left_ward: bool,
}

/// When something happened, as the sender says, and when it reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub at: Wall,
    pub received: Wall,
}

/// Everything believed about one stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StayHistory {
    pub person: Option<Person>,
    pub admitted: Option<Wall>,
    pub discharged: Option<Heard>,
    /// Each bed with the time since when, oldest first; `None` is outside this ward.
    pub beds: Vec<(Heard, Option<BedId>)>,
    pub away: Vec<Away>,
    pub taken_back: Vec<TakenBack>,
    /// Who is on the insurer's list under this stay, and whether still; `None` where the insurer never spoke of it.
    pub insured: Option<(Person, bool)>,
}

/// How an absence at one moment is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Heard before the check was due.
    Excused(Excuse),
    /// Heard only afterwards, though it is said to have begun before: an exception of its own.
    Retroactive(Excuse),
    None,
}

impl StayHistory {
    /// Whether the patient is in the hospital's care at that moment.
    pub fn is_in(&self, at: Wall) -> bool {
        self.admitted.is_some_and(|from| from <= at) && self.discharged.is_none_or(|to| at < to.at)
    }

    /// When anything about where the patient lies reached us last.
    pub fn latest(&self) -> Option<Wall> {
        let beds = self.beds.iter().map(|(heard, _)| heard.received);
        beds.chain(self.discharged.map(|heard| heard.received)).max()
    }

    pub fn bed_at(&self, at: Wall) -> Option<&BedId> {
        self.beds.iter().rev().find(|(since, _)| since.at <= at).and_then(|(_, bed)| bed.as_ref())
    }
}

/// Accounts for an absence at `due`. A message that was on its way for less than `grace` counts as heard in time.
pub fn account(away: &[Away], due: Wall, grace: Duration) -> Account {
    let covering = || away.iter().filter(|away| away.covers(due));
    let in_time = covering().find(|away| away.received <= due.plus(grace));
    match (in_time, covering().next()) {
        (Some(away), _) => Account::Excused(away.excuse),
        (None, Some(away)) => Account::Retroactive(away.excuse),
        (None, None) => Account::None,
    }
}

/// What a set of facts amounts to. The order in which they are given makes no difference.
pub fn fold<'fact>(facts: impl IntoIterator<Item = &'fact Fact>) -> BTreeMap<StayId, StayHistory> {
    let mut first: BTreeMap<&str, &Fact> = BTreeMap::new();
    for fact in facts {
        let known = first.entry(&fact.id).or_insert(fact);
        if (fact.received, &fact.change) < (known.received, &known.change) {
            *known = fact;
        }
    }
    let mut stays: BTreeMap<&StayId, Vec<&Fact>> = BTreeMap::new();
    let mut merges = Vec::new();
    for fact in first.into_values() {
        match (&fact.stay, &fact.change) {
            (Some(stay), _) => stays.entry(stay).or_default().push(fact),
            (None, Change::Merged { psn_no, into }) => merges.push((fact.at, psn_no, into)),
            (None, _) => {}
        }
    }
    merges.sort();
    let person = |history: StayHistory| {
        merges.iter().fold(history, |history, (_, from, into)| history.merged(from, into))
    };
    stays.into_iter().map(|(stay, facts)| (stay.clone(), person(history(facts)))).collect()
}

fn history(mut facts: Vec<&Fact>) -> StayHistory {
    // At one moment things happen before they are cancelled, and an admission comes first.
    facts.sort_by_key(|fact| {
        let rank = match fact.change {
            Change::Admitted { .. } => 0,
            Change::Moved { .. }
            | Change::Corrected { .. }
            | Change::Merged { .. }
            | Change::Left { .. }
            | Change::Returned
            | Change::Insured { .. }
            | Change::Discharged => 1,
            Change::Cancelled { .. } => 2,
        };
        (fact.at, rank, &fact.id)
    });
    let mut history = StayHistory::default();
    let void = void(&facts, &mut history.taken_back);
    for fact in facts.iter().filter(|fact| !void.contains(fact.id.as_str())) {
        history.apply(fact);
    }
    history
}

/// Ids of what was taken back: a cancellation takes back the latest thing of its kind that happened before it.
fn void<'fact>(facts: &[&'fact Fact], taken_back: &mut Vec<TakenBack>) -> BTreeSet<&'fact str> {
    let mut standing: BTreeMap<What, Vec<&Fact>> = BTreeMap::new();
    let mut void = BTreeSet::new();
    for fact in facts {
        if let Some(what) = fact.change.what() {
            standing.entry(what).or_default().push(fact);
        }
        if let Change::Cancelled { what } = fact.change
            && let Some(taken) = standing.get_mut(&what).and_then(Vec::pop)
        {
            void.insert(taken.id.as_str());
            let left_ward = matches!(taken.change, Change::Discharged | Change::Moved { bed: None });
            taken_back.push(TakenBack { what, received: fact.received, said: taken.received, left_ward });
        }
    }
    void
}

impl StayHistory {
    fn apply(&mut self, fact: &Fact) {
        let heard = Heard { at: fact.at, received: fact.received };
        match &fact.change {
            Change::Admitted { person, bed } => {
                self.person = Some(person.clone());
                self.admitted = Some(self.admitted.unwrap_or(fact.at));
                self.discharged = None;
                self.beds.push((heard, bed.clone()));
            }
            Change::Moved { bed } => self.beds.push((heard, bed.clone())),
            Change::Corrected { person } => self.person = Some(person.clone()),
            Change::Left { excuse, until } => {
                self.back(fact.at);
                let away = Away { excuse: *excuse, from: fact.at, to: *until, received: fact.received };
                self.away.push(away);
            }
            Change::Returned => self.back(fact.at),
            Change::Discharged => {
                self.back(fact.at);
                self.discharged = Some(heard);
            }
            Change::Insured { person, listed } => self.insured = Some((person.clone(), *listed)),
            Change::Merged { .. } | Change::Cancelled { .. } => {}
        }
    }

    fn merged(mut self, from: &Private<String>, into: &Private<String>) -> StayHistory {
        if let Some(person) = self.person.as_mut().filter(|person| person.psn_no == *from) {
            person.psn_no = into.clone();
        }
        self
    }

    /// Ends the last time away, unless it had ended by itself.
    fn back(&mut self, at: Wall) {
        if let Some(away) = self.away.last_mut() {
            away.to = Some(away.to.map_or(at, |to| to.min(at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn person(name: &str) -> Person {
        Person { psn_no: Private::new(format!("no-{name}")), psn_name: Private::new(name.to_owned()) }
    }

    fn bed(name: &str) -> Option<BedId> {
        Some(BedId::new(name).unwrap())
    }

    /// A fact that happened at an hour and was heard some hours later.
    fn fact(id: &str, hour: i64, later: i64, change: Change) -> Fact {
        let at = Wall(hour * HOUR);
        let stay = Some(StayId::new("S1").unwrap());
        Fact { id: id.to_owned(), stay, at, received: Wall((hour + later) * HOUR), change }
    }

    fn story() -> Vec<Fact> {
        let admitted = Change::Admitted { person: person("a"), bed: bed("1") };
        vec![
            fact("1", 0, 0, admitted),
            fact("2", 10, 1, Change::Moved { bed: bed("2") }),
            fact("3", 20, 0, Change::Left { excuse: Excuse::Leave, until: None }),
            fact("4", 26, 3, Change::Returned),
            fact("5", 30, 0, Change::Discharged),
            fact("6", 31, 9, Change::Cancelled { what: What::Discharge }),
            fact("3", 20, 5, Change::Left { excuse: Excuse::Leave, until: None }),
        ]
    }

    fn only(facts: &[Fact]) -> StayHistory {
        fold(facts).into_values().next().unwrap()
    }

    /// Every order of the first `n` places, by Heap's algorithm.
    fn every_order(facts: &mut Vec<Fact>, n: usize, check: &mut impl FnMut(&[Fact])) {
        if n == 1 {
            return check(facts);
        }
        for at in 0..n {
            every_order(facts, n - 1, check);
            facts.swap(if n.is_multiple_of(2) { at } else { 0 }, n - 1);
        }
    }

    #[test]
    fn every_order_of_arrival_gives_the_same_history() {
        let mut facts = story();
        let wanted = fold(&facts);
        let history = only(&facts);
        let beds: Vec<_> = history.beds.iter().map(|(since, bed)| (since.at, bed.clone())).collect();
        assert_eq!(beds, [(Wall(0), bed("1")), (Wall(10 * HOUR), bed("2"))]);
        assert_eq!(history.discharged, None, "the discharge was taken back");
        assert_eq!(history.away.len(), 1, "what came twice counts once");
        let mut orders = 0;
        let n = facts.len();
        every_order(&mut facts, n, &mut |facts| {
            orders += 1;
            assert_eq!(fold(facts), wanted);
        });
        assert_eq!(orders, 5040);
    }

    #[test]
    fn an_excuse_counts_only_if_it_was_heard_before() {
        let late = fact("9", 40, 6, Change::Left { excuse: Excuse::Examination, until: None });
        let facts = [story(), vec![late]].concat();
        let history = only(&facts);
        let account = |hour: i64| account(&history.away, Wall(hour * HOUR), Duration::from_secs(600));
        assert_eq!(account(19), Account::None);
        assert_eq!(account(22), Account::Excused(Excuse::Leave));
        assert_eq!(account(27), Account::None, "back again");
        assert_eq!(account(43), Account::Retroactive(Excuse::Examination));
        assert_eq!(account(47), Account::Excused(Excuse::Examination));
        let heard = facts.iter().filter(|fact| fact.received <= Wall(43 * HOUR));
        let then = fold(heard).into_values().next().unwrap();
        assert_eq!(super::account(&then.away, Wall(43 * HOUR), Duration::ZERO), Account::None);
    }

    #[test]
    fn an_announced_end_ends_the_leave_and_a_cancelled_admission_never_was() {
        let until = Some(Wall(24 * HOUR));
        let mut facts = story();
        facts.truncate(1);
        facts.push(fact("2", 20, 0, Change::Left { excuse: Excuse::Leave, until }));
        facts.push(fact("3", 30, 0, Change::Returned));
        let history = only(&facts);
        assert_eq!(history.away[0].to, until);
        assert!(history.is_in(Wall(31 * HOUR)));
        facts.push(fact("4", 31, 0, Change::Cancelled { what: What::Admission }));
        let history = only(&facts);
        assert!(!history.is_in(Wall(31 * HOUR)));
        assert_eq!(history.taken_back.len(), 1);
    }

    #[test]
    fn a_merged_number_reaches_every_stay_in_whatever_order_it_came() {
        let mut facts = story();
        let change =
            Change::Merged { psn_no: Private::new("no-a".into()), into: Private::new("no-b".into()) };
        facts.insert(0, Fact { stay: None, ..fact("m", 50, 0, change) });
        assert_eq!(only(&facts).person.unwrap().psn_no.reveal(), "no-b");
    }

    #[test]
    fn two_cancellations_take_back_two_moves() {
        let mut facts = story();
        facts.truncate(2);
        facts.push(fact("7", 12, 0, Change::Moved { bed: bed("3") }));
        facts.push(fact("8", 13, 0, Change::Cancelled { what: What::Transfer }));
        let at = Wall(14 * HOUR);
        assert_eq!(only(&facts).bed_at(at), bed("2").as_ref());
        facts.push(fact("9", 13, 0, Change::Cancelled { what: What::Transfer }));
        assert_eq!(only(&facts).bed_at(at), bed("1").as_ref());
    }
}
