//! A whole list of who lies where, as the facts that it adds to what was believed: whoever is missing in it has left.

use std::collections::BTreeMap;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::domain::facts::{Change, Fact, Person, StayHistory};

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub stay: StayId,
    pub bed: BedId,
    pub person: Person,
}

/// One row of the insurer's own list (5303).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insured {
    pub stay: StayId,
    pub person: Person,
}

/// The facts that make `believed` agree with the insurer's list as received at `at`.
pub fn insured(
    believed: &BTreeMap<StayId, StayHistory>,
    listed: &[Insured],
    at: Wall,
    source: &str,
) -> Vec<Fact> {
    let now: BTreeMap<&StayId, &Person> = listed.iter().map(|row| (&row.stay, &row.person)).collect();
    let was = |stay: &StayId| believed.get(stay).and_then(|history| history.insured.as_ref());
    let gone = believed.iter().filter_map(|(stay, history)| match &history.insured {
        Some((person, true)) if !now.contains_key(stay) => Some((stay, person.clone(), false)),
        Some(_) | None => None,
    });
    let here = now.iter().filter(|(stay, _)| was(stay).is_none_or(|(_, listed)| !listed));
    let here = here.map(|(stay, person)| (*stay, (*person).clone(), true));
    gone.chain(here)
        .map(|(stay, person, listed)| Fact {
            id: format!("{source}/{stay}"),
            stay: Some(stay.clone()),
            at,
            received: at,
            change: Change::Insured { person, listed },
        })
        .collect()
}

/// The facts that make `believed` agree with `listed` from `at` on, in the order of stays. `source` names the list, so
/// that reading it again adds nothing.
pub fn differences(
    believed: &BTreeMap<StayId, StayHistory>,
    listed: &[Listed],
    at: Wall,
    source: &str,
) -> Vec<Fact> {
    let listed: BTreeMap<&StayId, &Listed> = listed.iter().map(|row| (&row.stay, row)).collect();
    let gone = believed
        .iter()
        .filter(|(stay, history)| history.is_in(at) && !listed.contains_key(stay))
        .map(|(stay, _)| (stay, Change::Discharged));
    let here = listed.iter().filter_map(|(stay, row)| Some((*stay, change(believed.get(*stay), row, at)?)));
    let fact = |(stay, change): (&StayId, Change)| Fact {
        id: format!("{source}/{stay}"),
        stay: Some(stay.clone()),
        at,
        received: at,
        change,
    };
    let mut facts: Vec<Fact> = gone.chain(here).map(fact).collect();
    facts.sort_by(|a, b| a.id.cmp(&b.id));
    facts
}

fn change(known: Option<&StayHistory>, row: &Listed, at: Wall) -> Option<Change> {
    let (person, bed) = (row.person.clone(), Some(row.bed.clone()));
    match known.filter(|history| history.is_in(at)) {
        None => Some(Change::Admitted { person, bed }),
        Some(history) if history.bed_at(at) != Some(&row.bed) => Some(Change::Moved { bed }),
        Some(history) if history.person.as_ref() != Some(&person) => Some(Change::Corrected { person }),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::redact::Private;
    use crate::domain::facts::fold;

    fn row(stay: &str, bed: &str) -> Listed {
        let private = |text: &str| Private::new(text.to_owned());
        let person = Person { psn_no: private(stay), psn_name: private("张三") };
        Listed { stay: StayId::new(stay).unwrap(), bed: BedId::new(bed).unwrap(), person }
    }

    #[test]
    fn the_insurers_list_says_who_came_and_went_and_the_same_list_says_nothing() {
        let on = |stay: &str| Insured { stay: StayId::new(stay).unwrap(), person: row(stay, "1").person };
        let mut facts = insured(&BTreeMap::new(), &[on("S1"), on("S2")], Wall(1), "5303/a");
        assert_eq!(facts.len(), 2);
        facts.extend(insured(&fold(&facts), &[on("S2")], Wall(2), "5303/b"));
        assert_eq!(facts.len(), 3);
        assert_eq!(insured(&fold(&facts), &[on("S2")], Wall(3), "5303/c"), []);
        assert!(matches!(facts[2].change, Change::Insured { listed: false, .. }));
    }

    #[test]
    fn a_list_says_who_came_moved_and_left_and_the_same_list_says_nothing() {
        let mut facts = differences(&BTreeMap::new(), &[row("S1", "1"), row("S2", "2")], Wall(10), "file/a");
        assert_eq!(facts.len(), 2);
        let second = [row("S2", "3"), row("S3", "1")];
        let added = differences(&fold(&facts), &second, Wall(20), "file/b");
        let changes: Vec<_> = added.iter().map(|fact| (fact.id.as_str(), fact.change.clone())).collect();
        assert_eq!(changes[0], ("file/b/S1", Change::Discharged));
        assert_eq!(changes[1], ("file/b/S2", Change::Moved { bed: Some(BedId::new("3").unwrap()) }));
        assert!(matches!(&changes[2], ("file/b/S3", Change::Admitted { .. })));
        facts.extend(added);
        let believed = fold(&facts);
        assert_eq!(differences(&believed, &second, Wall(30), "file/c"), []);
        // Whoever left may come back.
        let again =
            differences(&believed, &[row("S1", "2"), row("S2", "3"), row("S3", "1")], Wall(40), "file/d");
        facts.extend(again);
        assert!(fold(&facts)[&StayId::new("S1").unwrap()].is_in(Wall(50)));
    }
}
