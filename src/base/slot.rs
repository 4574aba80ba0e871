//! The newest frame of one camera.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::frame::Frame;

/// Holds one frame: an old picture of a bed proves nothing, so the newer one replaces it.
#[derive(Clone, Default)]
pub struct Slot(Arc<(Mutex<Option<Frame>>, Condvar)>);

impl Slot {
    pub fn put(&self, frame: Frame) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
        self.0.1.notify_all();
    }

    /// The newest frame if it was taken after `after`, waiting for it at most `patience`.
    pub fn newer_than(&self, after: Mono, patience: Duration) -> Option<Frame> {
        let guard = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |frame: &mut Option<Frame>| frame.as_ref().is_none_or(|frame| frame.taken.mono <= after);
        let (guard, _) =
            self.0.1.wait_timeout_while(guard, patience, is_old).unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().filter(|frame| frame.taken.mono > after).cloned()
    }

    /// The newest frame, however old.
    pub fn newest(&self) -> Option<Frame> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the newest frame; 0 before the first.
    pub fn count(&self) -> u64 {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |frame| frame.number)
    }
}
