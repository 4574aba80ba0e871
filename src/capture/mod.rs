//! Cameras. One thread each; the newest frame wins, dropped ones are counted.

pub mod recorded;

use std::time::Duration;

use tracing::{info, warn};

use crate::base::backoff::{Backoff, draw};
use crate::base::clock::Clock;
use crate::base::frame::{Frame, Origin, Picture};
use crate::base::ids::CameraId;
use crate::base::slot::Slot;
use crate::base::supervise::Stopping;

/// Why a camera brings no picture; retried with growing pauses.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    #[error("{0}")]
    Picture(#[from] crate::base::picture::PictureError),
    #[error("{0}")]
    File(#[from] crate::base::files::FileError),
    #[error("{path}: {complaint}")]
    Source { path: String, complaint: String },
}

/// Something that yields pictures. Lives on its own thread, because reading may block.
pub trait Camera: Send {
    /// Waits for the next picture.
    ///
    /// # Errors
    /// [`CameraError`]: this picture is lost; the next may come.
    fn next_picture(&mut self) -> Result<Picture, CameraError>;

    fn origin(&self) -> Origin;
}

/// Films until shutdown: pictures go into `slot`, failures are waited out.
pub fn film(camera: &mut dyn Camera, id: &CameraId, slot: &Slot, clock: &Clock, stopping: &Stopping) {
    let mut number = 0;
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
    let mut failing = false;
    while !stopping.has_begun() {
        match camera.next_picture() {
            Ok(picture) => {
                if failing {
                    info!(camera = %id, "Camera brings pictures again.");
                    failing = false;
                    backoff.reset();
                }
                number += 1;
                let (camera, taken, origin) = (id.clone(), clock.now(), camera.origin());
                slot.put(Frame { camera, number, taken, origin, tamper: None, picture });
            }
            Err(error) => {
                failing = true;
                let wait = backoff.next(draw());
                warn!(camera = %id, %error, wait_ms = wait.as_millis() as u64, "Camera brings no picture; will try again.");
                pause(wait, stopping);
            }
        }
    }
}

/// Sleeps in short steps, so that shutdown is never kept waiting.
fn pause(time: Duration, stopping: &Stopping) {
    let step = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !stopping.has_begun() {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}
