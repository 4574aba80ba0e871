//! One round: which beds are due until when, and how far each of its checks has come.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::clock::{Mono, Wall};
use crate::base::ids::{BedId, StayId};
use crate::domain::draw::Revealed;
use crate::domain::effort::Effort;
use crate::domain::order::Ordered;
use crate::domain::patrol::LookId;
use crate::domain::policy::Policy;
use crate::domain::sighting::Reason;
use crate::domain::verdict::Verdict;
use crate::domain::verify::{Glance, Proof};
use crate::domain::walk::Later;

/// One check that the platform may expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueCheck {
    pub bed: BedId,
    pub stay: StayId,
    pub masked_name: String,
    /// In how many parts of the draw this bed had a share; more where the risk is greater.
    #[serde(default = "one")]
    pub tickets: u16,
}

fn one() -> u16 {
    1
}

/// A bed that the draw spared this time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    pub bed: BedId,
    pub tickets: u16,
}

/// When the round might have begun: its seed chose the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub from: Wall,
    pub span_ms: u64,
}

/// The announcement of a round: what the agent can be held to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundPlan {
    pub round: u64,
    pub began: Wall,
    /// Every check of this round is concluded before this.
    pub until: Wall,
    /// The next round begins before this.
    pub next_by: Wall,
    /// In the order in which they are looked at.
    pub due: Vec<DueCheck>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spared: Vec<Spared>,
    /// Absent for an ordered round and for one that goes on after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The order it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Ordered>,
    /// The seed of the round before, now that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revealed: Option<Revealed>,
}

/// What of a round survives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundMemory {
    pub round: u64,
    pub began: Wall,
    pub until: Wall,
    pub beds: Vec<BedId>,
    #[serde(default)]
    pub ordered: bool,
    /// Whether the order wants pictures.
    #[serde(default)]
    pub evidence: bool,
    /// How many rounds in a row spared each bed.
    #[serde(default)]
    pub spared: BTreeMap<BedId, u16>,
    /// When the latest rounds began, oldest first.
    #[serde(default)]
    pub begins: Vec<Wall>,
}

/// One due check between its round's begin and its verdict.
pub(super) struct Open {
    pub(super) bed: BedId,
    /// What each look so far said, and which look it was.
    pub(super) glances: Vec<Glance>,
    pub(super) looks: Vec<LookId>,
    /// Whether any picture so far was live.
    pub(super) live: bool,
    pub(super) next_look: Mono,
    pub(super) waiting: Option<(LookId, Mono)>,
    /// Why a nurse went on without a result.
    pub(super) later: Option<Later>,
}

/// The look that a verdict rests on.
pub(super) struct Deciding {
    pub(super) look: LookId,
    pub(super) similarity: Option<f32>,
    pub(super) life: Option<Proof>,
}

pub(super) struct Round {
    pub(super) number: u64,
    pub(super) began: Wall,
    pub(super) until: Mono,
    /// Checks of which a look was asked for; no more than `Policy::beds_at_once`.
    pub(super) begun: Vec<Open>,
    /// Beds not looked at yet, in the drawn order.
    pub(super) ahead: VecDeque<BedId>,
    /// Beds where no nurse stands now, in the drawn order.
    pub(super) to_walk: Vec<Open>,
    /// What came of those where one stood.
    pub(super) walked: Vec<(BedId, Verdict)>,
    /// The nonce of the order it answers.
    pub(super) nonce: Option<String>,
    pub(super) ordered: bool,
    pub(super) evidence: bool,
}

impl Round {
    pub(super) fn is_over(&self) -> bool {
        self.begun.is_empty() && self.ahead.is_empty() && self.to_walk.is_empty()
    }

    /// Looks asked for and not yet answered.
    pub(super) fn outstanding(&self) -> usize {
        self.begun.iter().filter(|open| open.waiting.is_some()).count()
    }

    /// When another bed that waits may be begun: every begun one is watched, and watching takes the processor's time. Where
    /// the effort is eased, at the latest when those that wait could not be done in time any more by so few at once.
    pub(super) fn begins_next(&self, effort: &Effort, policy: &Policy) -> Option<Mono> {
        let begun = self.begun.len();
        if self.ahead.is_empty() || begun >= usize::from(policy.beds_at_once) {
            return None;
        }
        if begun < usize::from(effort.beds_at_once()) {
            return Some(Mono::default());
        }
        let needs = policy.longest_check()
            * u32::try_from((self.ahead.len() + begun).div_ceil(begun.max(1))).unwrap_or(u32::MAX);
        Some(Mono(self.until.0.saturating_sub(u64::try_from(needs.as_millis()).unwrap_or(u64::MAX))))
    }

    pub(super) fn waiting_for(&mut self, look: LookId) -> Option<&mut Open> {
        self.begun.iter_mut().find(|open| open.waits_for(look))
    }

    /// Takes every look that has had its time for one without a picture.
    pub(super) fn expire(&mut self, now: Mono, policy: &Policy) {
        for open in &mut self.begun {
            if let Some((look, until)) = open.waiting
                && until <= now
            {
                open.take(now, look, Glance::Unusable(Reason::NoPicture), policy);
            }
        }
    }
}

impl Open {
    pub(super) fn new(bed: BedId, now: Mono) -> Open {
        Open {
            bed,
            glances: Vec::new(),
            looks: Vec::new(),
            live: false,
            next_look: now,
            waiting: None,
            later: None,
        }
    }

    /// When it wants to be looked at again; never after its last look.
    pub(super) fn wants_look(&self, policy: &Policy) -> Option<Mono> {
        let may = self.waiting.is_none() && self.glances.len() < usize::from(policy.looks_per_check);
        may.then_some(self.next_look)
    }

    pub(super) fn waits_for(&self, look: LookId) -> bool {
        self.waiting.is_some_and(|(waiting, _)| waiting == look)
    }

    pub(super) fn take(&mut self, now: Mono, look: LookId, glance: Glance, policy: &Policy) {
        self.waiting = None;
        self.next_look = now + policy.look_spacing;
        self.glances.push(glance);
        self.looks.push(look);
    }

    /// The last look that speaks for `verdict`.
    pub(super) fn deciding(&self, verdict: &Verdict) -> Option<Deciding> {
        self.looks.iter().zip(&self.glances).rev().find_map(|(look, glance)| {
            let (similarity, life) = match (verdict, glance) {
                (Verdict::Verified, Glance::Match { similarity, life }) => (Some(*similarity), life.clone()),
                (Verdict::NotLive { .. }, Glance::Lifeless { similarity, life }) => {
                    (Some(*similarity), Some(life.clone()))
                }
                (Verdict::Mismatch | Verdict::WrongBed { .. }, Glance::Other { similarity, .. }) => {
                    (Some(*similarity), None)
                }
                (Verdict::Absent | Verdict::Excused { .. }, Glance::Empty { .. })
                | (Verdict::FaceHidden, Glance::Hidden { .. })
                | (Verdict::Inconclusive { .. }, _) => (None, None),
                (
                    Verdict::Verified
                    | Verdict::NotLive { .. }
                    | Verdict::Absent
                    | Verdict::Excused { .. }
                    | Verdict::FaceHidden
                    | Verdict::Mismatch
                    | Verdict::WrongBed { .. },
                    _,
                ) => return None,
            };
            Some(Deciding { look: *look, similarity, life })
        })
    }
}
