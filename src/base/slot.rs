//! Where a camera and those who look through it meet: the newest frame, how often one is wanted, how the camera is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::frame::Frame;
use crate::base::health::CameraHealth;

/// How often a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Somebody watches: several a second.
    Watch,
    /// A check may come: one every second or two.
    Patrol,
    /// None is due for a while: one now and then shows whether the camera is still well.
    Rest,
}

/// When the newest frame was taken, and how large it is; known for longer than its pixels are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    pub number: u64,
    pub taken: Mono,
    pub width: u32,
    pub height: u32,
}

/// Holds one frame: an old picture of a bed proves nothing, so the newer one replaces it.
#[derive(Clone, Default)]
pub struct Slot(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    arrived: Condvar,
    /// The pace changed.
    wanted: Condvar,
    watched_until: AtomicU64,
    rests_until: AtomicU64,
    stirred_until: AtomicU64,
    health: Mutex<CameraHealth>,
}

#[derive(Default)]
struct Held {
    frame: Option<Frame>,
    newest: Option<Glance>,
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, frame: Frame) {
        let (number, taken) = (frame.number, frame.taken.mono);
        let (width, height) = (frame.picture.width(), frame.picture.height());
        *self.held() = Held { newest: Some(Glance { number, taken, width, height }), frame: Some(frame) };
        self.0.arrived.notify_all();
    }

    /// Lets the newest frame's pixels go, 2.8 MB at 1280 × 720: of a camera at rest nobody wants them.
    pub fn forget_picture(&self) {
        self.held().frame = None;
    }

    /// The newest frame if it was taken after `after`, waiting for it at most `patience`.
    pub fn newer_than(&self, after: Mono, patience: Duration) -> Option<Frame> {
        let is_old = |held: &mut Held| held.frame.as_ref().is_none_or(|frame| frame.taken.mono <= after);
        let (held, _) = self
            .0
            .arrived
            .wait_timeout_while(self.held(), patience, is_old)
            .unwrap_or_else(PoisonError::into_inner);
        held.frame.as_ref().filter(|frame| frame.taken.mono > after).cloned()
    }

    /// The newest frame, however old; none while the camera rests.
    pub fn newest(&self) -> Option<Frame> {
        self.held().frame.clone()
    }

    /// What is known of the newest frame, at rest too.
    pub fn glance(&self) -> Option<Glance> {
        self.held().newest
    }

    /// The number of the newest frame; 0 before the first.
    pub fn count(&self) -> u64 {
        self.glance().map_or(0, |glance| glance.number)
    }

    /// Asks for several frames a second until then. A later time that was asked for before stays.
    pub fn watch_until(&self, until: Mono) {
        self.0.watched_until.fetch_max(until.0, Ordering::Relaxed);
        self.0.wanted.notify_all();
    }

    /// Nothing is due before that time: a picture now and then is enough. The last word counts.
    pub fn rest_until(&self, until: Mono) {
        if self.0.rests_until.swap(until.0, Ordering::Relaxed) != until.0 {
            self.0.wanted.notify_all();
        }
    }

    /// Something is odd about the pictures: no rest until then.
    pub fn stir_until(&self, until: Mono) {
        self.0.stirred_until.fetch_max(until.0, Ordering::Relaxed);
    }

    pub fn pace(&self, now: Mono) -> Pace {
        let is_before = |time: &AtomicU64| now.0 < time.load(Ordering::Relaxed);
        match is_before(&self.0.watched_until) {
            true => Pace::Watch,
            false if is_before(&self.0.rests_until) && !is_before(&self.0.stirred_until) => Pace::Rest,
            false => Pace::Patrol,
        }
    }

    /// Sleeps for `time`, or until somebody asks for another pace.
    pub fn sleep(&self, time: Duration) {
        // Woken too early the caller looks at the clock and comes back.
        drop(self.0.wanted.wait_timeout(self.held(), time));
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
    use crate::base::clock::Now;
    use crate::base::frame::{Origin, Picture};
    use crate::base::ids::CameraId;

    #[test]
    fn a_shorter_wish_does_not_end_a_longer_one() {
        let slot = Slot::default();
        slot.watch_until(Mono(500));
        slot.watch_until(Mono(300));
        assert_eq!(slot.pace(Mono(499)), Pace::Watch);
        assert_eq!(slot.pace(Mono(500)), Pace::Patrol);
    }

    #[test]
    fn a_camera_rests_only_while_nothing_is_due_and_nothing_is_odd() {
        let slot = Slot::default();
        slot.rest_until(Mono(900));
        assert_eq!(slot.pace(Mono(10)), Pace::Rest);
        slot.stir_until(Mono(100));
        assert_eq!(slot.pace(Mono(99)), Pace::Patrol);
        assert_eq!(slot.pace(Mono(100)), Pace::Rest);
        slot.watch_until(Mono(300));
        assert_eq!(slot.pace(Mono(299)), Pace::Watch);
        slot.rest_until(Mono(0));
        assert_eq!(slot.pace(Mono(300)), Pace::Patrol);
    }

    #[test]
    fn a_camera_at_rest_keeps_no_pixels_and_is_known_all_the_same() {
        let slot = Slot::default();
        let taken = Now { mono: Mono(700), ..Now::default() };
        let picture = Picture::new(4, 2, vec![0; 24]).unwrap();
        let camera = CameraId::new("cam-1").unwrap();
        slot.put(Frame { camera, number: 3, taken, origin: Origin::Synthetic, tamper: None, picture });
        assert!(slot.newest().is_some());
        slot.forget_picture();
        assert!(slot.newest().is_none() && slot.newer_than(Mono(0), Duration::ZERO).is_none());
        assert_eq!(slot.glance(), Some(Glance { number: 3, taken: Mono(700), width: 4, height: 2 }));
        assert_eq!(slot.count(), 3);
    }
}
