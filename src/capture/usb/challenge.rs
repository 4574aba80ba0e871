//! The control challenge: the camera's brightness is changed by a random step, and the next pictures must follow. A film
//! that somebody feeds in does not.

use std::time::Duration;

use crate::base::backoff::draw;
use crate::base::clock::Mono;
use crate::base::frame::Picture;
use crate::capture::usb::reader::Brightness;

/// Between challenges, and after one that failed.
const EVERY: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(60);
/// A single failure may be a camera that was busy; two are believed.
const BELIEVED: u32 = 2;
/// Frames within which the picture must follow: four wait in the buffers already.
pub const FRAMES: u32 = 12;
/// Grey levels by which the mean must change; the test driver's changed by 50 to 90, a still ward's by less than 1 (measured).
const STEP: f32 = 6.0;

/// What the challenges so far say.
#[derive(Default)]
pub struct Challenge {
    due: Option<Mono>,
    failures: u32,
}

impl Challenge {
    pub fn is_due(&self, now: Mono) -> bool {
        self.due.is_none_or(|due| now >= due)
    }

    /// Another camera may be behind a connection that was opened anew.
    pub fn is_due_now(&mut self) {
        self.due = None;
    }

    /// The camera has no brightness to change: nothing is proven, nobody is accused.
    pub fn is_impossible(&mut self, now: Mono) {
        self.due = Some(now + EVERY);
        self.failures = 0;
    }

    pub fn ended(&mut self, now: Mono, follows: bool) {
        self.failures = if follows { 0 } else { self.failures.saturating_add(1) };
        self.due = Some(now + if follows { EVERY } else { AGAIN });
    }

    pub fn has_failed(&self) -> bool {
        self.failures >= BELIEVED
    }
}

/// A value a third to a half of the range away, towards the side with more room: unpredictable and plain to see.
pub fn draw_value(brightness: &Brightness) -> i64 {
    let Brightness { least, most, now } = *brightness;
    let share = 0.33 + 0.17 * f64::from(draw()) / f64::from(u32::MAX);
    let step = ((most - least) as f64 * share) as i64;
    if most - now >= now - least { (now + step).min(most) } else { (now - step).max(least) }
}

/// Mean grey value of every seventh pixel.
pub fn luma(picture: &Picture) -> f32 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for pixel in picture.rgb().chunks_exact(3).step_by(7) {
        sum += u64::from(pixel[0]) * 3 + u64::from(pixel[1]) * 6 + u64::from(pixel[2]);
        count += 10;
    }
    sum as f32 / count.max(1) as f32
}

pub fn differs(before: f32, after: f32) -> bool {
    (before - after).abs() >= STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_doubted_two_are_believed_and_one_success_clears() {
        let mut challenge = Challenge::default();
        challenge.ended(Mono(0), false);
        assert!(!challenge.has_failed() && challenge.is_due(Mono(60_000)) && !challenge.is_due(Mono(59_000)));
        challenge.ended(Mono(60_000), false);
        assert!(challenge.has_failed());
        challenge.ended(Mono(120_000), true);
        assert!(!challenge.has_failed() && !challenge.is_due(Mono(3_700_000)));
    }

    #[test]
    fn the_step_stays_within_the_range_and_is_large() {
        for now in [-64, 0, 10, 64] {
            let value = draw_value(&Brightness { least: -64, most: 64, now });
            assert!((-64..=64).contains(&value) && (value - now).abs() >= 42, "{now} -> {value}");
        }
    }
}
