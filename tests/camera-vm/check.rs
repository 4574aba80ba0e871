//! Runs inside the machine of `tests/camera-vm/run`: our USB camera on the kernel's own test driver. Prints `ok` or `FAILED`
//! for each thing that must hold.

#![expect(clippy::print_stdout, reason = "its lines are the result")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bedcheck::base::clock::{Clock, Mono, Now};
use bedcheck::base::frame::Tamper;
use bedcheck::base::slot::Slot;
use bedcheck::base::supervise;
use bedcheck::capture::usb::Usb;
use bedcheck::capture::usb::device::{Permit, list};
use bedcheck::capture::{Attention, Camera, CameraError};
use v4l::Device;
use v4l::control::{Control, Value};

const NODE: &str = "/dev/video0";

/// The driver's faults, by the names of their controls.
struct Faults(Device);

impl Faults {
    fn open() -> std::io::Result<Faults> {
        Ok(Faults(Device::with_path(NODE)?))
    }

    fn set(&self, name: &str, value: i64) -> bool {
        let controls = self.0.query_controls().unwrap_or_default();
        let Some(control) = controls.iter().find(|control| control.name == name) else { return false };
        self.0.set_control(Control { id: control.id, value: Value::Integer(value) }).is_ok()
    }
}

#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn line(&mut self, what: &str, is_good: bool, detail: impl std::fmt::Display) {
        self.failed |= !is_good;
        println!("{} {what}: {detail}", if is_good { "ok    " } else { "FAILED" });
    }
}

/// Nobody watches, at a time of our choosing: challenges come when the time says so.
fn patrol_at(seconds: u64) -> Attention {
    let now = Now { mono: Mono(seconds * 1000), ..Now::default() };
    Attention::of(&Slot::default(), &Clock::Fixed(now))
}

fn watched() -> Attention {
    Attention::full(&Clock::system())
}

fn camera() -> Usb {
    Usb::with_permit(PathBuf::from(NODE), Permit::TestDriver)
}

fn main() -> ExitCode {
    let mut report = Report::default();
    let Ok(faults) = Faults::open() else {
        report.line("device", false, "there is no /dev/video0");
        return ExitCode::FAILURE;
    };
    refusal(&mut report);
    formats(&mut report);
    frames(&mut report);
    challenge(&mut report, &faults);
    stall(&mut report, &faults);
    stall_at_the_start(&mut report, &faults);
    unplug(&mut report, &faults);
    println!("camera-vm {}", if report.failed { "FAILED" } else { "ok" });
    ExitCode::from(u8::from(report.failed))
}

fn refusal(report: &mut Report) {
    let refused = Usb::new(PathBuf::from(NODE)).next_picture(&watched());
    let text = refused.as_ref().err().map_or("it was accepted".to_owned(), |error| error.words().to_string());
    report.line("a virtual camera is refused", matches!(refused, Err(CameraError::Virtual { .. })), text);
}

fn formats(report: &mut Report) {
    let found = list(Permit::TestDriver);
    let camera = found.iter().find(|camera| camera.node == Path::new(NODE));
    let modes = camera.map_or(0, |camera| camera.formats.len());
    let text = camera.map_or(String::new(), |camera| format!("{}, {modes} formats", camera.identity()));
    report.line("formats are listed", modes > 0, text);
}

fn frames(report: &mut Report) {
    let mut camera = camera();
    let (mut sizes, mut digests) = (Vec::new(), Vec::new());
    let mut trouble = String::new();
    for _ in 0..12 {
        match camera.next_picture(&watched()) {
            Ok(picture) => {
                sizes.push((picture.width(), picture.height()));
                digests.push(
                    picture
                        .rgb()
                        .iter()
                        .step_by(101)
                        .fold(0_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(*byte)),
                );
            }
            Err(error) => trouble = error.to_string(),
        }
    }
    digests.dedup();
    let good = sizes.len() >= 10 && digests.len() > 1;
    report.line(
        "frames come and differ",
        good,
        format!("{} of 12, size {:?}, {} different {trouble}", sizes.len(), sizes.first(), digests.len()),
    );
}

fn challenge(report: &mut Report, faults: &Faults) {
    let mut honest = camera();
    let first = honest.next_picture(&patrol_at(1));
    let second = honest.next_picture(&patrol_at(4000));
    let good = first.is_ok() && second.is_ok() && honest.tamper().is_none();
    let trouble = first.err().or(second.err()).map_or(String::new(), |error| error.to_string());
    report.line(
        "a camera that follows its brightness is believed",
        good,
        format!("{:?} {trouble}", honest.tamper()),
    );
    drop(honest);

    // A camera that does not obey: somebody sets the brightness back at once.
    let ended = Arc::new(AtomicBool::new(false));
    let stop = ended.clone();
    let holder = Faults::open();
    let thread = supervise::thread("disobey", move || {
        while let (Ok(holder), false) = (&holder, stop.load(Ordering::Relaxed)) {
            holder.set("Brightness", 128);
        }
    });
    let mut feed = camera();
    for seconds in [1, 70, 140] {
        // What it shows does not matter here.
        let _ = feed.next_picture(&patrol_at(seconds));
    }
    report.line(
        "a film that does not follow is noticed",
        feed.tamper() == Some(Tamper::Unresponsive),
        format!("{:?}", feed.tamper()),
    );
    ended.store(true, Ordering::Relaxed);
    if let Ok(thread) = thread {
        let _ = thread.join();
    }
    faults.set("Brightness", 128);
}

fn until(
    camera: &mut Usb,
    tries: u32,
    wanted: impl Fn(&Result<(u32, u32), CameraError>) -> bool,
) -> (bool, String) {
    let mut last = String::new();
    for _ in 0..tries {
        let result = camera.next_picture(&watched()).map(|picture| (picture.width(), picture.height()));
        last = result.as_ref().map_or_else(ToString::to_string, |size| format!("{} × {}", size.0, size.1));
        if wanted(&result) {
            return (true, last);
        }
    }
    (false, last)
}

fn is_stall(result: &Result<(u32, u32), CameraError>) -> bool {
    matches!(result, Err(CameraError::Stalled { .. }))
}

fn stall(report: &mut Report, faults: &Faults) {
    let mut camera = camera();
    let (began, _) = until(&mut camera, 5, Result::is_ok);
    let set = faults.set("Percentage of Dropped Buffers", 100);
    let (stalled, text) = until(&mut camera, 20, is_stall);
    report.line("a camera that falls silent is noticed", began && set && stalled, text);
    faults.set("Percentage of Dropped Buffers", 0);
    let (back, text) = until(&mut camera, 8, Result::is_ok);
    report.line("and comes back", back, text);
}

fn stall_at_the_start(report: &mut Report, faults: &Faults) {
    faults.set("Percentage of Dropped Buffers", 100);
    let mut camera = camera();
    let (stalled, text) = until(&mut camera, 2, is_stall);
    report.line("a camera that never begins is noticed", stalled, text);
    faults.set("Percentage of Dropped Buffers", 0);
    let (back, text) = until(&mut camera, 8, Result::is_ok);
    report.line("and begins", back, text);
}

fn unplug(report: &mut Report, faults: &Faults) {
    let mut camera = camera();
    let (began, _) = until(&mut camera, 5, Result::is_ok);
    let set = faults.set("Disconnect", 1);
    let (gone, text) = until(&mut camera, 20, |result| matches!(result, Err(CameraError::Device { .. })));
    report.line("a camera that is unplugged is noticed", began && set && gone, text);
    // Nothing hangs and nothing panics afterwards.
    std::thread::sleep(Duration::from_millis(200));
    let again = camera.next_picture(&watched());
    report.line(
        "and stays gone without harm",
        again.is_err(),
        again.err().map_or(String::new(), |error| error.to_string()),
    );
}
