//! `bedcheck bench --cameras N`: what N IP cameras with 1080p and 25 frames a second cost between rounds, on patrol,
//! and while watched.
//!
//! The cameras are [`broadcast`](crate::capture::broadcast) in this very process; only the time of the threads that film is counted, as the kernel counts
//! it, with the tamper watch that runs in them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::clock::{Clock, Mono};
use crate::base::frame::{Origin, Picture};
use crate::base::ids::CameraId;
use crate::base::picture;
use crate::base::slot::Slot;
use crate::base::supervise;
use crate::capture::address::Address;
use crate::capture::broadcast::{Clip, Program, serve};
use crate::capture::decoder;
use crate::capture::rtsp::Rtsp;
use crate::capture::{Filming, REST_SPACING, film};

const SIZE: (u32, u32) = (1920, 1080);
const FPS: f32 = 25.0;
/// A keyframe every two seconds, as installers set it.
const KEYFRAME_EVERY: u32 = 50;
/// How the kernel counts time: `getconf CLK_TCK` is 100 on every Linux that matters.
const TICKS: f64 = 100.0;
/// Connecting and the first pictures are not counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// The name of the threads that film; the kernel shows 15 bytes.
const THREAD: &str = "bench-camera";

/// Measures at rest for a minute, then for twice `seconds`: on patrol, and watched.
///
/// # Errors
/// When the cameras cannot be set up.
pub fn measure(cameras: u32, seconds: u64, scene: &Picture) -> anyhow::Result<Value> {
    let clip = Arc::new(Clip::encode(&pictures(scene)?, FPS, KEYFRAME_EVERY)?);
    let bytes: usize = clip.units.iter().flat_map(|unit| &unit.nals).map(Vec::len).sum();
    let megabits = bytes as f64 * 8.0 / 1e6 / (clip.units.len() as f64 / f64::from(FPS));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("rtsp://{}/bench", listener.local_addr()?);
    let (stop, stopping) = supervise::shutdown();
    let program = Program { clip, login: None, fault: None };
    let inside = runtime.enter();
    supervise::task("bench-server", serve(listener, program, stopping.clone()));
    drop(inside);
    let clock = Clock::system();
    let mut slots = Vec::new();
    for number in 0..cameras {
        let slot = Slot::default();
        slots.push(slot.clone());
        let address = Address::new(&address, &["rtsp"], None, None)?;
        let filming = Filming {
            id: CameraId::new(format!("bench-{number}"))?,
            slot,
            clock: clock.clone(),
            identities: None,
        };
        let stopping = stopping.clone();
        // A film of two seconds is a frozen camera to the tamper watch; those of a recording it does not look for.
        let mut camera = Rtsp::new(address, Origin::Synthetic, decoder::Program::own())?;
        supervise::thread(THREAD, move || film(&mut camera, &filming, &stopping))?;
    }
    std::thread::sleep(WARM_UP);
    slots.iter().for_each(|slot| slot.rest_until(Mono(u64::MAX)));
    // Two pictures at this pace.
    let rest = phase(2 * REST_SPACING.as_secs(), &slots);
    slots.iter().for_each(|slot| slot.rest_until(Mono::default()));
    let patrol = phase(seconds, &slots);
    slots.iter().for_each(|slot| slot.watch_until(Mono(u64::MAX)));
    std::thread::sleep(WARM_UP);
    let watched = phase(seconds, &slots);
    stop.fire();
    Ok(json!({
        "cameras": cameras,
        "picture": [SIZE.0, SIZE.1],
        "frames_per_second": FPS,
        "keyframe_every_s": f64::from(KEYFRAME_EVERY) / f64::from(FPS),
        "megabits_per_second_each": (megabits * 10.0).round() / 10.0,
        "rest": rest,
        "patrol": patrol,
        "watched": watched,
    }))
}

/// The ward, filmed by a sensor: two seconds with noise of its own in every frame, deviation 2.3: a cheap sensor by lamplight.
fn pictures(scene: &Picture) -> anyhow::Result<Vec<Picture>> {
    let (width, height) = SIZE;
    let mut state = 7_u64;
    let frame = |_| {
        let mut rgb = Vec::with_capacity((width * height * 3) as usize);
        for y in 0..height {
            for x in 0..width {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at =
                    ((y * scene.height() / height * scene.width() + x * scene.width() / width) * 3) as usize;
                let noise = (state >> 61) as i16 - 4;
                rgb.extend(
                    scene.rgb()[at..at + 3].iter().map(|v| (i16::from(*v) + noise).clamp(0, 255) as u8),
                );
            }
        }
        Picture::new(width, height, rgb).ok_or_else(|| anyhow::anyhow!("an impossible size"))
    };
    (0..KEYFRAME_EVERY).map(frame).collect()
}

fn phase(seconds: u64, slots: &[Slot]) -> Value {
    let count = || slots.iter().map(Slot::count).sum::<u64>();
    let (time, pictures) = (cpu_seconds(), count());
    std::thread::sleep(Duration::from_secs(seconds));
    let (time, pictures) = (cpu_seconds() - time, count() - pictures);
    let share = time / seconds as f64 * 100.0;
    json!({
        "percent_of_one_core": (share * 10.0).round() / 10.0,
        "pictures": pictures,
        "ms_per_picture": (time * 1000.0 / pictures.max(1) as f64 * 10.0).round() / 10.0,
    })
}

/// Time that the filming threads of this process and the decoders they started have had.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ticks: f64 = tasks
        .filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let decoders = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let decoders =
                decoders.split_whitespace().map(|id| ticks_of(&Path::new("/proc").join(id))).sum::<f64>();
            (name.trim() == THREAD).then(|| ticks_of(&task.path()) + decoders)
        })
        .sum();
    ticks / TICKS
}

/// After the name in brackets: state is field 3, user and system time are 14 and 15.
fn ticks_of(folder: &Path) -> f64 {
    let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// The scene of the demo that is filmed.
///
/// # Errors
/// When it is not there.
pub fn scene(assets: &Path) -> anyhow::Result<Picture> {
    Ok(picture::read(&assets.join("ward/empty/cam-1.jpg"))?)
}
