//! One visit to the kiosk (核查), from the first touch to the result. Pure: pictures, chance and time come in as values.
//!
//! ```text
//!  Idle ─► Notice ─► Claim ─► Who? ─► Purchase ─► Facing ──passive is enough──────────► Done
//!            │     (pick-up only: Who?, Purchase)  │  ▲ └─► Challenge ──answered──────►  ▲
//!            │ without camera, not enrolled        │  └──retry── Again ◄── setback        │
//!            └──────────────► Staff ◄──────────────┴──────── other way ─── failed: Done   │
//!                               └────── two signatures, one where a proxy was seen ───────┘
//! ```
//! Never face-only: every step after the claim leads to the staff. Nobody is accused by one attempt: two that say the same
//! make a mismatch or an attack, anything else is inconclusive. Whatever a visit comes to after the camera was used is
//! reported, an abandoned one too; before that nobody was there.

pub mod attempt;
pub mod notice;
pub mod screen;
#[cfg(test)]
mod tests;
pub mod verification;
mod visit;

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::{Mono, Now};
use crate::base::frame::Tamper;
use crate::base::ids::{CameraId, StayId};
use crate::domain::challenge::Answer;
use crate::domain::kiosk::attempt::{Attempt, Hint, Likeness, Observation, Setback, Step};
use crate::domain::kiosk::verification::{Document, Outcome, Proxy, Purchase, Purpose, Verification};
use crate::domain::kiosk::visit::{
    ACTIONS, ATTEMPTS, Asking, Case, DECIDE, EACH, FACE, Faced, SHOW, STAFF, Stage, TYPE, Visit, add_up,
    answer, ask, begin, claim, face, faced, other_way, report,
};
use crate::domain::liveness::{Assessment, Cooperation, Life, LifeRule, Place, assess};
use crate::domain::policy::{FaceRule, Policy, QualityRule};
use crate::domain::sighting::Reason;
use crate::domain::verify::Proof;

/// Somebody who stands before a kiosk comes this near.
const WIDTH_PX: f32 = 128.0;
/// How long a face is watched where the passive score may decide, and where it cannot anyway.
const PASSIVE: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_secs(1);
/// Numbers that nobody here has, before a visit is over: the kiosk is no directory.
pub(super) const WRONG_NUMBERS: u8 = 5;
/// Whoever was there and is not for so long has left.
const LEFT: Duration = Duration::from_secs(10);
/// What counts before this kiosk's camera.
#[derive(Clone, Debug, PartialEq)]
pub struct KioskRule {
    pub camera: CameraId,
    pub face: FaceRule,
    pub quality: QualityRule,
    pub life: LifeRule,
}

impl KioskRule {
    /// A kiosk's faces are nearer than a bed's, and a kiosk that believes a photo is none: life is always asked for.
    pub fn of(policy: &Policy, camera: CameraId) -> KioskRule {
        let min_width_px = policy.quality.min_width_px.max(WIDTH_PX);
        KioskRule {
            camera,
            face: policy.face.clone(),
            quality: QualityRule { min_width_px, ..policy.quality.clone() },
            life: policy.life.clone().unwrap_or_default(),
        }
    }

    fn wait(&self) -> Duration {
        if self.life.cameras.contains_key(&self.camera) { PASSIVE } else { SETTLE }
    }
}

/// Whoever stands before a camera changes its picture more than somebody who moves it.
pub fn is_expected(tamper: Tamper) -> bool {
    match tamper {
        Tamper::Moved | Tamper::Defocused => true,
        Tamper::Covered | Tamper::Frozen | Tamper::Looped | Tamper::Unresponsive | Tamper::Virtual => false,
    }
}

/// The person somebody says to be, or to come for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub stay: StayId,
    pub masked_name: String,
    /// Templates enrolled; without any no face can be compared.
    pub templates: usize,
}

/// Something happened at the kiosk.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody touched the screen; `seed` is what the challenges of this visit are drawn from.
    Begin {
        purpose: Purpose,
        seed: [u8; 32],
    },
    /// The notice was read; whoever does not agree is verified without the camera.
    Read {
        agrees: bool,
    },
    /// A number was typed; `None` where nobody here has it.
    Claim(Option<Claimed>),
    /// The patient comes in person, or this proxy.
    Comes(Option<Proxy>),
    /// What is bought, where that is known.
    Buys(Option<Purchase>),
    Seen(Observation),
    /// The camera brings no pictures any more.
    NoPicture,
    Retry,
    /// "I cannot use the camera."
    OtherWay,
    /// A member of staff signed for what they saw; who it is was checked before.
    Attested {
        staff: String,
        document: Document,
    },
    Cancel,
    Tick,
}

enum Judged {
    Yes(Faced),
    Ask,
    No(Setback),
}

/// The state of one kiosk.
pub struct Kiosk {
    rule: KioskRule,
    stage: Stage,
    /// Counts the screens shown: a click on an older one is for nothing.
    screens: u64,
    reports: VecDeque<Verification>,
}

impl Kiosk {
    pub fn new(rule: KioskRule) -> Kiosk {
        Kiosk { rule, stage: Stage::Idle, screens: 1, reports: VecDeque::new() }
    }

    /// Takes one input. Drain [`Kiosk::poll_report`] before the next.
    pub fn handle(&mut self, now: Now, input: Input) {
        let mut stage = std::mem::replace(&mut self.stage, Stage::Idle);
        let before = std::mem::discriminant(&stage);
        if stage.until().is_some_and(|until| until <= now.mono) {
            stage = self.expire(now, stage);
        }
        self.stage = self.step(now, stage, input);
        if before != std::mem::discriminant(&self.stage) {
            self.screens += 1;
        }
    }

    /// The next result to make durable.
    pub fn poll_report(&mut self) -> Option<Verification> {
        self.reports.pop_front()
    }

    /// When to come back with [`Input::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.stage.until()
    }

    /// Whose face is looked for now; `None` while the camera shall rest.
    pub fn wanted(&self) -> Option<&StayId> {
        match &self.stage {
            Stage::Facing { case, .. } | Stage::Challenge { case, .. } => Some(&case.claimed.stay),
            Stage::Idle
            | Stage::Notice { .. }
            | Stage::Claim { .. }
            | Stage::Who { .. }
            | Stage::Purchase { .. }
            | Stage::Again { .. }
            | Stage::Staff { .. }
            | Stage::Done { .. } => None,
        }
    }

    fn step(&mut self, now: Now, stage: Stage, input: Input) -> Stage {
        match (stage, input) {
            (Stage::Idle | Stage::Done { .. }, Input::Begin { purpose, seed }) => begin(now, purpose, seed),
            (Stage::Notice { visit, .. }, Input::Read { agrees }) => {
                let visit = Visit { consent: agrees, ..visit };
                Stage::Claim { visit, wrong: 0, until: now.mono + TYPE }
            }
            (Stage::Claim { visit, wrong, until }, Input::Claim(found)) => match found {
                Some(claimed) => claim(now, visit, claimed),
                None if wrong + 1 >= WRONG_NUMBERS => Stage::Idle,
                None => Stage::Claim { visit, wrong: wrong + 1, until },
            },
            (Stage::Who { case, .. }, Input::Comes(proxy)) => {
                Stage::Purchase { case: Case { proxy, ..case }, until: now.mono + TYPE }
            }
            (Stage::Purchase { case, .. }, Input::Buys(purchase)) => face(now, Case { purchase, ..case }),
            (Stage::Facing { case, attempt, until }, Input::Seen(seen)) => {
                self.look(now, case, attempt, until, &seen)
            }
            (Stage::Challenge { case, attempt, asking, until }, Input::Seen(seen)) => {
                self.hear(now, case, attempt, asking, until, &seen)
            }
            (Stage::Facing { case, .. } | Stage::Challenge { case, .. }, Input::NoPicture) => {
                self.finish(now, case, Outcome::Inconclusive { reason: Reason::NoPicture })
            }
            (Stage::Again { case, .. }, Input::Retry) => face(now, case),
            (Stage::Staff { case, signed, until }, Input::Attested { staff, document }) => {
                self.sign(now, case, signed, until, (staff, document))
            }
            (stage, Input::OtherWay) => other_way(now, stage),
            (stage, Input::Cancel) => self.leave(now, stage),
            // A touch on a screen that is gone, a picture that comes late, a tick.
            (stage, _) => stage,
        }
    }

    fn expire(&mut self, now: Now, stage: Stage) -> Stage {
        match stage {
            Stage::Facing { case, attempt, .. } => {
                let hint = attempt.obstacle();
                self.setback(now, case, &attempt, Setback::Unseen { hint })
            }
            Stage::Challenge { case, attempt, .. } => self.setback(now, case, &attempt, Setback::Unfinished),
            stage @ (Stage::Idle
            | Stage::Notice { .. }
            | Stage::Claim { .. }
            | Stage::Who { .. }
            | Stage::Purchase { .. }
            | Stage::Again { .. }
            | Stage::Staff { .. }
            | Stage::Done { .. }) => self.leave(now, stage),
        }
    }

    /// A frame while the face is watched.
    fn look(&mut self, now: Now, case: Case, mut attempt: Attempt, until: Mono, seen: &Observation) -> Stage {
        if seen.tamper.is_some_and(|tamper| !is_expected(tamper)) {
            return self.finish(now, case, Outcome::Inconclusive { reason: Reason::Tampered });
        }
        let case = Case { is_seen: true, ..case };
        attempt.take(seen, &self.rule);
        if attempt.last().is_some_and(|last| now.mono - last > LEFT) {
            return self.leave(now, Stage::Facing { case, attempt, until });
        }
        let (frames, time) = attempt.seen_well();
        if frames < usize::from(self.rule.life.min_frames) || time < self.rule.wait() {
            return Stage::Facing { case, attempt, until };
        }
        match self.judge(now, &case, &attempt, Cooperation::default()) {
            Judged::Yes(faced) => self.accept(now, case, faced),
            Judged::No(setback) => self.setback(now, case, &attempt, setback),
            Judged::Ask => ask(now, case, attempt),
        }
    }

    /// A frame while the challenge is answered.
    fn hear(
        &mut self,
        now: Now,
        case: Case,
        mut attempt: Attempt,
        mut asking: Asking,
        until: Mono,
        seen: &Observation,
    ) -> Stage {
        if seen.tamper.is_some_and(|tamper| !is_expected(tamper)) {
            return self.finish(now, case, Outcome::Inconclusive { reason: Reason::Tampered });
        }
        if attempt.take(seen, &self.rule) == Step::Another {
            // The nonce was meant for the face of before.
            return Stage::Facing { case, attempt, until: now.mono + FACE };
        }
        if attempt.last().is_some_and(|last| now.mono - last > LEFT) {
            return self.leave(now, Stage::Challenge { case, attempt, asking, until });
        }
        let answered = match asking.challenge.judge(attempt.since(asking.from), EACH) {
            Answer::Passed => Some(true),
            Answer::Wrong { .. } => Some(false),
            Answer::Unfinished { done } => {
                if done != asking.done {
                    (asking.done, asking.since) = (done, now.mono);
                }
                if now.mono - asking.since > EACH {
                    return self.setback(now, case, &attempt, Setback::Unfinished);
                }
                return Stage::Challenge { case, attempt, asking, until };
            }
        };
        let case = answer(case, if answered == Some(true) { ACTIONS } else { asking.done });
        match self.judge(now, &case, &attempt, Cooperation { challenge: answered, flash: None }) {
            Judged::Yes(faced) => self.accept(now, case, faced),
            Judged::No(setback) => self.setback(now, case, &attempt, setback),
            Judged::Ask => self.setback(now, case, &attempt, Setback::Unfinished),
        }
    }

    /// Likeness first, then life; a proxy is nobody's likeness.
    fn judge(&self, now: Now, case: &Case, attempt: &Attempt, cooperation: Cooperation) -> Judged {
        if case.proxy.is_none() {
            match attempt.likeness(&self.rule) {
                Some(Likeness::Same) => {}
                Some(Likeness::Other { resembles }) => return Judged::No(Setback::Other { resembles }),
                Some(Likeness::Covered) => {
                    return Judged::No(Setback::Unseen { hint: Hint::UncoverMouth });
                }
                Some(Likeness::Uncertain) | None => return Judged::No(Setback::Uncertain),
            }
        }
        let life = Life { face: Some(attempt.life()), body: None, cooperation };
        match assess(&life, Place::Kiosk, &self.rule.camera, &self.rule.life) {
            Assessment::Live(cue) => {
                Judged::Yes(faced(now, attempt, Some(Proof { cue, life: Box::new(life) })))
            }
            Assessment::Attack(cue) => Judged::No(Setback::NotLive { cue }),
            Assessment::Undecided(_) => Judged::Ask,
        }
    }

    /// The face was enough for the patient; for a proxy somebody looks at both cards, too.
    fn accept(&mut self, now: Now, case: Case, faced: Faced) -> Stage {
        let case = Case { faced: Some(faced), ..case };
        if case.proxy.is_some() {
            return Stage::Staff { case, signed: Vec::new(), until: now.mono + STAFF };
        }
        self.finish(now, case, Outcome::Verified)
    }

    fn setback(&mut self, now: Now, mut case: Case, attempt: &Attempt, setback: Setback) -> Stage {
        case.setbacks.push(setback);
        if let Some(proxy) = &mut case.proxy {
            proxy.resembles = attempt.resembles(self.rule.face.match_at);
        }
        case.faced = Some(faced(now, attempt, None));
        if case.setbacks.len() < ATTEMPTS {
            return Stage::Again { case, until: now.mono + DECIDE };
        }
        let outcome = add_up(&case.setbacks);
        self.finish(now, case, outcome)
    }

    fn sign(
        &mut self,
        now: Now,
        case: Case,
        mut signed: Vec<(String, Document)>,
        until: Mono,
        signature: (String, Document),
    ) -> Stage {
        if signed.iter().all(|(staff, _)| *staff != signature.0) {
            signed.push(signature);
        }
        if signed.len() < case.signatures() {
            return Stage::Staff { case, signed, until };
        }
        let document = signed[0].1;
        let staff = signed.into_iter().map(|(staff, _)| staff).collect();
        self.finish(now, case, Outcome::Attested { document, staff })
    }

    /// Ends a visit without a result; whoever was seen and goes is reported as having gone.
    fn leave(&mut self, now: Now, stage: Stage) -> Stage {
        match stage {
            Stage::Facing { case, .. }
            | Stage::Challenge { case, .. }
            | Stage::Again { case, .. }
            | Stage::Staff { case, .. }
                if case.is_seen && !case.is_told =>
            {
                self.finish(now, case, Outcome::Abandoned);
                Stage::Idle
            }
            Stage::Idle
            | Stage::Notice { .. }
            | Stage::Claim { .. }
            | Stage::Who { .. }
            | Stage::Purchase { .. }
            | Stage::Facing { .. }
            | Stage::Challenge { .. }
            | Stage::Again { .. }
            | Stage::Staff { .. }
            | Stage::Done { .. } => Stage::Idle,
        }
    }

    fn finish(&mut self, now: Now, mut case: Case, outcome: Outcome) -> Stage {
        case.is_told = true;
        self.reports.push_back(report(now, &case, outcome.clone(), &self.rule));
        Stage::Done { case, outcome, until: now.mono + SHOW }
    }
}
