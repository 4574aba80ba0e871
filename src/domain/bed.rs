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
    pub absences: Vec<Absence>,
    /// When checks were due that a reason excused, oldest first: the reason may yet be taken back.
    #[serde(default)]
    pub excused: Vec<Wall>,
}

/// A round in which the patient was not in the bed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absence {
    /// When the check was due on the clock as it goes now; the result has what the clock said then.
    pub due: Wall,
    pub result: CheckResult,
}

/// Absences remembered of a bed: a week of them.
const MOST_ABSENCES: usize = 42;

/// One bed of the roster.
pub struct Bed {
    memory: BedMemory,
    /// How many of the absences this life of the agent saw, and whether it counted the last one: what was said by a
    /// clock of a former life is not moved when this clock is set.
    seen_here: usize,
    counted_here: bool,
}

impl Bed {
    pub fn new(bed: BedId, stay: StayId) -> Bed {
        Bed::recall(BedMemory {
            bed,
            stay,
            state: BedState::Unseen,
            open: Vec::new(),
            last_round: 0,
            absences: Vec::new(),
            excused: Vec::new(),
        })
    }

    pub fn recall(memory: BedMemory) -> Bed {
        Bed { memory, seen_here: 0, counted_here: false }
    }

    /// How much more often than others this bed should be drawn: tickets of `draw`.
    pub fn tickets(&self) -> u16 {
        match self.memory.state {
            BedState::Present { .. } => 1,
            BedState::Unseen => 2,
            BedState::Unproven { .. } => 3,
            BedState::Missing { .. } => 4,
            BedState::Contested { .. } => 6,
        }
    }

    /// The clock was set by `by_ms`: what it said before is moved along, so that times stay as far apart as they were.
    pub fn shift(&mut self, by_ms: i64) {
        let shifted = |wall: Wall| Wall(wall.0.saturating_add(by_ms));
        if let (true, BedState::Missing { last, .. }) = (self.counted_here, &mut self.memory.state) {
            *last = shifted(*last);
        }
        for absence in self.memory.absences.iter_mut().rev().take(self.seen_here) {
            absence.due = shifted(absence.due);
        }
    }

    pub fn stay(&self) -> &StayId {
        &self.memory.stay
    }

    pub fn memory(&self) -> BedMemory {
        self.memory.clone()
    }

    /// Takes the verdict of one round; the exceptions that this moves, in order.
    pub fn take(&mut self, at: Wall, result: &CheckResult, policy: &Policy) -> Vec<ExceptionChange> {
        self.memory.last_round = self.memory.last_round.max(result.round);
        self.memory.state = next(&self.memory.state, at, &result.verdict, policy);
        self.counted_here |= matches!(self.memory.state, BedState::Missing { last, .. } if last == at);
        self.note(result);
        // Nobody was seen and nobody is missing: that confirms nothing.
        if matches!(result.verdict, Verdict::Excused { .. }) {
            return Vec::new();
        }
        match &self.memory.state {
            BedState::Unseen => Vec::new(),
            BedState::Present { .. } => {
                let ended = std::mem::take(&mut self.memory.open);
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

    fn note(&mut self, result: &CheckResult) {
        let BedMemory { absences, excused, .. } = &mut self.memory;
        if result.verdict == Verdict::Absent {
            absences.push(Absence { due: result.due, result: result.clone() });
            self.seen_here += 1;
        }
        if matches!(result.verdict, Verdict::Excused { .. }) {
            excused.push(result.due);
        }
        absences.drain(..absences.len().saturating_sub(MOST_ABSENCES));
        excused.drain(..excused.len().saturating_sub(MOST_ABSENCES));
    }

    /// Whether a reason counted for a check that was due between two moments.
    pub fn was_excused(&self, from: Wall, to: Wall) -> bool {
        self.memory.excused.iter().any(|due| from <= *due && *due < to)
    }

    /// Takes and forgets the absences that `is_explained` says.
    pub fn explain(&mut self, is_explained: impl Fn(Wall) -> bool) -> Vec<CheckResult> {
        let absences = std::mem::take(&mut self.memory.absences);
        let (late, rest): (Vec<_>, Vec<_>) =
            absences.into_iter().partition(|absence| is_explained(absence.due));
        self.seen_here = self.seen_here.min(rest.len());
        self.memory.absences = rest;
        late.into_iter().map(|absence| absence.result).collect()
    }

    /// Takes what is now known of the patient's times away. A reason that came after an absence was seen is an
    /// exception of its own, raised once for all the absences it is said to cover; it excuses none of them.
    pub fn heard(&mut self, away: &[Away], policy: &Policy) -> Option<ExceptionChange> {
        let late =
            self.explain(|due| matches!(account(away, due, policy.excuse_grace), Account::Retroactive(_)));
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
        if let Some(open) = self.memory.open.iter_mut().find(|open| open.kind == kind) {
            open.rounds = rounds;
            return open.change(Move::Confirmed, result, rounds);
        }
        let open = OpenException { kind, first, rounds, raised_in: result.round };
        let change = open.change(Move::Raised, result, rounds);
        self.memory.open.push(open);
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
