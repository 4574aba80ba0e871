//! Where a camera and those who look through it meet: the newest frame, how long somebody watches, how the camera is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::frame::Frame;
use crate::base::health::CameraHealth;

/// Holds one frame: an old picture of a bed proves nothing, so the newer one replaces it.
#[derive(Clone, Default)]
pub struct Slot(Arc<Shared>);

#[derive(Default)]
struct Shared {
    frame: Mutex<Option<Frame>>,
    arrived: Condvar,
    watched_until: AtomicU64,
    health: Mutex<CameraHealth>,
}

impl Slot {
    pub fn put(&self, frame: Frame) {
        *self.0.frame.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
        self.0.arrived.notify_all();
    }

    /// The newest frame if it was taken after `after`, waiting for it at most `patience`.
    pub fn newer_than(&self, after: Mono, patience: Duration) -> Option<Frame> {
        let guard = self.0.frame.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |frame: &mut Option<Frame>| frame.as_ref().is_none_or(|frame| frame.taken.mono <= after);
        let (guard, _) = self
            .0
            .arrived
            .wait_timeout_while(guard, patience, is_old)
            .unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().filter(|frame| frame.taken.mono > after).cloned()
    }

    /// The newest frame, however old.
    pub fn newest(&self) -> Option<Frame> {
        self.0.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the newest frame; 0 before the first.
    pub fn count(&self) -> u64 {
        self.0.frame.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |frame| frame.number)
    }

    /// Asks for several frames a second until then. A later time that was asked for before stays.
    pub fn watch_until(&self, until: Mono) {
        self.0.watched_until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Whether somebody watches now; otherwise a picture every few seconds is enough.
    pub fn is_watched(&self, now: Mono) -> bool {
        now.0 < self.0.watched_until.load(Ordering::Relaxed)
    }

    /// How the camera is.
    pub fn health(&self) -> CameraHealth {
        self.0.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_health(&self, health: CameraHealth) {
        *self.0.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_wish_does_not_end_a_longer_one() {
        let slot = Slot::default();
        slot.watch_until(Mono(500));
        slot.watch_until(Mono(300));
        assert!(slot.is_watched(Mono(499)));
        assert!(!slot.is_watched(Mono(500)));
    }
}
