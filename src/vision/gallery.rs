//! The enrolled people of this ward. A few thousand at most: every comparison is made, none is guessed.

use std::collections::BTreeMap;

use crate::base::ids::StayId;
use crate::base::redact::Private;
use crate::vision::manifest::Metric;

/// One vector of one person; counts as a face in law and is never printed.
pub type Template = Private<Vec<f32>>;

/// People whose mean similarity says how much a face has in common with everybody.
const ENOUGH_OTHERS: usize = 8;

/// How like a face is to everybody but the person expected.
#[derive(Clone, Debug)]
pub struct Others {
    /// The most similar of them.
    pub nearest: Option<(StayId, f32)>,
    /// Mean similarity; `None` where they are a handful of people.
    pub common: Option<f32>,
}

/// Templates by stay.
#[derive(Clone, Debug)]
pub struct Gallery {
    metric: Metric,
    people: BTreeMap<StayId, Vec<Template>>,
}

impl Gallery {
    pub fn new(metric: Metric) -> Gallery {
        Gallery { metric, people: BTreeMap::new() }
    }

    /// Everybody of a store.
    pub fn of(metric: Metric, enrolled: impl IntoIterator<Item = (StayId, Template)>) -> Gallery {
        let mut gallery = Gallery::new(metric);
        for (stay, template) in enrolled {
            gallery.enrol(stay, template);
        }
        gallery
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    pub fn enrol(&mut self, stay: StayId, template: Template) {
        self.people.entry(stay).or_default().push(template);
    }

    pub fn templates_of(&self, stay: &StayId) -> usize {
        self.people.get(stay).map_or(0, Vec::len)
    }

    /// How many people are enrolled.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Similarity to one person: the mean over the templates, so that one unlucky shot neither lets a stranger in nor
    /// keeps the patient out. `None` when nothing is enrolled.
    pub fn similarity(&self, probe: &[f32], stay: &StayId) -> Option<f32> {
        let templates = self.people.get(stay).filter(|templates| !templates.is_empty())?;
        let sum: f32 =
            templates.iter().map(|template| self.metric.similarity(probe, template.reveal())).sum();
        Some(sum / templates.len() as f32)
    }

    /// Every template against every *other* person: impostor attempts that cost nothing.
    pub fn impostors(&self) -> Vec<f32> {
        let mut scores = Vec::new();
        for (stay, templates) in &self.people {
            for template in templates {
                let others = self.people.keys().filter(|other| *other != stay);
                scores.extend(others.filter_map(|other| self.similarity(template.reveal(), other)));
            }
        }
        scores
    }

    /// Pairs of stays whose templates look like one person, most alike first.
    pub fn duplicates(&self, match_at: f32) -> Vec<(StayId, StayId, f32)> {
        let people: Vec<_> = self.people.iter().collect();
        let mut found = Vec::new();
        for (at, (stay, templates)) in people.iter().enumerate() {
            for (other, _) in &people[at + 1..] {
                let scores: Vec<f32> =
                    templates.iter().filter_map(|t| self.similarity(t.reveal(), other)).collect();
                let mean = scores.iter().sum::<f32>() / scores.len().max(1) as f32;
                if !scores.is_empty() && mean >= match_at {
                    found.push(((*stay).clone(), (*other).clone(), mean));
                }
            }
        }
        found.sort_by(|a, b| b.2.total_cmp(&a.2));
        found
    }

    /// Compares with everybody besides `stay`, once each.
    pub fn others(&self, probe: &[f32], stay: &StayId) -> Others {
        let others = self.people.keys().filter(|other| *other != stay);
        let scores: Vec<_> =
            others.filter_map(|other| Some((other, self.similarity(probe, other)?))).collect();
        let nearest = scores.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let mean = || scores.iter().map(|(_, score)| score).sum::<f32>() / scores.len() as f32;
        Others {
            nearest: nearest.map(|(other, score)| ((*other).clone(), *score)),
            common: (scores.len() >= ENOUGH_OTHERS).then(mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_other_is_never_the_person_expected() {
        let stay = |id: &str| StayId::new(id).unwrap();
        let mut gallery = Gallery::new(Metric::Euclidean);
        gallery.enrol(stay("A"), Private::new(vec![0.0, 0.0]));
        gallery.enrol(stay("A"), Private::new(vec![0.0, 0.2]));
        gallery.enrol(stay("B"), Private::new(vec![1.0, 0.0]));
        assert!((gallery.similarity(&[0.0, 0.1], &stay("A")).unwrap() - 0.95).abs() < 1e-6);
        assert_eq!(gallery.others(&[0.0, 0.0], &stay("A")).nearest.unwrap().0, stay("B"));
        assert_eq!(gallery.similarity(&[0.0, 0.0], &stay("C")), None);
        assert_eq!(gallery.impostors().len(), 3);
        assert!(gallery.duplicates(0.9).is_empty());
        gallery.enrol(stay("D"), Private::new(vec![0.0, 0.1]));
        let twins = gallery.duplicates(0.9);
        assert_eq!((twins.len(), &twins[0].0, &twins[0].1), (1, &stay("A"), &stay("D")));
    }

    #[test]
    fn what_a_face_has_in_common_with_a_handful_is_not_said() {
        let stay = |id: usize| StayId::new(format!("S{id}")).unwrap();
        let mut gallery = Gallery::new(Metric::Euclidean);
        for id in 0..ENOUGH_OTHERS {
            gallery.enrol(stay(id), Private::new(vec![id as f32 / 10.0]));
        }
        assert_eq!(gallery.others(&[0.0], &stay(0)).common, None);
        gallery.enrol(stay(99), Private::new(vec![0.9]));
        let common = gallery.others(&[0.0], &stay(99)).common.unwrap();
        assert!((common - 0.825).abs() < 1e-6, "{common}");
    }
}
