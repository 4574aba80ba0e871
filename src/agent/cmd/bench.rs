//! `bedcheck bench`: what each stage costs on one thread, and what the bare nets cost in the same run.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::cmd::{Pack, assets, bench_cameras, bench_domain, bench_gallery, say, say_json};
use crate::base::exit::{Code, Ending};
use crate::base::files::read_at_most;
use crate::base::frame::Picture;
use crate::base::ids::StayId;
use crate::base::picture;
use crate::base::redact::Private;
use crate::vision::detect::{self, Letterbox};
use crate::vision::eyes::{Eyes, Face};
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
    /// Measure so many IP cameras with 1080p instead.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    cameras: Option<u32>,
    /// Measure deciding alone instead: a thousand beds, ten thousand facts, one round.
    #[arg(long, conflicts_with = "cameras")]
    domain: bool,
    /// Measure looking one face up among so many instead, each compared, on one core.
    #[arg(long, value_name = "N", conflicts_with_all = ["cameras", "domain"],
          value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    gallery: Option<u32>,
    /// Seconds for which cameras are measured on patrol, and again while watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
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
        if let Some(cameras) = self.cameras {
            let scene = bench_cameras::scene(&assets(None)?)?;
            return answer(&bench_cameras::measure(cameras, self.seconds, &scene)?, self.json);
        }
        let stopwatch = Stopwatch::new(self.runs);
        if self.domain {
            return answer(&measure_domain(&stopwatch)?, self.json);
        }
        if let Some(people) = self.gallery {
            return answer(&measure_gallery(&stopwatch, people as usize)?, self.json);
        }
        let began = stopwatch.seconds();
        let mut eyes = self.pack.open()?;
        let start_up = stopwatch.seconds() - began;
        let image = match self.image {
            Some(image) => image,
            None => assets(None)?.join("kiosk/k1.jpg"),
        };
        let bytes = read_at_most(&image, picture::MOST_BYTES).map_err(Ending::failed)?;
        answer(&measure(&stopwatch, &mut eyes, &bytes, start_up)?, self.json)
    }
}

fn measure_domain(watch: &Stopwatch) -> anyhow::Result<Value> {
    let facts = bench_domain::facts()?;
    let fold = watch.median(|| bench_domain::believe(&facts))?;
    let all = watch.median(|| bench_domain::round(&facts))?;
    Ok(json!({
        "beds": bench_domain::BEDS,
        "facts": bench_domain::FACTS,
        "runs": watch.runs,
        "ms": { "believe": ms(fold), "believe_and_decide_a_round": ms(all) },
    }))
}

fn measure_gallery(watch: &Stopwatch, people: usize) -> anyhow::Result<Value> {
    let crowd = bench_gallery::crowd(people);
    // The last one is found last, and is who it should be.
    let probe = bench_gallery::face(people - 1);
    let search = watch.median(|| Ok(crowd.nearest(&probe)))?;
    let found = crowd.nearest(&probe).is_some_and(|(number, _)| number == people - 1);
    Ok(json!({
        "templates": people,
        "numbers_each": bench_gallery::WIDTH,
        "runs": watch.runs,
        "search_ms": ms(search),
        "found": found,
        "resident_mb": resident_mb(),
    }))
}

fn answer(figures: &Value, json: bool) -> anyhow::Result<Code> {
    if json {
        say_json(figures)?;
        return Ok(Code::Fine);
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_header(["项目 figure", "值 value"]);
    for (key, value) in figures.as_object().into_iter().flatten() {
        table.add_row([key.clone(), value.to_string()]);
    }
    say(table);
    Ok(Code::Fine)
}

fn measure(watch: &Stopwatch, eyes: &mut Eyes, bytes: &[u8], start_up: f64) -> anyhow::Result<Value> {
    let mut subject = Subject::new(eyes, picture::decode(bytes).map_err(Ending::failed)?)?;
    let decode = watch.median(|| Ok(picture::decode(bytes)?))?;
    let (pipeline, nets) = subject.pipeline_and_nets(watch)?;
    let detect = watch.median(|| subject.detect())?;
    let embed = watch.median(|| Ok(subject.eyes.embed(&subject.face)?))?;
    let matching = watch.median(|| Ok(subject.gallery.others(&subject.probe, &subject.anybody)))?;
    let pad = watch.median(|| Ok(subject.eyes.liveness(&subject.picture, &subject.face.mesh)?))?;
    let bare: Vec<f64> = (0..subject.tensors.len())
        .map(|at| watch.median(|| subject.bare_net(at)))
        .collect::<Result<_, _>>()?;
    Ok(json!({
        "picture": [subject.picture.width(), subject.picture.height()],
        "runs": watch.runs,
        "decode_ms": ms(decode),
        "detect_ms": ms(detect),
        // With alignment and quality.
        "mesh_ms": ms(pipeline - detect - embed - pad),
        "embed_ms": ms(embed),
        "pad_ms": ms(pad),
        "match_ms": ms(matching),
        "match_people": PEOPLE,
        "pipeline_ms": ms(pipeline),
        "frames_per_second_per_core": (10.0 / (pipeline + decode)).round() / 10.0,
        "bare_detector_ms": ms(bare[0]),
        "bare_mesh_ms": ms(bare[1]),
        "bare_embedder_ms": ms(bare[2]),
        "bare_pad_ms": bare.get(3).map(|seconds| ms(*seconds)),
        "net_runs_per_picture": subject.runs,
        "bare_nets_of_pipeline_ms": ms(nets),
        "overhead_over_nets": ((pipeline / nets - 1.0) * 1000.0).round() / 1000.0,
        "start_up_ms": ms(start_up),
        "resident_mb": resident_mb(),
    }))
}

/// One picture with one face, and everything that is done to it.
struct Subject<'eyes> {
    eyes: &'eyes mut Eyes,
    picture: Picture,
    face: Face,
    probe: Vec<f32>,
    gallery: Gallery,
    anybody: StayId,
    /// Ready input of each net, in the order of the pipeline.
    tensors: Vec<Vec<f32>>,
    /// How often the pipeline runs each of them on this picture.
    runs: Vec<u64>,
}

impl Subject<'_> {
    fn new(eyes: &mut Eyes, picture: Picture) -> anyhow::Result<Subject<'_>> {
        let before = runs(eyes);
        let face = eyes.faces(&picture)?.into_iter().next();
        let face = face.ok_or_else(|| Ending::failed("there is no face in the picture"))?;
        let probe = eyes.embed(&face)?;
        eyes.liveness(&picture, &face.mesh)?;
        let after = runs(eyes);
        let (gallery, anybody) = gallery(eyes, &probe)?;
        let tensors = eyes.bare().iter().map(|net| net.tensor(&synthetic_picture(net.size()))).collect();
        let runs = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        Ok(Subject { eyes, picture, face, probe, gallery, anybody, tensors, runs })
    }

    /// The two columns that are compared, run in turns, so that a noisy neighbour hits both.
    fn pipeline_and_nets(&mut self, watch: &Stopwatch) -> anyhow::Result<(f64, f64)> {
        let (mut pipeline, mut nets) = (Vec::new(), Vec::new());
        for _ in 0..watch.runs {
            pipeline.push(watch.once(|| {
                for face in self.eyes.faces(&self.picture)? {
                    let probe = self.eyes.embed(&face)?;
                    self.gallery.similarity(&probe, &self.anybody);
                    self.eyes.liveness(&self.picture, &face.mesh)?;
                }
                Ok(())
            })?);
            nets.push(watch.once(|| {
                for at in 0..self.tensors.len() {
                    for _ in 0..self.runs[at] {
                        self.bare_net(at)?;
                    }
                }
                Ok(())
            })?);
        }
        Ok((median(pipeline), median(nets)))
    }

    fn detect(&mut self) -> anyhow::Result<()> {
        let min_score = self.eyes.manifest.detector.min_score;
        let Some(net) = self.eyes.bare().into_iter().next() else { return Ok(()) };
        let upright = Letterbox::new(&self.picture, net.size());
        for letterbox in [&upright, &upright.turned(2, net.size())] {
            detect::detect(net, letterbox, min_score)?;
        }
        Ok(())
    }

    fn bare_net(&mut self, at: usize) -> anyhow::Result<()> {
        if let Some(net) = self.eyes.bare().into_iter().nth(at) {
            net.run_tensor(&self.tensors[at])?;
        }
        Ok(())
    }
}

/// How often each net has run.
fn runs(eyes: &mut Eyes) -> Vec<u64> {
    eyes.bare().iter().map(|net| net.runs()).collect()
}

fn gallery(eyes: &Eyes, probe: &[f32]) -> anyhow::Result<(Gallery, StayId)> {
    let mut gallery = Gallery::new(eyes.manifest.embedder.metric);
    for person in 0..PEOPLE {
        let shifted = |(at, value): (usize, &f32)| value + ((at * person) % 7) as f32 * 0.01;
        let template = probe.iter().enumerate().map(shifted).collect();
        gallery.enrol(StayId::new(format!("S{person}"))?, Private::new(template));
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

    fn once<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<f64> {
        let began = self.seconds();
        work()?;
        Ok(self.seconds() - began)
    }

    fn median<T>(&self, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
        Ok(median((0..self.runs).map(|_| self.once(&mut work)).collect::<anyhow::Result<_>>()?))
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
