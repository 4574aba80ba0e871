//! Time as a value. Only this file reads a clock; everything else is handed a [`Now`].

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the monotonic clock: milliseconds since the process began. Never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, by: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Mono {
    type Output = Duration;
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z. May jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Wall {
    /// Milliseconds from `earlier` to `self`; 0 if the clock went back.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    pub fn plus(self, by: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// The moment something was noticed, on every clock we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
    /// Milliseconds since the machine started; tells reboots apart from clock steps.
    pub boot: u64,
}

/// Where time comes from. `System` reads the machine; `Fixed` is for tests and replays.
#[derive(Clone, Debug)]
pub enum Clock {
    System(Arc<std::time::Instant>),
    Fixed(Now),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Clock {
        Clock::System(Arc::new(std::time::Instant::now()))
    }

    pub fn now(&self) -> Now {
        match self {
            Clock::System(began) => Now {
                mono: Mono(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
                wall: wall_now(),
                boot: boot_ms(),
            },
            Clock::Fixed(now) => *now,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn wall_now() -> Wall {
    Wall(jiff::Timestamp::now().as_millisecond())
}

/// `/proc/uptime` has centiseconds and needs no `unsafe`; 0 where there is none.
fn boot_ms() -> u64 {
    std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(0, |seconds| (seconds * 1000.0) as u64)
}

/// The kernel's id of this boot; `unknown` where there is none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_went_back_yields_no_time() {
        assert_eq!(Wall(5).since(Wall(9)), Duration::ZERO);
        assert_eq!(Wall(9).since(Wall(5)), Duration::from_millis(4));
    }

    #[test]
    fn wall_time_prints_as_rfc3339() {
        assert_eq!(Wall(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
