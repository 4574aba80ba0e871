//! `bedcheck bench`: what each stage costs on one thread, and what the bare nets cost in the same run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::cmd::{Pack, assets, say, say_json};
use crate::base::exit::{Code, Ending};
use crate::base::files::read_at_most;
use crate::base::ids::StayId;
use crate::base::picture;
use crate::base::redact::Private;
use crate::vision::detect::{self, Letterbox};
use crate::vision::eyes::Eyes;
use crate::vision::gallery::Gallery;
use crate::vision::session::synthetic_picture;

#[derive(clap::Args)]
pub struct Bench {
    /// Picture to work on (default: the demo's kiosk, 1280 × 720 with one face).
    #[arg(long, value_name = "IMG")]
    image: Option<PathBuf>,
    /// How often each stage is run; the median counts.
    #[arg(long, default_value_t = 60)]
    runs: usize,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

/// Gallery of the match stage: a large ward.
const PEOPLE: usize = 1000;

impl Bench {
    pub fn run(self) -> anyhow::Result<Code> {
        let stopwatch = Stopwatch::new(self.runs);
        let began = stopwatch.seconds();
        let mut eyes = self.pack.open()?;
        let start_up = stopwatch.seconds() - began;
        let image = match self.image {
            Some(image) => image,
            None => assets(None)?.join("kiosk/k1.jpg"),
        };
        let bytes = read_at_most(&image, picture::MOST_BYTES).map_err(Ending::failed)?;
        let answer = measure(&stopwatch, &mut eyes, &bytes, start_up)?;
        if self.json {
            say_json(&answer)?;
            return Ok(Code::Fine);
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_header(["项目 figure", "值 value"]);
        for (key, value) in answer.as_object().into_iter().flatten() {
            table.add_row([key.clone(), value.to_string()]);
        }
        say(table);
        Ok(Code::Fine)
    }
}

fn measure(stopwatch: &Stopwatch, eyes: &mut Eyes, bytes: &[u8], start_up: f64) -> anyhow::Result<Value> {
    let picture = picture::decode(bytes).map_err(Ending::failed)?;
    let found = eyes.faces(&picture)?;
    let face = found.first().ok_or_else(|| Ending::failed("there is no face in the picture"))?;
    let probe = eyes.embed(face)?;
    let before = runs(eyes);
    for face in eyes.faces(&picture)? {
        eyes.embed(&face)?;
    }
    let after = runs(eyes);
    let (gallery, anybody) = gallery(eyes, &probe)?;
    let min_score = eyes.manifest.detector.min_score;

    // The two columns that are compared run in turns, so that a noisy neighbour hits both.
    let tensors = {
        let bare = eyes.bare();
        [&*bare.detector, &*bare.mesh, &*bare.embedder].map(|net| net.tensor(&synthetic_picture(net.size())))
    };
    let mut failure = None;
    let mut note = |result: Result<(), anyhow::Error>| {
        if let Err(error) = result {
            failure = Some(error);
        }
    };
    let decode = stopwatch.median(|| note(picture::decode(bytes).map(drop).map_err(Into::into)));
    let mut pipeline = Vec::new();
    let mut nets = Vec::new();
    for _ in 0..stopwatch.runs {
        pipeline.push(stopwatch.once(|| {
            note((|| {
                for face in eyes.faces(&picture)? {
                    let probe = eyes.embed(&face)?;
                    gallery.similarity(&probe, &anybody);
                }
                Ok(())
            })());
        }));
        nets.push(stopwatch.once(|| {
            note((|| {
                // The same nets as often as the pipeline runs them.
                let bare = eyes.bare();
                for (at, net) in [bare.detector, bare.mesh, bare.embedder].into_iter().enumerate() {
                    for _ in before[at]..after[at] {
                        net.run_tensor(&tensors[at])?;
                    }
                }
                Ok(())
            })());
        }));
    }
    let detect = stopwatch.median(|| {
        let bare = eyes.bare();
        let upright = Letterbox::new(&picture, bare.detector.size());
        for letterbox in [&upright, &upright.turned(bare.detector.size())] {
            note(detect::detect(bare.detector, letterbox, min_score).map(drop).map_err(Into::into));
        }
    });
    let embed = stopwatch.median(|| note(eyes.embed(face).map(drop).map_err(Into::into)));
    let matching = stopwatch.median(|| drop(gallery.nearest_other(&probe, &anybody)));
    let bare = eyes.bare();
    let bare_detector =
        stopwatch.median(|| note(bare.detector.run_tensor(&tensors[0]).map(drop).map_err(Into::into)));
    let bare_mesh =
        stopwatch.median(|| note(bare.mesh.run_tensor(&tensors[1]).map(drop).map_err(Into::into)));
    let bare_embedder =
        stopwatch.median(|| note(bare.embedder.run_tensor(&tensors[2]).map(drop).map_err(Into::into)));
    if let Some(failure) = failure {
        return Err(failure);
    }
    let (pipeline, nets) = (median(pipeline), median(nets));
    Ok(json!({
        "picture": [picture.width(), picture.height()],
        "runs": stopwatch.runs,
        "decode_ms": ms(decode),
        "detect_ms": ms(detect),
        "mesh_and_align_ms": ms(pipeline - detect - embed),
        "embed_ms": ms(embed),
        "match_1000_people_ms": ms(matching),
        "pipeline_ms": ms(pipeline),
        "frames_per_second_per_core": (1.0 / (pipeline + decode) * 10.0).round() / 10.0,
        "bare_detector_ms": ms(bare_detector),
        "bare_mesh_ms": ms(bare_mesh),
        "bare_embedder_ms": ms(bare_embedder),
        "bare_nets_of_pipeline_ms": ms(nets),
        "overhead_over_nets": (pipeline / nets * 1000.0).round() / 1000.0 - 1.0,
        "start_up_ms": ms(start_up),
        "resident_mb": resident_mb(),
    }))
}

/// How often each net has run.
fn runs(eyes: &mut Eyes) -> [u64; 3] {
    let bare = eyes.bare();
    [bare.detector.runs(), bare.mesh.runs(), bare.embedder.runs()]
}

fn gallery(eyes: &Eyes, probe: &[f32]) -> anyhow::Result<(Gallery, StayId)> {
    let mut gallery = Gallery::new(eyes.manifest.embedder.metric);
    for person in 0..PEOPLE {
        let shifted =
            probe.iter().enumerate().map(|(at, value)| value + ((at * person) % 7) as f32 * 0.01).collect();
        gallery.enrol(StayId::new(format!("S{person}"))?, Private::new(shifted));
    }
    Ok((gallery, StayId::new("S0")?))
}

struct Stopwatch {
    began: std::time::Instant,
    runs: usize,
}

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark measures finer than the milliseconds of base::clock"
    )]
    fn new(runs: usize) -> Stopwatch {
        Stopwatch { began: std::time::Instant::now(), runs: runs.clamp(1, 100_000) }
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn once(&self, mut work: impl FnMut()) -> f64 {
        let began = self.seconds();
        work();
        self.seconds() - began
    }

    fn median(&self, mut work: impl FnMut()) -> f64 {
        median((0..self.runs).map(|_| self.once(&mut work)).collect())
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
}

fn ms(seconds: f64) -> f64 {
    (Duration::from_secs_f64(seconds.max(0.0)).as_secs_f64() * 1e6).round() / 1e3
}

/// Resident memory of this process; 0 where the kernel does not tell.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |kb| kb / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_slow_run() {
        assert_eq!(median(vec![3.0, 1.0, 90.0, 2.0, 2.5]), 2.5);
        assert_eq!(ms(0.0123456), 12.346);
    }
}
