//! Whether the sensor's noise comes round again: a loop repeats it, a living camera never does.
//!
//! What is compared is how each picture differs from the average, in cells where nothing moves: breath comes round too.
//! The greatest likeness of two pictures of a fresh static scene was 0.23, that of a loop which was encoded anew 0.69 to
//! 0.995 (measured, correlation).

use std::collections::VecDeque;

use crate::base::clock::Mono;
use crate::capture::tamper::look::{CELLS, HEIGHT, Look, WIDTH};

/// Between two looks that are kept. A loop is found when its pictures fall on the same looks again.
const SPACING_MS: u64 = 1_000;
/// Looks that are kept, 3.6 kB each: loops of up to five minutes.
const MOST_LOOKS: usize = 300;
/// Noise is fine-grained: cells are taken in twos.
const SIDE: usize = 2;
const POINTS: usize = CELLS / (SIDE * SIDE);
/// Likeness from which a look counts as seen before.
const ALIKE: f32 = 0.45;
/// So many looks in a row must be alike at the same distance.
const IN_A_ROW: u32 = 8;
/// An encoder that changes its quality to and fro makes near looks alike; only farther ones count, and only where the nearer
/// ones differ. Shorter loops are found by their very bytes.
const LEAST_DISTANCE: usize = 8;
/// So many pictures in a row that were there before to the last bit: a sensor never does that.
const SAME_IN_A_ROW: u32 = 5;
/// Looks before the average is one.
const LEARNT: u32 = 12;
/// Below so many grey levels there is no noise to compare.
const LEAST_NOISE: f32 = 0.02;
/// A quarter of the points farther from the average than so many times the noise is another scene (noise alone: 1.3).
const SCENE: f32 = 2.2;
/// A cell that varies by so much more than the middle one moves.
const MOVING: f32 = 2.0;

/// What came before.
pub struct Looped {
    average: Vec<f32>,
    variance: Vec<f32>,
    looks: u32,
    last: Option<Mono>,
    /// How each kept look differs from the average, scaled to ±127; zero where something moves.
    kept: VecDeque<Vec<i8>>,
    digests: VecDeque<u64>,
    same: u32,
    /// The distance at which the last looks were alike, and how many there were.
    row: (usize, u32),
    likeness: f32,
}

impl Default for Looped {
    fn default() -> Looped {
        Looped {
            average: vec![0.0; POINTS],
            variance: vec![0.0; POINTS],
            looks: 0,
            last: None,
            kept: VecDeque::new(),
            digests: VecDeque::new(),
            same: 0,
            row: (0, 0),
            likeness: 0.0,
        }
    }
}

impl Looped {
    /// Takes a look; whether the pictures come round.
    pub fn take(&mut self, look: &Look, now: Mono) -> bool {
        // A little less than the spacing: pictures that come once a second never come exactly so.
        if self.last.is_none_or(|last| now.0 + SPACING_MS / 10 >= last.0 + SPACING_MS) {
            self.last = Some(now);
            self.note_digest(look.digest);
            self.compare(&points(&look.luma));
        }
        self.row.1 >= IN_A_ROW || self.same >= SAME_IN_A_ROW
    }

    /// How alike the last look and the most similar one before it are, -1 to 1.
    pub fn likeness(&self) -> f32 {
        self.likeness
    }

    /// Forgets everything but the pictures' digests: what was learnt is of another scene, or of a picture in doubt.
    pub fn begin_again(&mut self) {
        let (digests, same) = (std::mem::take(&mut self.digests), self.same);
        *self = Looped { last: self.last, digests, same, ..Looped::default() };
    }

    fn note_digest(&mut self, digest: u64) {
        self.same = if self.digests.contains(&digest) { self.same.saturating_add(1) } else { 0 };
        self.digests.push_back(digest);
        if self.digests.len() > MOST_LOOKS {
            self.digests.pop_front();
        }
    }

    fn compare(&mut self, points: &[f32]) {
        self.looks = self.looks.saturating_add(1);
        if self.looks == 1 {
            self.average = points.to_vec();
            return;
        }
        let weight = (1.0 / self.looks as f32).max(0.02);
        let mut apart = vec![0.0; POINTS];
        for (at, value) in points.iter().enumerate() {
            let difference = value - self.average[at];
            apart[at] = difference;
            self.average[at] += difference * weight;
            self.variance[at] += (difference * difference - self.variance[at]) * weight;
        }
        if self.looks < LEARNT {
            return;
        }
        if self.is_another_scene(&apart) {
            // What differs from the former average is the same in every look from now on; that is no loop.
            self.begin_again();
            return;
        }
        let Some(signature) = self.signature(&apart) else {
            self.row = (0, 0);
            return;
        };
        let all: Vec<f32> = self.kept.iter().rev().map(|old| likeness(old, &signature)).collect();
        let (near, far) = all.split_at(LEAST_DISTANCE.min(all.len()));
        let best = far.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let best = best.map_or((0, 0.0), |(at, likeness)| (at, *likeness));
        self.likeness = best.1;
        let stands_out = best.1 >= ALIKE && near.iter().all(|likeness| *likeness < ALIKE);
        let goes_on = self.row.1 == 0 || self.row.0 == best.0;
        self.row = match stands_out {
            true if goes_on => (best.0, self.row.1.saturating_add(1)),
            true => (best.0, 1),
            false => (0, 0),
        };
        self.kept.push_back(signature);
        if self.kept.len() > MOST_LOOKS {
            self.kept.pop_front();
        }
    }

    /// Whether more than moving people is farther from the average than noise takes it.
    fn is_another_scene(&self, apart: &[f32]) -> bool {
        let noise = middle(self.variance.clone()).sqrt().max(LEAST_NOISE);
        let mut far: Vec<f32> = fine(apart).into_iter().map(f32::abs).collect();
        let (_, upper, _) = far.select_nth_unstable_by(POINTS * 3 / 4, f32::total_cmp);
        *upper > SCENE * noise
    }

    /// The noise of one look; `None` where there is too little of it.
    fn signature(&self, apart: &[f32]) -> Option<Vec<i8>> {
        let middle = middle(self.variance.clone());
        let border = middle * MOVING;
        if middle.sqrt() < LEAST_NOISE {
            return None;
        }
        // Lamps flicker: what all neighbours share is no noise of the sensor. Each point counts in its own measure, or the
        // few that move would outweigh the many that do not.
        let fine = fine(apart);
        let point = |at: usize| {
            let variance = self.variance[at];
            let is_still = variance <= border && variance > 0.0;
            if is_still { (fine[at] / variance.sqrt() * 32.0).clamp(-80.0, 80.0) as i8 } else { 0 }
        };
        Some((0..POINTS).map(point).collect())
    }
}

fn middle(mut values: Vec<f32>) -> f32 {
    let (_, middle, _) = values.select_nth_unstable_by(POINTS / 2, f32::total_cmp);
    *middle
}

fn points(luma: &[f32]) -> Vec<f32> {
    let (width, height) = (WIDTH / SIDE, HEIGHT / SIDE);
    let mut points = vec![0.0; POINTS];
    for y in 0..height {
        for x in 0..width {
            let at = y * SIDE * WIDTH + x * SIDE;
            points[y * width + x] = (luma[at] + luma[at + 1] + luma[at + WIDTH] + luma[at + WIDTH + 1]) / 4.0;
        }
    }
    points
}

/// Each point less the mean of its four neighbours.
fn fine(apart: &[f32]) -> Vec<f32> {
    let (width, height) = (WIDTH / SIDE, HEIGHT / SIDE);
    let mut fine = vec![0.0; POINTS];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let around = apart[at - 1] + apart[at + 1] + apart[at - width] + apart[at + width];
            fine[at] = apart[at] - around / 4.0;
        }
    }
    fine
}

fn likeness(a: &[i8], b: &[i8]) -> f32 {
    let (mut ab, mut aa, mut bb) = (0_i32, 0_i32, 0_i32);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (i32::from(*a), i32::from(*b));
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab as f32 / ((aa as f32).sqrt() * (bb as f32).sqrt()).max(1.0)
}
