//! When to look where (patrol, 智慧巡查): rounds at times and in an order that the ward cannot predict.
//!
//! ```text
//!   slot k                      slot k+1
//!   |----x=========|------------|--------x=====...
//!        ^ begins at a drawn time, beds in a drawn order; every open check ends before `until`
//! ```
//! Draws are SHA-256 of a secret seed, so a revealed seed proves afterwards that nobody chose the times.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::frame::Origin;
use crate::base::ids::{BedId, CameraId, StayId};
use crate::base::redact::mask_name;
use crate::domain::Why;
use crate::domain::policy::Policy;
use crate::domain::roster::Roster;
use crate::domain::sighting::Reason;
use crate::domain::verdict::{CheckResult, Verdict, conclude};
use crate::domain::verify::{Glance, Proof};

/// Looks asked for and not yet answered: more would only wait in front of the one vision thread.
const OUTSTANDING: usize = 2;

/// Names one look of one life of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookId(pub u64);

/// One check that the platform may expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueCheck {
    pub bed: BedId,
    pub stay: StayId,
    pub masked_name: String,
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
    pub due: Vec<DueCheck>,
}

/// What of a round survives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundMemory {
    pub round: u64,
    pub began: Wall,
    pub until: Wall,
    pub beds: Vec<BedId>,
}

/// The next thing the patrol wants.
pub enum Step {
    Begin(RoundPlan, RoundMemory),
    Look { look: LookId, camera: CameraId, bed: BedId, after: Mono, until: Mono },
    Conclude(CheckResult, Option<LookId>),
}

/// One due check between its round's begin and its verdict.
struct Open {
    bed: BedId,
    /// What each look so far said, and which look it was.
    glances: Vec<Glance>,
    looks: Vec<LookId>,
    /// Whether any picture so far was live.
    live: bool,
    next_look: Mono,
    waiting: Option<(LookId, Mono)>,
}

/// The look that a verdict rests on.
struct Deciding {
    look: LookId,
    similarity: Option<f32>,
    life: Option<Proof>,
}

struct Round {
    number: u64,
    began: Wall,
    until: Mono,
    open: VecDeque<Open>,
}

/// The state of the patrol: between rounds, or in one.
pub struct Patrol {
    seed: [u8; 32],
    views: BTreeMap<BedId, CameraId>,
    next_number: u64,
    slot: Mono,
    next_round: Mono,
    round: Option<Round>,
    done: u64,
    next_look_id: u64,
}

impl Patrol {
    pub fn new(policy: &Policy, views: BTreeMap<BedId, CameraId>, seed: [u8; 32], now: Now) -> Patrol {
        let mut patrol = Patrol {
            seed,
            views,
            next_number: 1,
            slot: now.mono,
            next_round: now.mono,
            round: None,
            done: 0,
            next_look_id: 1,
        };
        patrol.next_round = patrol.slot + patrol.drawn_delay(policy);
        patrol
    }

    /// Goes on with a round that a restart interrupted, or leaves it behind if its time is over.
    pub fn recall(&mut self, now: Now, memory: RoundMemory, last_rounds: &BTreeMap<BedId, u64>) {
        self.next_number = memory.round + 1;
        let left = memory.until.since(now.wall);
        if left.is_zero() {
            return;
        }
        let open = memory
            .beds
            .into_iter()
            .filter(|bed| last_rounds.get(bed).is_none_or(|last| *last < memory.round))
            .map(|bed| Open {
                bed,
                glances: Vec::new(),
                looks: Vec::new(),
                live: false,
                next_look: now.mono,
                waiting: None,
            })
            .collect();
        self.round = Some(Round { number: memory.round, began: memory.began, until: now.mono + left, open });
    }

    pub fn rounds_done(&self) -> u64 {
        self.done
    }

    /// The bed an unanswered look was meant for.
    pub fn bed_of(&self, look: LookId) -> Option<&BedId> {
        let round = self.round.as_ref()?;
        round.open.iter().find(|open| open.waits_for(look)).map(|open| &open.bed)
    }

    /// Takes the answer to a look; an answer nobody waits for any more is dropped.
    pub fn answer(
        &mut self,
        now: Now,
        look: LookId,
        origin: Option<Origin>,
        glance: Glance,
        policy: &Policy,
    ) {
        let Some(round) = &mut self.round else { return };
        let Some(open) = round.open.iter_mut().find(|open| open.waits_for(look)) else { return };
        open.live |= origin == Some(Origin::Live);
        open.take(now.mono, look, glance, policy);
    }

    /// The next step that is due at `now`; call until `None`.
    pub fn step(&mut self, now: Now, roster: &Roster, policy: &Policy) -> Option<Step> {
        if self.round.is_none() {
            return (now.mono >= self.next_round).then(|| self.begin(now, roster, policy));
        }
        self.expire(now.mono, policy);
        if let Some(step) = self.conclude_one(now, roster, policy) {
            return Some(step);
        }
        if self.round.as_ref().is_some_and(|round| round.open.is_empty()) {
            self.round = None;
            self.done += 1;
            return self.step(now, roster, policy);
        }
        self.look(now, policy)
    }

    pub fn next_deadline(&self, policy: &Policy) -> Option<(Mono, Why)> {
        let Some(round) = &self.round else { return Some((self.next_round, Why::RoundBegins)) };
        let room = round.has_room(policy);
        let outstanding = round.open.iter().filter(|open| open.waiting.is_some()).count();
        let timeouts =
            round.open.iter().filter_map(|open| open.waiting).map(|(_, at)| (at, Why::LookTimesOut));
        let looks = round
            .open
            .iter()
            .filter(|open| outstanding < OUTSTANDING && open.waiting.is_none())
            .filter(|open| open.glances.len() < usize::from(policy.looks_per_check))
            .filter(|open| room || open.has_begun())
            .map(|open| (open.next_look, Why::NextLook));
        timeouts.chain(looks).chain([(round.until, Why::LookTimesOut)]).min_by_key(|(at, _)| *at)
    }

    fn begin(&mut self, now: Now, roster: &Roster, policy: &Policy) -> Step {
        let number = self.next_number;
        self.next_number += 1;
        // Slots follow each other without drift; after a long sleep the missed ones are not made up.
        while self.slot + policy.round_every <= now.mono {
            self.slot = self.slot + policy.round_every;
        }
        self.slot = self.slot + policy.round_every;
        let latest = self.slot + policy.round_every.mul_f32(policy.round_jitter);
        self.next_round = self.slot + self.drawn_delay(policy);

        let mut due: Vec<DueCheck> = roster
            .stays()
            .map(|stay| DueCheck {
                bed: stay.bed.clone(),
                stay: stay.id.clone(),
                masked_name: mask_name(stay.psn_name.reveal()),
            })
            .collect();
        due.sort_by_key(|check| self.draw(&format!("order/{number}/{}", check.bed)));
        let beds: Vec<BedId> = due.iter().map(|check| check.bed.clone()).collect();
        let until = now.wall.plus(policy.check_within);
        self.round = Some(Round {
            number,
            began: now.wall,
            until: now.mono + policy.check_within,
            open: beds
                .iter()
                .map(|bed| Open {
                    bed: bed.clone(),
                    glances: Vec::new(),
                    looks: Vec::new(),
                    live: false,
                    next_look: now.mono,
                    waiting: None,
                })
                .collect(),
        });
        let next_by = now.wall.plus(latest - now.mono);
        Step::Begin(
            RoundPlan { round: number, began: now.wall, until, next_by, due },
            RoundMemory { round: number, began: now.wall, until, beds },
        )
    }

    fn expire(&mut self, now: Mono, policy: &Policy) {
        let Some(round) = &mut self.round else { return };
        for open in &mut round.open {
            if let Some((look, until)) = open.waiting
                && until <= now
            {
                open.take(now, look, Glance::Unusable(Reason::NoPicture), policy);
            }
        }
    }

    fn conclude_one(&mut self, now: Now, roster: &Roster, policy: &Policy) -> Option<Step> {
        let views = &self.views;
        let round = self.round.as_mut()?;
        let over = round.until <= now.mono;
        let (at, verdict) = round.open.iter().enumerate().find_map(|(at, open)| {
            if !views.contains_key(&open.bed) {
                return Some((at, Verdict::Inconclusive { reason: Reason::NoPicture }));
            }
            let is_empty = roster.stay_in(&open.bed).is_none();
            conclude(&open.glances, over || is_empty, policy).map(|verdict| (at, verdict))
        })?;
        let open = round.open.remove(at)?;
        let Some(stay) = roster.stay_in(&open.bed) else {
            // The bed was emptied in the middle of the round: nothing is due any more.
            return self.conclude_one(now, roster, policy);
        };
        let verdict = verdict.accounted_for(&stay.away, round.began, policy);
        let deciding = open.deciding(&verdict);
        let is_fine = matches!(verdict, Verdict::Verified | Verdict::Excused { .. });
        let keep = deciding.as_ref().map(|deciding| deciding.look).filter(|_| !is_fine);
        let result = CheckResult {
            round: round.number,
            bed: open.bed.clone(),
            stay: stay.id.clone(),
            masked_name: mask_name(stay.psn_name.reveal()),
            due: round.began,
            done: now.wall,
            verdict,
            similarity: deciding.as_ref().and_then(|deciding| deciding.similarity),
            threshold: policy.face.match_at,
            fmr: policy.face.fmr.clone(),
            looks: u8::try_from(open.glances.len()).unwrap_or(u8::MAX),
            life: deciding.and_then(|deciding| deciding.life),
            synthetic: !open.live,
        };
        Some(Step::Conclude(result, keep))
    }

    fn look(&mut self, now: Now, policy: &Policy) -> Option<Step> {
        let views = &self.views;
        let round = self.round.as_mut()?;
        if round.open.iter().filter(|open| open.waiting.is_some()).count() >= OUTSTANDING {
            return None;
        }
        let room = round.has_room(policy);
        let open = round.open.iter_mut().find(|open| {
            open.waiting.is_none()
                && open.next_look <= now.mono
                && open.glances.len() < usize::from(policy.looks_per_check)
                && (room || open.has_begun())
        })?;
        let camera = views.get(&open.bed)?.clone();
        let look = LookId(self.next_look_id);
        self.next_look_id += 1;
        let until = now.mono + policy.look_timeout;
        open.waiting = Some((look, until));
        Some(Step::Look { look, camera, bed: open.bed.clone(), after: now.mono, until })
    }

    fn drawn_delay(&self, policy: &Policy) -> Duration {
        let share = self.draw(&format!("begin/{}", self.next_number)) as f64 / u64::MAX as f64;
        policy.round_every.mul_f64(share * f64::from(policy.round_jitter))
    }

    fn draw(&self, purpose: &str) -> u64 {
        let digest = Sha256::new().chain_update(self.seed).chain_update(purpose).finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Round {
    /// Whether another bed may be begun: every begun one is watched, and watching takes the processor's time.
    fn has_room(&self, policy: &Policy) -> bool {
        self.open.iter().filter(|open| open.has_begun()).count() < usize::from(policy.beds_at_once)
    }
}

impl Open {
    fn has_begun(&self) -> bool {
        self.waiting.is_some() || !self.glances.is_empty()
    }

    fn waits_for(&self, look: LookId) -> bool {
        self.waiting.is_some_and(|(waiting, _)| waiting == look)
    }

    fn take(&mut self, now: Mono, look: LookId, glance: Glance, policy: &Policy) {
        self.waiting = None;
        self.next_look = now + policy.look_spacing;
        self.glances.push(glance);
        self.looks.push(look);
    }

    /// The last look that speaks for `verdict`.
    fn deciding(&self, verdict: &Verdict) -> Option<Deciding> {
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
