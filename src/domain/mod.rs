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
//!             irregular: what is suspicious without a look ◄── roster, cameras, clock
//! ```

pub mod article;
pub mod bed;
pub mod blink;
pub mod challenge;
pub mod draw;
pub mod effort;
pub mod exception;
pub mod facts;
pub mod handling;
pub mod interval;
pub mod irregular;
pub mod kiosk;
pub mod lead;
pub mod liveness;
pub mod operating;
pub mod order;
pub mod patrol;
pub mod policy;
pub mod presence;
pub mod retention;
pub mod role;
pub mod roster;
pub mod round;
pub mod sample;
pub mod schedule;
pub mod sighting;
pub mod snapshot;
pub mod timeline;
pub mod verdict;
pub mod verify;
pub mod walk;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::frame::Tamper;
use crate::base::ids::{BedId, CameraId};

use bed::{Bed, BedMemory};
use draw::{Commitment, Seed};
use effort::{Eased, Strain};
use exception::ExceptionChange;
use facts::{TakenBack, What};
use irregular::{Escape, Irregular, Irregularity, IrregularityChange, Told};
use order::{MOST_REMEMBERED, Order};
use patrol::{LookId, Patrol, Step};
use policy::Policy;
use roster::{Roster, Stay};
use round::{RoundMemory, RoundPlan};
use sighting::{NoSighting, Sighting};
use timeline::Timeline;
use verdict::CheckResult;
use walk::{Later, Sheet};

/// A clock that differs from the platform's by more is told: it decides what counts as late. A receipt is seconds old.
const CLOCK_OFF_MS: u64 = 120_000;

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
    /// What keeps a camera from showing the ward, or that nothing does.
    Camera { camera: CameraId, tamper: Option<Tamper> },
    /// Whether what is said finds no room on the disk any more.
    Store { is_full: bool },
    /// What the device feels while it works.
    Strain(Strain),
    /// How far this device's clock is ahead of the platform's, by its last receipt.
    PlatformTime { ahead_ms: i64 },
    /// The platform wants beds looked at now; the same order twice is one.
    Order(Order),
    /// The nurse stands at this bed with the camera; whatever bed was looked at before is come back to.
    Here { bed: BedId },
    /// The nurse goes on without a result, for this reason.
    Later { bed: BedId, why: Later },
    /// A deadline came.
    Tick,
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Take a picture of this bed, later than `after`, and answer before `until`; `keep`: its crop may be needed.
    Look { look: LookId, camera: CameraId, bed: BedId, after: Mono, until: Mono, keep: bool },
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
    /// Something is suspicious without a look at a bed.
    Irregular(IrregularityChange),
    /// What binds the draws from a round on, said before it.
    Committed(Commitment),
}

/// What must survive a restart; the key is the replaced unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "memory", rename_all = "snake_case")]
pub enum Memory {
    Bed(BedMemory),
    Round(RoundMemory),
    /// The secret behind the draws.
    Root {
        root: Seed,
    },
    Told {
        told: Told,
    },
    /// Ids of the latest orders that were carried out.
    Orders {
        done: VecDeque<String>,
    },
}

impl Memory {
    /// Two memories with the same key: the later replaces the earlier.
    pub fn key(&self) -> String {
        match self {
            Memory::Bed(bed) => format!("bed/{}", bed.bed),
            Memory::Round(round) if round.ordered => "round/ordered".to_owned(),
            Memory::Round(_) => "round".to_owned(),
            Memory::Root { .. } => "root".to_owned(),
            Memory::Told { .. } => "told".to_owned(),
            Memory::Orders { .. } => "orders".to_owned(),
        }
    }
}

/// Why the domain wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    RoundBegins,
    NextLook,
    LookTimesOut,
    /// A contradiction has lasted long enough to be told.
    Irregular,
}

/// One ward's state: the single owner of what we believe.
pub struct Domain {
    policy: Policy,
    /// `None` until the first one is read: without it nothing is due, and nothing recalled is dropped.
    roster: Option<Roster>,
    beds: BTreeMap<BedId, Bed>,
    patrol: Patrol,
    timeline: Timeline,
    irregular: Irregular,
    done_orders: VecDeque<String>,
    effects: VecDeque<Effect>,
}

impl Domain {
    /// `views` says which camera sees which bed; `root` is the secret behind the draws of a first life, which makes
    /// the rounds unpredictable to the ward and exact in a replay.
    pub fn new(policy: Policy, views: BTreeMap<BedId, CameraId>, root: [u8; 32], now: Now) -> Domain {
        let patrol = Patrol::new(&policy, views, Seed(root), now);
        Domain {
            policy,
            roster: None,
            beds: BTreeMap::new(),
            patrol,
            timeline: Timeline::default(),
            irregular: Irregular::default(),
            done_orders: VecDeque::new(),
            effects: VecDeque::new(),
        }
    }

    /// These beds are looked at only when a nurse stands there.
    #[must_use]
    pub fn walking(mut self, walks: BTreeMap<BedId, CameraId>) -> Domain {
        self.patrol.walk(walks);
        self
    }

    /// The round on foot that is going on, where there is one.
    pub fn sheet(&self) -> Option<Sheet> {
        self.patrol.sheet(self.roster.as_ref()?, &self.policy)
    }

    /// Takes one input. Drain [`Domain::poll_effect`] before the next.
    pub fn handle(&mut self, now: Now, input: Input) {
        debug_assert!(self.effects.is_empty(), "drain the effects before the next input");
        self.watch_the_clock(now);
        match input {
            Input::Recall(memories) => self.recall(now, memories),
            Input::Roster(roster) => self.take_roster(now, roster),
            Input::Seen(sighting) => self.take_sighting(now, &sighting),
            Input::NotSeen(failure) => {
                let glance = verify::Glance::Unusable(failure.reason);
                self.patrol.answer(now, failure.look, None, glance, &self.policy);
            }
            Input::Camera { camera, tamper } => self.take_camera(now, &camera, tamper),
            Input::PlatformTime { ahead_ms } => {
                let is_off = ahead_ms.unsigned_abs() > CLOCK_OFF_MS;
                let current = is_off.then_some(Irregularity::ClockOff { is_ahead: ahead_ms > 0 });
                let is_meant = |what: &Irregularity| matches!(what, Irregularity::ClockOff { .. });
                self.replace_irregular(now, is_meant, current.into_iter().collect());
            }
            Input::Store { is_full } => {
                let current = is_full.then_some(Irregularity::StoreFull);
                let is_meant = |what: &Irregularity| *what == Irregularity::StoreFull;
                self.replace_irregular(now, is_meant, current.into_iter().collect());
            }
            Input::Strain(strain) => self.patrol.feel(strain),
            Input::Order(order) => {
                if !self.done_orders.contains(&order.id) {
                    self.patrol.order(order);
                }
            }
            Input::Here { bed } => self.patrol.here(now.mono, &bed),
            Input::Later { bed, why } => self.patrol.later(&bed, why),
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
        let settles =
            self.irregular.next_due(|what| self.policy.patience(what)).map(|at| (at, Why::Irregular));
        self.patrol.next_deadline(&self.policy).into_iter().chain(settles).min_by_key(|(at, _)| *at)
    }

    /// When the next round begins; `None` during one.
    pub fn next_round(&self) -> Option<Mono> {
        self.patrol.next_deadline(&self.policy).and_then(|(at, why)| (why == Why::RoundBegins).then_some(at))
    }

    /// How many rounds have come to their end.
    pub fn rounds_done(&self) -> u64 {
        self.patrol.rounds_done()
    }

    /// Fewer beds are watched at once than the configuration allows.
    pub fn eased(&self) -> Option<Eased> {
        self.patrol.eased()
    }

    /// What binds the draws from the next round on.
    pub fn commitment(&self) -> Commitment {
        self.patrol.commitment()
    }

    fn recall(&mut self, now: Now, memories: Vec<Memory>) {
        let mut last_rounds = BTreeMap::new();
        let mut rounds = Vec::new();
        for memory in memories {
            match memory {
                Memory::Bed(memory) => {
                    last_rounds.insert(memory.bed.clone(), memory.last_round);
                    self.beds.insert(memory.bed.clone(), Bed::recall(memory));
                }
                Memory::Round(memory) => rounds.push(memory),
                Memory::Root { root } => self.patrol.recall_root(root),
                Memory::Told { told } => self.irregular.recall(told, now.mono),
                Memory::Orders { done } => self.done_orders = done,
            }
        }
        for round in rounds {
            self.patrol.recall(now, round, &last_rounds, &self.policy);
        }
        self.commit_to_draws();
    }

    /// Before its first round a chain of seeds is bound; saying it again after a restart is harmless.
    fn commit_to_draws(&mut self) {
        let remember = vec![Memory::Root { root: self.patrol.root() }];
        self.report(Finding::Committed(self.patrol.commitment()), None, remember);
    }

    fn watch_the_clock(&mut self, now: Now) {
        let pace = self.timeline.compare(now);
        if pace.stepped != 0 {
            self.beds.values_mut().for_each(|bed| bed.shift(pace.stepped));
            self.patrol.clock_was_set(now, pace.stepped, &self.policy);
        }
        if let Some(by_ms) = pace.tell {
            let step = Irregularity::ClockStepped { by_ms };
            self.report(Finding::Irregular(irregular::once(step, now.wall, now.wall)), None, Vec::new());
        }
    }

    fn take_sighting(&mut self, now: Now, sighting: &Sighting) {
        self.take_camera(now, &sighting.camera, sighting.tamper);
        let Some(roster) = &self.roster else { return };
        let stay = self.patrol.bed_of(sighting.look).and_then(|bed| roster.stay_in(bed));
        if let Some(stay) = stay {
            let glance = verify::judge(sighting, stay, &self.policy);
            self.patrol.answer(now, sighting.look, Some(sighting.origin), glance, &self.policy);
        }
    }

    fn take_camera(&mut self, now: Now, camera: &CameraId, tamper: Option<Tamper>) {
        let what = tamper.map(|tamper| Irregularity::CameraTampered {
            camera: camera.clone(),
            tamper,
            beds: self.patrol.beds_of(camera),
        });
        self.replace_irregular(now, |what| what.camera() == Some(camera), what.into_iter().collect());
    }

    /// A bed that changed hands starts afresh: the former patient's absences are not the new one's.
    fn take_roster(&mut self, now: Now, roster: Roster) {
        self.explain_by_departure(&roster);
        self.beds.retain(|id, bed| roster.stay_in(id).is_some_and(|stay| stay.id == *bed.stay()));
        for stay in roster.stays() {
            let bed = self
                .beds
                .entry(stay.bed.clone())
                .or_insert_with(|| Bed::new(stay.bed.clone(), stay.id.clone()));
            if let Some(change) = bed.heard(&stay.away, &self.policy) {
                let remember = vec![Memory::Bed(bed.memory())];
                self.report(Finding::Exception(change), None, remember);
            }
            for taken in &stay.taken_back {
                self.judge_taken_back(stay, taken);
            }
        }
        let contradictions = roster.contradictions().to_vec();
        self.replace_irregular(now, |what| what.is_of_roster(), contradictions);
        self.roster = Some(roster);
    }

    /// Whoever is said to have left before an absence that was seen, and said so after it.
    fn explain_by_departure(&mut self, roster: &Roster) {
        for left in roster.departures() {
            let Some(bed) = self.beds.get_mut(&left.bed).filter(|bed| *bed.stay() == left.stay) else {
                continue;
            };
            let heard = left.received;
            let grace = self.policy.excuse_grace;
            let late = bed.explain(|due| left.at <= due && due.plus(grace) < heard);
            let (Some(first), Some(last)) = (late.first(), late.last()) else { continue };
            let (first, last) = (first.due, last.due);
            let what = Irregularity::RetroactiveDeparture {
                how: left.how,
                bed: left.bed.clone(),
                stay: left.stay.clone(),
                masked_name: left.masked_name.clone(),
                at: left.at,
                heard,
            };
            self.tell_once(what, first, last);
        }
    }

    /// What was said before a round and taken back after it served only that round.
    fn judge_taken_back(&mut self, stay: &Stay, taken: &TakenBack) {
        let (said, taken_back) = (taken.said, taken.received);
        let is_between = |begin: &Wall| said <= *begin && *begin < taken_back;
        let what = match taken.what {
            What::Discharge => Escape::Discharge,
            What::Transfer => Escape::Transfer,
            What::Leave => Escape::Leave,
            What::Admission | What::Return => return,
        };
        let served = match what {
            Escape::Discharge | Escape::Transfer => {
                taken.left_ward && self.patrol.begins().iter().any(is_between)
            }
            Escape::Leave => self.beds.get(&stay.bed).is_some_and(|bed| bed.was_excused(said, taken_back)),
        };
        if served {
            let (bed, masked_name) = (stay.bed.clone(), stay.masked_name());
            let stay = stay.id.clone();
            self.tell_once(
                Irregularity::TakenBack { what, bed, stay, masked_name, said, taken_back },
                said,
                taken_back,
            );
        }
    }

    fn tell_once(&mut self, what: Irregularity, first: Wall, last: Wall) {
        if let Some(change) = self.irregular.once(what, first, last) {
            self.tell(vec![change]);
        }
    }

    fn replace_irregular(
        &mut self,
        now: Now,
        is_meant: impl Fn(&Irregularity) -> bool,
        current: Vec<Irregularity>,
    ) {
        let ended = self.irregular.replace(now.mono, now.wall, is_meant, current);
        self.tell(ended);
    }

    fn tell(&mut self, changes: Vec<IrregularityChange>) {
        for change in changes {
            let remember = vec![Memory::Told { told: self.irregular.told() }];
            self.report(Finding::Irregular(change), None, remember);
        }
    }

    fn advance(&mut self, now: Now) {
        let raised = self.irregular.due(now.mono, now.wall, |what| self.policy.patience(what));
        self.tell(raised);
        let Some(roster) = self.roster.take() else { return };
        loop {
            let beds = &self.beds;
            let tickets = |bed: &BedId| beds.get(bed).map_or(1, Bed::tickets);
            let Some(step) = self.patrol.step(now, &roster, &tickets, &self.policy) else { break };
            match step {
                Step::Begin(plan, memory) => self.begin(plan, memory),
                Step::Look { look, camera, bed, after, until, keep } => {
                    self.effects.push_back(Effect::Look { look, camera, bed, after, until, keep });
                }
                Step::Conclude(result, keep) => self.conclude(now.wall, result, keep, &roster),
            }
        }
        self.roster = Some(roster);
    }

    fn begin(&mut self, plan: RoundPlan, memory: RoundMemory) {
        let mut remember = vec![Memory::Round(memory)];
        if let Some(order) = &plan.order {
            self.done_orders.push_back(order.id.clone());
            self.done_orders.drain(..self.done_orders.len().saturating_sub(MOST_REMEMBERED));
            remember.push(Memory::Orders { done: self.done_orders.clone() });
        }
        self.report(Finding::RoundBegun(plan), None, remember);
        if self.patrol.commitment().begins_chain() {
            self.commit_to_draws();
        }
    }

    fn conclude(&mut self, at: Wall, result: CheckResult, keep: Option<LookId>, roster: &Roster) {
        let Some(bed) = self.beds.get_mut(&result.bed) else { return };
        let mut changes = bed.take(at, &result, &self.policy);
        // A reason may have come too late and yet before the check was over.
        let away = roster.stay_in(&result.bed).map_or(&[][..], |stay| &stay.away);
        changes.extend(bed.heard(away, &self.policy));
        let remember = vec![Memory::Bed(bed.memory())];
        // Evidence goes with the check itself: an exception points at its checks.
        self.report(Finding::Checked(result), keep, remember.clone());
        for change in changes {
            self.report(Finding::Exception(change), None, remember.clone());
        }
    }

    fn report(&mut self, finding: Finding, keep: Option<LookId>, remember: Vec<Memory>) {
        self.effects.push_back(Effect::Report { finding, keep, remember });
    }
}
