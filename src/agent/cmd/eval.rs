//! `bedcheck eval faces DIR`: what the face pack is worth, on pictures somebody labelled.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::agent::cmd::{Pack, say, say_json};
use crate::agent::evaluate::{AtFmr, Rate, Sample, accuracy, all_pairs, embed_central, list, read_pairs};
use crate::base::exit::{Code, Ending};

#[derive(clap::Args)]
pub struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Recognition: a folder with images/PERSON/FILE.jpg and pairs.txt (LFW layout).
    Faces(Faces),
}

#[derive(clap::Args)]
struct Faces {
    /// The set.
    dir: PathBuf,
    /// People of one group, one name per line: is the operating point as safe for them?
    #[arg(long, value_name = "FILE")]
    cohort: Option<PathBuf>,
    /// Pictures worked on at once.
    #[arg(long, default_value_t = default_threads())]
    threads: usize,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Eval {
    pub fn run(self) -> anyhow::Result<Code> {
        let What::Faces(faces) = self.what;
        faces.run()
    }
}

impl Faces {
    fn run(self) -> anyhow::Result<Code> {
        let pairs = read_pairs(&self.dir.join("pairs.txt")).map_err(Ending::failed)?;
        let files = list(&self.dir).map_err(Ending::failed)?;
        let cohort = self.cohort.as_deref().map(names).transpose().map_err(Ending::failed)?;
        let (samples, metric) = self.embed(files)?;
        let not_found = samples.iter().filter(|sample| sample.embedding.is_none()).count();
        let (accuracy, lacking) = accuracy(&pairs, &samples, metric);
        let mut everyone = all_pairs(&samples.iter().collect::<Vec<_>>(), metric);
        let at_1e3 = everyone.fnmr_at(1e-3).ok_or_else(|| Ending::failed("the set has only one person"))?;
        let at_1e4 = everyone.fnmr_at(1e-4).ok_or_else(|| Ending::failed("the set has only one person"))?;
        let mut answer = json!({
            "pictures": samples.len(),
            "pairs": pairs.len(),
            "accuracy": accuracy.value,
            "accuracy_interval": accuracy.interval,
            "pairs_without_face": lacking,
            "not_found": not_found,
            "genuine_pairs": everyone.genuine.len(),
            "impostor_pairs": everyone.impostor.len(),
            "fnmr_at_fmr_1e3": at_1e3.fnmr.value,
            "fnmr_at_fmr_1e3_interval": at_1e3.fnmr.interval,
            "threshold_1e3": at_1e3.threshold,
            "fnmr_at_fmr_1e4": at_1e4.fnmr.value,
            "fnmr_at_fmr_1e4_interval": at_1e4.fnmr.interval,
            "threshold_1e4": at_1e4.threshold,
            "genuine_quantiles": quantiles(&mut everyone.genuine),
            "interval": "Wilson 95 %, pairs taken as independent",
        });
        drop(everyone);
        if let Some(names) = cohort {
            let members: Vec<&Sample> =
                samples.iter().filter(|sample| names.contains(&sample.person)).collect();
            answer["cohort"] = self::cohort(&members, metric, &at_1e3)?;
        }
        if self.json {
            say_json(&answer)?
        } else {
            table(&answer)
        }
        Ok(Code::Fine)
    }

    fn embed(
        &self,
        files: Vec<(String, PathBuf)>,
    ) -> anyhow::Result<(Vec<Sample>, crate::vision::manifest::Metric)> {
        let metric = self.pack.open()?.manifest.embedder.metric;
        let progress = ProgressBar::new(files.len() as u64);
        progress.set_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} 图片 pictures, {per_sec}, 剩余 left {eta}",
        )?);
        let next = AtomicUsize::new(0);
        let results = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.clamp(1, 64))
                .map(|_| {
                    scope.spawn(|| -> anyhow::Result<Vec<(usize, Option<Vec<f32>>)>> {
                        let mut eyes = self.pack.open()?;
                        let mut mine = Vec::new();
                        loop {
                            let at = next.fetch_add(1, Ordering::Relaxed);
                            let Some((_, path)) = files.get(at) else { return Ok(mine) };
                            mine.push((at, embed_central(&mut eyes, path)?));
                            progress.inc(1);
                        }
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
        });
        progress.finish_and_clear();
        let mut embeddings: Vec<Option<Vec<f32>>> = vec![None; files.len()];
        for result in results {
            let result = result.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
            for (at, embedding) in result? {
                embeddings[at] = embedding;
            }
        }
        let samples = files
            .into_iter()
            .zip(embeddings)
            .map(|((person, path), embedding)| Sample { person, path, embedding })
            .collect();
        Ok((samples, metric))
    }
}

fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

fn cohort(
    members: &[&Sample],
    metric: crate::vision::manifest::Metric,
    global: &AtFmr,
) -> anyhow::Result<Value> {
    let mut pairs = all_pairs(members, metric);
    let fmr: Rate = pairs.fmr_at(global.threshold);
    let alone = || Ending::failed("the cohort has fewer than two people of this set");
    let own_1e3 = pairs.fnmr_at(1e-3).ok_or_else(alone)?;
    let own_1e4 = pairs.fnmr_at(1e-4).ok_or_else(alone)?;
    Ok(json!({
        "pictures": members.len(),
        "genuine_pairs": pairs.genuine.len(),
        "impostor_pairs": pairs.impostor.len(),
        "fmr_at_global_1e3": fmr.value,
        "fmr_at_global_1e3_interval": fmr.interval,
        "fnmr_at_own_1e3": own_1e3.fnmr.value,
        "fnmr_at_own_1e3_interval": own_1e3.fnmr.interval,
        "fnmr_at_own_1e4": own_1e4.fnmr.value,
        "fnmr_at_own_1e4_interval": own_1e4.fnmr.interval,
    }))
}

/// Similarities below which this share of genuine pairs lies.
fn quantiles(genuine: &mut [f32]) -> Value {
    genuine.sort_by(f32::total_cmp);
    let at = |share: f64| genuine.get((genuine.len() as f64 * share) as usize).copied();
    json!({ "0.001": at(0.001), "0.005": at(0.005), "0.01": at(0.01), "0.5": at(0.5) })
}

fn table(answer: &Value) {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_header(["指标 figure", "值 value"]);
    let mut add = |prefix: &str, object: &Value| {
        for (key, value) in object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object()) {
            table.add_row([format!("{prefix}{key}"), value.to_string()]);
        }
    };
    add("", answer);
    add("cohort.", &answer["cohort"]);
    say(table);
}
