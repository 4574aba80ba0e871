//! Liveness on labelled presentations (ISO/IEC 30107-3 terms).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::agent::evaluate::Rate;
use crate::base::frame::Picture;
use crate::base::picture;
use crate::capture::recorded::Recorded;
use crate::vision::eyes::Eyes;

/// Frames of a clip that are scored, spread over it.
const MOST_FRAMES: usize = 30;

/// One presentation: a picture, a folder of pictures or a `.mjpeg` clip.
#[derive(Clone, Debug)]
pub struct Presentation {
    pub path: PathBuf,
    pub is_live: bool,
    /// Kind of instrument; empty for live ones.
    pub species: String,
    /// P(live), 0..=1: mean over the frames in which a face was found; `None` when there was none.
    pub score: Option<f32>,
}

/// Reads `labels.csv` (`file,label,species`; label `live` or `attack`).
///
/// # Errors
/// With the line that is not understood.
pub fn read_labels(set: &Path) -> anyhow::Result<Vec<Presentation>> {
    let path = set.join("labels.csv");
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_path(&path).map_err(|error| {
            anyhow::anyhow!("{}: {error}; the set needs file,label,species", path.display())
        })?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_lowercase).collect();
    let column = |name: &str| header.iter().position(|column| column == name);
    let (Some(file), Some(label)) = (column("file"), column("label")) else {
        anyhow::bail!("{}:1: the first line must name the columns file,label,species", path.display());
    };
    let species = column("species");
    let mut found = Vec::new();
    for (at, row) in reader.records().enumerate() {
        let row = row?;
        let wrong = |what: &str| anyhow::anyhow!("{}:{}: {what}", path.display(), at + 2);
        let name = row.get(file).filter(|name| !name.is_empty()).ok_or_else(|| wrong("file is missing"))?;
        let is_live = match row.get(label) {
            Some("live") => true,
            Some("attack") => false,
            other => return Err(wrong(&format!("label {other:?} is neither live nor attack"))),
        };
        let species = species.and_then(|column| row.get(column)).unwrap_or("");
        let species = if is_live {
            String::new()
        } else if species.is_empty() {
            "unknown".to_owned()
        } else {
            species.to_owned()
        };
        found.push(Presentation { path: set.join(name), is_live, species, score: None });
    }
    anyhow::ensure!(!found.is_empty(), "{} names no presentation", path.display());
    Ok(found)
}

/// Scores one presentation; `None` where no face was found in any frame.
///
/// # Errors
/// A file that cannot be read, a pack without a PAD net.
pub fn score(eyes: &mut Eyes, path: &Path) -> anyhow::Result<Option<f32>> {
    let is_clip = path.is_dir() || path.extension().is_some_and(|extension| extension == "mjpeg");
    let pictures = if is_clip {
        let clip = Recorded::open(path, 1.0)?;
        let step = clip.len().div_ceil(MOST_FRAMES).max(1);
        (0..clip.len()).step_by(step).map(|at| clip.picture(at)).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![picture::read(path)?]
    };
    score_pictures(eyes, &pictures)
}

/// Scores the pictures of one presentation; `None` where no face was found in any of them.
///
/// # Errors
/// A net that fails, a pack without a PAD net.
pub fn score_pictures(eyes: &mut Eyes, pictures: &[Picture]) -> anyhow::Result<Option<f32>> {
    let mut scores = Vec::new();
    for picture in pictures {
        let faces = eyes.faces(picture)?;
        let largest = faces.iter().max_by(|a, b| a.quality.width_px.total_cmp(&b.quality.width_px));
        let Some(face) = largest else { continue };
        let score = eyes.liveness(picture, &face.mesh)?;
        scores
            .push(score.ok_or_else(|| anyhow::anyhow!("this pack has no PAD net ([pad] in its manifest)"))?);
    }
    Ok((!scores.is_empty()).then(|| scores.iter().sum::<f32>() / scores.len() as f32))
}

/// What the net is worth at one threshold.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub threshold: f32,
    /// Attacks called live, by species. An attack without a decision was not let in.
    pub apcer: BTreeMap<String, Rate>,
    pub apcer_max: f64,
    /// Live presentations called attacks, of those with a decision.
    pub bpcer: Rate,
    /// Presentations without a face: live ones (non-response) and attacks.
    pub no_decision: Rate,
    pub no_decision_live: Rate,
    /// Chance that a live presentation scores higher than an attack.
    pub auc: Option<f64>,
}

/// Counts the errors at `threshold`.
pub fn figures(set: &[Presentation], threshold: f32) -> Figures {
    let mut apcer = BTreeMap::new();
    for presentation in set.iter().filter(|presentation| !presentation.is_live) {
        let (accepted, n) = apcer.entry(presentation.species.clone()).or_insert((0, 0));
        *accepted += usize::from(presentation.score.is_some_and(|score| score >= threshold));
        *n += 1;
    }
    let apcer: BTreeMap<String, Rate> =
        apcer.into_iter().map(|(species, (accepted, n))| (species, Rate::new(accepted, n))).collect();
    let live: Vec<&Presentation> = set.iter().filter(|presentation| presentation.is_live).collect();
    let decided: Vec<f32> = live.iter().filter_map(|presentation| presentation.score).collect();
    let refused = decided.iter().filter(|score| **score < threshold).count();
    let undecided = set.iter().filter(|presentation| presentation.score.is_none()).count();
    Figures {
        threshold,
        apcer_max: apcer.values().map(|rate| rate.value).fold(0.0, f64::max),
        apcer,
        bpcer: Rate::new(refused, decided.len()),
        no_decision: Rate::new(undecided, set.len()),
        no_decision_live: Rate::new(live.len() - decided.len(), live.len()),
        auc: auc(set),
    }
}

fn auc(set: &[Presentation]) -> Option<f64> {
    let mut scored: Vec<(f32, bool)> =
        set.iter().filter_map(|presentation| Some((presentation.score?, presentation.is_live))).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let live = scored.iter().filter(|(_, is_live)| *is_live).count();
    let attacks = scored.len() - live;
    if live == 0 || attacks == 0 {
        return None;
    }
    // Rank sum (Mann and Whitney 1947); equal scores share their rank.
    let mut sum = 0.0;
    for group in scored.chunk_by(|a, b| a.0 == b.0) {
        let first = (group.as_ptr().addr() - scored.as_ptr().addr()) / size_of::<(f32, bool)>();
        let rank = first as f64 + (group.len() as f64 + 1.0) / 2.0;
        sum += rank * group.iter().filter(|(_, is_live)| *is_live).count() as f64;
    }
    let (live, attacks) = (live as f64, attacks as f64);
    Some((sum - live * (live + 1.0) / 2.0) / (live * attacks))
}

/// (APCER over all species, BPCER) at every score, for a DET curve.
pub fn det(set: &[Presentation]) -> Vec<(f64, f64)> {
    let mut scores: Vec<f32> = set.iter().filter_map(|presentation| presentation.score).collect();
    scores.sort_by(f32::total_cmp);
    scores.dedup();
    let attacks = set.iter().filter(|presentation| !presentation.is_live).count().max(1) as f64;
    scores
        .into_iter()
        .map(|threshold| {
            let let_in =
                set.iter().filter(|p| !p.is_live && p.score.is_some_and(|score| score >= threshold)).count();
            (let_in as f64 / attacks, figures(set, threshold).bpcer.value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presentation(species: &str, score: Option<f32>) -> Presentation {
        let (path, is_live) = (PathBuf::new(), species.is_empty());
        Presentation { path, is_live, species: species.to_owned(), score }
    }

    #[test]
    fn errors_are_counted_by_species_and_a_missing_face_is_no_entry() {
        let set = [
            presentation("", Some(0.9)),
            presentation("", Some(0.2)),
            presentation("", None),
            presentation("print", Some(0.1)),
            presentation("print", Some(0.8)),
            presentation("screen", None),
        ];
        let found = figures(&set, 0.5);
        assert_eq!(found.apcer["print"].value, 0.5);
        assert_eq!((found.apcer["screen"].value, found.apcer["screen"].n), (0.0, 1));
        assert_eq!((found.bpcer.value, found.bpcer.n), (0.5, 2));
        assert!((found.no_decision.value - 2.0 / 6.0).abs() < 1e-9);
        assert_eq!(found.apcer_max, 0.5);
        // 0.9 beats both attacks, 0.2 beats one of them.
        assert_eq!(found.auc, Some(0.75));
    }

    #[test]
    fn equal_scores_are_worth_half() {
        let set = [presentation("", Some(0.5)), presentation("print", Some(0.5))];
        assert_eq!(figures(&set, 0.5).auc, Some(0.5));
    }

    #[test]
    fn a_wrong_label_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = "file,label,species\na.jpg,live,\nb.jpg,fake,print\n";
        crate::base::files::write_owner_only(&folder.path().join("labels.csv"), text.as_bytes()).unwrap();
        let error = read_labels(folder.path()).unwrap_err().to_string();
        assert!(error.contains("labels.csv:3") && error.contains("fake"), "{error}");
    }
}
