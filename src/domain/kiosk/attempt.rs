//! One attempt before the camera: what the frames of one face add up to, and what would make the next one better.
//!
//! Likeness and life are read from the same frames of the same face: whoever passes the challenge and then holds up a
//! picture of somebody else has begun another attempt.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::Mono;
use crate::base::frame::{Origin, Tamper};
use crate::base::ids::StayId;
use crate::domain::blink::{OPEN, blinks};
use crate::domain::challenge::FaceFrame;
use crate::domain::kiosk::KioskRule;
use crate::domain::liveness::{Cue, FaceLife, Passive};
use crate::domain::sighting::{FaceSeen, Reason};
use crate::domain::verify::{is_covered, weakness};

/// Frames kept of one attempt; at eight a second more than a minute.
const MOST_FRAMES: usize = 600;
/// Luma of a whole picture below which nobody can be seen.
const DARK: f32 = 20.0;
/// Median of at least so many frames.
const FEWEST: usize = 3;

/// One frame of the kiosk's camera, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub at: Mono,
    pub origin: Origin,
    pub tamper: Option<Tamper>,
    pub mean_luma: f32,
    /// How many faces are near enough to be meant.
    pub faces: usize,
    /// The largest of them.
    pub face: Option<FaceNow>,
}

/// The face before the kiosk.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceNow {
    /// Whether it is where the face of the frame before was.
    pub goes_on: bool,
    pub seen: FaceSeen,
    /// P(live) of this frame.
    pub live: Option<f32>,
    pub eyes: f32,
    pub mouth: f32,
    /// Left, top, width and height as shares of the picture, for the screen.
    pub place: [f32; 4],
}

/// What would help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// 请站到镜头前
    #[default]
    ComeIntoView,
    /// 请其他人离开画面
    OneAtATime,
    /// 光线太暗
    MoreLight,
    /// 请靠近一点
    ComeCloser,
    /// 请正对镜头
    LookHere,
    /// 请保持不动
    HoldStill,
    /// 如方便请摘下口罩
    UncoverMouth,
    /// 很好
    Good,
}

impl Hint {
    /// Chinese, English.
    pub fn prompt(self) -> (&'static str, &'static str) {
        match self {
            Hint::ComeIntoView => ("请站到镜头前", "come in front of the camera"),
            Hint::OneAtATime => ("请其他人暂时离开画面", "one person at a time, please"),
            Hint::MoreLight => ("光线太暗，请开灯", "it is too dark: more light, please"),
            Hint::ComeCloser => ("请靠近一点", "come closer"),
            Hint::LookHere => ("请正对镜头", "look here"),
            Hint::HoldStill => ("请保持不动", "hold still"),
            Hint::UncoverMouth => ("如方便，请摘下口罩", "take off the mask if you can"),
            Hint::Good => ("很好，请保持", "good, stay like this"),
        }
    }

    /// Why nothing could be said, where this was in the way all the time.
    pub fn reason(self) -> Reason {
        match self {
            Hint::ComeIntoView => Reason::NoPicture,
            Hint::OneAtATime => Reason::SeveralFaces,
            Hint::MoreLight => Reason::Dark,
            Hint::ComeCloser => Reason::TooSmall,
            Hint::LookHere => Reason::TurnedAway,
            Hint::HoldStill => Reason::Blurred,
            Hint::UncoverMouth => Reason::Covered,
            Hint::Good => Reason::LifeUnproven,
        }
    }
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "setback", rename_all = "snake_case")]
pub enum Setback {
    /// Surely somebody else.
    Other {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resembles: Option<StayId>,
    },
    /// Between the thresholds.
    Uncertain,
    /// Not a living face.
    NotLive { cue: Cue },
    /// The challenge was not finished in time: no accusation.
    Unfinished,
    /// Nothing good was to be seen.
    Unseen { hint: Hint },
}

impl Setback {
    pub(super) fn cue(&self) -> Option<Cue> {
        match self {
            Setback::NotLive { cue } => Some(*cue),
            Setback::Other { .. } | Setback::Uncertain | Setback::Unfinished | Setback::Unseen { .. } => None,
        }
    }
}

/// What one frame did to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It counts.
    Counted,
    /// It does not, for a reason the screen shows.
    Shown,
    /// Another face is there than before: everything begins anew.
    Another,
}

/// What the face says about who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Likeness {
    Same,
    Other {
        resembles: Option<StayId>,
    },
    Uncertain,
    /// The right thing to ask first.
    Covered,
}

struct Good {
    at: Mono,
    seen: FaceSeen,
    live: Option<f32>,
    eyes: f32,
}

/// The frames of one face so far.
#[derive(Default)]
pub struct Attempt {
    first: Option<Mono>,
    last: Option<Mono>,
    good: Vec<Good>,
    /// Of every frame with one face, turned or not: for the challenge.
    frames: Vec<FaceFrame>,
    hints: BTreeMap<Hint, u16>,
    hint: Hint,
    place: Option<[f32; 4]>,
    is_live_origin: bool,
}

impl Attempt {
    /// Takes a frame.
    pub fn take(&mut self, seen: &Observation, rule: &KioskRule) -> Step {
        self.hint = hint(seen, rule);
        let count = self.hints.entry(self.hint).or_default();
        *count = count.saturating_add(1);
        self.is_live_origin |= seen.origin == Origin::Live;
        self.place = seen.face.as_ref().map(|face| face.place);
        let Some(face) = seen.face.as_ref().filter(|_| seen.faces == 1) else { return Step::Shown };
        if self.first.is_some() && !face.goes_on {
            let (hint, place, is_live_origin) = (self.hint, self.place, self.is_live_origin);
            let hints = std::mem::take(&mut self.hints);
            *self = Attempt { hint, place, is_live_origin, hints, ..Attempt::default() };
            self.begin(seen, face);
            return Step::Another;
        }
        self.begin(seen, face);
        if matches!(self.hint, Hint::Good | Hint::UncoverMouth) && self.good.len() < MOST_FRAMES {
            let (at, seen, live, eyes) = (seen.at, face.seen.clone(), face.live, face.eyes);
            self.good.push(Good { at, seen, live, eyes });
            return Step::Counted;
        }
        Step::Shown
    }

    fn begin(&mut self, seen: &Observation, face: &FaceNow) {
        self.first.get_or_insert(seen.at);
        self.last = Some(seen.at);
        if self.frames.len() < MOST_FRAMES {
            let yaw = face.seen.quality.yaw;
            self.frames.push(FaceFrame { at: seen.at, yaw, eyes: face.eyes, mouth: face.mouth });
        }
    }

    pub fn hint(&self) -> Hint {
        self.hint
    }

    /// What was in the way most of the time.
    pub fn obstacle(&self) -> Hint {
        let bad = self.hints.iter().filter(|(hint, _)| **hint != Hint::Good);
        let usual = if self.first.is_some() { Hint::HoldStill } else { Hint::ComeIntoView };
        bad.max_by_key(|(_, count)| **count).map_or(usual, |(hint, _)| *hint)
    }

    pub fn place(&self) -> Option<[f32; 4]> {
        self.place
    }

    /// When the face came into view.
    pub fn first(&self) -> Option<Mono> {
        self.first
    }

    /// When it was last there.
    pub fn last(&self) -> Option<Mono> {
        self.last
    }

    pub fn is_synthetic(&self) -> bool {
        !self.is_live_origin
    }

    /// Every frame with this face since `from`.
    pub fn since(&self, from: Mono) -> &[FaceFrame] {
        let at = self.frames.partition_point(|frame| frame.at <= from);
        &self.frames[at..]
    }

    /// How long, and in how many frames, the face was well to be seen.
    pub fn seen_well(&self) -> (usize, Duration) {
        let time = self.good.first().zip(self.good.last()).map_or(Duration::ZERO, |(a, b)| b.at - a.at);
        (self.good.len(), time)
    }

    /// Median similarity to the person claimed.
    pub fn similarity(&self) -> Option<f32> {
        median(self.good.iter().filter_map(|good| good.seen.claimed).collect())
    }

    /// Who it is; `None` before enough frames were compared.
    pub fn likeness(&self, rule: &KioskRule) -> Option<Likeness> {
        let similarity = self.similarity()?;
        let face = &rule.face;
        if similarity >= face.match_at {
            return Some(Likeness::Same);
        }
        let covered = self.good.iter().filter(|good| is_covered(&good.seen.quality, &rule.quality)).count();
        if covered * 2 > self.good.len() {
            return Some(Likeness::Covered);
        }
        if let Some(who) = self.resembles(face.match_at) {
            return Some(Likeness::Other { resembles: Some(who) });
        }
        let claimed = |good: &Good| Some(good.seen.distinctive(good.seen.claimed?, face.typical));
        let distinctive = median(self.good.iter().filter_map(claimed).collect())?;
        let is_other = distinctive < face.differs_below;
        Some(if is_other { Likeness::Other { resembles: None } } else { Likeness::Uncertain })
    }

    /// Another person enrolled here whom most frames show.
    pub fn resembles(&self, match_at: f32) -> Option<StayId> {
        let mut votes: BTreeMap<&StayId, usize> = BTreeMap::new();
        let near = self.good.iter().filter_map(|good| good.seen.nearest_other.as_ref());
        for (who, _) in near.filter(|(_, similarity)| *similarity >= match_at) {
            *votes.entry(who).or_default() += 1;
        }
        let (who, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        (count * 2 > self.good.len()).then(|| who.clone())
    }

    /// What the face did while it was well to be seen.
    pub fn life(&self) -> FaceLife {
        let (frames, time) = self.seen_well();
        let eyes: Vec<(Mono, f32)> = self.good.iter().map(|good| (good.at, good.eyes)).collect();
        let open = eyes.iter().filter(|(_, openness)| *openness >= OPEN).count();
        FaceLife {
            frames: u16::try_from(frames).unwrap_or(u16::MAX),
            seconds: time.as_secs_f32(),
            passive: Passive::of(self.good.iter().filter_map(|good| good.live).collect()),
            blinks: blinks(&eyes),
            eyes_open: open as f32 / eyes.len().max(1) as f32,
            pulse: None,
        }
    }
}

/// What would make the next frame better, worst first.
pub fn hint(seen: &Observation, rule: &KioskRule) -> Hint {
    let Some(face) = &seen.face else {
        return if seen.mean_luma < DARK { Hint::MoreLight } else { Hint::ComeIntoView };
    };
    if seen.faces > 1 {
        return Hint::OneAtATime;
    }
    match weakness(&face.seen.quality, &rule.quality) {
        Some(Reason::Dark) => Hint::MoreLight,
        Some(Reason::CutOff) => Hint::ComeIntoView,
        Some(Reason::TooSmall) => Hint::ComeCloser,
        Some(Reason::TurnedAway) => Hint::LookHere,
        // Weak detections are blurred or half hidden; standing still helps with both.
        Some(_) => Hint::HoldStill,
        None if is_covered(&face.seen.quality, &rule.quality) => Hint::UncoverMouth,
        None => Hint::Good,
    }
}

fn median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    (values.len() >= FEWEST).then(|| values[values.len() / 2])
}
