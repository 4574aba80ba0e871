//! Checked thresholds: what the ward's rules are, in units people use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::irregular::Irregularity;
use crate::domain::liveness::LifeRule;

/// Everything the domain's judgement depends on. Digested into each statement, so that a change shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Which pictures may leave the device.
    pub evidence: Evidence,
    /// Mean time between rounds.
    pub round_every: Duration,
    /// How far a round may move within its slot, 0..=0.9 of `round_every`: the ward cannot predict it.
    pub round_jitter: f32,
    /// Where there are any: one round in each of these times of the day instead of one in each slot of `round_every`.
    pub windows: Vec<Window>,
    /// Share of the beds that a round looks at, 0.05..=1; beds of greater risk are drawn more often.
    pub sample: f32,
    /// A check not concluded this long after its round began is concluded with what there is.
    pub check_within: Duration,
    /// Looks at one bed before a check is concluded without a match.
    pub looks_per_check: u8,
    /// Pause between two looks at one bed: consecutive frames are the same moment, not two witnesses.
    pub look_spacing: Duration,
    /// Beds that are looked at in turns at the same time: each is watched between its looks.
    pub beds_at_once: u8,
    /// How long one look may take.
    pub look_timeout: Duration,
    /// Absent rounds that make a hanging bed.
    pub absent_rounds: u8,
    /// Two absences closer than this count once.
    pub absent_spacing: Duration,
    /// A reason for an absence that reached us this long after the check was due was on its way before.
    pub excuse_grace: Duration,
    /// A contradiction of the roster that lasted this long is told: an exchange of beds takes two messages.
    pub roster_settle: Duration,
    /// The same for the insurer's list, which is made once a day.
    pub insurer_settle: Duration,
    /// Rounds without a usable view before "not verified" becomes an exception.
    pub unproven_rounds: u8,
    /// Rounds in which the face showed no life before that becomes an exception: one may be a bad watch.
    pub lifeless_rounds: u8,
    pub face: FaceRule,
    pub quality: QualityRule,
    /// What counts as life; `None`: a face is believed as it is.
    pub life: Option<LifeRule>,
    /// Mean luma (0..=255) of a zone below which it is dark: lights off is no absence.
    pub dark_below: f32,
    /// Share of a zone (0..=1) that must differ from the empty bed to count as a body.
    pub body_above: f32,
}

/// Whether a crop of the bed may leave the device, sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    #[default]
    None,
    /// With what a check found wrong.
    Exception,
    /// With each check that a spot check of the platform wants a picture of, and no other.
    OnRequest,
}

impl Evidence {
    pub fn name(self) -> &'static str {
        match self {
            Evidence::None => "none",
            Evidence::Exception => "exception",
            Evidence::OnRequest => "on_request",
        }
    }

    /// Whether the picture of a look may be needed; it is not even cut out otherwise.
    pub fn may_need(self, is_wanted: bool) -> bool {
        self == Evidence::Exception || (self == Evidence::OnRequest && is_wanted)
    }

    /// Whether the picture goes with its check.
    pub fn goes(self, is_wanted: bool, is_fine: bool) -> bool {
        self.may_need(is_wanted) && (self == Evidence::OnRequest || !is_fine)
    }
}

/// A time of every day, in minutes after midnight in China (UTC+8 all year); `to` before `from` is the next morning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: u16,
    pub to: u16,
}

impl Window {
    /// `"06:30-08:00"`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Window> {
        let (from, to) = text.split_once('-')?;
        let minutes = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then(|| hour * 60 + minute)
        };
        let window = Window { from: minutes(from)?, to: minutes(to)? };
        (window.from != window.to).then_some(window)
    }

    pub fn length(self) -> Duration {
        let minutes = (DAY + self.to - self.from) % DAY;
        Duration::from_secs(u64::from(minutes) * 60)
    }

    /// Whether a minute of the day lies in it.
    fn covers(self, minute: u16) -> bool {
        (DAY + minute - self.from) % DAY < (DAY + self.to - self.from) % DAY
    }
}

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// The operating point of the matcher, from the model's card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceRule {
    /// The false match rate people chose, as they wrote it: `1e-3`.
    pub fmr: String,
    /// Similarity from which two faces are one person.
    pub match_at: f32,
    /// Similarity below which they are surely two people; between the two nothing is claimed, so that a bad
    /// picture of an honest patient does not become an accusation.
    pub differs_below: f32,
    /// Similarity of two strangers on average, where the card says it: what a face has in common with everybody in the
    /// ward beyond this speaks for nobody.
    pub typical: Option<f32>,
}

/// What a picture of a face must have before its scores are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityRule {
    /// Detector score × mesh flag, 0..=1.
    pub min_score: f32,
    /// Width of the face in camera pixels.
    pub min_width_px: f32,
    /// Degrees away from the camera, left or right.
    pub max_yaw: f32,
    /// Degrees up or down.
    pub max_pitch: f32,
    /// Variance of the Laplacian on the face 96 pixels high.
    pub min_sharpness: f32,
    /// Mean luma of the face, 0..=255.
    pub min_luma: f32,
    /// Share of the face's points that may lie outside the picture.
    pub max_outside: f32,
    /// Texture of the mouth against the eyes below which the face is covered.
    pub min_mouth: f32,
}

impl Default for QualityRule {
    /// Detector 0.8, 64 px and 30° are from the design's measurements. Of 119 LFW faces (250 px pictures) the sharpness
    /// refuses about 2 % as they are, 45 % blurred with σ = 1.5 px and 85 % with 2 px; luma was chosen by feel.
    fn default() -> QualityRule {
        QualityRule {
            min_score: 0.5,
            min_width_px: 64.0,
            max_yaw: 30.0,
            max_pitch: 35.0,
            min_sharpness: 25.0,
            min_luma: 25.0,
            max_outside: 0.06,
            min_mouth: 0.2,
        }
    }
}

impl Policy {
    /// A ward's usual day: a round every four hours, three absent rounds at least three hours apart.
    pub fn ordinary(face: FaceRule) -> Policy {
        Policy {
            evidence: Evidence::None,
            round_every: Duration::from_secs(4 * 3600),
            round_jitter: 0.5,
            windows: Vec::new(),
            sample: 1.0,
            check_within: Duration::from_secs(20 * 60),
            looks_per_check: 3,
            look_spacing: Duration::from_secs(20),
            beds_at_once: 4,
            look_timeout: Duration::from_secs(10),
            absent_rounds: 3,
            absent_spacing: Duration::from_secs(2 * 3600),
            excuse_grace: Duration::from_secs(60),
            roster_settle: Duration::from_secs(10 * 60),
            insurer_settle: Duration::from_secs(36 * 3600),
            unproven_rounds: 3,
            lifeless_rounds: 2,
            face,
            quality: QualityRule::default(),
            life: Some(LifeRule::default()),
            dark_below: 20.0,
            body_above: 0.12,
        }
    }

    /// How long an irregularity must have lasted before it is told.
    pub fn patience(&self, what: &Irregularity) -> Duration {
        match what {
            Irregularity::TwoInBed { .. } | Irregularity::TwoBeds { .. } => self.roster_settle,
            Irregularity::InsurerMismatch { .. } => self.insurer_settle,
            Irregularity::CameraTampered { .. }
            | Irregularity::ClockStepped { .. }
            | Irregularity::ClockOff { .. }
            | Irregularity::StoreFull
            | Irregularity::TakenBack { .. }
            | Irregularity::RetroactiveDeparture { .. } => Duration::ZERO,
        }
    }

    /// How long the checks of so many beds take when nobody is recognised at once.
    pub fn longest_round(&self, beds: usize) -> Duration {
        let turns = beds.div_ceil(usize::from(self.beds_at_once).max(1));
        self.longest_check() * u32::try_from(turns).unwrap_or(u32::MAX)
    }

    /// The same for one bed.
    pub fn longest_check(&self) -> Duration {
        self.look_spacing * u32::from(self.looks_per_check)
    }

    fn windows_overlap(&self) -> bool {
        let others = |at: usize| self.windows.iter().enumerate().filter(move |(other, _)| *other != at);
        self.windows
            .iter()
            .enumerate()
            .any(|(at, window)| others(at).any(|(_, other)| other.covers(window.from)))
    }

    /// Every complaint about values that cannot work together, as `(key, what is wrong)`.
    pub fn complaints(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut check = |holds: bool, key, text: &str| {
            if !holds {
                found.push((key, text.to_owned()));
            }
        };
        check(self.round_every >= Duration::from_secs(1), "round_every", "must be at least 1s");
        check((0.0..=0.9).contains(&self.round_jitter), "round_jitter", "must lie between 0 and 0.9");
        check(self.windows.len() <= 24, "windows", "must be at most 24");
        check(!self.windows_overlap(), "windows", "must not overlap: one round at a time");
        check(
            self.windows.iter().all(|window| self.check_within <= window.length()),
            "windows",
            "must be longer than check_within: a round ends before its window does",
        );
        check((0.05..=1.0).contains(&self.sample), "sample", "must lie between 0.05 and 1");
        check((1..=20).contains(&self.looks_per_check), "looks_per_check", "must lie between 1 and 20");
        check(
            (2..=50).contains(&self.absent_rounds),
            "absent_rounds",
            "must lie between 2 and 50: one absence proves nothing",
        );
        check((2..=50).contains(&self.unproven_rounds), "unproven_rounds", "must lie between 2 and 50");
        check((1..=50).contains(&self.lifeless_rounds), "lifeless_rounds", "must lie between 1 and 50");
        if let Some(life) = &self.life {
            let looked_at = self.look_spacing * u32::from(self.looks_per_check.saturating_sub(1));
            check(
                looked_at >= life.watch.max(life.blink_within),
                "liveness.watch",
                "and blink_within must not be longer than the looks of a check take: (looks - 1) x look_spacing",
            );
        }
        check((1..=64).contains(&self.beds_at_once), "beds_at_once", "must lie between 1 and 64");
        check(!self.look_timeout.is_zero(), "look_timeout", "must be longer than 0s");
        check(
            self.check_within < self.round_every || !self.windows.is_empty(),
            "check_within",
            "must be shorter than round_every: a round ends before the next begins",
        );
        check(
            self.look_spacing * u32::from(self.looks_per_check) < self.check_within,
            "look_spacing",
            "times looks_per_check must fit into check_within",
        );
        check(
            self.face.differs_below <= self.face.match_at,
            "face.differs_below",
            "must not be above the similarity of a match",
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(windows: &[&str]) -> Policy {
        let face = FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.6, typical: None };
        let windows = windows.iter().map(|text| Window::parse(text).unwrap()).collect();
        Policy { windows, ..Policy::ordinary(face) }
    }

    #[test]
    fn windows_are_read_as_people_write_them() {
        let night = Window::parse("23:30-01:00").unwrap();
        assert_eq!((night.from, night.to, night.length()), (1410, 60, Duration::from_secs(5400)));
        for wrong in ["", "8-9", "24:00-01:00", "08:00-08:00", "08:00", "08:60-09:00", "-1:00-02:00"] {
            assert_eq!(Window::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn windows_that_overlap_or_are_too_short_are_refused() {
        assert_eq!(policy(&["06:30-08:00", "12:00-14:00", "23:00-01:00"]).complaints(), []);
        assert_eq!(policy(&["23:00-01:00", "00:30-02:00"]).complaints().len(), 1);
        assert_eq!(policy(&["06:30-06:40"]).complaints().len(), 1);
    }
}
