//! What a look at a bed means. Pure: time, chance and pictures come in as values.
//!
//! # The contract
//! 1. [`Domain::handle`] takes what happened and when.
//! 2. The caller drains [`Domain::poll_effect`] until it is empty, *before* the next input: the effects of one
//!    input belong together and are committed together.
//! 3. [`Domain::next_deadline`] says when to come back with [`Input::Tick`] at the latest, and why.
//!
//! Nothing in here reads a clock, a disk, a network, a random source or the order of a hash table, so the same
//! inputs always give the same effects: a day in a ward can be replayed from its log. `tests/architecture.rs`
//! enforces it; `tests/scenarios/*.txt` tell the stories.
//!
//! ```text
//!  facts ──► roster ──► patrol: a round is drawn ──► Look ──► Sighting ──► verify: Glance ──► verdict
//!                                                                                     │
//!             exception: raised, confirmed, ended ◄── bed: what the verdicts add up to ◄┘
//! ```

pub mod bed;
pub mod challenge;
pub mod exception;
pub mod facts;
pub mod liveness;
pub mod operating;
pub mod patrol;
pub mod policy;
pub mod roster;
pub mod sighting;
pub mod snapshot;
pub mod verdict;
pub mod verify;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::ids::{BedId, CameraId};

use bed::{Bed, BedMemory};
use exception::ExceptionChange;
use patrol::{LookId, Patrol, RoundMemory, RoundPlan, Step};
use policy::Policy;
use roster::Roster;
use sighting::{NoSighting, Sighting};
use verdict::CheckResult;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// What a former life of this agent wrote down; at most once, before anything else.
    Recall(Vec<Memory>),
    /// A new belief about who lies where. Replaces the former one.
    Roster(Roster),
    /// The answer to a [`Effect::Look`].
    Seen(Sighting),
    /// A look that brought no picture.
    NotSeen(NoSighting),
    /// A deadline came.
    Tick,
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Take a picture of this bed, later than `after`, and answer before `until`.
    Look { look: LookId, camera: CameraId, bed: BedId, after: Mono, until: Mono },
    /// Commit this finding, with the crop of look `keep` where there is one, and remember.
    Report { finding: Finding, keep: Option<LookId>, remember: Vec<Memory> },
}

/// What leaves the agent as an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Which beds are due until when: what the platform holds the agent to.
    RoundBegun(RoundPlan),
    /// One bed was checked.
    Checked(CheckResult),
    /// An exception was raised, confirmed or ended.
    Exception(ExceptionChange),
}

/// What must survive a restart; the key is the replaced unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "memory", rename_all = "snake_case")]
pub enum Memory {
    Bed(BedMemory),
    Round(RoundMemory),
}

impl Memory {
    /// Two memories with the same key: the later replaces the earlier.
    pub fn key(&self) -> String {
        match self {
            Memory::Bed(bed) => format!("bed/{}", bed.bed),
            Memory::Round(_) => "round".to_owned(),
        }
    }
}

/// Why the domain wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    RoundBegins,
    NextLook,
    LookTimesOut,
}

/// One ward's state: the single owner of what we believe.
pub struct Domain {
    policy: Policy,
    /// `None` until the first one is read: without it nothing is due, and nothing recalled is dropped.
    roster: Option<Roster>,
    beds: BTreeMap<BedId, Bed>,
    patrol: Patrol,
    effects: VecDeque<Effect>,
}

impl Domain {
    /// `views` says which camera sees which bed; `seed` makes the rounds unpredictable to the ward and exact in a
    /// replay.
    pub fn new(policy: Policy, views: BTreeMap<BedId, CameraId>, seed: [u8; 32], now: Now) -> Domain {
        let patrol = Patrol::new(&policy, views, seed, now);
        Domain { policy, roster: None, beds: BTreeMap::new(), patrol, effects: VecDeque::new() }
    }

    /// Takes one input. Drain [`Domain::poll_effect`] before the next.
    pub fn handle(&mut self, now: Now, input: Input) {
        debug_assert!(self.effects.is_empty(), "drain the effects before the next input");
        match input {
            Input::Recall(memories) => self.recall(now, memories),
            Input::Roster(roster) => self.take_roster(roster),
            Input::Seen(sighting) => {
                let glance = self
                    .patrol
                    .bed_of(sighting.look)
                    .and_then(|bed| self.roster.as_ref()?.stay_in(bed))
                    .map(|stay| verify::judge(&sighting, stay, &self.policy));
                if let Some(glance) = glance {
                    self.patrol.answer(now, sighting.look, Some(sighting.origin), glance, &self.policy);
                }
            }
            Input::NotSeen(failure) => {
                let glance = verify::Glance::Unusable(failure.reason);
                self.patrol.answer(now, failure.look, None, glance, &self.policy);
            }
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// The next thing to do, in order; `None` when everything of the last input is drained.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come back with [`Input::Tick`] at the latest, and why.
    pub fn next_deadline(&self) -> Option<(Mono, Why)> {
        self.roster.as_ref()?;
        self.patrol.next_deadline(&self.policy)
    }

    /// How many rounds have come to their end.
    pub fn rounds_done(&self) -> u64 {
        self.patrol.rounds_done()
    }

    fn recall(&mut self, now: Now, memories: Vec<Memory>) {
        let mut last_rounds = BTreeMap::new();
        let mut round = None;
        for memory in memories {
            match memory {
                Memory::Bed(memory) => {
                    last_rounds.insert(memory.bed.clone(), memory.last_round);
                    self.beds.insert(memory.bed.clone(), Bed::recall(memory));
                }
                Memory::Round(memory) => round = Some(memory),
            }
        }
        if let Some(round) = round {
            self.patrol.recall(now, round, &last_rounds);
        }
    }

    /// A bed that changed hands starts afresh: the former patient's absences are not the new one's.
    fn take_roster(&mut self, roster: Roster) {
        let stays = &roster;
        self.beds.retain(|id, bed| stays.stay_in(id).is_some_and(|stay| stay.id == *bed.stay()));
        for stay in roster.stays() {
            let bed = self
                .beds
                .entry(stay.bed.clone())
                .or_insert_with(|| Bed::new(stay.bed.clone(), stay.id.clone()));
            if let Some(change) = bed.heard(&stay.away, &self.policy) {
                self.effects.push_back(Effect::Report {
                    finding: Finding::Exception(change),
                    keep: None,
                    remember: vec![Memory::Bed(bed.memory())],
                });
            }
        }
        self.roster = Some(roster);
    }

    fn advance(&mut self, now: Now) {
        let Some(roster) = self.roster.take() else { return };
        while let Some(step) = self.patrol.step(now, &roster, &self.policy) {
            match step {
                Step::Begin(plan, memory) => self.effects.push_back(Effect::Report {
                    finding: Finding::RoundBegun(plan),
                    keep: None,
                    remember: vec![Memory::Round(memory)],
                }),
                Step::Look { look, camera, bed, after, until } => {
                    self.effects.push_back(Effect::Look { look, camera, bed, after, until });
                }
                Step::Conclude(result, keep) => self.conclude(now.wall, result, keep),
            }
        }
        self.roster = Some(roster);
    }

    fn conclude(&mut self, at: Wall, result: CheckResult, keep: Option<LookId>) {
        let Some(bed) = self.beds.get_mut(&result.bed) else { return };
        let changes = bed.take(at, &result, &self.policy);
        let remember = vec![Memory::Bed(bed.memory())];
        // Evidence goes with the check itself: an exception points at its checks.
        self.effects.push_back(Effect::Report {
            finding: Finding::Checked(result),
            keep,
            remember: remember.clone(),
        });
        for change in changes {
            self.effects.push_back(Effect::Report {
                finding: Finding::Exception(change),
                keep: None,
                remember: remember.clone(),
            });
        }
    }
}
