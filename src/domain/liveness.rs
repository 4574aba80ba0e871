//! Whether a living person shows the face: presentation attack detection (ISO/IEC 30107-3) from numbers alone.
//!
//! # Decision table
//! Read from the top; the first row that holds decides. "Passive" is the PAD net's score over at least
//! [`LifeRule::min_frames`] frames; it counts only where its thresholds were measured for that camera (`calibrate`),
//! elsewhere it is evidence and decides nothing.
//!
//! | where | what was seen | outcome |
//! |---|---|---|
//! | kiosk | a challenge was asked and answered wrongly | `Attack(Challenge)` |
//! | kiosk | passive mean below `attack_below` | `Attack(Passive)` |
//! | kiosk | challenge or colour flash answered, passive not below `attack_below` | `Live(Challenge)`, `Live(Flash)` |
//! | kiosk | passive mean and 10th percentile at least `live_at` | `Live(Passive)` |
//! | kiosk | anything else | `Undecided`: ask for a challenge, or two members of staff |
//! | bed | fewer frames or seconds than wanted | `Undecided(TooShort)` |
//! | bed | passive mean below `attack_below` | `Attack(Passive)`: a screen or print, whoever breathes beside it |
//! | bed | body breathes or moves, eyes open all the time, no blink for `blink_within` | `Attack(NoBlink)`: a mask |
//! | bed | the same, but not for so long, or in too few frames to see a blink | `Undecided` |
//! | bed | body breathes | `Live(Breathing)` |
//! | bed | body moves | `Live(Movement)` |
//! | bed | body is still, and the picture is calm enough to have shown a breath | `Attack(Still)`: a picture on a pillow |
//! | bed | anything else | `Undecided(Noisy)` |
//!
//! One outcome accuses nobody: `verdict` wants the same from several looks, `bed` from several rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::ids::CameraId;

/// What the tracked face did. Shares are 0..=1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaceLife {
    pub frames: u16,
    pub seconds: f32,
    /// Mean and 10th percentile of P(live); absent where the pack has no PAD net.
    pub passive: Option<Passive>,
    pub blinks: u16,
    /// Share of frames with open eyes.
    pub eyes_open: f32,
    /// A rhythm in the skin's colour. Evidence only: a replay has one too, and a dark room hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse: Option<Pulse>,
}

/// Remote photoplethysmography.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    pub per_minute: f32,
    /// About 3 for noise alone.
    pub clarity: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Passive {
    pub mean: f32,
    pub p10: f32,
}

impl Passive {
    /// Of the scores of several frames; `None` without any.
    pub fn of(mut scores: Vec<f32>) -> Option<Passive> {
        if scores.is_empty() {
            return None;
        }
        scores.sort_by(f32::total_cmp);
        let mean = scores.iter().sum::<f32>() / scores.len() as f32;
        Some(Passive { mean, p10: scores[scores.len() / 10] })
    }
}

/// What the bed around the face did. Displacements are in thousandths of the zone's height, root mean square.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BodyLife {
    pub samples: u16,
    pub seconds: f32,
    /// Of the strongest rhythm between 0.1 and 0.7 Hz, where the bed moves most.
    pub breath: f32,
    pub per_minute: f32,
    /// How far that rhythm stands above chance: about 3 for noise alone.
    pub clarity: f32,
    /// Every movement, with rhythm or without, in those places.
    pub movement: f32,
    /// What the picture's own noise looks like there: smaller displacements could not have been seen.
    pub noise: f32,
}

/// Answers of a cooperating person at a kiosk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cooperation {
    /// Whether the drawn actions came in time and in order; absent when none was asked.
    pub challenge: Option<bool>,
    /// Whether the face answered the screen's colours; absent when none was shown.
    pub flash: Option<bool>,
}

/// Every cue of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    pub face: Option<FaceLife>,
    pub body: Option<BodyLife>,
    pub cooperation: Cooperation,
}

/// Where the attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Kiosk,
    Bed,
}

/// Which observation decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cue {
    /// 呼吸起伏
    Breathing,
    /// 身体活动
    Movement,
    /// 静默活体检测
    Passive,
    /// 动作应答
    Challenge,
    /// 炫彩应答
    Flash,
    /// 长时间无呼吸起伏
    Still,
    /// 长时间睁眼不眨
    NoBlink,
}

impl Cue {
    pub fn name(self) -> &'static str {
        match self {
            Cue::Breathing => "breathing",
            Cue::Movement => "movement",
            Cue::Passive => "passive",
            Cue::Challenge => "challenge",
            Cue::Flash => "flash",
            Cue::Still => "still",
            Cue::NoBlink => "no_blink",
        }
    }

    /// What a supervisor reads.
    pub fn chinese(self) -> &'static str {
        match self {
            Cue::Breathing => "有呼吸起伏",
            Cue::Movement => "有身体活动",
            Cue::Passive => "静默活体检测",
            Cue::Challenge => "动作应答",
            Cue::Flash => "炫彩应答",
            Cue::Still => "长时间无呼吸起伏",
            Cue::NoBlink => "长时间睁眼不眨",
        }
    }
}

/// Why nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    TooShort,
    Noisy,
    Weak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "cue", rename_all = "snake_case")]
pub enum Assessment {
    Live(Cue),
    Attack(Cue),
    Undecided(Lack),
}

/// Thresholds of one camera's passive score, from `calibrate`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveRule {
    pub live_at: f32,
    pub attack_below: f32,
}

/// What counts as life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifeRule {
    /// How long a face and a body are observed before they are judged.
    pub watch: Duration,
    pub min_frames: u16,
    /// Nobody with open eyes goes so long without a blink (15 to 20 a minute; one in two is seen at 4 frames a second).
    pub blink_within: Duration,
    /// A rhythm this clear is breathing.
    pub clear_above: f32,
    /// A breath lifts a blanket at least this far, ‰ of the zone's height.
    pub breath_above: f32,
    /// Movement without rhythm from which a body is alive, ‰.
    pub movement_above: f32,
    pub cameras: BTreeMap<CameraId, PassiveRule>,
}

impl Default for LifeRule {
    /// 40 s hold eight breaths; the other figures are set on the demo's ward (assets/README.md) and want field data.
    fn default() -> LifeRule {
        LifeRule {
            watch: Duration::from_secs(40),
            min_frames: 10,
            blink_within: Duration::from_secs(40),
            clear_above: 8.0,
            breath_above: 0.4,
            movement_above: 4.0,
            cameras: BTreeMap::new(),
        }
    }
}

impl LifeRule {
    /// Whether what a body did is breathing.
    pub fn is_breath(&self, body: &BodyLife) -> bool {
        body.clarity >= self.clear_above && body.breath >= self.breath_above
    }
}

/// Frames a second below which too many blinks (0.1 to 0.4 s) are missed: nobody is called a mask for a busy processor.
const BLINK_FPS: f32 = 2.8;

/// Judges one attempt; see the table above.
pub fn assess(life: &Life, place: Place, camera: &CameraId, rule: &LifeRule) -> Assessment {
    let face = life.face.as_ref().filter(|face| face.frames >= rule.min_frames);
    let thresholds = rule.cameras.get(camera);
    let passive = face.and_then(|face| face.passive).zip(thresholds);
    match place {
        Place::Kiosk => at_kiosk(&life.cooperation, passive),
        Place::Bed => in_bed(face, life.body.as_ref(), passive, rule),
    }
}

fn at_kiosk(answers: &Cooperation, passive: Option<(Passive, &PassiveRule)>) -> Assessment {
    if answers.challenge == Some(false) {
        return Assessment::Attack(Cue::Challenge);
    }
    match passive {
        Some((score, rule)) if score.mean < rule.attack_below => Assessment::Attack(Cue::Passive),
        _ if answers.challenge == Some(true) => Assessment::Live(Cue::Challenge),
        _ if answers.flash == Some(true) => Assessment::Live(Cue::Flash),
        Some((score, rule)) if score.mean.min(score.p10) >= rule.live_at => Assessment::Live(Cue::Passive),
        _ => Assessment::Undecided(Lack::Weak),
    }
}

fn in_bed(
    face: Option<&FaceLife>,
    body: Option<&BodyLife>,
    passive: Option<(Passive, &PassiveRule)>,
    rule: &LifeRule,
) -> Assessment {
    // Frames come at intervals: the last one lies up to a frame before the end of the watch.
    let wanted = rule.watch.as_secs_f32() * 0.9;
    let (Some(face), Some(body)) = (face, body) else { return Assessment::Undecided(Lack::TooShort) };
    if body.seconds < wanted || face.seconds < wanted {
        return Assessment::Undecided(Lack::TooShort);
    }
    if passive.is_some_and(|(score, thresholds)| score.mean < thresholds.attack_below) {
        return Assessment::Attack(Cue::Passive);
    }
    let breathes = rule.is_breath(body);
    let moves = body.movement >= rule.movement_above && body.movement > 3.0 * body.noise;
    if breathes || moves {
        if face.blinks == 0 && face.eyes_open > 0.95 {
            // Seldom enough frames, and every blink falls between two of them.
            let would_show = f32::from(face.frames) >= BLINK_FPS * face.seconds;
            let long_enough = face.seconds >= rule.blink_within.as_secs_f32() * 0.9;
            return match (long_enough, would_show) {
                (true, true) => Assessment::Attack(Cue::NoBlink),
                (true, false) => Assessment::Undecided(Lack::Weak),
                (false, _) => Assessment::Undecided(Lack::TooShort),
            };
        }
        return Assessment::Live(if breathes { Cue::Breathing } else { Cue::Movement });
    }
    if body.movement < rule.movement_above && body.noise < rule.breath_above / 2.0 {
        return Assessment::Attack(Cue::Still);
    }
    Assessment::Undecided(Lack::Noisy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> CameraId {
        CameraId::new("cam-1").unwrap()
    }

    fn sleeper() -> Life {
        let face =
            FaceLife { frames: 160, seconds: 40.0, passive: None, blinks: 0, eyes_open: 0.0, pulse: None };
        let body = BodyLife {
            samples: 160,
            seconds: 40.0,
            breath: 2.0,
            per_minute: 15.0,
            clarity: 60.0,
            movement: 2.1,
            noise: 0.05,
        };
        Life { face: Some(face), body: Some(body), cooperation: Cooperation::default() }
    }

    fn bed(life: &Life) -> Assessment {
        assess(life, Place::Bed, &camera(), &LifeRule::default())
    }

    #[test]
    fn a_breath_is_life_and_a_still_bed_is_not() {
        let mut life = sleeper();
        assert_eq!(bed(&life), Assessment::Live(Cue::Breathing));
        let body = life.body.as_mut().unwrap();
        (body.breath, body.clarity, body.movement) = (0.03, 3.0, 0.06);
        assert_eq!(bed(&life), Assessment::Attack(Cue::Still));
        life.body.as_mut().unwrap().noise = 0.5;
        assert_eq!(
            bed(&life),
            Assessment::Undecided(Lack::Noisy),
            "a noisy picture would have hidden a breath"
        );
    }

    #[test]
    fn a_stare_over_a_breathing_body_is_a_mask() {
        let mut life = sleeper();
        life.face.as_mut().unwrap().eyes_open = 1.0;
        assert_eq!(bed(&life), Assessment::Attack(Cue::NoBlink));
        life.face.as_mut().unwrap().frames = 100;
        assert_eq!(bed(&life), Assessment::Undecided(Lack::Weak), "blinks fall between so few frames");
        life.face.as_mut().unwrap().blinks = 1;
        assert_eq!(bed(&life), Assessment::Live(Cue::Breathing));
    }

    #[test]
    fn too_little_was_seen_to_say_anything() {
        let mut life = sleeper();
        life.face.as_mut().unwrap().frames = 9;
        assert_eq!(bed(&life), Assessment::Undecided(Lack::TooShort));
        assert_eq!(bed(&Life::default()), Assessment::Undecided(Lack::TooShort));
    }

    #[test]
    fn the_passive_score_decides_only_where_it_was_calibrated() {
        let mut life = sleeper();
        life.face.as_mut().unwrap().passive = Some(Passive { mean: 0.01, p10: 0.0 });
        assert_eq!(bed(&life), Assessment::Live(Cue::Breathing));
        let mut rule = LifeRule::default();
        rule.cameras.insert(camera(), PassiveRule { live_at: 0.8, attack_below: 0.3 });
        assert_eq!(assess(&life, Place::Bed, &camera(), &rule), Assessment::Attack(Cue::Passive));
    }

    #[test]
    fn a_kiosk_wants_an_answer_or_a_high_score() {
        let mut rule = LifeRule::default();
        rule.cameras.insert(camera(), PassiveRule { live_at: 0.8, attack_below: 0.3 });
        let mut life = sleeper();
        let mut kiosk = |challenge, flash, mean: f32| {
            life.face.as_mut().unwrap().passive = Some(Passive { mean, p10: mean - 0.1 });
            life.cooperation = Cooperation { challenge, flash };
            assess(&life, Place::Kiosk, &camera(), &rule)
        };
        assert_eq!(kiosk(None, None, 0.95), Assessment::Live(Cue::Passive));
        assert_eq!(kiosk(None, None, 0.6), Assessment::Undecided(Lack::Weak));
        assert_eq!(kiosk(Some(true), None, 0.6), Assessment::Live(Cue::Challenge));
        assert_eq!(kiosk(None, Some(true), 0.6), Assessment::Live(Cue::Flash));
        assert_eq!(kiosk(Some(true), None, 0.1), Assessment::Attack(Cue::Passive));
        assert_eq!(kiosk(Some(false), None, 0.99), Assessment::Attack(Cue::Challenge));
    }

    #[test]
    fn a_score_is_a_mean_and_a_tenth() {
        let scores: Vec<f32> = (0..20).map(|at| at as f32 / 20.0).collect();
        let passive = Passive::of(scores).unwrap();
        assert!((passive.mean - 0.475).abs() < 1e-6 && (passive.p10 - 0.1).abs() < 1e-6);
    }
}
