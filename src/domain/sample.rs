//! A sample of beds that nobody chose: drawn by a seed that was bound by a commitment before, and recomputable by anybody
//! who has the seed and the list it was drawn from.
//!
//! The luck of a bed is the first 64 bits of SHA-256(seed ‖ `sample/DEVICE/BED`), and the luckiest beds are drawn. Which
//! seed comes next is a hash chain, as in [`draw`](crate::domain::draw): whoever orders can neither pick the beds nor try
//! seeds until they fit.

use serde::{Deserialize, Serialize};

use crate::base::ids::{BedId, DeviceId};
use crate::domain::draw::{CHAIN, Commitment, Revealed, Seed};

/// A bed of a hospital: bed names are a ward's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub device: DeviceId,
    pub bed: BedId,
}

/// The sample that `seed` gives: at most `wanted` of `among`, in the order of their luck; the order of `among` is no matter.
pub fn drawn(seed: Seed, among: &[Place], wanted: usize) -> Vec<Place> {
    let luck = |place: &Place| seed.draw(&format!("sample/{}/{}", place.device, place.bed));
    let mut places: Vec<(u64, &Place)> = among.iter().map(|place| (luck(place), place)).collect();
    places.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    places.dedup_by(|one, other| one.1 == other.1);
    places.into_iter().take(wanted).map(|(_, place)| place.clone()).collect()
}

/// From which number on the commitment counts that binds draw `next`, where seeds are shown up to `shown`, exclusively: a
/// seed says nothing of another chain, so that each chain begins with a commitment of its own.
pub fn bound_from(shown: u64, next: u64) -> u64 {
    shown.min(next).max(next / CHAIN * CHAIN)
}

/// Whether `seed` is the one of draw `number` that `commitment` binds.
pub fn is_bound(commitment: &Commitment, number: u64, seed: Seed) -> bool {
    commitment.opened(&Revealed { round: number, seed }).is_some()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::domain::draw;

    const ROOT: Seed = Seed([7; 32]);

    fn hospital() -> Vec<Place> {
        let place = |at: usize| Place {
            device: DeviceId::new(format!("ward-{}", at / 40)).unwrap(),
            bed: BedId::new(format!("{:02}", at % 40)).unwrap(),
        };
        (0..160).map(place).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_beds_in_whatever_order_they_are_listed() {
        let (among, seed) = (hospital(), draw::seed(ROOT, 3));
        let backwards: Vec<Place> = among.iter().rev().chain(&among).cloned().collect();
        let sample = drawn(seed, &among, 12);
        assert_eq!(sample, drawn(seed, &backwards, 12));
        assert_eq!(sample.iter().collect::<std::collections::BTreeSet<_>>().len(), 12);
        assert_ne!(sample, drawn(draw::seed(ROOT, 4), &among, 12));
        assert_eq!(drawn(seed, &among, 999).len(), 160);
        assert!(drawn(seed, &[], 5).is_empty());
    }

    #[test]
    fn every_bed_is_drawn_as_often_as_any_other() {
        let among = hospital();
        let mut counts = std::collections::BTreeMap::new();
        for round in 0..2_000u64 {
            for place in drawn(Seed(Sha256::digest(round.to_be_bytes()).into()), &among, 16) {
                *counts.entry(place).or_insert(0u32) += 1;
            }
        }
        // 200 in expectation; the binomial's standard deviation is 13.4.
        assert_eq!(counts.len(), 160);
        assert!(counts.values().all(|count| (130..270).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_seed_is_held_against_the_commitment_that_was_public_when_it_was_drawn() {
        let commitment = |from: u64| Commitment { round: from, sha256: draw::seed(ROOT, from).hash() };
        for (shown, next) in [(0, 0), (0, 2), (2, 5), (CHAIN - 1, CHAIN), (CHAIN + 2, CHAIN + 2)] {
            let from = bound_from(shown, next);
            assert!(from <= next && from / CHAIN == next / CHAIN);
            assert!(is_bound(&commitment(from), next, draw::seed(ROOT, next)), "{shown} {next}");
            assert!(!is_bound(&commitment(from), next, draw::seed(Seed([8; 32]), next)));
            assert!(!is_bound(&commitment(from), next + 1, draw::seed(ROOT, next)));
        }
        // What is public binds seeds and does not show those that are hidden.
        assert_ne!(commitment(bound_from(2, 5)).sha256, draw::seed(ROOT, 2));
    }
}
