//! One face over many frames: followed by its mesh, so that detection runs once and the eyes are seen to blink.

use std::collections::VecDeque;

use crate::base::clock::Mono;
use crate::domain::liveness::{FaceLife, Passive, Pulse};
use crate::vision::mesh::Mesh;
use crate::vision::pulse::pulse;

/// Samples kept, whatever the time they span.
const MOST_SAMPLES: usize = 600;
/// A face that jumps farther than this share of its width between two frames is another face.
const JUMP: f32 = 0.5;
/// Eye openness (height over width) from which an eye counts as open, and the share of the usual openness below which
/// it is closed. FaceMesh follows a lid only in part: a blink takes it from 0.35 to 0.27, its own jitter is 0.01 (the
/// demo's ward).
const OPEN: f32 = 0.16;
const CLOSED: f32 = 0.86;
/// From the last open frame to the next: two frames at 4 a second and the blink between them.
const LONGEST_BLINK_MS: u128 = 1_100;

struct Sample {
    at: Mono,
    openness: f32,
    /// Mean colour of the skin.
    skin: Option<[f32; 3]>,
    live: Option<f32>,
}

/// What one frame adds to a track.
pub struct Seen {
    pub mesh: Mesh,
    pub skin: Option<[f32; 3]>,
    pub live: Option<f32>,
}

/// A followed face.
pub struct Track {
    mesh: Mesh,
    samples: VecDeque<Sample>,
}

impl Track {
    pub fn new(at: Mono, seen: Seen) -> Track {
        let mut track = Track { mesh: seen.mesh.clone(), samples: VecDeque::new() };
        track.push(at, seen);
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
    pub fn take(&mut self, at: Mono, seen: Seen, window_ms: u64) -> bool {
        if !self.goes_on_with(&seen.mesh) {
            return false;
        }
        self.push(at, seen);
        while self.samples.len() > MOST_SAMPLES
            || self.samples.front().is_some_and(|first| first.at.0 + window_ms < at.0)
        {
            self.samples.pop_front();
        }
        true
    }

    fn push(&mut self, at: Mono, seen: Seen) {
        let Seen { mesh, skin, live } = seen;
        self.samples.push_back(Sample { at, openness: mesh.eye_openness(), skin, live });
        self.mesh = mesh;
    }

    /// What the face did within the window.
    pub fn life(&self) -> FaceLife {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return FaceLife::default();
        };
        let openness: Vec<(Mono, f32)> =
            self.samples.iter().map(|sample| (sample.at, sample.openness)).collect();
        let open = openness.iter().filter(|(_, value)| *value >= OPEN).count();
        FaceLife {
            frames: u16::try_from(self.samples.len()).unwrap_or(u16::MAX),
            seconds: (last.at - first.at).as_secs_f32(),
            passive: passive(self.samples.iter().filter_map(|sample| sample.live).collect()),
            blinks: blinks(&openness),
            eyes_open: open as f32 / openness.len() as f32,
            pulse: self.pulse(first.at),
        }
    }

    fn pulse(&self, first: Mono) -> Option<Pulse> {
        let coloured = self.samples.iter().filter_map(|s| Some((s.skin?, (s.at - first).as_secs_f32())));
        let (skin, times): (Vec<_>, Vec<_>) = coloured.unzip();
        pulse(&skin, &times).map(|(per_minute, clarity)| Pulse { per_minute, clarity })
    }
}

fn passive(mut scores: Vec<f32>) -> Option<Passive> {
    if scores.is_empty() {
        return None;
    }
    scores.sort_by(f32::total_cmp);
    Some(Passive { mean: scores.iter().sum::<f32>() / scores.len() as f32, p10: scores[scores.len() / 10] })
}

/// How often the eyes closed and soon opened again, against how open they usually are. A head that nods changes the
/// openness too, but not for so short a time.
fn blinks(samples: &[(Mono, f32)]) -> u16 {
    let mut sorted: Vec<f32> = samples.iter().map(|(_, openness)| *openness).collect();
    sorted.sort_by(f32::total_cmp);
    let usual = sorted.get(sorted.len() * 3 / 4).copied().unwrap_or(0.0);
    if usual < OPEN {
        return 0;
    }
    let mut blinks = 0;
    let mut open_at: Option<Mono> = None;
    let mut has_closed = false;
    for (at, openness) in samples {
        if *openness < usual * CLOSED {
            has_closed = open_at.is_some();
        } else if *openness > usual * (CLOSED + 0.04) {
            if has_closed && open_at.is_some_and(|before| (*at - before).as_millis() <= LONGEST_BLINK_MS) {
                blinks += 1;
            }
            (open_at, has_closed) = (Some(*at), false);
        }
    }
    blinks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four samples a second.
    fn filmed(openness: &[f32]) -> Vec<(Mono, f32)> {
        openness.iter().enumerate().map(|(at, value)| (Mono(at as u64 * 250), *value)).collect()
    }

    #[test]
    fn a_blink_closes_and_opens_again() {
        assert_eq!(blinks(&filmed(&[0.35, 0.34, 0.27, 0.35, 0.35, 0.1, 0.09, 0.34, 0.35])), 2);
        assert_eq!(blinks(&filmed(&[0.35, 0.34, 0.36, 0.33, 0.35])), 0, "eyes are never quite still");
        assert_eq!(blinks(&filmed(&[0.08, 0.07, 0.09, 0.08])), 0, "a sleeper does not blink");
        assert_eq!(blinks(&filmed(&[0.35, 0.35, 0.35, 0.1])), 0, "closed at the end: asleep, perhaps");
        let nod = [0.35, 0.34, 0.29, 0.28, 0.27, 0.27, 0.28, 0.29, 0.34, 0.35, 0.35, 0.35];
        assert_eq!(blinks(&filmed(&nod)), 0, "a nod takes longer than a blink");
    }

    #[test]
    fn a_score_is_a_mean_and_a_tenth() {
        let scores: Vec<f32> = (0..20).map(|at| at as f32 / 20.0).collect();
        let passive = passive(scores).unwrap();
        assert!((passive.mean - 0.475).abs() < 1e-6 && (passive.p10 - 0.1).abs() < 1e-6);
    }
}
