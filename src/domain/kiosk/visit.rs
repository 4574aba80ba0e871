//! What one visit holds at each step, and the steps that need no judgement.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::ids::StayId;
use crate::domain::challenge::Challenge;
use crate::domain::kiosk::attempt::{Attempt, Setback};
use crate::domain::kiosk::verification::{Asked, Document, Outcome, Proxy, Purchase, Purpose, Verification};
use crate::domain::kiosk::{Claimed, KioskRule, notice};
use crate::domain::liveness::Cue;
use crate::domain::sighting::Reason;
use crate::domain::verify::Proof;

/// Actions of a challenge, and how long each may take: slow people are not suspicious.
pub(super) const ACTIONS: usize = 2;
pub(super) const EACH: Duration = Duration::from_secs(6);
/// A nonce is answered within this or not at all.
pub(super) const NONCE_LIVES: Duration = Duration::from_secs(16);
/// Attempts before the camera in one visit.
pub(super) const ATTEMPTS: usize = 2;
// How long each screen waits.
pub(super) const READ: Duration = Duration::from_secs(90);
pub(super) const TYPE: Duration = Duration::from_secs(120);
pub(super) const FACE: Duration = Duration::from_secs(45);
pub(super) const DECIDE: Duration = Duration::from_secs(45);
pub(super) const STAFF: Duration = Duration::from_secs(300);
pub(super) const SHOW: Duration = Duration::from_secs(20);

pub(super) struct Visit {
    pub id: String,
    pub purpose: Purpose,
    pub seed: [u8; 32],
    pub began: Wall,
    pub consent: bool,
}

/// A visit with somebody claimed.
pub(super) struct Case {
    pub visit: Visit,
    pub claimed: Claimed,
    pub proxy: Option<Proxy>,
    pub purchase: Option<Purchase>,
    pub setbacks: Vec<Setback>,
    /// Nonces drawn so far, and the last challenge.
    pub draws: u8,
    pub asked: Option<Asked>,
    pub faced: Option<Faced>,
    /// Whether the camera was used, and whether what it came to is reported already.
    pub is_seen: bool,
    pub is_told: bool,
}

/// What the camera proved.
pub(super) struct Faced {
    pub similarity: Option<f32>,
    pub life: Option<Proof>,
    pub ms: Option<u64>,
    pub is_synthetic: bool,
}

pub(super) struct Asking {
    pub challenge: Challenge,
    pub from: Mono,
    pub done: usize,
    pub since: Mono,
}

pub(super) enum Stage {
    Idle,
    Notice { visit: Visit, until: Mono },
    Claim { visit: Visit, wrong: u8, until: Mono },
    Who { case: Case, until: Mono },
    Purchase { case: Case, until: Mono },
    Facing { case: Case, attempt: Attempt, until: Mono },
    Challenge { case: Case, attempt: Attempt, asking: Asking, until: Mono },
    Again { case: Case, until: Mono },
    Staff { case: Case, signed: Vec<(String, Document)>, until: Mono },
    Done { case: Case, outcome: Outcome, until: Mono },
}

impl Stage {
    pub(super) fn until(&self) -> Option<Mono> {
        match self {
            Stage::Idle => None,
            Stage::Notice { until, .. }
            | Stage::Claim { until, .. }
            | Stage::Who { until, .. }
            | Stage::Purchase { until, .. }
            | Stage::Facing { until, .. }
            | Stage::Challenge { until, .. }
            | Stage::Again { until, .. }
            | Stage::Staff { until, .. }
            | Stage::Done { until, .. } => Some(*until),
        }
    }
}

impl Case {
    /// How many members of staff must sign: one where a proxy's living face was seen, else two.
    pub(super) fn signatures(&self) -> usize {
        let is_proved = self.faced.as_ref().is_some_and(|faced| faced.life.is_some());
        if self.proxy.is_some() && is_proved { 1 } else { 2 }
    }
}

pub(super) fn begin(now: Now, purpose: Purpose, seed: [u8; 32]) -> Stage {
    let id = hex::encode(&Sha256::digest(seed)[..8]);
    let visit = Visit { id, purpose, seed, began: now.wall, consent: false };
    Stage::Notice { visit, until: now.mono + READ }
}

pub(super) fn claim(now: Now, visit: Visit, claimed: Claimed) -> Stage {
    let purpose = visit.purpose;
    let case = Case {
        visit,
        claimed,
        proxy: None,
        purchase: None,
        setbacks: Vec::new(),
        draws: 0,
        asked: None,
        faced: None,
        is_seen: false,
        is_told: false,
    };
    match purpose {
        Purpose::Pickup => Stage::Who { case, until: now.mono + TYPE },
        Purpose::Admission | Purpose::Settlement => face(now, case),
    }
}

/// To the camera, or to the staff where it is not wanted or proves nothing.
pub(super) fn face(now: Now, case: Case) -> Stage {
    let can_compare = case.claimed.templates > 0 || case.proxy.is_some();
    if !case.visit.consent || !can_compare {
        return Stage::Staff { case, signed: Vec::new(), until: now.mono + STAFF };
    }
    Stage::Facing { case, attempt: Attempt::default(), until: now.mono + FACE }
}

pub(super) fn ask(now: Now, mut case: Case, attempt: Attempt) -> Stage {
    let nonce = Sha256::new()
        .chain_update(b"bedcheck-kiosk-v1")
        .chain_update(case.visit.seed)
        .chain_update([case.draws])
        .finalize();
    let challenge = Challenge::draw(&nonce, ACTIONS);
    case.draws = case.draws.saturating_add(1);
    case.asked = Some(Asked { nonce: hex::encode(nonce), actions: challenge.clone(), done: 0 });
    let asking = Asking { challenge, from: now.mono, done: 0, since: now.mono };
    Stage::Challenge { case, attempt, asking, until: now.mono + NONCE_LIVES }
}

pub(super) fn answer(mut case: Case, done: usize) -> Case {
    if let Some(asked) = &mut case.asked {
        asked.done = u8::try_from(done).unwrap_or(u8::MAX);
    }
    case
}

pub(super) fn other_way(now: Now, stage: Stage) -> Stage {
    match stage {
        Stage::Notice { visit, .. } => {
            Stage::Claim { visit: Visit { consent: false, ..visit }, wrong: 0, until: now.mono + TYPE }
        }
        Stage::Facing { case, .. } | Stage::Challenge { case, .. } | Stage::Again { case, .. } => {
            Stage::Staff { case, signed: Vec::new(), until: now.mono + STAFF }
        }
        Stage::Done { case, outcome, .. } if !outcome.is_good() => {
            Stage::Staff { case, signed: Vec::new(), until: now.mono + STAFF }
        }
        stage @ (Stage::Idle
        | Stage::Claim { .. }
        | Stage::Who { .. }
        | Stage::Purchase { .. }
        | Stage::Staff { .. }
        | Stage::Done { .. }) => stage,
    }
}

pub(super) fn faced(now: Now, attempt: &Attempt, life: Option<Proof>) -> Faced {
    let ms = attempt.first().map(|first| u64::try_from((now.mono - first).as_millis()).unwrap_or(u64::MAX));
    Faced { similarity: attempt.similarity(), life, ms, is_synthetic: attempt.is_synthetic() }
}

/// Two attempts that say the same accuse; anything else does not.
pub(super) fn add_up(setbacks: &[Setback]) -> Outcome {
    let others: Vec<&Option<StayId>> = setbacks
        .iter()
        .filter_map(|setback| match setback {
            Setback::Other { resembles } => Some(resembles),
            Setback::Uncertain | Setback::NotLive { .. } | Setback::Unfinished | Setback::Unseen { .. } => {
                None
            }
        })
        .collect();
    if others.len() >= ATTEMPTS {
        let is_one = others.windows(2).all(|pair| pair[0] == pair[1]);
        return Outcome::Mismatch { resembles: others[0].clone().filter(|_| is_one) };
    }
    let cues: Vec<Cue> = setbacks.iter().filter_map(Setback::cue).collect();
    if let (Some(cue), true) = (cues.last(), cues.len() >= ATTEMPTS) {
        return Outcome::NotLive { cue: *cue };
    }
    let reason = match setbacks.last() {
        Some(Setback::Uncertain) => Reason::UncertainMatch,
        Some(Setback::Unfinished) => Reason::LifeUnproven,
        Some(Setback::Unseen { hint }) => hint.reason(),
        Some(Setback::Other { .. } | Setback::NotLive { .. }) | None => Reason::Contradictory,
    };
    Outcome::Inconclusive { reason }
}

pub(super) fn report(now: Now, case: &Case, outcome: Outcome, rule: &KioskRule) -> Verification {
    let Case { visit, claimed, proxy, purchase, setbacks, asked, faced, .. } = case;
    Verification {
        visit: visit.id.clone(),
        camera: rule.camera.clone(),
        purpose: visit.purpose,
        notice: notice::VERSION.to_owned(),
        consent: visit.consent,
        stay: claimed.stay.clone(),
        masked_name: claimed.masked_name.clone(),
        outcome,
        proxy: proxy.clone(),
        purchase: purchase.clone(),
        setbacks: setbacks.clone(),
        similarity: faced.as_ref().and_then(|faced| faced.similarity).filter(|_| proxy.is_none()),
        threshold: rule.face.match_at,
        fmr: rule.face.fmr.clone(),
        life: faced.as_ref().and_then(|faced| faced.life.clone()),
        challenge: asked.clone(),
        began: visit.began,
        done: now.wall,
        seen_ms: faced.as_ref().and_then(|faced| faced.ms),
        synthetic: faced.as_ref().is_some_and(|faced| faced.is_synthetic),
    }
}
