//! `bedcheck eval pad DIR`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::agent::board::cores;
use crate::agent::cmd::eval::{over_files, table};
use crate::agent::cmd::{Pack, say_json};
use crate::agent::evaluate::det::{self, Curve};
use crate::agent::evaluate::pad::{self, Presentation, figures, read_labels};
use crate::base::exit::{Code, Ending};
use crate::vision::eyes::Eyes;

#[derive(clap::Args)]
pub struct Pad {
    /// The set.
    dir: PathBuf,
    /// P(live) from which a presentation counts as live (default: the pack's).
    #[arg(long)]
    threshold: Option<f32>,
    /// Pictures worked on at once.
    #[arg(long, default_value_t = cores())]
    threads: usize,
    /// Write the DET curve as an SVG.
    #[arg(long, value_name = "FILE.svg")]
    det: Option<PathBuf>,
    /// Every presentation with its score.
    #[arg(long)]
    scores: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

impl Pad {
    pub fn run(self) -> anyhow::Result<Code> {
        let mut set = read_labels(&self.dir).map_err(Ending::failed)?;
        let own = self.pack.manifest()?.pad.map(|pad| pad.live_at);
        let threshold = self.threshold.or(own).ok_or_else(|| {
            Ending::config(
                "this pack has no PAD net ([pad] in its manifest.toml); take another with --models DIR",
            )
        })?;
        score_all(&self.pack, self.threads, &mut set)?;
        if let Some(path) = &self.det {
            let curve = Curve { name: format!("n = {}", set.len()), points: pad::det(&set) };
            det::plot(path, "APCER", "BPCER", &[curve])?;
        }
        let answer = self.answer(&set, threshold)?;
        if self.json {
            say_json(&answer)?
        } else {
            table(&answer)
        }
        Ok(Code::Fine)
    }

    fn answer(&self, set: &[Presentation], threshold: f32) -> anyhow::Result<Value> {
        let found = figures(set, threshold);
        let apcer: serde_json::Map<String, Value> =
            found.apcer.iter().map(|(species, rate)| (species.clone(), json!(rate.value))).collect();
        let mut answer = json!({
            "presentations": set.len(),
            "live": set.iter().filter(|presentation| presentation.is_live).count(),
            "threshold": found.threshold,
            "apcer": apcer,
            "apcer_max": found.apcer_max,
            "bpcer": found.bpcer.value,
            "no_decision": found.no_decision.value,
            "auc": found.auc,
            "detail": serde_json::to_value(&found)?,
            "interval": "Wilson 95 %",
        });
        if self.scores {
            let row = |one: &Presentation| {
                let name = one.path.strip_prefix(&self.dir).unwrap_or(&one.path);
                json!([name.display().to_string(), one.is_live, one.species, one.score])
            };
            answer["scores"] = set.iter().map(row).collect();
        }
        Ok(answer)
    }
}

/// Fills in the score of every presentation.
pub(crate) fn score_all(pack: &Pack, threads: usize, set: &mut [Presentation]) -> anyhow::Result<()> {
    let paths: Vec<&Path> = set.iter().map(|presentation| presentation.path.as_path()).collect();
    // A pack that cannot be opened keeps its own exit code; only what befalls a presentation is a failure of the set.
    let score =
        |eyes: &mut Eyes, path: &Path| pad::score(eyes, path).map_err(|error| Ending::failed(error).into());
    let scores = over_files(pack, threads, &paths, score)?;
    for (presentation, score) in set.iter_mut().zip(scores) {
        presentation.score = score;
    }
    Ok(())
}
