//! Whether the wall clock keeps pace with the machine's own count of time. Whoever sets it back wants a reason to be
//! older than the check it excuses; whoever sets it forward wants three absences in one hour.

use std::time::Duration;

use crate::base::clock::Now;

/// The wall clock may differ by so much (chosen by feel: a good NTP client slews what is less) ...
const TOLERANCE_MS: i64 = 2_000;
/// ... and by this share of the time that passed: Linux slews with at most 500 millionths, and a quartz drifts by 100.
const DRIFT: f64 = 0.000_7;
/// A clock that never stands still is told of this often.
const PAUSE: Duration = Duration::from_secs(600);

/// One comparison after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    anchor: Option<Now>,
    /// What was stepped and not yet told, and when something was told last.
    untold: i64,
    told: Option<Now>,
}

/// What one comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The step since the last comparison in milliseconds; 0 for an honest clock.
    pub stepped: i64,
    /// What must be told now, several steps summed up.
    pub tell: Option<i64>,
}

impl Timeline {
    /// Compares the clocks at `now`.
    pub fn compare(&mut self, now: Now) -> Pace {
        let Some(anchor) = self.anchor else {
            self.anchor = Some(now);
            return Pace::default();
        };
        let passed = elapsed(anchor, now);
        let expected = anchor.wall.plus(passed);
        let off = now.wall.0.saturating_sub(expected.0);
        let may = TOLERANCE_MS + (passed.as_millis() as f64 * DRIFT) as i64;
        let mut pace = Pace::default();
        if off.abs() > may {
            self.anchor = Some(now);
            self.untold = self.untold.saturating_add(off);
            pace.stepped = off;
        }
        let may_tell = self.told.is_none_or(|told| elapsed(told, now) >= PAUSE);
        if self.untold != 0 && may_tell {
            self.told = Some(now);
            pace.tell = Some(std::mem::take(&mut self.untold));
        }
        pace
    }
}

/// Time since `earlier` that also counts while the machine slept; the process's own where the machine says nothing.
fn elapsed(earlier: Now, now: Now) -> Duration {
    if earlier.boot > 0 && now.boot >= earlier.boot {
        Duration::from_millis(now.boot - earlier.boot)
    } else {
        now.mono - earlier.mono
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Mono, Wall};

    fn at(seconds: u64, wall: i64) -> Now {
        Now { mono: Mono(seconds * 1000), wall: Wall(wall * 1000), boot: 77_000 + seconds * 1000 }
    }

    #[test]
    fn a_drifting_clock_is_honest_and_a_step_is_told() {
        let mut line = Timeline::default();
        assert_eq!(line.compare(at(0, 1_000_000)), Pace::default());
        assert_eq!(line.compare(at(86_400, 1_086_440)), Pace::default());
        let pace = line.compare(at(86_410, 1_082_850));
        assert_eq!((pace.stepped, pace.tell), (-3_560_000, Some(-3_560_000)));
        assert_eq!(line.compare(at(86_420, 1_082_860)), Pace::default());
    }

    #[test]
    fn a_stopped_clock_does_not_flood() {
        let mut line = Timeline::default();
        let told: Vec<i64> = (0..3600).filter_map(|second| line.compare(at(second, 50)).tell).collect();
        assert!((3..=7).contains(&told.len()), "{told:?}");
        assert!(told.iter().sum::<i64>() <= -2_900_000, "{told:?}");
    }

    #[test]
    fn a_machine_that_slept_did_not_step() {
        let mut line = Timeline::default();
        line.compare(at(0, 100));
        let slept = Now { mono: Mono(1000), ..at(7200, 7300) };
        assert_eq!(line.compare(slept), Pace::default());
    }
}
