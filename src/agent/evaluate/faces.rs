//! Recognition on a labelled set in LFW's layout (ISO/IEC 19795-1 terms).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::agent::evaluate::Rate;
use crate::base::picture;
use crate::vision::eyes::{Eyes, Face};
use crate::vision::manifest::Metric;

/// FNMR at the threshold where impostors match at the wanted rate.
#[derive(Clone, Debug, Serialize)]
pub struct AtFmr {
    pub fnmr: Rate,
    /// Similarity.
    pub threshold: f32,
}

/// One picture of the set.
pub struct Sample {
    pub person: String,
    pub path: PathBuf,
    /// `None` when no face was found.
    pub embedding: Option<Vec<f32>>,
}

/// Every picture below `images/PERSON/`, in order.
///
/// # Errors
/// When the folder cannot be read or holds no picture.
pub fn list(set: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let images = set.join("images");
    let mut found = Vec::new();
    let people = std::fs::read_dir(&images).map_err(|error| {
        anyhow::anyhow!("{}: {error}; the set needs images/PERSON/FILE.jpg", images.display())
    })?;
    for person in people {
        let person = person?.path();
        if !person.is_dir() {
            continue;
        }
        let name = person.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for file in std::fs::read_dir(&person)? {
            found.push((name.clone(), file?.path()));
        }
    }
    found.sort();
    anyhow::ensure!(!found.is_empty(), "{} holds no picture", images.display());
    Ok(found)
}

/// The embedding of the face nearest to the middle, as LFW's pictures are labelled; `None` without a face.
///
/// # Errors
/// When the nets fail; an unreadable picture counts as one without a face.
pub fn embed_central(eyes: &mut Eyes, path: &Path) -> anyhow::Result<Option<Vec<f32>>> {
    let Ok(picture) = picture::read(path) else { return Ok(None) };
    let middle = [picture.width() as f32 / 2.0, picture.height() as f32 / 2.0];
    let distance = |face: &Face| {
        let (center, ..) = face.mesh.extent();
        (center[0] - middle[0]).hypot(center[1] - middle[1])
    };
    let faces = eyes.faces(&picture)?;
    let central = faces.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    Ok(central.map(|face| eyes.embed(face)).transpose()?)
}

/// Similarities of all image pairs.
pub struct AllPairs {
    pub genuine: Vec<f32>,
    pub impostor: Vec<f32>,
}

/// Compares every picture with every other one.
pub fn all_pairs(samples: &[&Sample], metric: Metric) -> AllPairs {
    let usable: Vec<(&str, &[f32])> = samples
        .iter()
        .filter_map(|sample| Some((sample.person.as_str(), sample.embedding.as_deref()?)))
        .collect();
    let mut pairs = AllPairs { genuine: Vec::new(), impostor: Vec::new() };
    for (at, (person, a)) in usable.iter().enumerate() {
        for (other, b) in &usable[at + 1..] {
            let similarity = metric.similarity(a, b);
            if person == other { pairs.genuine.push(similarity) } else { pairs.impostor.push(similarity) }
        }
    }
    pairs
}

impl AllPairs {
    /// The lowest similarity at which at most the share `fmr` of impostors matches.
    pub fn threshold(&mut self, fmr: f64) -> Option<f32> {
        if self.impostor.is_empty() {
            return None;
        }
        let allowed = (self.impostor.len() as f64 * fmr) as usize;
        let at = allowed.min(self.impostor.len() - 1);
        let (_, threshold, _) = self.impostor.select_nth_unstable_by(at, |a, b| b.total_cmp(a));
        // The value at that rank would be one match too many.
        Some(threshold.next_up())
    }

    pub fn fnmr_at(&mut self, fmr: f64) -> Option<AtFmr> {
        let threshold = self.threshold(fmr)?;
        let missed = self.genuine.iter().filter(|similarity| **similarity < threshold).count();
        Some(AtFmr { fnmr: Rate::new(missed, self.genuine.len()), threshold })
    }

    /// (FMR, FNMR) at one impostor score per step of a logarithmic scale down to one false match.
    pub fn det(&mut self) -> Vec<(f64, f64)> {
        let floor = 1.0 / self.impostor.len().max(1) as f64;
        let mut rates: Vec<f64> = (0..=48).map(|step| 10.0_f64.powf(-f64::from(step) / 8.0)).collect();
        rates.retain(|fmr| *fmr >= floor);
        rates.iter().filter_map(|fmr| Some((*fmr, self.fnmr_at(*fmr)?.fnmr.value))).collect()
    }

    pub fn fmr_at(&self, threshold: f32) -> Rate {
        let matched = self.impostor.iter().filter(|similarity| **similarity >= threshold).count();
        Rate::new(matched, self.impostor.len())
    }
}

/// One line of `pairs.txt`: two pictures (person, number), and its fold.
pub struct Pair {
    pub a: (String, u32),
    pub b: (String, u32),
    pub fold: usize,
}

/// Reads LFW's `pairs.txt`: a header `FOLDS PAIRS`, then for each fold as many genuine (`NAME i j`) and impostor
/// (`NAME i OTHER j`) lines.
///
/// # Errors
/// With the line that is not understood.
pub fn read_pairs(path: &Path) -> anyhow::Result<Vec<Pair>> {
    let text =
        std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<usize> =
        lines.next().unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (folds, each) = match header.as_slice() {
        [folds, each] => (*folds, *each),
        [each] => (1, *each),
        _ => anyhow::bail!("{}:1: the first line must be \"FOLDS PAIRS\"", path.display()),
    };
    let mut pairs = Vec::new();
    for (at, line) in lines.filter(|line| !line.trim().is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || {
            anyhow::anyhow!(
                "{}:{}: {line:?} is neither \"NAME i j\" nor \"NAME i OTHER j\"",
                path.display(),
                at + 2
            )
        };
        let number = |word: &str| word.parse::<u32>().map_err(|_| wrong());
        let (a, b) = match words.as_slice() {
            [name, i, j] => (((*name).to_owned(), number(i)?), ((*name).to_owned(), number(j)?)),
            [name, i, other, j] => (((*name).to_owned(), number(i)?), ((*other).to_owned(), number(j)?)),
            _ => return Err(wrong()),
        };
        pairs.push(Pair { a, b, fold: (at / (2 * each).max(1)).min(folds.max(1) - 1) });
    }
    Ok(pairs)
}

/// Accuracy over folds: each fold is judged at the threshold that is best on the others. A pair without two faces counts
/// as wrong. With the number of such pairs.
pub fn accuracy(pairs: &[Pair], samples: &[Sample], metric: Metric) -> (Rate, usize) {
    let by_file: BTreeMap<String, &Sample> = samples
        .iter()
        .filter_map(|sample| Some((sample.path.file_stem()?.to_string_lossy().into_owned(), sample)))
        .collect();
    let find =
        |(name, number): &(String, u32)| by_file.get(&format!("{name}_{number:04}"))?.embedding.as_deref();
    let scored: Vec<(usize, bool, Option<f32>)> = pairs
        .iter()
        .map(|pair| {
            let similarity = find(&pair.a).zip(find(&pair.b)).map(|(a, b)| metric.similarity(a, b));
            (pair.fold, pair.a.0 == pair.b.0, similarity)
        })
        .collect();
    let folds = scored.iter().map(|(fold, ..)| fold + 1).max().unwrap_or(0);
    let mut right = 0;
    for fold in 0..folds {
        let others: Vec<_> = scored.iter().filter(|(other, ..)| folds == 1 || *other != fold).collect();
        let threshold = best_threshold(&others);
        right += scored
            .iter()
            .filter(|(other, same, similarity)| {
                *other == fold && similarity.is_some_and(|similarity| (similarity >= threshold) == *same)
            })
            .count();
    }
    let lacking = scored.iter().filter(|(.., similarity)| similarity.is_none()).count();
    (Rate::new(right, scored.len()), lacking)
}

fn best_threshold(scored: &[&(usize, bool, Option<f32>)]) -> f32 {
    let mut sorted: Vec<(f32, bool)> =
        scored.iter().filter_map(|(_, same, similarity)| Some(((*similarity)?, *same))).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Going down, each genuine pair above the threshold is gained and each impostor lost.
    let (mut gain, mut best, mut threshold) = (0_i64, 0_i64, 1.0);
    for (at, (similarity, same)) in sorted.iter().enumerate() {
        gain += if *same { 1 } else { -1 };
        if gain > best {
            best = gain;
            let below = sorted.get(at + 1).map_or(*similarity, |next| next.0);
            threshold = (similarity + below) / 2.0;
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(person: &str, number: u32, embedding: Option<Vec<f32>>) -> Sample {
        Sample { person: person.into(), path: PathBuf::from(format!("{person}_{number:04}.jpg")), embedding }
    }

    #[test]
    fn rates_follow_from_counted_pairs() {
        let samples = [
            sample("A", 1, Some(vec![0.0])),
            sample("A", 2, Some(vec![0.1])),
            sample("B", 1, Some(vec![1.0])),
            sample("B", 2, None),
        ];
        let mut pairs = all_pairs(&samples.iter().collect::<Vec<_>>(), Metric::Euclidean);
        assert_eq!((pairs.genuine.len(), pairs.impostor.len()), (1, 2));
        let at = pairs.fnmr_at(1e-3).unwrap();
        assert_eq!(at.fnmr.value, 0.0);
        assert_eq!(pairs.fmr_at(at.threshold).value, 0.0);
        assert_eq!(pairs.fmr_at(0.0).value, 1.0);
    }

    #[test]
    fn accuracy_counts_a_missing_face_as_wrong() {
        let samples = [
            sample("A", 1, Some(vec![0.0])),
            sample("A", 2, Some(vec![0.1])),
            sample("B", 1, Some(vec![1.0])),
            sample("B", 2, None),
        ];
        let pair =
            |a: (&str, u32), b: (&str, u32)| Pair { a: (a.0.into(), a.1), b: (b.0.into(), b.1), fold: 0 };
        let pairs = [pair(("A", 1), ("A", 2)), pair(("A", 1), ("B", 1)), pair(("B", 1), ("B", 2))];
        let (rate, lacking) = accuracy(&pairs, &samples, Metric::Euclidean);
        assert!((rate.value - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(lacking, 1);
    }
}
