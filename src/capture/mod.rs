//! Cameras. One thread each; the newest frame wins, dropped ones are counted.
//!
//! | module | a camera that is |
//! |---|---|
//! | [`recorded`] | a folder of pictures or a `.mjpeg` file, in a loop |
//! | [`rtsp`] | an IP camera: keyframes for the patrol, every frame while somebody watches |
//! | [`snapshot`] | asked over HTTP for each picture |
//! | `usb` | on a USB port, through nokhwa (feature `usb`) |
//!
//! [`decoder`] is the process in which H.264 is decoded, shut in. [`broadcast`] is the other end: it plays a recording as an IP camera would.

pub mod address;
pub mod broadcast;
pub mod decoder;
pub mod error;
pub mod film;
pub mod h264;
pub mod recorded;
pub mod rtsp;
pub mod snapshot;
pub mod tamper;
#[cfg(feature = "usb")]
pub mod usb;

use std::time::Duration;

use crate::base::clock::{Clock, Mono};
use crate::base::frame::{Origin, Picture, Tamper};
use crate::base::health::Words;
use crate::base::slot::{Pace, Slot};

pub use error::CameraError;
pub use film::{Filming, film};

/// Between two pictures of a camera that rests: a cover is noticed within a minute, and four IP cameras together take 1 %
/// of one core instead of 10 %.
pub const REST_SPACING: Duration = Duration::from_secs(30);

/// Something that yields pictures. Lives on its own thread, because reading may block.
pub trait Camera: Send {
    /// Waits for the next picture. How many a second there should be depends on `attention`.
    ///
    /// # Errors
    /// [`CameraError`]: this picture is lost; the next may come.
    fn next_picture(&mut self, attention: &Attention) -> Result<Picture, CameraError>;

    fn origin(&self) -> Origin;

    /// What tells this camera from another one that somebody put in its place.
    fn identity(&self) -> Option<String> {
        None
    }

    /// What somebody should change although pictures come.
    fn remark(&self) -> Option<Words> {
        None
    }

    /// Time between the keyframes of a compressed stream, once it was seen.
    fn keyframe_gap(&self) -> Option<Duration> {
        None
    }

    /// What the camera's own controls say about it.
    fn tamper(&self) -> Option<Tamper> {
        None
    }
}

/// Tells a camera how often a picture is wanted, and the time.
#[derive(Clone)]
pub struct Attention {
    slot: Slot,
    clock: Clock,
}

impl Attention {
    /// What those who hold the same slot ask for.
    pub fn of(slot: &Slot, clock: &Clock) -> Attention {
        Attention { slot: slot.clone(), clock: clock.clone() }
    }

    /// Somebody watches all the time: commissioning, measuring.
    pub fn full(clock: &Clock) -> Attention {
        let attention = Attention { slot: Slot::default(), clock: clock.clone() };
        attention.slot.watch_until(Mono(u64::MAX));
        attention
    }

    pub fn pace(&self) -> Pace {
        self.slot.pace(self.now())
    }

    pub fn is_asked(&self) -> bool {
        self.pace() == Pace::Watch
    }

    /// Sleeps until `spacing` has passed since `last`; whoever begins to watch meanwhile is not kept waiting.
    pub fn pause(&self, last: Option<Mono>, spacing: impl Fn(Pace) -> Duration) {
        let Some(last) = last else { return };
        loop {
            let left = spacing(self.pace()).saturating_sub(self.now() - last);
            if left.is_zero() {
                return;
            }
            self.slot.sleep(left);
        }
    }

    pub fn now(&self) -> Mono {
        self.clock.now().mono
    }
}
