//! Which USB cameras there are, which of them may be believed, and how each is told from others.

use std::fs;
use std::path::{Path, PathBuf};

use v4l::Device;
use v4l::capability::Flags;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;

use crate::capture::CameraError;

/// Most nodes that are looked at.
const MOST_NODES: usize = 64;
/// Names that stay the same when a camera is plugged in again or the machine starts anew.
const BY_ID: &str = "/dev/v4l/by-id";

/// Who may film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Cameras on a USB port only.
    Real,
    /// The kernel's test driver too. Only the machine of `tests/camera-vm` asks for this; nothing in the agent does.
    TestDriver,
}

/// A camera as the kernel describes it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Found {
    pub node: PathBuf,
    /// Name under which to configure it; `None` where the system makes none.
    pub by_id: Option<PathBuf>,
    pub driver: String,
    pub card: String,
    pub bus: String,
    /// Serial number of the USB device; many cheap ones have none or all the same.
    pub serial: Option<String>,
    /// Whether it is accepted, and if not, why.
    pub refused: Option<String>,
    /// FourCC, size and frames a second.
    pub formats: Vec<Mode>,
}

/// One way in which a camera films.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mode {
    pub fourcc: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

/// Every camera of this machine that films.
pub fn list(permit: Permit) -> Vec<Found> {
    let mut nodes: Vec<PathBuf> = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| index(path).is_some())
        .take(MOST_NODES)
        .collect();
    nodes.sort();
    // A camera has further nodes that bring metadata; those are left out.
    nodes.iter().filter_map(|node| describe(node, permit).ok().flatten()).collect()
}

/// The camera behind a configured name, looked up anew each time: nodes are numbered in the order of plugging in.
///
/// # Errors
/// [`CameraError::Device`] where there is none, [`CameraError::Virtual`] where it may not be believed.
pub fn resolve(name: &Path, permit: Permit) -> Result<Found, CameraError> {
    let place = name.display().to_string();
    let device = |cause: &str| CameraError::Device { place: place.clone(), cause: cause.to_owned() };
    let node = fs::canonicalize(name).map_err(|error| device(&format!("it is not plugged in ({error})")))?;
    let found = describe(&node, permit).map_err(|error| device(&error.to_string()))?;
    let found = found.ok_or_else(|| device("it brings no video (choose the other node of this camera)"))?;
    match &found.refused {
        Some(_) => Err(CameraError::Virtual { place, driver: found.driver.clone() }),
        None => Ok(found),
    }
}

/// The number in `/dev/videoN`.
pub fn index(node: &Path) -> Option<usize> {
    node.to_str()?.strip_prefix("/dev/video")?.parse().ok()
}

fn describe(node: &Path, permit: Permit) -> std::io::Result<Option<Found>> {
    let device = Device::with_path(node)?;
    let caps = device.query_caps()?;
    if !caps.capabilities.contains(Flags::VIDEO_CAPTURE) {
        return Ok(None);
    }
    let formats = modes(&device);
    let home = sysfs(node);
    let refused = refusal(&caps.driver, home.as_deref(), permit);
    Ok(Some(Found {
        node: node.to_owned(),
        by_id: by_id(node),
        refused,
        driver: caps.driver,
        card: caps.card,
        bus: caps.bus,
        serial: home.as_deref().and_then(serial),
        formats,
    }))
}

/// Why a camera is not believed: whoever can load a driver can show any film he likes.
fn refusal(driver: &str, home: Option<&Path>, permit: Permit) -> Option<String> {
    if driver == "vivid" && permit == Permit::TestDriver {
        return None;
    }
    if driver != "uvcvideo" {
        return Some(format!("driver {driver} is no USB camera's"));
    }
    let home = home.map(|home| home.display().to_string()).unwrap_or_default();
    // USB over the network, and a gadget that this machine plays to itself.
    let pretended = ["vhci_hcd", "dummy_hcd"].into_iter().find(|name| home.contains(name));
    match pretended {
        Some(name) => Some(format!("its USB port is a pretended one ({name})")),
        None if home.contains("/usb") => None,
        None => Some("it is on no USB port".to_owned()),
    }
}

fn sysfs(node: &Path) -> Option<PathBuf> {
    let name = node.file_name()?;
    fs::canonicalize(Path::new("/sys/class/video4linux").join(name).join("device")).ok()
}

/// The node is an interface of the USB device above it.
fn serial(home: &Path) -> Option<String> {
    let text = fs::read_to_string(home.parent()?.join("serial")).ok()?;
    Some(text.trim().chars().take(64).collect()).filter(|text: &String| !text.is_empty())
}

fn by_id(node: &Path) -> Option<PathBuf> {
    let links = fs::read_dir(BY_ID).ok()?.flatten().map(|entry| entry.path()).take(MOST_NODES);
    links.into_iter().find(|link| fs::canonicalize(link).is_ok_and(|target| target == node))
}

impl Found {
    /// What tells this camera from another one in the same port.
    pub fn identity(&self) -> String {
        let serial = self.serial.as_deref().unwrap_or("-");
        let name = self.by_id.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        format!("usb {} {} serial {serial} {}", self.driver, self.card, name.as_deref().unwrap_or("-"))
    }
}

fn modes(device: &Device) -> Vec<Mode> {
    let mut modes = Vec::new();
    for format in device.enum_formats().unwrap_or_default() {
        let fourcc = format.fourcc;
        for size in device.enum_framesizes(fourcc).unwrap_or_default().into_iter().take(64) {
            let FrameSizeEnum::Discrete(size) = size.size else { continue };
            for fps in rates(device, fourcc, size.width, size.height) {
                let fourcc = fourcc.str().unwrap_or("????").to_owned();
                modes.push(Mode { fourcc, width: size.width, height: size.height, fps });
            }
        }
    }
    modes
}

/// Whole frames a second: nokhwa knows no others.
fn rates(device: &Device, fourcc: v4l::FourCC, width: u32, height: u32) -> Vec<u32> {
    let intervals = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    let mut rates: Vec<u32> = Vec::new();
    for interval in intervals.into_iter().take(64) {
        match interval.interval {
            FrameIntervalEnum::Discrete(interval) if interval.numerator == 1 => {
                rates.push(interval.denominator)
            }
            FrameIntervalEnum::Discrete(_) | FrameIntervalEnum::Stepwise(_) => {}
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cameras_on_a_real_usb_port_are_believed() {
        let usb = Path::new("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0");
        assert_eq!(refusal("uvcvideo", Some(usb), Permit::Real), None);
        let pretended = Path::new("/sys/devices/platform/vhci_hcd.0/usb3/3-1/3-1:1.0");
        assert!(refusal("uvcvideo", Some(pretended), Permit::Real).is_some());
        let gadget = Path::new("/sys/devices/platform/dummy_hcd.0/usb3/3-1/3-1:1.0");
        assert!(refusal("uvcvideo", Some(gadget), Permit::TestDriver).is_some());
        for driver in ["v4l2 loopback", "v4l2loopback", "vivid", "akvcam"] {
            assert!(refusal(driver, Some(usb), Permit::Real).is_some(), "{driver}");
        }
        assert_eq!(refusal("vivid", None, Permit::TestDriver), None);
    }
}
