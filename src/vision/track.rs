//! One face over many frames: followed by its mesh, so that detection runs once and the eyes are seen to blink.

use std::collections::VecDeque;

use crate::base::clock::Mono;
use crate::domain::liveness::{FaceLife, Passive};
use crate::vision::mesh::Mesh;

/// Samples kept, whatever the time they span.
const MOST_SAMPLES: usize = 600;
/// A face that jumps farther than this share of its width between two frames is another face.
const JUMP: f32 = 0.5;
/// Eye openness (height over width) from which an eye counts as open, and the share of the usual openness below which
/// it is closed. Set on the demo's ward.
const OPEN: f32 = 0.16;
const CLOSED: f32 = 0.65;

struct Sample {
    at: Mono,
    openness: f32,
    live: Option<f32>,
}

/// A followed face.
pub struct Track {
    mesh: Mesh,
    samples: VecDeque<Sample>,
}

impl Track {
    pub fn new(at: Mono, mesh: Mesh, live: Option<f32>) -> Track {
        let mut track = Track { mesh: mesh.clone(), samples: VecDeque::new() };
        track.push(at, mesh, live);
        track
    }

    /// Where the face was last.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Whether this mesh can be the same face one frame later.
    pub fn goes_on_with(&self, mesh: &Mesh) -> bool {
        let ((a, width, ..), (b, ..)) = (self.mesh.extent(), mesh.extent());
        (a[0] - b[0]).hypot(a[1] - b[1]) <= width * JUMP
    }

    /// Takes the next frame; `false` when the face is lost.
    pub fn take(&mut self, at: Mono, mesh: Mesh, live: Option<f32>, window_ms: u64) -> bool {
        if !self.goes_on_with(&mesh) {
            return false;
        }
        self.push(at, mesh, live);
        while self.samples.len() > MOST_SAMPLES
            || self.samples.front().is_some_and(|first| first.at.0 + window_ms < at.0)
        {
            self.samples.pop_front();
        }
        true
    }

    fn push(&mut self, at: Mono, mesh: Mesh, live: Option<f32>) {
        self.samples.push_back(Sample { at, openness: mesh.eye_openness(), live });
        self.mesh = mesh;
    }

    /// What the face did within the window.
    pub fn life(&self) -> FaceLife {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return FaceLife::default();
        };
        let openness: Vec<f32> = self.samples.iter().map(|sample| sample.openness).collect();
        let open = openness.iter().filter(|value| **value >= OPEN).count();
        FaceLife {
            frames: u16::try_from(self.samples.len()).unwrap_or(u16::MAX),
            seconds: (last.at - first.at).as_secs_f32(),
            passive: passive(self.samples.iter().filter_map(|sample| sample.live).collect()),
            blinks: blinks(&openness),
            eyes_open: open as f32 / openness.len() as f32,
        }
    }
}

fn passive(mut scores: Vec<f32>) -> Option<Passive> {
    if scores.is_empty() {
        return None;
    }
    scores.sort_by(f32::total_cmp);
    Some(Passive { mean: scores.iter().sum::<f32>() / scores.len() as f32, p10: scores[scores.len() / 10] })
}

/// How often the eyes closed and opened again, against how open they usually are.
fn blinks(openness: &[f32]) -> u16 {
    let mut sorted = openness.to_vec();
    sorted.sort_by(f32::total_cmp);
    let usual = sorted[sorted.len() * 3 / 4];
    if usual < OPEN {
        return 0;
    }
    let (mut blinks, mut is_closed) = (0, false);
    for value in openness {
        if *value < usual * CLOSED {
            is_closed = true;
        } else if is_closed && *value > usual * (CLOSED + 0.1) {
            (blinks, is_closed) = (blinks + 1, false);
        }
    }
    blinks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blink_closes_and_opens_again() {
        assert_eq!(blinks(&[0.3, 0.31, 0.1, 0.3, 0.3, 0.08, 0.09, 0.29, 0.3]), 2);
        assert_eq!(blinks(&[0.3, 0.28, 0.31, 0.27, 0.3]), 0, "eyes are never quite still");
        assert_eq!(blinks(&[0.08, 0.07, 0.09, 0.08]), 0, "a sleeper does not blink");
        assert_eq!(blinks(&[0.3, 0.3, 0.3, 0.1]), 0, "closed at the end: asleep, perhaps");
    }

    #[test]
    fn a_score_is_a_mean_and_a_tenth() {
        let scores: Vec<f32> = (0..20).map(|at| at as f32 / 20.0).collect();
        let passive = passive(scores).unwrap();
        assert!((passive.mean - 0.475).abs() < 1e-6 && (passive.p10 - 0.1).abs() < 1e-6);
    }
}
