//! The loop of a camera's thread: pictures into the slot, failures waited out, health kept up to date.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use crate::base::backoff::{Backoff, draw};
use crate::base::clock::Clock;
use crate::base::files::{make_owner_only_folder, read_at_most, write_owner_only};
use crate::base::frame::{Frame, Picture, Tamper};
use crate::base::health::{CameraHealth, Words};
use crate::base::ids::CameraId;
use crate::base::slot::{Pace, Slot};
use crate::base::supervise::Stopping;
use crate::capture::tamper::Watch;
use crate::capture::{Attention, Camera, CameraError};

/// What a camera's thread is given.
pub struct Filming {
    pub id: CameraId,
    pub slot: Slot,
    pub clock: Clock,
    /// Folder in which each camera's identity is kept from its first picture on; `None` pins nothing.
    pub identities: Option<PathBuf>,
}

/// How long a camera whose pictures are odd is not left at rest.
const UNEASY: Duration = Duration::from_secs(60);

/// An identity has a driver, a serial number, an address, a digest.
const MOST_IDENTITY: u64 = 4096;

/// Films until shutdown.
pub fn film(camera: &mut dyn Camera, filming: &Filming, stopping: &Stopping) {
    let mut films = Films::new(filming);
    let attention = Attention::of(&filming.slot, &filming.clock);
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
    while !stopping.has_begun() {
        match camera.next_picture(&attention) {
            Ok(picture) => {
                backoff.reset();
                films.show(camera, picture);
                // Whoever wants a picture asks for another pace first.
                if attention.pace() == Pace::Rest {
                    filming.slot.forget_picture();
                }
            }
            Err(error) => {
                let wait = backoff.next(draw());
                films.miss(&error, wait);
                pause(wait, stopping);
            }
        }
    }
}

struct Films<'a> {
    filming: &'a Filming,
    number: u64,
    failing: bool,
    health: CameraHealth,
    watch: Watch,
}

impl<'a> Films<'a> {
    fn new(filming: &'a Filming) -> Films<'a> {
        Films { filming, number: 0, failing: false, health: CameraHealth::default(), watch: Watch::default() }
    }

    fn show(&mut self, camera: &dyn Camera, picture: Picture) {
        let Filming { id, slot, clock, .. } = self.filming;
        if self.failing {
            info!(camera = %id, "Camera brings pictures again.");
            self.failing = false;
        }
        self.number += 1;
        let (taken, origin) = (clock.now(), camera.origin());
        let seen = self.watch.take(&picture, taken, origin);
        if self.watch.is_uneasy() {
            slot.stir_until(taken.mono + UNEASY);
        }
        let tamper = camera.tamper().or(seen);
        if tamper != self.health.tamper {
            warn!(camera = %id, tamper = tamper.map(Tamper::name), "What keeps the camera from showing its ward has changed.");
        }
        let identity = camera.identity();
        let mut remarks: Vec<Words> = camera.remark().into_iter().collect();
        if let Some(identity) = &identity {
            remarks.extend(self.stranger(identity));
        }
        let health = CameraHealth { trouble: None, remarks, identity, tamper };
        self.tell(health);
        slot.put(Frame { camera: id.clone(), number: self.number, taken, origin, tamper, picture });
    }

    fn miss(&mut self, error: &CameraError, wait: Duration) {
        self.failing = true;
        warn!(camera = %self.filming.id, %error, wait_ms = wait.as_millis() as u64, "Camera brings no picture; will try again.");
        let health =
            CameraHealth { trouble: Some(error.words()), tamper: error.tamper(), ..self.health.clone() };
        self.tell(health);
    }

    fn tell(&mut self, health: CameraHealth) {
        if health != self.health {
            for remark in health.remarks.iter().filter(|remark| !self.health.remarks.contains(remark)) {
                warn!(camera = %self.filming.id, %remark, "Somebody should look at this camera.");
            }
            self.health = health;
            self.filming.slot.set_health(self.health.clone());
        }
    }

    /// A complaint when this is not the camera that was seen first. The file is read for a new identity only.
    fn stranger(&self, identity: &str) -> Option<Words> {
        let folder = self.filming.identities.as_deref()?;
        if self.health.identity.as_deref() == Some(identity) {
            return self.health.remarks.iter().find(|remark| remark.english.contains(CHANGED)).cloned();
        }
        let path = folder.join(format!("{}.txt", self.filming.id));
        match pinned(&path, identity) {
            Ok(known) if known == identity => None,
            Ok(known) => Some(Words::new(
                format!(
                    "摄像头身份已改变（原为 {known}，现为 {identity}）；如确为更换设备，请删除 {}",
                    path.display()
                ),
                format!(
                    "{CHANGED}: it was {known}, now it is {identity}; if it was replaced on purpose, delete {}",
                    path.display()
                ),
            )),
            Err(error) => {
                warn!(camera = %self.filming.id, %error, "The camera's identity cannot be kept.");
                None
            }
        }
    }
}

const CHANGED: &str = "the camera's identity has changed";

/// The identity that was seen first; written down when there is none yet.
fn pinned(path: &Path, identity: &str) -> Result<String, crate::base::files::FileError> {
    if path.exists() {
        let known = read_at_most(path, MOST_IDENTITY)?;
        return Ok(String::from_utf8_lossy(&known).trim().to_owned());
    }
    if let Some(folder) = path.parent() {
        make_owner_only_folder(folder)?;
    }
    write_owner_only(path, format!("{identity}\n").as_bytes())?;
    Ok(identity.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_camera_in_the_same_place_is_noticed_until_somebody_accepts_it() {
        let folder = tempfile::tempdir().unwrap();
        let filming = Filming {
            id: CameraId::new("cam-1").unwrap(),
            slot: Slot::default(),
            clock: Clock::system(),
            identities: Some(folder.path().join("cameras")),
        };
        let films = |identity: &str| Films::new(&filming).stranger(identity);
        assert_eq!(films("uvcvideo serial 17"), None);
        assert_eq!(films("uvcvideo serial 17"), None);
        let complaint = films("uvcvideo serial 99").unwrap();
        assert!(complaint.english.contains("it was uvcvideo serial 17"), "{complaint}");
        std::fs::remove_file(folder.path().join("cameras/cam-1.txt")).unwrap();
        assert_eq!(films("uvcvideo serial 99"), None);
    }
}
