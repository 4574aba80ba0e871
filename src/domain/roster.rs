//! Who should lie where: what the hospital told us, and when we heard it.

use std::collections::BTreeMap;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::base::redact::Private;
use crate::domain::facts::Away;

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
}

/// A belief about the whole ward, with the time it was *received*: an excuse heard later excuses nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    received: Wall,
    by_bed: BTreeMap<BedId, Stay>,
}

/// Two rows that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterConflict {
    #[error("bed {0} is given to two stays")]
    BedTwice(BedId),
    #[error("stay {0} is in two beds")]
    StayTwice(StayId),
}

impl Roster {
    /// # Errors
    /// Every [`RosterConflict`] at once.
    pub fn new(received: Wall, stays: Vec<Stay>) -> Result<Roster, Vec<RosterConflict>> {
        let mut by_bed = BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut conflicts = Vec::new();
        for stay in stays {
            if !ids.insert(stay.id.clone()) {
                conflicts.push(RosterConflict::StayTwice(stay.id.clone()));
            }
            if by_bed.contains_key(&stay.bed) {
                conflicts.push(RosterConflict::BedTwice(stay.bed.clone()));
            } else {
                by_bed.insert(stay.bed.clone(), stay);
            }
        }
        if conflicts.is_empty() { Ok(Roster { received, by_bed }) } else { Err(conflicts) }
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
}
