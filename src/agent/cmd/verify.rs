//! `bedcheck verify --reference A --probe B`: are these the same person?

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::agent::cmd::{Pack, say, say_json};
use crate::agent::enrol::{SoleFaceError, only_face};
use crate::base::exit::{Code, Ending};
use crate::base::picture;
use crate::domain::policy::QualityRule;
use crate::vision::eyes::{Eyes, Face};

#[derive(clap::Args)]
pub struct Verify {
    /// Picture of the person who should be there.
    #[arg(long, value_name = "IMG")]
    reference: PathBuf,
    /// Picture of the person who is there.
    #[arg(long, value_name = "IMG")]
    probe: PathBuf,
    /// False match rate of the decision.
    #[arg(long, default_value = "1e-3")]
    fmr: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

impl Verify {
    pub fn run(self) -> anyhow::Result<Code> {
        let mut eyes = self.pack.open()?;
        let rule = eyes.rule(&self.fmr).map_err(Ending::config)?;
        let faces = sole_face(&mut eyes, &self.reference)
            .and_then(|reference| Ok((reference, sole_face(&mut eyes, &self.probe)?)));
        let (reference, probe) = match faces {
            Ok(faces) => faces,
            Err(reason) => {
                if self.json {
                    say_json(
                        &json!({ "match": false, "score": null, "threshold": rule.match_at, "fmr": rule.fmr, "reason": reason.to_string() }),
                    )?;
                    return Ok(Code::Failed);
                }
                return Err(Ending::failed(reason).into());
            }
        };
        let (a, b) = (eyes.embed(&reference)?, eyes.embed(&probe)?);
        let score = eyes.manifest.embedder.metric.similarity(&a, &b);
        let is_match = score >= rule.match_at;
        if self.json {
            say_json(
                &json!({ "match": is_match, "score": score, "threshold": rule.match_at, "fmr": rule.fmr }),
            )?;
        } else {
            let verdict = if is_match { "一致 · match" } else { "不一致 · no match" };
            say(format!(
                "{verdict}   相似度 score {score:.3}   阈值 threshold {:.3}   误识率 FMR {}",
                rule.match_at, rule.fmr
            ));
        }
        Ok(Code::Fine)
    }
}

fn sole_face(eyes: &mut Eyes, path: &Path) -> anyhow::Result<Face> {
    let picture = picture::read(path)?;
    // Any picture may be compared here; the gate against accusations is the patrol's.
    let lenient = QualityRule {
        min_width_px: 32.0,
        max_yaw: 60.0,
        max_pitch: 60.0,
        min_sharpness: 0.0,
        min_luma: 10.0,
        min_score: 0.4,
        max_outside: 0.15,
        min_mouth: 0.0,
    };
    only_face(eyes, &picture, &lenient).map_err(|error| match error {
        SoleFaceError::Unusable((chinese, english)) => {
            anyhow::anyhow!("{}: {chinese} / {english}", path.display())
        }
        SoleFaceError::Net(error) => error.into(),
    })
}
