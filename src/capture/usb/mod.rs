//! A USB camera through nokhwa, with what nokhwa leaves open closed.
//!
//! | nokhwa | here |
//! |---|---|
//! | waits for ever for a frame | a thread of its own with a second look at the device ([`reader`]) |
//! | opens by number | the configured name is resolved at every opening ([`device::resolve`]) |
//! | hands on whole buffers of MJPEG | cut at the JPEG's own end ([`pixels`]) |
//! | refuses cameras at 29.97 frames a second | set to a whole number first |
//! | believes every driver | USB cameras on real ports only ([`device::Permit`]) |
//! | panics where stopping fails | in that thread, which is started anew |

mod challenge;
pub mod device;
pub mod pixels;
mod reader;

use std::path::PathBuf;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::frame::{Origin, Picture, Tamper};
use crate::base::health::Words;
use crate::base::slot::Pace;
use crate::capture::{Attention, Camera, CameraError, REST_SPACING};

use challenge::Challenge;
use device::Permit;
use reader::{Reader, STALLED};

/// A frame that has not come after this will not come: the reader's own limit is 5 s.
const READ_WITHIN: Duration = Duration::from_secs(6);
/// Between pictures on patrol, and while somebody watches.
const PATROL_SPACING: Duration = Duration::from_millis(1000);
const BURST_SPACING: Duration = Duration::from_millis(95);

/// A USB camera.
pub struct Usb {
    name: PathBuf,
    permit: Permit,
    reader: Option<Reader>,
    identity: Option<String>,
    challenge: Challenge,
    last: Option<Mono>,
    is_stuck: bool,
}

impl Usb {
    /// A camera by its name in `/dev/v4l/by-id`, or by its node.
    pub fn new(name: PathBuf) -> Usb {
        Usb::with_permit(name, Permit::Real)
    }

    /// The same, for the machine of `tests/camera-vm`.
    pub fn with_permit(name: PathBuf, permit: Permit) -> Usb {
        Usb {
            name,
            permit,
            reader: None,
            identity: None,
            challenge: Challenge::default(),
            last: None,
            is_stuck: false,
        }
    }

    fn place(&self) -> String {
        self.name.display().to_string()
    }

    fn open(&mut self) -> Result<(), CameraError> {
        match &self.reader {
            Some(reader) if self.is_stuck && !reader.has_ended() => return Ok(()),
            Some(_) | None => {}
        }
        if self.reader.is_none() || self.is_stuck {
            let found = device::resolve(&self.name, self.permit)?;
            self.identity = Some(found.identity());
            self.reader = Some(Reader::open(&found)?);
            self.is_stuck = false;
            self.challenge.is_due_now();
        }
        Ok(())
    }

    fn raw(&mut self) -> Result<pixels::Raw, CameraError> {
        let Some(reader) = &mut self.reader else {
            return Err(CameraError::Stalled { place: self.name.display().to_string(), after: READ_WITHIN });
        };
        match reader.next(READ_WITHIN) {
            Ok(raw) => {
                self.is_stuck = false;
                Ok(raw)
            }
            Err(end) => {
                let is_silent = end.as_deref().is_none_or(|end| end == STALLED);
                if end.is_some() {
                    self.reader = None;
                    self.is_stuck = false;
                } else {
                    // nokhwa waits for the first frame; only the device's end wakes it.
                    self.is_stuck = true;
                }
                let place = self.name.display().to_string();
                Err(match end {
                    Some(cause) if !is_silent => CameraError::Device { place, cause },
                    Some(_) | None => CameraError::Stalled { place, after: READ_WITHIN },
                })
            }
        }
    }

    fn decoded(&mut self) -> Result<Picture, CameraError> {
        let raw = self.raw()?;
        pixels::picture(&raw).map_err(|cause| CameraError::Undecodable { place: self.place(), cause })
    }

    /// Changes the brightness by surprise and sees whether the picture follows.
    fn challenge(&mut self, now: Mono) -> Result<(), CameraError> {
        let Some(brightness) = self.reader.as_ref().and_then(|reader| reader.brightness(READ_WITHIN)) else {
            self.challenge.is_impossible(now);
            return Ok(());
        };
        let before = challenge::luma(&self.decoded()?);
        let value = challenge::draw_value(&brightness);
        self.order(value);
        let mut follows = false;
        for _ in 0..challenge::FRAMES {
            let picture = self.decoded();
            follows = picture.is_ok_and(|picture| challenge::differs(before, challenge::luma(&picture)));
            if follows {
                break;
            }
        }
        self.order(brightness.now);
        for _ in 0..challenge::FRAMES {
            // What was filmed in another light is shown to nobody.
            if self.decoded().is_ok_and(|picture| !challenge::differs(before, challenge::luma(&picture))) {
                break;
            }
        }
        self.challenge.ended(now, follows);
        Ok(())
    }

    fn order(&self, brightness: i64) {
        if let Some(reader) = &self.reader {
            reader.set_brightness(brightness);
        }
    }
}

impl Camera for Usb {
    fn next_picture(&mut self, attention: &Attention) -> Result<Picture, CameraError> {
        self.open()?;
        attention.pause(self.last, |pace| match pace {
            Pace::Watch => BURST_SPACING,
            Pace::Patrol => PATROL_SPACING,
            Pace::Rest => REST_SPACING,
        });
        // Never while somebody watches: a change of light there looks like a fraud.
        if !attention.is_asked() && self.challenge.is_due(attention.now()) {
            self.challenge(attention.now())?;
        }
        let picture = self.decoded()?;
        self.last = Some(attention.now());
        Ok(picture)
    }

    fn origin(&self) -> Origin {
        match self.permit {
            Permit::Real => Origin::Live,
            Permit::TestDriver => Origin::Synthetic,
        }
    }

    fn identity(&self) -> Option<String> {
        self.identity.clone()
    }

    fn remark(&self) -> Option<Words> {
        let serial_missing = self.identity.as_deref().is_some_and(|identity| identity.contains("serial - "));
        serial_missing.then(|| {
            Words::new(
                "摄像头没有序列号，换成同型号设备时无法察觉",
                "the camera has no serial number; another one of its kind in its place would not be noticed",
            )
        })
    }

    fn tamper(&self) -> Option<Tamper> {
        self.challenge.has_failed().then_some(Tamper::Unresponsive)
    }
}
