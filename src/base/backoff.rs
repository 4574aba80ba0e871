//! How long to wait before trying again: exponential with full jitter.

use std::time::Duration;

/// Doubles its ceiling from `first` to `most`; each wait is drawn evenly from 0 to the ceiling, so that
/// a thousand agents that lost the same platform do not come back in the same second
/// (AWS Architecture Blog 2015, "Exponential Backoff and Jitter").
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, failures: 0 }
    }

    /// The next wait. `draw` is an evenly distributed random number; at least a twentieth of the
    /// ceiling is waited, so that an unlucky run of zeros does not hammer the peer.
    pub fn next(&mut self, draw: u32) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64((f64::from(draw) / f64::from(u32::MAX)).max(0.05))
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random number from the operating system, for jitter and salts.
pub fn draw() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        let waits: Vec<u64> = (0..10).map(|_| backoff.next(u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX / 2).as_millis(), 500);
        assert_eq!(backoff.next(0).as_millis(), 100);
    }
}
