//! The thread that holds a USB camera open: nokhwa waits for ever for the next frame, so nobody waits for nokhwa.
//!
//! Before each frame the thread looks through a second door (its own handle of the same node) whether one is there, so
//! that a camera that falls silent is noticed, closed (which stops its stream) and opened again. The very first frame is
//! waited for by nokhwa itself; where it never comes, this thread stays behind with the device until somebody unplugs it,
//! and the camera says so instead of opening a second time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nokhwa::Camera;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, ControlValueDescription, ControlValueSetter, FrameFormat,
    KnownCameraControl, RequestedFormat, RequestedFormatType, Resolution,
};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC};

use crate::base::supervise;
use crate::capture::CameraError;
use crate::capture::usb::device::{Found, Mode, index};
use crate::capture::usb::pixels::{Layout, Raw};

/// How long one look through the second door takes; orders and the end are noticed in between.
const GLANCE_MS: i32 = 250;
/// So many glances without a frame are a stall: 5 s.
const MOST_GLANCES: u32 = 20;
/// How long closing waits for the thread: 2 s, some glances and a frame.
const CLOSE_STEPS: u32 = 80;
const CLOSE_STEP: Duration = Duration::from_millis(25);
/// `POLLIN`, the same on every Linux.
const READABLE: i16 = 1;
/// What is asked for: enough for faces of two beds, and little enough for three cameras on one bus.
const WANTED: (u32, u32, u32) = (1280, 720, 10);

/// Brightness as the camera has it.
#[derive(Clone, Copy, Debug)]
pub struct Brightness {
    pub least: i64,
    pub most: i64,
    pub now: i64,
}

enum Order {
    Brightness(SyncSender<Option<Brightness>>),
    SetBrightness(i64),
}

/// The newest frame, or why there will be none.
#[derive(Default)]
struct Latest {
    frame: Option<Raw>,
    end: Option<String>,
}

/// An open camera.
pub struct Reader {
    latest: Arc<(Mutex<Latest>, Condvar)>,
    orders: Option<SyncSender<Order>>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts the thread; it opens the camera.
    ///
    /// # Errors
    /// [`CameraError::Device`] when the camera offers no format that is understood.
    pub fn open(found: &Found) -> Result<Reader, CameraError> {
        let place = found.node.display().to_string();
        let device = |cause: String| CameraError::Device { place: place.clone(), cause };
        let (layout, mode) = choose(&found.formats).ok_or_else(|| {
            device("it offers no format that is understood (MJPG, YUYV, NV12, RGB3, BGR3, GRAY with whole frames a second); only USB cameras with one plane are possible, others through RTSP".to_owned())
        })?;
        let number = index(&found.node).ok_or_else(|| device("its node has no number".to_owned()))?;
        let latest = Arc::<(Mutex<Latest>, Condvar)>::default();
        let (orders, inbox) = sync_channel(2);
        let shared = latest.clone();
        let thread = supervise::thread("usb", move || {
            let end = grab(number, layout, &mode, &shared, &inbox);
            let mut latest = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
            latest.end = Some(end.err().unwrap_or_else(|| "closed".to_owned()));
            shared.1.notify_all();
        });
        let thread = thread.map_err(|error| device(error.to_string()))?;
        Ok(Reader { latest, orders: Some(orders), thread })
    }

    /// Takes the newest frame, waiting for it at most `patience`.
    ///
    /// # Errors
    /// `Some(why)` when the thread ended, `None` when nothing came.
    pub fn next(&self, patience: Duration) -> Result<Raw, Option<String>> {
        let guard = self.latest.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |latest: &mut Latest| latest.frame.is_none() && latest.end.is_none();
        let (mut guard, _) = self
            .latest
            .1
            .wait_timeout_while(guard, patience, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        match (guard.frame.take(), &guard.end) {
            (_, Some(end)) => Err(Some(end.clone())),
            (Some(frame), None) => Ok(frame),
            // A panic in nokhwa leaves no word behind.
            (None, None) if self.thread.is_finished() => Err(Some("its thread broke down".to_owned())),
            (None, None) => Err(None),
        }
    }

    /// Whether the thread is gone, so that the camera may be opened again.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks the thread to end.
    fn close(&mut self) {
        self.orders = None;
    }

    pub fn brightness(&self, patience: Duration) -> Option<Brightness> {
        let (answer, answered) = sync_channel(1);
        self.orders.as_ref()?.try_send(Order::Brightness(answer)).ok()?;
        answered.recv_timeout(patience).ok().flatten()
    }

    pub fn set_brightness(&self, value: i64) {
        if let Some(orders) = &self.orders {
            // Full only while the camera is silent, and then nothing is proven anyway.
            let _ = orders.try_send(Order::SetBrightness(value));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
        // Whoever opens the camera next finds it busy until the thread is gone; one that hangs is left to itself.
        for _ in 0..CLOSE_STEPS {
            if self.thread.is_finished() {
                return;
            }
            std::thread::sleep(CLOSE_STEP);
        }
    }
}

/// The layout that is liked best, in the size nearest to what is wanted.
fn choose(modes: &[Mode]) -> Option<(Layout, Mode)> {
    let (width, height, fps) = WANTED;
    Layout::ALL.into_iter().find_map(|layout| {
        let possible = modes.iter().filter(|mode| mode.fourcc == layout.fourcc() && mode.fps > 0);
        let distance = |mode: &&Mode| {
            (mode.width.abs_diff(width) + mode.height.abs_diff(height), mode.fps.abs_diff(fps))
        };
        possible.min_by_key(distance).map(|mode| (layout, mode.clone()))
    })
}

fn format_of(layout: Layout) -> FrameFormat {
    match layout {
        Layout::Mjpeg => FrameFormat::MJPEG,
        Layout::Yuyv => FrameFormat::YUYV,
        Layout::Nv12 => FrameFormat::NV12,
        Layout::Rgb => FrameFormat::RAWRGB,
        Layout::Bgr => FrameFormat::RAWBGR,
        Layout::Grey => FrameFormat::GRAY,
    }
}

fn grab(
    number: usize,
    layout: Layout,
    mode: &Mode,
    latest: &(Mutex<Latest>, Condvar),
    orders: &Receiver<Order>,
) -> Result<(), String> {
    let door = Device::new(number).map_err(text)?;
    // nokhwa refuses a camera that stands at 29.97 frames a second or in a format it does not know: set it right first.
    let mut fourcc = [b' '; 4];
    fourcc.iter_mut().zip(layout.fourcc().bytes()).for_each(|(to, from)| *to = from);
    Capture::set_format(&door, &Format::new(mode.width, mode.height, FourCC::new(&fourcc))).map_err(text)?;
    door.set_params(&Parameters::with_fps(mode.fps)).map_err(text)?;
    let format = format_of(layout);
    let wanted = CameraFormat::new(Resolution::new(mode.width, mode.height), format, mode.fps);
    let request =
        RequestedFormat::with_formats(RequestedFormatType::Closest(wanted), std::slice::from_ref(&format));
    let index = CameraIndex::Index(u32::try_from(number).map_err(text)?);
    let mut camera = Camera::with_backend(index, request, ApiBackend::Video4Linux).map_err(text)?;
    camera.open_stream().map_err(text)?;
    let size = camera.resolution();
    let mut is_first = true;
    loop {
        if obey(&mut camera, orders).is_err() {
            return Ok(());
        }
        if !is_first && !is_there(&door, orders, &mut camera)? {
            return Ok(());
        }
        is_first = false;
        let bytes = camera.frame_raw().map_err(text)?.into_owned();
        let mut latest_frame = latest.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest_frame.frame = Some(Raw { layout, width: size.width(), height: size.height(), bytes });
        latest.1.notify_all();
    }
}

/// Waits for a frame; `false` when the camera is to be closed.
fn is_there(door: &Device, orders: &Receiver<Order>, camera: &mut Camera) -> Result<bool, String> {
    for _ in 0..MOST_GLANCES {
        if door.handle().poll(READABLE, GLANCE_MS).map_err(text)? > 0 {
            return Ok(true);
        }
        if obey(camera, orders).is_err() {
            return Ok(false);
        }
    }
    Err(STALLED.to_owned())
}

/// What the thread says when no frame came.
pub const STALLED: &str = "no frame for 5 s";

/// Does what was ordered; an error when nobody is there any more.
fn obey(camera: &mut Camera, orders: &Receiver<Order>) -> Result<(), ()> {
    loop {
        match orders.try_recv() {
            Ok(Order::Brightness(answer)) => {
                let _ = answer.try_send(brightness(camera));
            }
            Ok(Order::SetBrightness(value)) => {
                // nokhwa reads the value back and complains where the camera rounds it.
                let _ = camera
                    .set_camera_control(KnownCameraControl::Brightness, ControlValueSetter::Integer(value));
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(()),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(()),
        }
    }
}

fn brightness(camera: &Camera) -> Option<Brightness> {
    let control = camera.camera_control(KnownCameraControl::Brightness).ok()?;
    let ControlValueDescription::IntegerRange { min, max, value, .. } = control.description() else {
        return None;
    };
    (min < max).then_some(Brightness { least: *min, most: *max, now: *value })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jpeg_near_the_wanted_size_is_chosen() {
        let mode = |fourcc: &str, width, height, fps| Mode { fourcc: fourcc.to_owned(), width, height, fps };
        let modes = [
            mode("YUYV", 1280, 720, 10),
            mode("MJPG", 1920, 1080, 30),
            mode("MJPG", 1280, 720, 30),
            mode("H264", 1280, 720, 10),
        ];
        assert_eq!(choose(&modes).unwrap(), (Layout::Mjpeg, modes[2].clone()));
        assert!(choose(&modes[3..]).is_none());
    }
}
