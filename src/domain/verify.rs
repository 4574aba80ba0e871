//! One sighting against one person: integrity, then quality, then likeness, then life (verification, 智慧核查).

use serde::{Deserialize, Serialize};

use crate::base::ids::StayId;
use crate::domain::liveness::{Assessment, Cue, Life, Place, assess};
use crate::domain::policy::{Policy, QualityRule};
use crate::domain::roster::Stay;
use crate::domain::sighting::{FaceQuality, FaceSeen, Occupancy, Reason, Scene, Sighting};

/// What one look says about one person.
#[derive(Clone, Debug, PartialEq)]
pub enum Glance {
    /// The person expected, alive as far as the policy asks.
    Match { similarity: f32, life: Option<Proof> },
    /// The face of the person expected, but not on a living person.
    Lifeless { similarity: f32, life: Proof },
    /// Surely somebody else; `who` when it is another patient of this ward.
    Other { similarity: f32, who: Option<StayId> },
    /// A body without a face.
    Hidden { changed: f32 },
    /// Nobody.
    Empty { changed: f32 },
    /// Nothing can be said.
    Unusable(Reason),
}

/// The cue that decided about life, and every number behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub cue: Cue,
    #[serde(flatten)]
    pub life: Box<Life>,
}

/// Judges one sighting of the bed of `stay`.
///
/// | scene | glance |
/// |---|---|
/// | whatever, from a camera that is kept from showing the ward | `Unusable(Tampered)` |
/// | dark | `Unusable(Dark)` |
/// | no face, no picture of the empty bed, but the bed breathes | `Hidden` |
/// | no face, no picture of the empty bed | `Unusable(NoEmptyReference)`: absence cannot be proven |
/// | no face, zone differs from the empty bed | `Hidden` |
/// | no face, zone as when empty | `Empty` |
/// | face of the person expected, alive (`liveness`) or liveness not asked for | `Match`, whatever else is in the picture |
/// | face of the person expected, not alive | `Lifeless` |
/// | face of the person expected, not watched long enough to tell | `Unusable(LifeUnproven)` |
/// | several faces, none of them expected | `Unusable(SeveralFaces)`: a visitor is no impostor |
/// | poor picture of another face, or its mouth covered | `Unusable(...)` |
/// | face of another patient of the ward | `Other` with name |
/// | face surely different, less what it has in common with everybody | `Other` |
/// | between the thresholds | `Unusable(UncertainMatch)` |
pub fn judge(sighting: &Sighting, stay: &Stay, policy: &Policy) -> Glance {
    if sighting.tamper.is_some() {
        return Glance::Unusable(Reason::Tampered);
    }
    match &sighting.scene {
        Scene::Dark { .. } => Glance::Unusable(Reason::Dark),
        Scene::NoFace { occupancy: Occupancy::Unknown } if breathes(&sighting.life, policy) => {
            Glance::Hidden { changed: 1.0 }
        }
        Scene::NoFace { occupancy: Occupancy::Unknown } => Glance::Unusable(Reason::NoEmptyReference),
        Scene::NoFace { occupancy: Occupancy::Changed(changed) } if *changed >= policy.body_above => {
            Glance::Hidden { changed: *changed }
        }
        Scene::NoFace { occupancy: Occupancy::Changed(changed) } => Glance::Empty { changed: *changed },
        Scene::Faces { count, best } => judge_face(*count, best, stay, sighting, policy),
    }
}

fn judge_life(similarity: f32, sighting: &Sighting, policy: &Policy) -> Glance {
    let Some(rule) = &policy.life else { return Glance::Match { similarity, life: None } };
    let proof = |cue| Proof { cue, life: sighting.life.clone() };
    match assess(&sighting.life, Place::Bed, &sighting.camera, rule) {
        Assessment::Live(cue) => Glance::Match { similarity, life: Some(proof(cue)) },
        Assessment::Attack(cue) => Glance::Lifeless { similarity, life: proof(cue) },
        Assessment::Undecided(_) => Glance::Unusable(Reason::LifeUnproven),
    }
}

/// A body without a face still lifts its blanket.
fn breathes(life: &Life, policy: &Policy) -> bool {
    policy.life.as_ref().zip(life.body.as_ref()).is_some_and(|(rule, body)| rule.is_breath(body))
}

fn judge_face(count: usize, face: &FaceSeen, stay: &Stay, sighting: &Sighting, policy: &Policy) -> Glance {
    let weakness = weakness(&face.quality, &policy.quality);
    let Some(claimed) = face.claimed else {
        debug_assert_eq!(stay.templates, 0);
        return Glance::Unusable(Reason::NotEnrolled);
    };
    // A match needs the quality gate too: pictures below it were not part of the operating point's measurement.
    if claimed >= policy.face.match_at {
        return weakness.map_or_else(|| judge_life(claimed, sighting, policy), Glance::Unusable);
    }
    if count > 1 {
        return Glance::Unusable(Reason::SeveralFaces);
    }
    if let Some(reason) = weakness {
        return Glance::Unusable(reason);
    }
    // A match under a mask is a match; a stranger under a mask may be anybody, the patient too.
    if is_covered(&face.quality, &policy.quality) {
        return Glance::Unusable(Reason::Covered);
    }
    match &face.nearest_other {
        Some((who, similarity)) if *similarity >= policy.face.match_at => {
            Glance::Other { similarity: claimed, who: Some(who.clone()) }
        }
        _ if face.distinctive(claimed, policy.face.typical) < policy.face.differs_below => {
            Glance::Other { similarity: claimed, who: None }
        }
        _ => Glance::Unusable(Reason::UncertainMatch),
    }
}

/// Whether mask, hand or blanket hide the mouth.
pub fn is_covered(face: &FaceQuality, rule: &QualityRule) -> bool {
    face.mouth < rule.min_mouth
}

/// The first reason not to believe scores from this picture; `None` when it is good enough.
pub fn weakness(face: &FaceQuality, rule: &QualityRule) -> Option<Reason> {
    if face.luma < rule.min_luma {
        Some(Reason::Dark)
    } else if face.outside > rule.max_outside {
        Some(Reason::CutOff)
    } else if face.score < rule.min_score {
        Some(Reason::WeakDetection)
    } else if face.width_px < rule.min_width_px {
        Some(Reason::TooSmall)
    } else if face.yaw.abs() > rule.max_yaw || face.pitch.abs() > rule.max_pitch {
        Some(Reason::TurnedAway)
    } else if face.sharpness < rule.min_sharpness {
        Some(Reason::Blurred)
    } else {
        None
    }
}
