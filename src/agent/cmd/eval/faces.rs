//! `bedcheck eval faces DIR`: what the face pack is worth, on pictures somebody labelled.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::agent::board::cores;
use crate::agent::cmd::eval::{over_files, table};
use crate::agent::cmd::{Pack, say_json};
use crate::agent::evaluate::Rate;
use crate::agent::evaluate::cohort::{after_calibration, three_shots};
use crate::agent::evaluate::det::{self, Curve};
use crate::agent::evaluate::faces::{AtFmr, Sample, accuracy, all_pairs, embed_central, list, read_pairs};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::vision::manifest::Metric;

#[derive(clap::Args)]
pub struct Faces {
    /// The set.
    dir: PathBuf,
    /// People of one group, one name per line: is the operating point as safe for them?
    #[arg(long, value_name = "FILE")]
    cohort: Option<PathBuf>,
    /// Pictures worked on at once.
    #[arg(long, default_value_t = cores())]
    threads: usize,
    /// Write the DET curve as an SVG.
    #[arg(long, value_name = "FILE.svg")]
    det: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

impl Faces {
    pub fn run(self) -> anyhow::Result<Code> {
        let pairs = read_pairs(&self.dir.join("pairs.txt")).map_err(Ending::failed)?;
        let files = list(&self.dir).map_err(Ending::failed)?;
        let cohort = self.cohort.as_deref().map(names).transpose().map_err(Ending::failed)?;
        let (clock, start) = (Clock::system(), Clock::system().now().mono);
        let (samples, metric) = self.embed(files)?;
        let per_second = samples.len() as f64 / (clock.now().mono - start).as_secs_f64();
        let not_found = samples.iter().filter(|sample| sample.embedding.is_none()).count();
        let (accuracy, lacking) = accuracy(&pairs, &samples, metric);
        let mut everyone = all_pairs(&samples.iter().collect::<Vec<_>>(), metric);
        let at_1e3 = everyone.fnmr_at(1e-3).ok_or_else(|| Ending::failed("the set has only one person"))?;
        let at_1e4 = everyone.fnmr_at(1e-4).ok_or_else(|| Ending::failed("the set has only one person"))?;
        let mut answer = json!({
            "pictures": samples.len(),
            "pairs": pairs.len(),
            "pictures_per_second": per_second,
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
        let mut curves = Vec::new();
        if self.det.is_some() {
            curves.push(Curve { name: format!("全部 all, {}", samples.len()), points: everyone.det() });
        }
        drop(everyone);
        if let Some(names) = cohort {
            let members: Vec<&Sample> =
                samples.iter().filter(|sample| names.contains(&sample.person)).collect();
            answer["cohort"] = self.cohort(&members, metric, &at_1e3)?;
            if self.det.is_some() {
                let points = all_pairs(&members, metric).det();
                curves.push(Curve { name: format!("人群 cohort, {}", members.len()), points });
            }
        }
        if let Some(path) = &self.det {
            det::plot(path, "FMR", "FNMR", &curves)?;
        }
        if self.json {
            say_json(&answer)?
        } else {
            table(&answer)
        }
        Ok(Code::Fine)
    }

    fn embed(&self, files: Vec<(String, PathBuf)>) -> anyhow::Result<(Vec<Sample>, Metric)> {
        let metric = self.pack.manifest()?.embedder.metric;
        let paths: Vec<&Path> = files.iter().map(|(_, path)| path.as_path()).collect();
        let embeddings = over_files(&self.pack, self.threads, &paths, embed_central)?;
        let samples = files.into_iter().zip(embeddings);
        let samples = samples.map(|((person, path), embedding)| Sample { person, path, embedding });
        Ok((samples.collect(), metric))
    }

    fn cohort(&self, members: &[&Sample], metric: Metric, global: &AtFmr) -> anyhow::Result<Value> {
        let mut pairs = all_pairs(members, metric);
        let fmr: Rate = pairs.fmr_at(global.threshold);
        let alone = || Ending::failed("the cohort has fewer than two people of this set");
        let own_1e3 = pairs.fnmr_at(1e-3).ok_or_else(alone)?;
        let own_1e4 = pairs.fnmr_at(1e-4).ok_or_else(alone)?;
        let manifest = self.pack.manifest()?;
        let card = manifest.face_rule("1e-3").ok();
        let at_pack = card.as_ref().map(|card| pairs.fmr_at(card.match_at));
        let calibrated =
            card.map(|card| after_calibration(members, metric, &card, manifest.embedder.impostors));
        let three = three_shots(members, metric, 1e-3);
        Ok(json!({
            "pictures": members.len(),
            "genuine_pairs": pairs.genuine.len(),
            "impostor_pairs": pairs.impostor.len(),
            "fmr_at_global_1e3": fmr.value,
            "fmr_at_global_1e3_interval": fmr.interval,
            "fmr_at_pack_1e3": at_pack.map(|rate| rate.value),
            "fmr_after_roster_calibration": calibrated,
            "fnmr_at_own_1e3": own_1e3.fnmr.value,
            "fnmr_at_own_1e3_interval": own_1e3.fnmr.interval,
            "fnmr_at_own_1e4": own_1e4.fnmr.value,
            "fnmr_at_own_1e4_interval": own_1e4.fnmr.interval,
            "fnmr_three_shots_at_own_1e3": three.map(|found| found.fnmr),
        }))
    }
}

fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

/// Similarities below which this share of genuine pairs lies.
fn quantiles(genuine: &mut [f32]) -> Value {
    genuine.sort_by(f32::total_cmp);
    let at = |share: f64| genuine.get((genuine.len() as f64 * share) as usize).copied();
    json!({ "0.001": at(0.001), "0.005": at(0.005), "0.01": at(0.01), "0.5": at(0.5) })
}
