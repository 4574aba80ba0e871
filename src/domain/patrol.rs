//! When to look where (patrol, 智慧巡查): rounds at times and in an order that the ward cannot predict.
//!
//! ```text
//!   opening k (a slot or a window)      opening k+1
//!   |----x=========|--------------------|--------x=====...
//!        ^ begins at a drawn time, beds in a drawn order; every open check ends before `until`
//!
//!   an order of the platform sets the running round aside, is done at once, and then the round goes on
//! ```
//! Every round has a seed of a committed hash chain (`draw`), shown when the round is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::frame::Origin;
use crate::base::ids::{BedId, CameraId};
use crate::domain::Why;
use crate::domain::draw::{self, Commitment, MOST_TICKETS, Revealed, Seed};
use crate::domain::effort::{Eased, Effort, Strain};
use crate::domain::order::{MOST_WAITING, Order};
use crate::domain::policy::Policy;
use crate::domain::roster::{Roster, Stay};
use crate::domain::round::{DueCheck, Open, Round, RoundMemory, RoundPlan, Spared};
use crate::domain::schedule::Opening;
use crate::domain::sighting::Reason;
use crate::domain::verdict::{CheckResult, Verdict, conclude};
use crate::domain::verify::Glance;
use crate::domain::walk::{Later, Sheet};

/// Looks asked for and not yet answered: more would only wait in front of the one vision thread.
const OUTSTANDING: usize = 2;

/// Begins of rounds that are remembered: a week of them.
const MOST_BEGINS: usize = 42;

/// Names one look of one life of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookId(pub u64);

/// The next thing the patrol wants.
pub enum Step {
    Begin(RoundPlan, RoundMemory),
    Look { look: LookId, camera: CameraId, bed: BedId, after: Mono, until: Mono, keep: bool },
    Conclude(CheckResult, Option<LookId>),
}

/// The state of the patrol: between rounds, or in one.
pub struct Patrol {
    root: Seed,
    views: BTreeMap<BedId, CameraId>,
    /// Those of them where a nurse brings the camera.
    on_foot: BTreeSet<BedId>,
    next_number: u64,
    /// Of the round with that number.
    next_seed: Seed,
    opening: Opening,
    round: Option<Round>,
    /// The round that an order interrupted.
    aside: Option<Round>,
    orders: VecDeque<Order>,
    /// How many rounds in a row spared each bed.
    spared: BTreeMap<BedId, u16>,
    begins: Vec<Wall>,
    done: u64,
    next_look_id: u64,
    effort: Effort,
}

impl Patrol {
    pub fn new(policy: &Policy, views: BTreeMap<BedId, CameraId>, root: Seed, now: Now) -> Patrol {
        Patrol {
            root,
            views,
            on_foot: BTreeSet::new(),
            next_number: 1,
            next_seed: draw::seed(root, 1),
            opening: Opening::first(policy, now),
            round: None,
            aside: None,
            orders: VecDeque::new(),
            spared: BTreeMap::new(),
            begins: Vec::new(),
            done: 0,
            next_look_id: 1,
            effort: Effort::full(policy.beds_at_once),
        }
    }

    /// These beds are looked at only when a nurse stands there.
    pub fn walk(&mut self, walks: BTreeMap<BedId, CameraId>) {
        self.on_foot.extend(walks.keys().cloned());
        self.views.extend(walks);
    }

    /// Goes on with the secret of a former life: what was committed to stays so.
    pub fn recall_root(&mut self, root: Seed) {
        self.root = root;
        self.count_from(self.next_number);
    }

    fn count_from(&mut self, number: u64) {
        self.next_number = number;
        self.next_seed = draw::seed(self.root, number);
    }

    /// Goes on with a round that a restart interrupted, or leaves it behind if its time is over.
    pub fn recall(
        &mut self,
        now: Now,
        memory: RoundMemory,
        last_rounds: &BTreeMap<BedId, u64>,
        policy: &Policy,
    ) {
        self.count_from(self.next_number.max(memory.round + 1));
        if !memory.ordered {
            (self.spared, self.begins) = (memory.spared, memory.begins);
        }
        // Whoever set the clock back meanwhile gains no time.
        let left = memory.until.since(now.wall).min(policy.check_within);
        if left.is_zero() {
            return;
        }
        let beds = memory.beds.into_iter();
        let beds = beds.filter(|bed| last_rounds.get(bed).is_none_or(|last| *last < memory.round));
        let (to_walk, ahead) = self.split(beds, now.mono);
        let round = Round {
            number: memory.round,
            began: memory.began,
            until: now.mono + left,
            begun: Vec::new(),
            ahead,
            to_walk,
            walked: Vec::new(),
            nonce: None,
            ordered: memory.ordered,
            evidence: memory.evidence,
        };
        match self.round.take() {
            None => self.round = Some(round),
            Some(other) if memory.ordered => (self.round, self.aside) = (Some(round), Some(other)),
            Some(other) => (self.round, self.aside) = (Some(other), Some(round)),
        }
    }

    /// Follows what the device feels.
    pub fn feel(&mut self, strain: Strain) {
        self.effort.feel(strain);
    }

    pub fn eased(&self) -> Option<Eased> {
        self.effort.eased()
    }

    pub fn rounds_done(&self) -> u64 {
        self.done
    }

    /// What binds the draws from the next round on.
    pub fn commitment(&self) -> Commitment {
        Commitment { round: self.next_number, sha256: self.next_seed.hash() }
    }

    pub fn root(&self) -> Seed {
        self.root
    }

    /// When the latest rounds began, oldest first.
    pub fn begins(&self) -> &[Wall] {
        &self.begins
    }

    /// Takes an order. One that waits already is the same one again; one that finds no room comes with the next receipt.
    pub fn order(&mut self, order: Order) {
        let waits = self.orders.iter().any(|known| known.id == order.id);
        if !waits && self.orders.len() < MOST_WAITING {
            self.orders.push_back(order);
        }
    }

    /// The nurse stands at this bed.
    pub fn here(&mut self, now: Mono, bed: &BedId) {
        if let Some(round) = &mut self.round {
            round.here(now, bed, &self.on_foot);
        }
    }

    /// The nurse goes on without a result.
    pub fn later(&mut self, bed: &BedId, why: Later) {
        if let Some(round) = &mut self.round {
            round.later(bed, why);
        }
    }

    /// The nurse's list, where the round has beds on foot.
    pub fn sheet(&self, roster: &Roster, policy: &Policy) -> Option<Sheet> {
        self.round.as_ref()?.sheet(&self.on_foot, roster, policy)
    }

    /// The beds that a camera looks at.
    pub fn beds_of(&self, camera: &CameraId) -> Vec<BedId> {
        self.views.iter().filter(|(_, by)| *by == camera).map(|(bed, _)| bed.clone()).collect()
    }

    /// The wall clock was set: windows of the day lie elsewhere now.
    pub fn clock_was_set(&mut self, now: Now, by_ms: i64, policy: &Policy) {
        for begin in &mut self.begins {
            *begin = Wall(begin.0.saturating_add(by_ms));
        }
        if !policy.windows.is_empty() {
            self.opening = Opening::first(policy, now);
        }
    }

    /// The bed an unanswered look was meant for.
    pub fn bed_of(&self, look: LookId) -> Option<&BedId> {
        let round = self.round.as_ref()?;
        round.begun.iter().find(|open| open.waits_for(look)).map(|open| &open.bed)
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
        let Some(open) = self.round.as_mut().and_then(|round| round.waiting_for(look)) else { return };
        open.live |= origin == Some(Origin::Live);
        open.take(now.mono, look, glance, policy);
    }

    /// The next step that is due at `now`; call until `None`. `tickets` says how much each bed is at risk.
    pub fn step(
        &mut self,
        now: Now,
        roster: &Roster,
        tickets: &dyn Fn(&BedId) -> u16,
        policy: &Policy,
    ) -> Option<Step> {
        let may_interrupt = self.round.as_ref().is_none_or(|round| !round.ordered);
        if may_interrupt && let Some(order) = self.orders.pop_front() {
            self.set_aside();
            return Some(self.begin_order(now, &order, roster, policy));
        }
        let Some(round) = &mut self.round else {
            return (now.mono >= self.next_round()).then(|| self.begin(now, roster, tickets, policy));
        };
        round.expire(now.mono, policy);
        if let Some(step) = self.conclude_one(now, roster, policy) {
            return Some(step);
        }
        if self.round.as_ref().is_some_and(Round::is_over) {
            self.round = self.aside.take();
            self.done += 1;
            return self.step(now, roster, tickets, policy);
        }
        self.look(now, policy)
    }

    fn next_round(&self) -> Mono {
        self.opening.moment(self.next_seed.delay())
    }

    fn set_aside(&mut self) {
        let Some(mut round) = self.round.take() else { return };
        // An answer that comes now belongs to no check any more; the check looks again.
        round.begun.iter_mut().for_each(|open| open.waiting = None);
        self.aside = Some(round);
    }

    pub fn next_deadline(&self, policy: &Policy) -> Option<(Mono, Why)> {
        let Some(round) = &self.round else { return Some((self.next_round(), Why::RoundBegins)) };
        let begun = round.begun.iter();
        let timeouts = begun.clone().filter_map(|open| open.waiting).map(|(_, at)| (at, Why::LookTimesOut));
        let is_free = round.outstanding() < OUTSTANDING;
        let looks = begun.filter_map(|open| open.wants_look(policy)).filter(|_| is_free);
        let next = round.begins_next(&self.effort, policy).filter(|_| is_free);
        let looks = looks.chain(next).map(|at| (at, Why::NextLook));
        timeouts.chain(looks).chain([(round.until, Why::LookTimesOut)]).min_by_key(|(at, _)| *at)
    }

    fn begin(&mut self, now: Now, roster: &Roster, tickets: &dyn Fn(&BedId) -> u16, policy: &Policy) -> Step {
        let slot = self.opening.as_slot(now);
        self.opening = self.opening.next(policy, now);
        let seed = self.next_seed;
        let mut drawn: Vec<(&Stay, u16)> = roster
            .stays()
            .map(|stay| {
                let waited = self.spared.get(&stay.bed).copied().unwrap_or_default();
                (stay, tickets(&stay.bed).saturating_mul(waited.saturating_add(1)).clamp(1, MOST_TICKETS))
            })
            .collect();
        let wanted = (drawn.len() as f64 * f64::from(policy.sample)).ceil() as usize;
        let mut spared = Vec::new();
        if wanted < drawn.len() {
            drawn.sort_by_cached_key(|(stay, tickets)| std::cmp::Reverse(seed.luck(&stay.bed, *tickets)));
            spared = drawn.split_off(wanted);
            spared.sort_by(|(one, _), (other, _)| one.bed.cmp(&other.bed));
        }
        let again = spared.iter().map(|(stay, _)| {
            let waited = self.spared.get(&stay.bed).copied().unwrap_or_default();
            (stay.bed.clone(), waited.saturating_add(1))
        });
        self.spared = again.collect();
        self.begins.push(now.wall);
        self.begins.drain(..self.begins.len().saturating_sub(MOST_BEGINS));
        let spared = spared.into_iter().map(|(stay, tickets)| Spared { bed: stay.bed.clone(), tickets });
        let until = now.wall.plus(policy.check_within);
        let plan = self.plan(now, seed, drawn, until);
        self.announce(now, RoundPlan { spared: spared.collect(), slot: Some(slot), ..plan }, false)
    }

    fn begin_order(&mut self, now: Now, order: &Order, roster: &Roster, policy: &Policy) -> Step {
        let is_meant = |stay: &&Stay| order.beds.is_empty() || order.beds.contains(&stay.bed);
        let drawn = roster.stays().filter(is_meant).map(|stay| (stay, 1)).collect();
        let seed = self.next_seed;
        let until = Wall(now.wall.plus(policy.check_within).0.min(order.until.0.max(now.wall.0)));
        let plan = self.plan(now, seed, drawn, until);
        self.announce(now, RoundPlan { order: Some(order.as_ordered()), ..plan }, order.evidence)
    }

    fn plan(&mut self, now: Now, seed: Seed, mut drawn: Vec<(&Stay, u16)>, until: Wall) -> RoundPlan {
        let round = self.next_number;
        self.count_from(round + 1);
        drawn.sort_by_cached_key(|(stay, _)| seed.place(&stay.bed));
        let due = drawn.into_iter().map(|(stay, tickets)| DueCheck {
            bed: stay.bed.clone(),
            stay: stay.id.clone(),
            masked_name: stay.masked_name(),
            tickets,
        });
        let revealed =
            (round > 1).then(|| Revealed { round: round - 1, seed: draw::seed(self.root, round - 1) });
        // A round set aside is over only later; its order is no secret from whoever could read it here.
        let revealed = revealed.filter(|_| self.aside.is_none());
        let next_by = now.wall.plus(self.opening.latest() - now.mono);
        let (due, spared, slot, order) = (due.collect(), Vec::new(), None, None);
        RoundPlan { round, began: now.wall, until, next_by, due, spared, slot, order, revealed }
    }

    /// Beds to be walked to, and beds that a camera sees by itself.
    fn split(&self, beds: impl Iterator<Item = BedId>, now: Mono) -> (Vec<Open>, VecDeque<BedId>) {
        let (to_walk, ahead): (Vec<BedId>, Vec<BedId>) = beds.partition(|bed| self.on_foot.contains(bed));
        (to_walk.into_iter().map(|bed| Open::new(bed, now)).collect(), ahead.into())
    }

    fn announce(&mut self, now: Now, plan: RoundPlan, evidence: bool) -> Step {
        let beds: Vec<BedId> = plan.due.iter().map(|check| check.bed.clone()).collect();
        let (to_walk, ahead) = self.split(beds.iter().cloned(), now.mono);
        self.round = Some(Round {
            number: plan.round,
            began: now.wall,
            until: now.mono + plan.until.since(now.wall),
            begun: Vec::new(),
            ahead,
            to_walk,
            walked: Vec::new(),
            nonce: plan.order.as_ref().map(|order| order.nonce.clone()),
            ordered: plan.order.is_some(),
            evidence,
        });
        let memory = RoundMemory {
            round: plan.round,
            began: plan.began,
            until: plan.until,
            beds,
            ordered: plan.order.is_some(),
            evidence,
            spared: self.spared.clone(),
            begins: self.begins.clone(),
        };
        Step::Begin(plan, memory)
    }

    fn conclude_one(&mut self, now: Now, roster: &Roster, policy: &Policy) -> Option<Step> {
        let views = &self.views;
        let round = self.round.as_mut()?;
        let over = round.until <= now.mono;
        let verdict_of = |bed: &BedId, glances: &[Glance]| match roster.stay_in(bed) {
            _ if !views.contains_key(bed) => Some(Verdict::Inconclusive { reason: Reason::NoPicture }),
            stay => conclude(glances, over || stay.is_none(), policy),
        };
        let begun = round.begun.iter().enumerate();
        let decided = begun.filter_map(|(at, open)| Some((at, verdict_of(&open.bed, &open.glances)?))).next();
        let (open, verdict) = match decided {
            Some((at, verdict)) => (round.begun.remove(at), verdict),
            // Where no nurse went until the end, and whoever left meanwhile.
            None if let Some((at, verdict)) = undecided_on_foot(round, &verdict_of, over, roster) => {
                (round.to_walk.remove(at), verdict)
            }
            // Of the others only the first can be decided unseen: those behind it come to the front in their turn.
            None => {
                let verdict = verdict_of(round.ahead.front()?, &[])?;
                (Open::new(round.ahead.pop_front()?, now.mono), verdict)
            }
        };
        let Some(stay) = roster.stay_in(&open.bed) else {
            // The bed was emptied in the middle of the round: nothing is due any more.
            return self.conclude_one(now, roster, policy);
        };
        let verdict = verdict.accounted_for(&stay.away, round.began, policy);
        let deciding = open.deciding(&verdict);
        let is_fine = matches!(verdict, Verdict::Verified | Verdict::Excused { .. });
        let keep = deciding.as_ref().map(|deciding| deciding.look);
        let keep = keep.filter(|_| policy.evidence.goes(round.evidence, is_fine));
        let result = CheckResult {
            round: round.number,
            bed: open.bed.clone(),
            stay: stay.id.clone(),
            masked_name: stay.masked_name(),
            due: round.began,
            done: now.wall,
            verdict,
            similarity: deciding.as_ref().and_then(|deciding| deciding.similarity),
            threshold: policy.face.match_at,
            fmr: policy.face.fmr.clone(),
            looks: u8::try_from(open.glances.len()).unwrap_or(u8::MAX),
            life: deciding.and_then(|deciding| deciding.life),
            synthetic: !open.live,
            later: open.later.filter(|_| !is_fine),
        };
        if self.on_foot.contains(&open.bed) {
            round.walked.push((open.bed.clone(), result.verdict.clone()));
        }
        Some(Step::Conclude(result, keep))
    }

    fn look(&mut self, now: Now, policy: &Policy) -> Option<Step> {
        let views = &self.views;
        let round = self.round.as_mut()?;
        if round.outstanding() >= OUTSTANDING {
            return None;
        }
        let is_due = |open: &Open| open.wants_look(policy).is_some_and(|at| at <= now.mono);
        let at = round.begun.iter().position(is_due).or_else(|| {
            round.begins_next(&self.effort, policy).filter(|at| *at <= now.mono)?;
            let next = round.ahead.pop_front()?;
            round.begun.push(Open::new(next, now.mono));
            Some(round.begun.len() - 1)
        })?;
        let open = &mut round.begun[at];
        let camera = views.get(&open.bed)?.clone();
        let look = LookId(self.next_look_id);
        self.next_look_id += 1;
        let until = now.mono + policy.look_timeout;
        open.waiting = Some((look, until));
        let keep = policy.evidence.may_need(round.evidence);
        Some(Step::Look { look, camera, bed: open.bed.clone(), after: now.mono, until, keep })
    }
}

/// A bed on foot whose time is over or whose patient has left; without a nurse nothing else decides it.
fn undecided_on_foot(
    round: &Round,
    verdict_of: &impl Fn(&BedId, &[Glance]) -> Option<Verdict>,
    over: bool,
    roster: &Roster,
) -> Option<(usize, Verdict)> {
    let is_due = |open: &Open| over || roster.stay_in(&open.bed).is_none();
    let at = round.to_walk.iter().position(is_due)?;
    Some((at, verdict_of(&round.to_walk[at].bed, &round.to_walk[at].glances)?))
}
