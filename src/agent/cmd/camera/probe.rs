//! `bedcheck camera probe`: opens a camera as a check would, for some seconds, and says how it is.

use std::time::Duration;

use serde_json::{Value, json};

use super::Which;
use crate::agent::cmd::{say, say_json};
use crate::base::clock::{Clock, Mono};
use crate::base::exit::Code;
use crate::base::frame::{Picture, Tamper};
use crate::base::health::Words;
use crate::capture::tamper::{Watch, brightness};
use crate::capture::{Attention, Camera, CameraError};

/// Covered takes 10 s to be believed, and a camera needs a moment to set its exposure.
const DEFAULT_SECONDS: u64 = 15;
/// Fewer pictures a second than this show no blink (measured on the demo's clips: four are enough).
const FEW: f32 = 3.5;
/// Pictures darker than this are called dark by the agent.
const DARK: f32 = 20.0;
/// Smaller pictures leave too few pixels for a face in a bed.
const LEAST: (u32, u32) = (640, 360);

#[derive(clap::Args)]
pub struct Probe {
    #[command(flatten)]
    which: Which,
    /// Seconds to watch (1 to 600); tampering needs at least 12.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = DEFAULT_SECONDS, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Default)]
struct Measured {
    size: Option<(u32, u32)>,
    first: Option<Duration>,
    pictures: u32,
    span: Duration,
    darkest: Option<f32>,
    brightest: Option<f32>,
    tamper: Option<Tamper>,
    failures: u32,
    trouble: Option<CameraError>,
}

impl Probe {
    pub fn run(self) -> anyhow::Result<Code> {
        let mut camera = self.which.open()?;
        let measured = measure(camera.as_mut(), Duration::from_secs(self.seconds));
        let complaints = complaints(&measured, camera.as_ref());
        if self.json {
            say_json(&as_json(&measured, camera.as_ref(), &complaints))?;
        } else {
            tell(&measured, camera.as_ref(), &complaints);
        }
        Ok(if complaints.is_empty() { Code::Fine } else { Code::Failed })
    }
}

fn measure(camera: &mut dyn Camera, time: Duration) -> Measured {
    let clock = Clock::system();
    let attention = Attention::full(&clock);
    let (mut found, mut watch) = (Measured::default(), Watch::default());
    let began = attention.now();
    let mut first: Option<Mono> = None;
    while attention.now() - began < time {
        match camera.next_picture(&attention) {
            Ok(picture) => {
                let now = clock.now();
                let first = *first.get_or_insert(now.mono);
                found.first.get_or_insert(now.mono - began);
                found.span = now.mono - first;
                found.take(&picture);
                found.tamper = camera.tamper().or(watch.take(&picture, now, camera.origin()));
            }
            Err(error) => {
                found.failures += 1;
                found.trouble = Some(error);
                // A login that is refused will be refused again, and some cameras lock it after three.
                if found.pictures == 0 && found.failures >= 2 {
                    break;
                }
            }
        }
    }
    found
}

impl Measured {
    fn take(&mut self, picture: &Picture) {
        self.pictures += 1;
        self.size = Some((picture.width(), picture.height()));
        let light = brightness(picture);
        self.darkest = Some(self.darkest.map_or(light, |darkest| darkest.min(light)));
        self.brightest = Some(self.brightest.map_or(light, |brightest| brightest.max(light)));
    }

    /// Pictures a second between the first and the last.
    fn rate(&self) -> Option<f32> {
        let intervals = self.pictures.checked_sub(1).filter(|intervals| *intervals > 0)?;
        Some(intervals as f32 / self.span.as_secs_f32().max(1e-3))
    }
}

/// Everything somebody should set right.
fn complaints(found: &Measured, camera: &dyn Camera) -> Vec<Words> {
    let mut complaints: Vec<Words> = found.trouble.iter().map(CameraError::words).collect();
    complaints.extend(camera.remark());
    if let Some(tamper) = found.tamper {
        complaints.push(Words::new(tamper.chinese(), tamper.name()));
    }
    if let Some(rate) = found.rate().filter(|rate| *rate < FEW) {
        complaints.push(Words::new(
            format!("每秒只有 {rate:.1} 帧，活体判断需要 {FEW} 帧以上"),
            format!("{rate:.1} pictures a second are too few for signs of life; {FEW} are needed"),
        ));
    }
    if let Some((width, height)) = found.size.filter(|size| size.0 < LEAST.0 || size.1 < LEAST.1) {
        complaints.push(Words::new(
            format!("画面 {width} × {height} 太小，至少 {} × {}", LEAST.0, LEAST.1),
            format!("{width} × {height} is too small; at least {} × {}", LEAST.0, LEAST.1),
        ));
    }
    if found.brightest.is_some_and(|light| light < DARK) {
        complaints.push(Words::new(
            "画面太暗，请开灯后再试",
            "the picture is too dark; try again with the lights on",
        ));
    }
    complaints
}

fn as_json(found: &Measured, camera: &dyn Camera, complaints: &[Words]) -> Value {
    json!({
        "ok": complaints.is_empty(),
        "width": found.size.map(|size| size.0),
        "height": found.size.map(|size| size.1),
        "pictures": found.pictures,
        "pictures_per_second": found.rate().map(|rate| (f64::from(rate) * 10.0).round() / 10.0),
        "first_picture_ms": found.first.map(|time| time.as_millis() as u64),
        "keyframe_interval_ms": camera.keyframe_gap().map(|gap| gap.as_millis() as u64),
        "brightness": [found.darkest.map(f32::round), found.brightest.map(f32::round)],
        "tamper": found.tamper.map(Tamper::name),
        "identity": camera.identity(),
        "failures": found.failures,
        "complaints": complaints,
    })
}

fn tell(found: &Measured, camera: &dyn Camera, complaints: &[Words]) {
    if let Some((width, height)) = found.size {
        say(format!("画面 picture          {width} × {height}"));
    }
    if let Some(rate) = found.rate() {
        say(format!("帧率 pictures / s     {rate:.1}"));
    }
    if let Some(first) = found.first {
        say(format!("首帧 first picture    {} ms", first.as_millis()));
    }
    if let Some(gap) = camera.keyframe_gap() {
        say(format!(
            "关键帧 keyframes      每 {:.1} s · one every {:.1} s",
            gap.as_secs_f32(),
            gap.as_secs_f32()
        ));
    }
    if let (Some(darkest), Some(brightest)) = (found.darkest, found.brightest) {
        say(format!("亮度 brightness       {darkest:.0}–{brightest:.0} / 255"));
    }
    if found.size.is_some() {
        let tamper = found
            .tamper
            .map_or("未发现 none".to_owned(), |tamper| format!("{} {}", tamper.chinese(), tamper.name()));
        say(format!("遮挡等 tampering      {tamper}"));
    }
    if let Some(identity) = camera.identity() {
        say(format!("身份 identity         {identity}"));
    }
    if complaints.is_empty() {
        say("结论 verdict          正常 · good");
    }
    for complaint in complaints {
        say(format!("问题 problem          {complaint}"));
    }
}
