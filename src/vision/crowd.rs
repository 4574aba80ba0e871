//! One face against very many: who of half a million looks like this one. A ward has its `gallery`; this is for whoever
//! keeps the faces of a region and must know whether one of them has two identities.
//!
//! Every comparison is made: an index would save time that is not missing and would miss a few. The rows lie in one piece
//! of memory, scaled once, and are summed in lanes, so that the search is as fast as memory is read.

use zeroize::Zeroizing;

use crate::vision::manifest::Metric;

/// Sums kept apart, so that the compiler may add them side by side.
const LANES: usize = 16;

/// Faces by number, as they were added. Wiped when dropped, and never printed.
pub struct Crowd {
    metric: Metric,
    width: usize,
    rows: Zeroizing<Vec<f32>>,
}

impl Crowd {
    /// For templates of so many numbers, with room for `people` of them.
    pub fn new(metric: Metric, width: usize, people: usize) -> Crowd {
        // Room from the start: growing would leave copies behind that nobody wipes.
        Crowd { metric, width: width.max(1), rows: Zeroizing::new(Vec::with_capacity(people * width)) }
    }

    /// Adds a face; its number, `None` for a template of another width.
    pub fn add(&mut self, template: &[f32]) -> Option<usize> {
        if template.len() != self.width {
            return None;
        }
        let number = self.people();
        let scale = self.scale(template);
        self.rows.extend(template.iter().map(|value| value * scale));
        Some(number)
    }

    pub fn people(&self) -> usize {
        self.rows.len() / self.width
    }

    /// Of vectors compared by their angle the length is taken away once.
    fn scale(&self, vector: &[f32]) -> f32 {
        match self.metric {
            Metric::Euclidean => 1.0,
            Metric::Cosine => 1.0 / dot(vector, vector).sqrt().max(f32::EPSILON),
        }
    }

    /// The most alike and how much, as `Metric::similarity` has it; the first of equals.
    pub fn nearest(&self, probe: &[f32]) -> Option<(usize, f32)> {
        if probe.len() != self.width {
            return None;
        }
        let scale = self.scale(probe);
        let probe: Zeroizing<Vec<f32>> = Zeroizing::new(probe.iter().map(|value| value * scale).collect());
        let mut best: Option<(usize, f32)> = None;
        for (number, row) in self.rows.chunks_exact(self.width).enumerate() {
            let score = match self.metric {
                Metric::Cosine => dot(&probe, row),
                Metric::Euclidean => -squares(&probe, row),
            };
            if best.is_none_or(|(_, known)| score > known) {
                best = Some((number, score));
            }
        }
        best.map(|(number, score)| match self.metric {
            Metric::Cosine => (number, score),
            Metric::Euclidean => (number, self.metric.of((-score).max(0.0).sqrt())),
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    in_lanes(a, b, |x, y| x * y)
}

fn squares(a: &[f32], b: &[f32]) -> f32 {
    in_lanes(a, b, |x, y| (x - y) * (x - y))
}

#[inline]
fn in_lanes(a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut sums, mut left, mut right) = ([0.0_f32; LANES], a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (xs, ys) in left.by_ref().zip(right.by_ref()) {
        for ((sum, x), y) in sums.iter_mut().zip(xs).zip(ys) {
            *sum += of(*x, *y);
        }
    }
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| of(*x, *y)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(number: usize, width: usize) -> Vec<f32> {
        (0..width).map(|at| ((number * 31 + at * 17) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn the_nearest_is_whom_comparing_with_each_finds() {
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let width = 37;
            let mut crowd = Crowd::new(metric, width, 100);
            for number in 0..100 {
                assert_eq!(crowd.add(&some(number, width)), Some(number));
            }
            assert_eq!((crowd.add(&[1.0]), crowd.people(), crowd.nearest(&[1.0])), (None, 100, None));
            let mut probe = some(60, width);
            probe[3] += 0.2;
            let (number, score) = crowd.nearest(&probe).unwrap();
            assert_eq!(number, 60);
            assert!((score - metric.similarity(&probe, &some(60, width))).abs() < 1e-4);
        }
        assert_eq!(Crowd::new(Metric::Cosine, 4, 0).nearest(&[1.0; 4]), None);
    }
}
