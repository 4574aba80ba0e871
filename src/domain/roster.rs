//! Who should lie where: what the hospital told us, and when we heard it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::base::redact::{Private, mask_name};
use crate::domain::facts::{Away, Person, StayHistory, TakenBack};
use crate::domain::irregular::{Departing, Irregularity, Side};

/// How long a departure is remembered: as long as the absences it may be said to explain.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// One insured person's stay in one bed. Field names of the national interface: `mdtrt_id`, `adm_bed`, `psn_no`,
/// `psn_name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    pub id: StayId,
    pub bed: BedId,
    pub psn_no: Private<String>,
    pub psn_name: Private<String>,
    /// How many face templates of this person the agent holds.
    pub templates: usize,
    /// Times away from the bed that somebody told us of, each with when we heard it.
    pub away: Vec<Away>,
    /// What was said of this stay and taken back.
    pub taken_back: Vec<TakenBack>,
}

/// A patient who left a bed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    pub stay: StayId,
    pub bed: BedId,
    pub masked_name: String,
    pub how: Departing,
    pub at: Wall,
    pub received: Wall,
}

/// A belief about the whole ward, with the time it was *received*: an excuse heard later excuses nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    received: Wall,
    by_bed: BTreeMap<BedId, Stay>,
    departures: Vec<Departure>,
    contradictions: Vec<Irregularity>,
}

impl Roster {
    /// Who lies where at `now`, with `templates` face templates each. Where two stays claim one bed the later arrival
    /// has it, and the contradiction is part of the belief.
    pub fn believed(
        histories: &BTreeMap<StayId, StayHistory>,
        now: Wall,
        templates: impl Fn(&StayId) -> usize,
    ) -> Roster {
        let received = now;
        // Nothing was heard in the future: with the clock set back nobody shall seem not yet admitted.
        let now = histories.values().filter_map(StayHistory::latest).fold(now, Wall::max);
        let mut claims: BTreeMap<BedId, Vec<(Wall, Stay)>> = BTreeMap::new();
        for (id, history) in histories {
            if let Some((since, stay)) = claim(id, history, now, templates(id)) {
                claims.entry(stay.bed.clone()).or_default().push((since, stay));
            }
        }
        let mut contradictions = two_beds(claims.values().flatten().map(|(_, stay)| stay));
        let mut by_bed = BTreeMap::new();
        for (bed, mut stays) in claims {
            stays.sort_by(|(a, one), (b, other)| (a, &one.id).cmp(&(b, &other.id)));
            if stays.len() > 1 {
                let stays = stays.iter().map(|(_, stay)| stay.id.clone()).collect();
                contradictions.push(Irregularity::TwoInBed { bed: bed.clone(), stays });
            }
            if let Some((_, stay)) = stays.pop() {
                by_bed.insert(bed, stay);
            }
        }
        contradictions.extend(against_insurer(histories, now));
        let departures = histories.iter().flat_map(|(id, history)| departures(id, history, now)).collect();
        Roster { received, by_bed, departures, contradictions }
    }

    /// A belief about these stays; of two in one bed the later in the list has it.
    pub fn of(received: Wall, stays: Vec<Stay>) -> Roster {
        let by_bed = stays.into_iter().map(|stay| (stay.bed.clone(), stay)).collect();
        Roster { received, by_bed, ..Roster::default() }
    }

    pub fn received(&self) -> Wall {
        self.received
    }

    pub fn stay_in(&self, bed: &BedId) -> Option<&Stay> {
        self.by_bed.get(bed)
    }

    /// In the order of beds.
    pub fn stays(&self) -> impl Iterator<Item = &Stay> {
        self.by_bed.values()
    }

    /// Who left which bed lately.
    pub fn departures(&self) -> &[Departure] {
        &self.departures
    }

    /// What in it cannot be true.
    pub fn contradictions(&self) -> &[Irregularity] {
        &self.contradictions
    }
}

impl Stay {
    pub fn masked_name(&self) -> String {
        mask_name(self.psn_name.reveal())
    }
}

fn claim(id: &StayId, history: &StayHistory, now: Wall, templates: usize) -> Option<(Wall, Stay)> {
    let bed = history.bed_at(now).filter(|_| history.is_in(now))?.clone();
    let Person { psn_no, psn_name } = history.person.clone()?;
    let since = history.beds.last().map_or(Wall::default(), |(since, _)| since.at);
    let (away, taken_back) = (history.away.clone(), history.taken_back.clone());
    Some((since, Stay { id: id.clone(), bed, psn_no, psn_name, templates, away, taken_back }))
}

/// One person (`psn_no`) whose stays lie in different beds.
fn two_beds<'stay>(stays: impl Iterator<Item = &'stay Stay>) -> Vec<Irregularity> {
    let mut by_person: BTreeMap<&str, Vec<&Stay>> = BTreeMap::new();
    for stay in stays {
        by_person.entry(stay.psn_no.reveal()).or_default().push(stay);
    }
    let twice = by_person.into_iter().filter(|(psn_no, stays)| stays.len() > 1 && !psn_no.is_empty());
    twice
        .map(|(_, stays)| Irregularity::TwoBeds {
            masked_name: stays[0].masked_name(),
            stays: stays.iter().map(|stay| stay.id.clone()).collect(),
            beds: stays.iter().map(|stay| stay.bed.clone()).collect(),
        })
        .collect()
}

/// Where the insurer's list and the roster differ; nothing before the insurer ever sent one.
fn against_insurer(histories: &BTreeMap<StayId, StayHistory>, now: Wall) -> Vec<Irregularity> {
    if histories.values().all(|history| history.insured.is_none()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (stay, history) in histories {
        let bed = history.bed_at(now).filter(|_| history.is_in(now));
        let listed = history.insured.as_ref().is_some_and(|(_, listed)| *listed);
        let side = match (bed, listed) {
            (None, true) => Side::UnknownToHospital,
            (Some(_), false) => Side::UnknownToInsurer,
            (None, false) | (Some(_), true) => continue,
        };
        let insured = history.insured.as_ref().map(|(person, _)| person);
        let name = history.person.as_ref().or(insured).map(|person| mask_name(person.psn_name.reveal()));
        let masked_name = name.unwrap_or_default();
        let (stay, bed) = (stay.clone(), bed.cloned());
        found.push(Irregularity::InsurerMismatch { stay, bed, masked_name, side });
    }
    found
}

fn departures(id: &StayId, history: &StayHistory, now: Wall) -> Vec<Departure> {
    let name = history.person.as_ref().map(|person| mask_name(person.psn_name.reveal()));
    let masked_name = name.unwrap_or_default();
    let left = |bed: &Option<BedId>, how, heard: &crate::domain::facts::Heard| {
        let (stay, masked_name) = (id.clone(), masked_name.clone());
        let bed = bed.clone().filter(|_| now.since(heard.received) <= REMEMBERED)?;
        Some(Departure { stay, bed, masked_name, how, at: heard.at, received: heard.received })
    };
    let moves = history.beds.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let moves = moves.filter_map(|pair| left(&pair[0].1, Departing::Transfer, &pair[1].0));
    let last = history.beds.last().zip(history.discharged.as_ref());
    let discharge = last.and_then(|((_, bed), heard)| left(bed, Departing::Discharge, heard));
    moves.chain(discharge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::{Change, Fact, fold};

    fn fact(stay: &str, minute: i64, change: Change) -> Fact {
        let at = Wall(minute * 60_000);
        let id = format!("{stay}/{minute}/{change:?}");
        Fact { id, stay: Some(StayId::new(stay).unwrap()), at, received: at, change }
    }

    fn person(no: &str) -> Person {
        Person { psn_no: Private::new(no.to_owned()), psn_name: Private::new("张三".to_owned()) }
    }

    fn admitted(stay: &str, minute: i64, no: &str, bed: &str) -> Fact {
        let bed = Some(BedId::new(bed).unwrap());
        fact(stay, minute, Change::Admitted { person: person(no), bed })
    }

    fn names(facts: &[Fact]) -> Vec<&'static str> {
        let roster = Roster::believed(&fold(facts), Wall(3_600_000), |_| 1);
        roster.contradictions().iter().map(Irregularity::name).collect()
    }

    #[test]
    fn the_later_of_two_has_the_bed_and_the_contradiction_is_seen() {
        let facts = [admitted("S1", 1, "a", "1"), admitted("S2", 2, "b", "1")];
        let roster = Roster::believed(&fold(&facts), Wall(3_600_000), |_| 1);
        assert_eq!(roster.stay_in(&BedId::new("1").unwrap()).unwrap().id.as_str(), "S2");
        assert_eq!(names(&facts), ["two_in_bed"]);
        assert_eq!(names(&facts[..1]), [] as [&str; 0]);
    }

    #[test]
    fn one_person_in_two_beds_is_seen_and_two_people_without_a_number_are_not() {
        assert_eq!(names(&[admitted("S1", 1, "a", "1"), admitted("S2", 2, "a", "2")]), ["two_beds"]);
        assert_eq!(names(&[admitted("S1", 1, "", "1"), admitted("S2", 2, "", "2")]), [] as [&str; 0]);
    }

    #[test]
    fn the_insurers_list_counts_only_once_there_is_one() {
        let ours = [admitted("S1", 1, "a", "1"), admitted("S2", 2, "b", "2")];
        assert_eq!(names(&ours), [] as [&str; 0]);
        let listed = |stay, listed| fact(stay, 3, Change::Insured { person: person("x"), listed });
        let facts = [ours.to_vec(), vec![listed("S1", true), listed("S3", true)]].concat();
        assert_eq!(names(&facts), ["insurer_mismatch", "insurer_mismatch"]);
        let facts = [
            facts,
            vec![listed("S2", true), fact("S3", 4, Change::Insured { person: person("x"), listed: false })],
        ]
        .concat();
        assert_eq!(names(&facts), [] as [&str; 0]);
    }

    #[test]
    fn whoever_left_a_bed_is_remembered_with_how_and_when_it_was_heard() {
        let bed = Some(BedId::new("2").unwrap());
        let facts = [
            admitted("S1", 1, "a", "1"),
            fact("S1", 5, Change::Moved { bed }),
            fact("S1", 9, Change::Discharged),
        ];
        let roster = Roster::believed(&fold(&facts), Wall(3_600_000), |_| 1);
        let left: Vec<_> = roster.departures().iter().map(|left| (left.bed.as_str(), left.how)).collect();
        assert_eq!(left, [("1", Departing::Transfer), ("2", Departing::Discharge)]);
        let roster = Roster::believed(&fold(&facts), Wall(8 * 86_400_000), |_| 1);
        assert_eq!(roster.departures(), []);
    }
}
