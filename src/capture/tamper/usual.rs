//! How a camera usually looks, for each hour of the day: sunlight, lamps and infrared are different pictures of one ward.
//!
//! At most 24 of them, 15 kB each. They are learnt from pictures nobody doubts and forgotten when the agent ends.

use crate::base::clock::{Mono, Wall};
use crate::capture::tamper::look::{CELLS, HEIGHT, Look, WIDTH};

/// Looks of one hour after which it may be compared with.
const LEARNT: u32 = 20;
/// Between two looks that are learnt from: neighbouring pictures say the same twice.
const SPACING_MS: u64 = 2_000;
/// Weight of a new look once an hour is learnt: about ten minutes.
const WEIGHT: f32 = 1.0 / 300.0;
/// A cell is a fixed edge when it was one in so many looks of 255.
const FIXED: u8 = 150;
/// With fewer fixed edges nothing is said about movement.
const LEAST_EDGES: usize = 300;

/// One hour of the day.
struct Hour {
    looks: u32,
    sharpness: f32,
    contrast: f32,
    /// How often each cell is an edge, of 255.
    edges: Vec<u8>,
}

/// All hours.
#[derive(Default)]
pub struct Usual {
    hours: [Option<Box<Hour>>; 24],
    last: Option<Mono>,
}

impl Usual {
    /// Learns from a look that is beyond doubt.
    pub fn learn(&mut self, look: &Look, mono: Mono, wall: Wall) {
        if self.last.is_some_and(|last| mono.0 < last.0 + SPACING_MS) {
            return;
        }
        self.last = Some(mono);
        let hour = wall.0.rem_euclid(86_400_000) / 3_600_000;
        let hour = self.hours[hour as usize].get_or_insert_with(|| {
            Box::new(Hour { looks: 0, sharpness: 0.0, contrast: 0.0, edges: vec![0; CELLS] })
        });
        hour.looks = hour.looks.saturating_add(1);
        let weight = (1.0 / hour.looks as f32).max(WEIGHT);
        hour.sharpness += (look.sharpness - hour.sharpness) * weight;
        hour.contrast += (look.contrast - hour.contrast) * weight;
        for (known, is_edge) in hour.edges.iter_mut().zip(&look.edges) {
            let now = if *is_edge { 255.0 } else { 0.0 };
            let known_before = f32::from(*known);
            // Never less than one step, or a small weight would never move a byte.
            let step = (now - known_before) * weight;
            let step = if step > 0.0 {
                step.max(1.0).min(now - known_before)
            } else {
                step.min(-1.0).max(now - known_before)
            };
            *known = (known_before + step).round() as u8;
        }
    }

    fn learnt(&self) -> impl Iterator<Item = &Hour> {
        self.hours.iter().flatten().map(AsRef::as_ref).filter(|hour| hour.looks >= LEARNT)
    }

    /// Sharpness as a share of the least sharp hour; `None` before one is learnt.
    pub fn sharpness(&self, look: &Look) -> Option<f32> {
        let least = self.learnt().map(|hour| hour.sharpness).reduce(f32::min)?;
        Some(look.sharpness / least.max(1e-6))
    }

    /// Contrast as a share of the flattest hour.
    pub fn contrast(&self, look: &Look) -> Option<f32> {
        let least = self.learnt().map(|hour| hour.contrast).reduce(f32::min)?;
        Some(look.contrast / least.max(1e-6))
    }

    /// The share of fixed edges that are where they usually are, in the hour that fits best.
    pub fn edges_kept(&self, look: &Look) -> Option<f32> {
        let near = widened(&look.edges);
        self.learnt().filter_map(|hour| kept(&hour.edges, &near)).reduce(f32::max)
    }
}

fn kept(usual: &[u8], near: &[bool]) -> Option<f32> {
    let fixed = usual.iter().zip(near).filter(|(often, _)| **often >= FIXED);
    let (all, there) = fixed.fold((0, 0), |(all, there), (_, near)| (all + 1, there + usize::from(*near)));
    // By chance about a third is there: widened edges cover so much of the picture.
    (all >= LEAST_EDGES).then(|| there as f32 / all as f32)
}

/// Edges and their neighbours: a camera on a wall that trembles has not been moved.
fn widened(edges: &[bool]) -> Vec<bool> {
    let mut wide = edges.to_vec();
    for y in 1..HEIGHT - 1 {
        for x in 1..WIDTH - 1 {
            let at = y * WIDTH + x;
            wide[at] = edges[at] || edges[at - 1] || edges[at + 1] || edges[at - WIDTH] || edges[at + WIDTH];
        }
    }
    wide
}
