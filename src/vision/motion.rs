//! Breathing and small movements of a body in bed (micro-motion), from displacements of a zone's parts.
//!
//! No picture is kept but one small reference: every new frame is compared with it block by block (Lucas and Kanade
//! 1981, one step, which is exact enough below a pixel at this size), and only the displacements are stored. What all
//! blocks do together is the camera's shaking and is taken out. A rhythm is looked for by least squares between 0.1 and
//! 0.7 Hz: 6 to 42 breaths a minute.

use std::collections::VecDeque;
use std::f32::consts::TAU;

use crate::base::clock::Mono;
use crate::base::frame::Picture;
use crate::domain::liveness::BodyLife;
use crate::vision::geometry::small_luma;

/// Zones are compared at this size; a breath of 0.4 % of the zone's height is half a pixel.
const SIDE: usize = 128;
const BLOCKS: usize = 8;
const BLOCK: usize = SIDE / BLOCKS;
/// Samples kept, whatever the time they span.
const MOST_SAMPLES: usize = 600;
/// Gradient energy (luma² per pixel) below which a block has nothing that could be seen moving.
const FLAT: f32 = 4.0;
/// Mean luma difference between consecutive frames from which the scene is another one: a nurse, a lamp, a curtain.
const SCENE: f32 = 10.0;
/// Blocks that speak for the bed: the eighth that moves most clearly.
const STRONGEST: usize = 8;
const SLOWEST: f32 = 0.1;
const FASTEST: f32 = 0.7;
const STEP: f32 = 0.025;

type Displacements = [[f32; 2]; BLOCKS * BLOCKS];

/// What one zone did lately.
#[derive(Default)]
pub struct Motion {
    reference: Option<Reference>,
    samples: VecDeque<(Mono, Displacements)>,
}

struct Reference {
    luma: Vec<f32>,
    gradient: Vec<[f32; 2]>,
    /// Inverse of each block's structure matrix; `None` where it is flat.
    solve: Vec<Option<[f32; 3]>>,
}

impl Motion {
    /// Takes a frame's zone; forgets what is older than `window_ms`. A new scene starts afresh.
    pub fn take(&mut self, at: Mono, zone: &Picture, window_ms: u64) {
        let Some(luma) = small_luma(zone, SIDE) else { return };
        if self.reference.as_ref().is_none_or(|reference| reference.is_other_scene(&luma)) {
            self.reference = Some(Reference::new(luma));
            self.samples.clear();
            self.samples.push_back((at, [[0.0; 2]; BLOCKS * BLOCKS]));
            return;
        }
        let Some(reference) = &self.reference else { return };
        self.samples.push_back((at, reference.displacements(&luma)));
        while self.samples.len() > MOST_SAMPLES
            || self.samples.front().is_some_and(|(first, _)| first.0 + window_ms < at.0)
        {
            self.samples.pop_front();
        }
    }

    /// What the zone did, except in `face` (left, top, right, bottom as shares of the zone).
    /// `None` before there are enough samples for a rhythm.
    pub fn body(&self, face: Option<[f32; 4]>) -> Option<BodyLife> {
        let reference = self.reference.as_ref()?;
        let (first, last) = (self.samples.front()?.0, self.samples.back()?.0);
        let times: Vec<f32> = self.samples.iter().map(|(at, _)| (at.0 - first.0) as f32 / 1000.0).collect();
        if times.len() < 12 {
            return None;
        }
        let blocks: Vec<usize> = (0..BLOCKS * BLOCKS)
            .filter(|block| {
                reference.solve[*block].is_some() && !face.is_some_and(|face| covers(face, *block))
            })
            .collect();
        let shake = self.shake(&blocks);
        let series: Vec<Vec<f32>> = blocks.iter().map(|block| self.along_main_axis(*block, &shake)).collect();
        let rhythm = strongest(&series, &times)?;
        let permille = 1000.0 / SIDE as f32;
        Some(BodyLife {
            samples: u16::try_from(times.len()).unwrap_or(u16::MAX),
            seconds: (last.0 - first.0) as f32 / 1000.0,
            breath: rhythm.amplitude / 2.0_f32.sqrt() * permille,
            per_minute: rhythm.hertz * 60.0,
            clarity: rhythm.clarity,
            movement: rhythm.movement * permille,
            noise: rhythm.noise * permille,
        })
    }

    /// The median displacement of all blocks in every sample.
    fn shake(&self, blocks: &[usize]) -> Vec<[f32; 2]> {
        let middle = |sample: &Displacements, axis: usize| {
            let mut values: Vec<f32> = blocks.iter().map(|block| sample[*block][axis]).collect();
            median(&mut values)
        };
        self.samples.iter().map(|(_, sample)| [middle(sample, 0), middle(sample, 1)]).collect()
    }

    /// One block's displacement along the direction it moves in most, without mean and drift.
    fn along_main_axis(&self, block: usize, shake: &[[f32; 2]]) -> Vec<f32> {
        let own = |axis: usize| {
            let series: Vec<f32> = self
                .samples
                .iter()
                .zip(shake)
                .map(|((_, sample), s)| sample[block][axis] - s[axis])
                .collect();
            levelled(series)
        };
        let (x, y) = (own(0), own(1));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let angle = 0.5 * (2.0 * dot(&x, &y)).atan2(dot(&x, &x) - dot(&y, &y));
        let (sin, cos) = angle.sin_cos();
        x.iter().zip(&y).map(|(x, y)| cos * x + sin * y).collect()
    }
}

/// What stands out of all blocks.
struct Rhythm {
    hertz: f32,
    amplitude: f32,
    clarity: f32,
    movement: f32,
    noise: f32,
}

/// The frequency at which the clearest blocks move most clearly together.
fn strongest(series: &[Vec<f32>], times: &[f32]) -> Option<Rhythm> {
    let span = times.last()? - times.first()?;
    let lowest = SLOWEST.max(1.0 / span.max(0.1));
    let steps = ((FASTEST - lowest) / STEP).max(0.0) as usize;
    let mut best: Option<Rhythm> = None;
    for step in 0..=steps {
        let hertz = lowest + STEP * step as f32;
        let mut found: Vec<(f32, f32, f32)> = series.iter().map(|s| fitted(s, times, hertz)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(STRONGEST);
        let n = found.len() as f32;
        if found.is_empty() {
            return None;
        }
        let clarity = found.iter().map(|f| f.0).sum::<f32>() / n;
        if best.as_ref().is_none_or(|best| clarity > best.clarity) {
            let amplitude = (found.iter().map(|f| f.1 * f.1).sum::<f32>() / n).sqrt();
            let noise = found.iter().map(|f| f.2).sum::<f32>() / n;
            best = Some(Rhythm { hertz, amplitude, clarity, movement: 0.0, noise });
        }
    }
    let mut moved: Vec<f32> = series.iter().map(|s| rms(s)).collect();
    moved.sort_by(|a, b| b.total_cmp(a));
    moved.truncate(STRONGEST);
    let movement = rms(&moved);
    best.map(|best| Rhythm { movement, ..best })
}

/// (clarity, amplitude, rest) of the sinusoid of that frequency in one series. Clarity is the sinusoid's power over
/// the rest's, scaled so that white noise gives 1 on average.
fn fitted(series: &[f32], times: &[f32], hertz: f32) -> (f32, f32, f32) {
    let (mut cc, mut ss, mut cs, mut xc, mut xs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, t) in series.iter().zip(times) {
        let (sin, cos) = (TAU * hertz * t).sin_cos();
        (cc, ss, cs) = (cc + cos * cos, ss + sin * sin, cs + sin * cos);
        (xc, xs) = (xc + x * cos, xs + x * sin);
    }
    let determinant = (cc * ss - cs * cs).max(1e-6);
    let (a, b) = ((xc * ss - xs * cs) / determinant, (xs * cc - xc * cs) / determinant);
    let explained = a * xc + b * xs;
    let total: f32 = series.iter().map(|x| x * x).sum();
    let free = (series.len() as f32 - 4.0).max(1.0);
    let rest = (total - explained).max(1e-9) / free;
    (explained / 2.0 / rest, a.hypot(b), rest.sqrt())
}

fn rms(values: &[f32]) -> f32 {
    (values.iter().map(|value| value * value).sum::<f32>() / values.len().max(1) as f32).sqrt()
}

fn median(values: &mut [f32]) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Without mean and linear drift: a sheet that settles is no breath.
fn levelled(mut series: Vec<f32>) -> Vec<f32> {
    let n = series.len() as f32;
    let (mean, middle) = (series.iter().sum::<f32>() / n, (n - 1.0) / 2.0);
    let (mut slope, mut weight) = (0.0, 0.0);
    for (at, value) in series.iter().enumerate() {
        slope += (at as f32 - middle) * (value - mean);
        weight += (at as f32 - middle).powi(2);
    }
    let slope = slope / weight.max(1.0);
    for (at, value) in series.iter_mut().enumerate() {
        *value -= mean + slope * (at as f32 - middle);
    }
    series
}

fn covers(face: [f32; 4], block: usize) -> bool {
    let left = (block % BLOCKS) as f32 / BLOCKS as f32;
    let top = (block / BLOCKS) as f32 / BLOCKS as f32;
    let side = 1.0 / BLOCKS as f32;
    left + side > face[0] && top + side > face[1] && left < face[2] && top < face[3]
}

impl Reference {
    fn new(luma: Vec<f32>) -> Reference {
        let gradient: Vec<[f32; 2]> = (0..SIDE * SIDE)
            .map(|at| {
                let (x, y) = (at % SIDE, at / SIDE);
                if x == 0 || y == 0 || x + 1 == SIDE || y + 1 == SIDE {
                    return [0.0; 2];
                }
                [(luma[at + 1] - luma[at - 1]) / 2.0, (luma[at + SIDE] - luma[at - SIDE]) / 2.0]
            })
            .collect();
        let solve = (0..BLOCKS * BLOCKS)
            .map(|block| {
                let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
                for at in pixels(block) {
                    let [gx, gy] = gradient[at];
                    (xx, xy, yy) = (xx + gx * gx, xy + gx * gy, yy + gy * gy);
                }
                let floor = FLAT * (BLOCK * BLOCK) as f32;
                if xx + yy < floor {
                    return None;
                }
                // A stripe shows no movement along itself: the floor keeps that direction near zero.
                let (xx, yy) = (xx + 0.1 * floor, yy + 0.1 * floor);
                let determinant = xx * yy - xy * xy;
                (determinant > 0.0).then(|| [yy / determinant, -xy / determinant, xx / determinant])
            })
            .collect();
        Reference { luma, gradient, solve }
    }

    fn is_other_scene(&self, luma: &[f32]) -> bool {
        let mean = |luma: &[f32]| luma.iter().sum::<f32>() / luma.len() as f32;
        let lighter = mean(luma) - mean(&self.luma);
        let difference: f32 = luma.iter().zip(&self.luma).map(|(a, b)| (a - b - lighter).abs()).sum();
        difference / luma.len() as f32 > SCENE
    }

    fn displacements(&self, luma: &[f32]) -> Displacements {
        let mut moved = [[0.0; 2]; BLOCKS * BLOCKS];
        for (block, moved) in moved.iter_mut().enumerate() {
            let Some([xx, xy, yy]) = self.solve[block] else { continue };
            let n = (BLOCK * BLOCK) as f32;
            // Light changes blocks as a whole; their mean difference is not movement.
            let lighter = pixels(block).map(|at| luma[at] - self.luma[at]).sum::<f32>() / n;
            let (mut bx, mut by) = (0.0, 0.0);
            for at in pixels(block) {
                let difference = luma[at] - self.luma[at] - lighter;
                bx -= self.gradient[at][0] * difference;
                by -= self.gradient[at][1] * difference;
            }
            *moved = [xx * bx + xy * by, xy * bx + yy * by];
        }
        moved
    }
}

fn pixels(block: usize) -> impl Iterator<Item = usize> {
    let corner = (block / BLOCKS) * BLOCK * SIDE + (block % BLOCKS) * BLOCK;
    (0..BLOCK * BLOCK).map(move |at| corner + at / BLOCK * SIDE + at % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A textured bed, a part of which is lifted by `lift` pixels, with pixel noise from a small generator.
    fn frame(lift: f32, seed: u32) -> Picture {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let rgb = (0..256 * 256)
            .flat_map(|at| {
                let (x, y) = ((at % 256) as f32, (at / 256) as f32);
                let inside = (60.0..200.0).contains(&x) && (80.0..220.0).contains(&y);
                let y = if inside { y + lift } else { y };
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 24) as f32 / 255.0 * 8.0 - 4.0;
                [(120.0 + 40.0 * (x / 9.0).sin() * (y / 11.0).cos() + noise) as u8; 3]
            })
            .collect();
        Picture::new(256, 256, rgb).unwrap()
    }

    fn filmed(lift: impl Fn(f32) -> f32) -> BodyLife {
        let mut motion = Motion::default();
        for number in 0..160_u32 {
            let t = number as f32 * 0.25;
            motion.take(Mono(u64::from(number) * 250), &frame(lift(t), number), 60_000);
        }
        motion.body(None).unwrap()
    }

    #[test]
    fn a_breath_is_found_with_its_rate() {
        let body = filmed(|t| 1.2 * (TAU * 0.25 * t).sin());
        assert!((body.per_minute - 15.0).abs() < 1.6, "{body:?}");
        assert!(body.clarity > 20.0 && body.breath > 1.0, "{body:?}");
        assert!((body.seconds - 39.75).abs() < 0.01);
    }

    #[test]
    fn noise_alone_has_no_rhythm() {
        let body = filmed(|_| 0.0);
        assert!(body.clarity < 6.0 && body.breath < 0.3 && body.noise < 0.2, "{body:?}");
    }

    #[test]
    fn a_new_scene_starts_afresh() {
        let mut motion = Motion::default();
        for number in 0..20 {
            motion.take(Mono(number * 250), &frame(0.0, number as u32), 60_000);
        }
        assert!(motion.body(None).is_some());
        motion.take(Mono(6000), &Picture::new(256, 256, vec![7; 256 * 256 * 3]).unwrap(), 60_000);
        assert!(motion.body(None).is_none());
    }
}
