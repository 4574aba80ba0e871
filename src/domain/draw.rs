//! Chance that the ward cannot predict and an auditor can check afterwards: every round has a seed of a hash chain.
//!
//! ```text
//!  secret root ──H──► … ──H──► seed n+1 ──H──► seed n ──H──► seed n-1 ──H──► … ──H──► commitment, published first
//! ```
//! The seed of a round is shown when the round is over. Its hash must be the seed shown before, back to the
//! commitment that was published before the first round: nobody could choose a time or an order, not even the owner
//! of the box, who can only read them. (Lamport's chain, Communications of the ACM 24(11), 1981.)

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::ids::BedId;

/// Rounds of one chain: two years of six rounds a day. Then the next one begins, with a commitment of its own. Longer
/// chains only cost hashes: a seed is as many of them away from its root as rounds are left.
pub const CHAIN: u64 = 1 << 12;

/// Most tickets that one bed has in a draw.
pub const MOST_TICKETS: u16 = 64;

/// 32 bytes, in hexadecimal where they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed(pub [u8; 32]);

impl From<Seed> for String {
    fn from(seed: Seed) -> String {
        hex::encode(seed.0)
    }
}

impl TryFrom<String> for Seed {
    type Error = hex::FromHexError;
    fn try_from(text: String) -> Result<Seed, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Seed(bytes))
    }
}

/// What binds the seeds of a chain, published before its first round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// The round whose seed has `sha256` as its hash.
    pub round: u64,
    pub sha256: Seed,
}

/// The seed of a round that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    pub round: u64,
    pub seed: Seed,
}

impl Seed {
    /// What must have been known before this seed was.
    #[must_use]
    pub fn hash(self) -> Seed {
        Seed(Sha256::digest(self.0).into())
    }

    /// A number of 64 bits for one purpose.
    pub fn draw(self, purpose: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.0).chain_update(purpose).finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Which share of its slot goes by before the round begins, 0..1.
    pub fn delay(self) -> f64 {
        self.draw("begin") as f64 / u64::MAX as f64
    }

    /// The place of a bed in the order of a round.
    pub fn place(self, bed: &BedId) -> u64 {
        self.draw(&format!("order/{bed}"))
    }

    /// The best of a bed's tickets: of several beds those with the highest are drawn, each with a chance that grows
    /// with its tickets (weighted sampling without replacement, Efraimidis and Spirakis 2006, in whole numbers).
    pub fn luck(self, bed: &BedId, tickets: u16) -> u64 {
        let tickets = 1..=tickets.clamp(1, MOST_TICKETS);
        tickets.map(|ticket| self.draw(&format!("ticket/{bed}/{ticket}"))).max().unwrap_or_default()
    }
}

/// The seed of `round` under a secret `root`.
pub fn seed(root: Seed, round: u64) -> Seed {
    let (chain, at) = (round / CHAIN, round % CHAIN);
    (at..CHAIN).fold(chain_root(root, chain), |seed, _| seed.hash())
}

fn chain_root(root: Seed, chain: u64) -> Seed {
    Seed(Sha256::new().chain_update(root.0).chain_update(chain.to_be_bytes()).finalize().into())
}

impl Commitment {
    /// The commitment that follows once `revealed` is known; `None` where that seed is not of the chain committed to.
    /// Rounds in between may be left out: their seeds are the hashes of this one.
    pub fn opened(&self, revealed: &Revealed) -> Option<Commitment> {
        let is_ahead = revealed.round >= self.round && revealed.round / CHAIN == self.round / CHAIN;
        // Within one chain that is never more than its length.
        let hashed = || (self.round..=revealed.round).fold(revealed.seed, |seed, _| seed.hash());
        let fits = is_ahead && hashed() == self.sha256;
        fits.then(|| Commitment { round: revealed.round + 1, sha256: revealed.seed })
    }

    /// Whether a chain ends before this round, so that a commitment of its own must be published for it.
    pub fn begins_chain(&self) -> bool {
        self.round.is_multiple_of(CHAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Seed = Seed([7; 32]);

    fn commitment(round: u64) -> Commitment {
        Commitment { round, sha256: seed(ROOT, round).hash() }
    }

    #[test]
    fn each_seed_opens_what_was_committed_before_and_no_other_does() {
        let mut commitment = commitment(5);
        for round in 5..9 {
            let forged = Revealed { round, seed: seed(Seed([8; 32]), round) };
            assert_eq!(commitment.opened(&forged), None);
            let misnamed = Revealed { round: round + 1, seed: seed(ROOT, round) };
            assert_eq!(commitment.opened(&misnamed), None);
            let ahead = Revealed { round: round + 3, seed: seed(ROOT, round + 3) };
            assert_eq!(commitment.opened(&ahead), Some(self::commitment(round + 4)));
            commitment = commitment.opened(&Revealed { round, seed: seed(ROOT, round) }).unwrap();
            assert_eq!(commitment, self::commitment(round + 1));
        }
    }

    #[test]
    fn the_next_chain_has_a_commitment_of_its_own() {
        let last = commitment(CHAIN - 1);
        let opened = last.opened(&Revealed { round: CHAIN - 1, seed: seed(ROOT, CHAIN - 1) }).unwrap();
        assert!(opened.begins_chain());
        assert_ne!(opened, commitment(CHAIN), "the old chain says nothing of the new one");
    }

    #[test]
    fn more_tickets_win_more_often_and_one_ticket_still_wins() {
        let (poor, rich) = (BedId::new("1").unwrap(), BedId::new("2").unwrap());
        let wins = (0..2000u64)
            .filter(|round| {
                let seed = Seed(Sha256::digest(round.to_be_bytes()).into());
                seed.luck(&rich, 4) > seed.luck(&poor, 1)
            })
            .count();
        // 4 of 5 in expectation; 1600 ± 5 standard deviations.
        assert!((1510..1690).contains(&wins), "{wins}");
    }

    #[test]
    fn a_seed_is_written_in_hexadecimal() {
        let text = serde_json::to_string(&ROOT).unwrap();
        assert_eq!(text, format!("\"{}\"", "07".repeat(32)));
        assert_eq!(serde_json::from_str::<Seed>(&text).unwrap(), ROOT);
        assert!(serde_json::from_str::<Seed>("\"07\"").is_err());
    }
}
