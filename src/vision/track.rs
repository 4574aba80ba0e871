//! One face over many frames: followed by its mesh, so that detection runs once and the eyes are seen to blink.

use std::collections::VecDeque;

use crate::base::clock::Mono;
use crate::domain::blink::{OPEN, blinks};
use crate::domain::liveness::{FaceLife, Passive, Pulse};
use crate::vision::mesh::Mesh;
use crate::vision::pulse::pulse;

/// Samples kept, whatever the time they span.
const MOST_SAMPLES: usize = 600;
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
        self.mesh.goes_on_with(mesh)
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
            passive: Passive::of(self.samples.iter().filter_map(|sample| sample.live).collect()),
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
