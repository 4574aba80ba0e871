//! What the verdicts of many rounds say about one bed.
//!
//! ```text
//!              Verified                       Absent (again, later)
//!        ┌──────────────────┐                ┌────────┐
//!        ▼                  │                ▼        │
//!     Present ──Absent──► Missing{rounds} ───┴─ rounds = absent_rounds ─► hanging bed 挂床住院
//!        │  ▲                │
//!        │  └─Verified───────┤◄── FaceHidden, Inconclusive: Unproven{rounds}
//!        └──Mismatch, WrongBed, NotLive──► Contested ─► impersonation 冒名住院 / wrong bed 床位不符 /
//!                                                       lifeless_rounds: presentation attack 疑似假体冒充
//! ```
//!
//! `Excused` changes nothing: neither was the patient seen, nor is anybody missing.
//!
//! | from \ verdict | Verified | Absent | FaceHidden | Mismatch, WrongBed, NotLive | Inconclusive |
//! |---|---|---|---|---|---|
//! | Unseen, Present | Present | Missing 1 | Unproven 1 | Contested | Unproven 1 |
//! | Missing n | Present | Missing n+1 if late enough | Unproven 1: a body is no absence | Contested | Missing n: a bad view proves no return |
//! | Unproven n | Present | Missing 1 | Unproven n+1 | Contested | Unproven n+1 |
//! | Contested | Present | Missing 1 | Contested | Contested | Contested |
//!
//! `Present` ends every open exception of the bed. Nothing else does: a bed that is empty after an impostor was seen
//! stays suspicious.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::domain::exception::{ExceptionChange, ExceptionKind, Move, OpenException};
use crate::domain::facts::{Account, Away, account};
use crate::domain::policy::Policy;
use crate::domain::verdict::{CheckResult, Verdict};

/// Where the evidence about one bed stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BedState {
    /// No check was concluded for this stay.
    Unseen,
    Present {
        last: Wall,
    },
    /// Independent rounds without anybody in the bed.
    Missing {
        rounds: u8,
        first: Wall,
        last: Wall,
    },
    /// Rounds without a view that proves anything.
    Unproven {
        rounds: u8,
        first: Wall,
    },
    /// Somebody else was seen here.
    Contested {
        rounds: u8,
        first: Wall,
    },
}

/// What of a bed survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BedMemory {
    pub bed: BedId,
    pub stay: StayId,
    pub state: BedState,
    pub open: Vec<OpenException>,
    /// The last round that concluded a check here.
    pub last_round: u64,
    /// The latest absences, oldest first, which a reason given afterwards may yet be said to cover.
    #[serde(default)]
    pub absences: Vec<CheckResult>,
}

/// Absences remembered of a bed: a week of them.
const MOST_ABSENCES: usize = 42;

/// One bed of the roster.
pub struct Bed(BedMemory);

impl Bed {
    pub fn new(bed: BedId, stay: StayId) -> Bed {
        Bed(BedMemory {
            bed,
            stay,
            state: BedState::Unseen,
            open: Vec::new(),
            last_round: 0,
            absences: Vec::new(),
        })
    }

    pub fn recall(memory: BedMemory) -> Bed {
        Bed(memory)
    }

    pub fn stay(&self) -> &StayId {
        &self.0.stay
    }

    pub fn memory(&self) -> BedMemory {
        self.0.clone()
    }

    /// Takes the verdict of one round; the exceptions that this moves, in order.
    pub fn take(&mut self, at: Wall, result: &CheckResult, policy: &Policy) -> Vec<ExceptionChange> {
        self.0.last_round = self.0.last_round.max(result.round);
        self.0.state = next(&self.0.state, at, &result.verdict, policy);
        if result.verdict == Verdict::Absent {
            self.0.absences.push(result.clone());
            let excess = self.0.absences.len().saturating_sub(MOST_ABSENCES);
            self.0.absences.drain(..excess);
        }
        match &self.0.state {
            BedState::Unseen => Vec::new(),
            BedState::Present { .. } => {
                let ended = std::mem::take(&mut self.0.open);
                ended.into_iter().map(|open| open.change(Move::Ended, result, open.rounds)).collect()
            }
            // Only the round that counted confirms: an absence too close to the last one adds nothing.
            BedState::Missing { rounds, first, last } if *last == at && *rounds >= policy.absent_rounds => {
                let (rounds, first) = (*rounds, *first);
                vec![self.suspect(ExceptionKind::HangingBed, rounds, first, result)]
            }
            BedState::Unproven { rounds, first } if *rounds >= policy.unproven_rounds => {
                let (rounds, first) = (*rounds, *first);
                vec![self.suspect(ExceptionKind::NotVerified, rounds, first, result)]
            }
            BedState::Contested { rounds, first } => {
                let (rounds, first) = (*rounds, *first);
                let kind = match &result.verdict {
                    Verdict::Mismatch => ExceptionKind::Impersonation,
                    Verdict::NotLive { .. } if rounds < policy.lifeless_rounds => return Vec::new(),
                    Verdict::NotLive { .. } => ExceptionKind::PresentationAttack,
                    Verdict::WrongBed { .. } => ExceptionKind::WrongBed,
                    Verdict::Verified
                    | Verdict::Absent
                    | Verdict::Excused { .. }
                    | Verdict::FaceHidden
                    | Verdict::Inconclusive { .. } => return Vec::new(),
                };
                vec![self.suspect(kind, rounds, first, result)]
            }
            BedState::Missing { .. } | BedState::Unproven { .. } => Vec::new(),
        }
    }

    /// Takes what is now known of the patient's times away. A reason that came after an absence was seen is an
    /// exception of its own, raised once for all the absences it is said to cover; it excuses none of them.
    pub fn heard(&mut self, away: &[Away], policy: &Policy) -> Option<ExceptionChange> {
        let is_late = |absence: &CheckResult| {
            matches!(account(away, absence.due, policy.excuse_grace), Account::Retroactive(_))
        };
        let (late, rest) = std::mem::take(&mut self.0.absences).into_iter().partition(is_late);
        self.0.absences = rest;
        let late: Vec<CheckResult> = late;
        let (first, last) = (late.first()?, late.last()?);
        let rounds = u8::try_from(late.len()).unwrap_or(u8::MAX);
        let kind = ExceptionKind::RetroactiveLeave;
        let open = OpenException { kind, first: first.done, rounds, raised_in: last.round };
        Some(open.change(Move::Raised, last, rounds))
    }

    fn suspect(
        &mut self,
        kind: ExceptionKind,
        rounds: u8,
        first: Wall,
        result: &CheckResult,
    ) -> ExceptionChange {
        if let Some(open) = self.0.open.iter_mut().find(|open| open.kind == kind) {
            open.rounds = rounds;
            return open.change(Move::Confirmed, result, rounds);
        }
        let open = OpenException { kind, first, rounds, raised_in: result.round };
        let change = open.change(Move::Raised, result, rounds);
        self.0.open.push(open);
        change
    }
}

fn next(state: &BedState, at: Wall, verdict: &Verdict, policy: &Policy) -> BedState {
    let missing = BedState::Missing { rounds: 1, first: at, last: at };
    match (verdict, state) {
        (Verdict::Excused { .. }, _) => state.clone(),
        (Verdict::Verified, _) => BedState::Present { last: at },
        (Verdict::Absent, BedState::Missing { rounds, first, last }) => {
            if at.since(*last) >= policy.absent_spacing {
                BedState::Missing { rounds: rounds.saturating_add(1), first: *first, last: at }
            } else {
                state.clone()
            }
        }
        (Verdict::Absent, _) => missing,
        (
            Verdict::Mismatch | Verdict::WrongBed { .. } | Verdict::NotLive { .. },
            BedState::Contested { rounds, first },
        ) => BedState::Contested { rounds: rounds.saturating_add(1), first: *first },
        (Verdict::Mismatch | Verdict::WrongBed { .. } | Verdict::NotLive { .. }, _) => {
            BedState::Contested { rounds: 1, first: at }
        }
        (Verdict::FaceHidden | Verdict::Inconclusive { .. }, BedState::Unproven { rounds, first }) => {
            BedState::Unproven { rounds: rounds.saturating_add(1), first: *first }
        }
        (Verdict::FaceHidden | Verdict::Inconclusive { .. }, BedState::Contested { .. })
        | (Verdict::Inconclusive { .. }, BedState::Missing { .. }) => state.clone(),
        (Verdict::FaceHidden | Verdict::Inconclusive { .. }, _) => {
            BedState::Unproven { rounds: 1, first: at }
        }
    }
}
