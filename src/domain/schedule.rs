//! In which stretch of time the next round begins; `draw` chooses the moment within it.

use std::time::Duration;

use crate::base::clock::{Mono, Now, Wall};
use crate::domain::policy::{Policy, Window};
use crate::domain::round::Slot;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// China keeps UTC+8 all year.
const CHINA: i64 = 8 * 60 * MINUTE;

/// A round begins in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub from: Mono,
    pub span: Duration,
    /// Where the window or slot began, which tells one from the next.
    start: Wall,
}

impl Opening {
    /// The one that is open now or opens next.
    pub fn first(policy: &Policy, now: Now) -> Opening {
        match next_window(policy, now, Wall(i64::MIN)) {
            Some(opening) => opening,
            None => slot(policy, now.mono, now),
        }
    }

    /// The one after this. Slots follow each other without drift; what a long sleep missed is not made up.
    #[must_use]
    pub fn next(self, policy: &Policy, now: Now) -> Opening {
        next_window(policy, now, self.start).unwrap_or_else(|| {
            let mut from = self.from + policy.round_every;
            while from + policy.round_every <= now.mono {
                from = from + policy.round_every;
            }
            slot(policy, from, now)
        })
    }

    /// When it closes.
    pub fn latest(self) -> Mono {
        self.from + self.span
    }

    /// The drawn moment, a share (0..=1) of the way through.
    pub fn moment(self, share: f64) -> Mono {
        self.from + self.span.mul_f64(share)
    }

    pub fn as_slot(self, now: Now) -> Slot {
        let span_ms = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        Slot { from: wall_of(self.from, now), span_ms }
    }
}

fn slot(policy: &Policy, from: Mono, now: Now) -> Opening {
    Opening { from, span: policy.round_every.mul_f32(policy.round_jitter), start: wall_of(from, now) }
}

/// The earliest window that began after `after` and still leaves time for a round; `None` without windows.
fn next_window(policy: &Policy, now: Now, after: Wall) -> Option<Opening> {
    let midnight = (now.wall.0 + CHINA).div_euclid(DAY) * DAY - CHINA;
    let days = -1..=2;
    let all = days.flat_map(|day| policy.windows.iter().map(move |window| (midnight + day * DAY, window)));
    let open = |(midnight, window): (i64, &Window)| {
        let start = Wall(midnight + i64::from(window.from) * MINUTE);
        // A round that begins here also ends here.
        let last = start.plus(window.length().saturating_sub(policy.check_within));
        let from = Wall(start.0.max(now.wall.0));
        (start > after && last >= now.wall).then(|| Opening {
            from: now.mono + from.since(now.wall),
            span: last.since(from),
            start,
        })
    };
    all.filter_map(open).min_by_key(|opening| opening.start)
}

fn wall_of(mono: Mono, now: Now) -> Wall {
    let (ahead, behind) = (mono - now.mono, now.mono - mono);
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Wall(now.wall.0.saturating_add(ms(ahead)).saturating_sub(ms(behind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::FaceRule;

    const HOUR: u64 = 3_600_000;

    fn policy(windows: &[&str]) -> Policy {
        let face = FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.6, typical: None };
        let windows = windows.iter().map(|text| Window::parse(text).unwrap()).collect();
        Policy { windows, ..Policy::ordinary(face) }
    }

    /// So many hours after a midnight in China.
    fn at(hour: u64) -> Now {
        Now { mono: Mono(hour * HOUR), wall: Wall((hour * HOUR) as i64 + 20_000 * DAY - CHINA), boot: 0 }
    }

    #[test]
    fn windows_come_one_after_the_other_over_midnight() {
        let policy = policy(&["06:00-08:00", "23:00-01:00"]);
        let morning = Opening::first(&policy, at(3));
        assert_eq!(morning.from, Mono(6 * HOUR));
        assert_eq!(morning.span, Duration::from_secs(100 * 60), "the checks end before the window does");
        let night = morning.next(&policy, at(7));
        assert_eq!(night.from, Mono(23 * HOUR));
        assert_eq!(night.next(&policy, at(24)).from, Mono(30 * HOUR));
    }

    #[test]
    fn who_starts_within_a_window_uses_what_is_left_of_it() {
        let policy = policy(&["23:00-01:00"]);
        let opening = Opening::first(&policy, at(24));
        assert_eq!((opening.from, opening.span), (Mono(24 * HOUR), Duration::from_secs(40 * 60)));
        let late =
            Now { mono: Mono(50 * 60_000), wall: at(24).wall.plus(Duration::from_secs(50 * 60)), boot: 0 };
        assert!(Opening::first(&policy, late).from > late.mono, "ten minutes are not enough for a round");
    }

    #[test]
    fn slots_do_not_drift_and_missed_ones_are_not_made_up() {
        let policy = policy(&[]);
        let first = Opening::first(&policy, at(1));
        assert_eq!((first.from, first.latest()), (Mono(HOUR), Mono(3 * HOUR)));
        assert_eq!(first.next(&policy, at(2)).from, Mono(5 * HOUR));
        assert_eq!(first.next(&policy, at(22)).from, Mono(21 * HOUR));
    }
}
