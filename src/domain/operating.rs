//! The operating point at this site: the model card's threshold, raised where this roster's own people look more alike
//! than the card's did.
//!
//! Every template of one patient compared with every other patient is an impostor attempt that costs nothing. Where there
//! are enough of them the wanted false match rate is read off directly; where there are few, their mean and deviation
//! move the card's threshold along a normal tail, and the fewer people, the less it moves. It never moves below the
//! card: a ward of very different faces is no licence.

use serde::{Deserialize, Serialize};

use crate::domain::policy::FaceRule;

/// How impostors scored when the model card was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impostors {
    pub mean: f32,
    pub deviation: f32,
}

/// The rule in force, and what it does to the people enrolled here.
#[derive(Clone, Debug, PartialEq)]
pub struct AtSite {
    pub rule: FaceRule,
    pub realised: Realised,
}

/// False matches among the enrolled people themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Realised {
    pub threshold: f32,
    /// The model card's own threshold.
    pub card: f32,
    pub false_matches: u64,
    /// Impostor comparisons; they share people, so they know less than so many strangers would.
    pub comparisons: u64,
    /// One-sided 95 % upper bound of the rate.
    pub at_most: f64,
}

/// False matches that must be expected at the wanted rate before the quantile is believed.
const ENOUGH: f64 = 10.0;
/// People at whom the site's own mean and deviation count as much as the card's.
const HALF: f32 = 20.0;

/// Calibrates `card` with the similarities of `people` different people to each other.
pub fn at_site(card: &FaceRule, measured: Option<Impostors>, mut scores: Vec<f32>, people: usize) -> AtSite {
    scores.sort_by(|a, b| b.total_cmp(a));
    let fmr: f64 = card.fmr.parse().unwrap_or(0.0);
    let expected = scores.len() as f64 * fmr;
    let own = if expected >= ENOUGH {
        scores.get(expected as usize).copied()
    } else {
        measured.and_then(|measured| along_the_tail(card, measured, &scores, people))
    };
    let match_at = own.map_or(card.match_at, |own| own.max(card.match_at)).min(1.0);
    let false_matches = scores.iter().filter(|score| **score >= match_at).count() as u64;
    let comparisons = scores.len() as u64;
    let realised = Realised {
        threshold: match_at,
        card: card.match_at,
        false_matches,
        comparisons,
        at_most: at_most(false_matches, comparisons),
    };
    AtSite { rule: FaceRule { match_at, ..card.clone() }, realised }
}

fn along_the_tail(card: &FaceRule, measured: Impostors, scores: &[f32], people: usize) -> Option<f32> {
    if scores.len() < 2 || measured.deviation <= 0.0 {
        return None;
    }
    let n = scores.len() as f32;
    let mean = scores.iter().sum::<f32>() / n;
    let deviation = (scores.iter().map(|score| (score - mean).powi(2)).sum::<f32>() / n).sqrt();
    let weight = people as f32 / (people as f32 + HALF);
    let mean = measured.mean + weight * (mean - measured.mean);
    let deviation = measured.deviation + weight * (deviation - measured.deviation);
    let deviations = (card.match_at - measured.mean) / measured.deviation;
    Some(mean + deviations * deviation)
}

/// Wilson's one-sided 95 % upper bound.
fn at_most(hits: u64, n: u64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    let (p, n, z) = (hits as f64 / n as f64, n as f64, 1.645);
    let center = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((center + half) / (1.0 + z * z / n)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> FaceRule {
        FaceRule { fmr: "1e-3".into(), match_at: 0.40, differs_below: 0.2, typical: None }
    }

    /// Evenly spread over a tail up to `top`.
    fn tail(n: usize, top: f32) -> Vec<f32> {
        (0..n).map(|at| top * at as f32 / n as f32).collect()
    }

    #[test]
    fn many_comparisons_give_the_threshold_themselves() {
        let site = at_site(&card(), None, tail(20_000, 0.8), 150);
        assert!((site.rule.match_at - 0.8 * (1.0 - 1e-3)).abs() < 1e-3, "{site:?}");
        assert_eq!(site.realised.false_matches, 21);
        assert!(site.realised.at_most < 3e-3);
    }

    #[test]
    fn a_ward_of_different_faces_never_lowers_the_threshold() {
        assert_eq!(at_site(&card(), None, tail(20_000, 0.1), 150).rule.match_at, 0.40);
        let measured = Some(Impostors { mean: 0.0, deviation: 0.13 });
        assert_eq!(at_site(&card(), measured, vec![-0.2, -0.1, -0.15], 3).rule.match_at, 0.40);
    }

    #[test]
    fn few_people_who_look_alike_raise_it_a_little() {
        let measured = Some(Impostors { mean: 0.0, deviation: 0.13 });
        let alike: Vec<f32> = (0..90).map(|at| 0.2 + 0.1 * (at % 3) as f32).collect();
        let site = at_site(&card(), measured, alike, 10);
        assert!(site.rule.match_at > 0.45 && site.rule.match_at < 0.60, "{site:?}");
        assert!(at_site(&card(), measured, vec![0.3; 90], 10).rule.match_at < site.rule.match_at);
    }

    #[test]
    fn nobody_enrolled_leaves_the_card() {
        let site = at_site(&card(), None, Vec::new(), 0);
        assert_eq!((site.rule, site.realised.at_most), (card(), 1.0));
    }
}
