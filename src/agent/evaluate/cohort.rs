//! What a ward of one group of people would see: three enrolment pictures, and a threshold set from its own roster.

use std::collections::BTreeMap;

use crate::agent::evaluate::Rate;
use crate::agent::evaluate::faces::{AllPairs, AtFmr, Sample, all_pairs};
use crate::domain::operating::{Impostors, at_site};
use crate::domain::policy::FaceRule;
use crate::vision::manifest::Metric;

/// Pictures that enrol one person.
const SHOTS: usize = 3;

fn by_person<'set>(members: &[&'set Sample]) -> BTreeMap<&'set str, Vec<&'set [f32]>> {
    let mut people: BTreeMap<&str, Vec<&[f32]>> = BTreeMap::new();
    for sample in members {
        if let Some(embedding) = &sample.embedding {
            people.entry(&sample.person).or_default().push(embedding);
        }
    }
    people
}

/// Everybody with more than three pictures is enrolled with the first three; all other pictures are probes. `None` where
/// nobody has so many.
pub fn three_shots(members: &[&Sample], metric: Metric, fmr: f64) -> Option<AtFmr> {
    let people = by_person(members);
    let mut pairs = AllPairs { genuine: Vec::new(), impostor: Vec::new() };
    for (person, own) in people.iter().filter(|(_, own)| own.len() > SHOTS) {
        let (templates, probes) = own.split_at(SHOTS);
        let similarity = |probe: &[f32]| {
            templates.iter().map(|template| metric.similarity(probe, template)).sum::<f32>() / SHOTS as f32
        };
        pairs.genuine.extend(probes.iter().map(|probe| similarity(probe)));
        let others = people.iter().filter(|(other, _)| *other != person);
        pairs.impostor.extend(others.flat_map(|(_, theirs)| theirs).map(|probe| similarity(probe)));
    }
    if pairs.genuine.is_empty() { None } else { pairs.fnmr_at(fmr) }
}

/// False matches among one half of the people at the threshold set from the other half as a roster, both ways round.
pub fn after_calibration(
    members: &[&Sample],
    metric: Metric,
    card: &FaceRule,
    measured: Option<Impostors>,
) -> Rate {
    let people: Vec<&str> = by_person(members).into_keys().collect();
    let half = |odd: usize| -> Vec<&Sample> {
        let mine: Vec<&str> = people.iter().skip(odd).step_by(2).copied().collect();
        members.iter().filter(|sample| mine.contains(&sample.person.as_str())).copied().collect()
    };
    let (mut hits, mut n) = (0, 0);
    for (roster, strangers) in [(half(0), half(1)), (half(1), half(0))] {
        let enrolled = by_person(&roster).len();
        let site = at_site(card, measured, all_pairs(&roster, metric).impostor, enrolled);
        let pairs = all_pairs(&strangers, metric);
        hits += pairs.impostor.iter().filter(|similarity| **similarity >= site.rule.match_at).count();
        n += pairs.impostor.len();
    }
    Rate::new(hits, n)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn sample(person: &str, embedding: Vec<f32>) -> Sample {
        Sample { person: person.into(), path: PathBuf::new(), embedding: Some(embedding) }
    }

    /// People around the corner, far apart from each other; `alike` moves all of them together.
    fn people(alike: f32) -> Vec<Sample> {
        (0..20)
            .flat_map(|person| {
                let angle = person as f32 * 0.3;
                (0..5).map(move |shot| {
                    let wobble = angle + shot as f32 * 0.01;
                    sample(&format!("p{person:02}"), vec![wobble.cos(), wobble.sin(), alike])
                })
            })
            .collect()
    }

    #[test]
    fn three_pictures_enrol_and_the_rest_probe() {
        let set = people(0.0);
        let members: Vec<&Sample> = set.iter().collect();
        let found = three_shots(&members, Metric::Cosine, 0.01).unwrap();
        assert_eq!(found.fnmr.n, 40);
        let few: Vec<&Sample> = set.iter().step_by(5).collect();
        assert!(three_shots(&few, Metric::Cosine, 0.01).is_none());
    }

    #[test]
    fn a_roster_of_people_who_look_alike_raises_the_threshold_for_strangers_of_their_kind() {
        let set = people(1.5);
        let members: Vec<&Sample> = set.iter().collect();
        let card = FaceRule { fmr: "1e-2".into(), match_at: 0.8, differs_below: 0.2, typical: None };
        let before = all_pairs(&members, Metric::Cosine).fmr_at(card.match_at).value;
        let after = after_calibration(&members, Metric::Cosine, &card, None).value;
        assert!(after < before / 5.0, "{before} -> {after}");
    }
}
