//! What happens in a bed between the looks of a check: every fresh frame feeds its motion and the face that was last seen
//! there. Outside a check nothing is watched.
//!
//! Displacements, eye openness and scores are kept for the length of the watch, pictures are not.

use tracing::debug;

use crate::base::clock::Mono;
use crate::base::frame::Picture;
use crate::base::redact::Private;
use crate::domain::liveness::{Cooperation, Life};
use crate::domain::sighting::FaceQuality;
use crate::vision::eyes::{Eyes, Face};
use crate::vision::mesh::Mesh;
use crate::vision::motion::Motion;
use crate::vision::session::NetError;
use crate::vision::track::{Seen, Track};

/// Frames nearer to each other than this add work and no knowledge: 5 a second show a breath and most blinks.
const SPACING_MS: u64 = 190;
/// A bed that no look asked about for this share of the watch is left alone: its check is over.
const PATIENCE: f32 = 0.8;
/// How much wider than the face the part is that may move with a picture of a face: a tablet, a sheet of paper.
const AROUND_FACE: f32 = 2.2;
/// The window goes this far beyond the watch, so that it is full even where frames come late.
const SPARE: f32 = 1.5;

/// Another shot must be worth so much more before it is embedded too.
const CLEARLY: f32 = 1.15;

/// The shot that recognition uses: a face seen for seconds shows itself well at least once.
pub struct BestShot {
    pub quality: FaceQuality,
    pub probe: Private<Vec<f32>>,
}

/// The watch over one bed.
#[derive(Default)]
pub struct Watch {
    motion: Motion,
    track: Option<Track>,
    best: Option<BestShot>,
    last: Option<Mono>,
    /// When a look last asked.
    asked: Option<Mono>,
    size: Option<(u32, u32)>,
    /// Frames the camera had brought by then.
    brought: u64,
}

impl Watch {
    /// When the last frame was taken; zero before the first.
    pub fn last(&self) -> Mono {
        self.last.unwrap_or_default()
    }

    /// Whether a look asked lately enough for its check to be going on.
    fn is_asked(&self, at: Mono, watch_ms: u64) -> bool {
        self.asked.is_some() && self.asked_until(watch_ms) >= at
    }

    /// How long the look that asked last wants frames; zero where none did.
    pub fn asked_until(&self, watch_ms: u64) -> Mono {
        let patience = (watch_ms as f32 * PATIENCE) as u64;
        self.asked.map_or(Mono::default(), |asked| Mono(asked.0 + patience))
    }

    /// Whether a frame of that time is worth taking.
    pub fn wants(&self, at: Mono, watch_ms: u64) -> bool {
        self.is_asked(at, watch_ms) && self.last.is_none_or(|last| last.0 + SPACING_MS <= at.0)
    }

    /// How many frames since the last one taken were worth it, the one of that time included; `brought` counts all that the
    /// camera ever brought. To be asked before [`Watch::take`].
    pub fn worth(&mut self, at: Mono, brought: u64) -> u64 {
        let new = brought.saturating_sub(std::mem::replace(&mut self.brought, brought));
        let room = self.last.map_or(1, |last| at.0.saturating_sub(last.0) / SPACING_MS);
        new.min(room).max(1)
    }

    /// Takes the bed's zone out of a fresh frame.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn take(&mut self, eyes: &mut Eyes, at: Mono, zone: &Picture, watch_ms: u64) -> Result<(), NetError> {
        let window = (watch_ms as f32 * SPARE) as u64;
        self.last = Some(at);
        self.size = Some((zone.width(), zone.height()));
        self.motion.take(at, zone, window);
        let Some(mut track) = self.track.take() else { return Ok(()) };
        let Some(mesh) = eyes.follow(zone, track.mesh())? else {
            debug!("The face is lost.");
            return Ok(());
        };
        if track.take(at, seen(eyes, zone, mesh.clone())?, window) {
            self.track = Some(track);
            if let Some(face) =
                eyes.shot(zone, mesh, self.best.as_ref().map_or(1.0, |best| best.quality.score))
            {
                self.keep_better(eyes, &face)?;
            }
        }
        Ok(())
    }

    /// A look asks about this bed: watch it from now on, and forget what a former check saw.
    pub fn ask(&mut self, at: Mono, watch_ms: u64) {
        if !self.is_asked(at, watch_ms) {
            *self = Watch::default();
        }
        self.asked = Some(at);
    }

    /// Follows the face that a look found, unless that is the face already followed.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn follow(&mut self, eyes: &mut Eyes, at: Mono, zone: &Picture, face: &Face) -> Result<(), NetError> {
        if self.track.as_ref().is_none_or(|track| !track.goes_on_with(&face.mesh)) {
            self.track = Some(Track::new(at, seen(eyes, zone, face.mesh.clone())?));
            self.best = None;
        }
        self.keep_better(eyes, face)
    }

    /// The best shot so far of the face that is followed.
    pub fn best(&self) -> Option<&BestShot> {
        self.best.as_ref()
    }

    fn keep_better(&mut self, eyes: &mut Eyes, face: &Face) -> Result<(), NetError> {
        let worth = face.quality.worth();
        if self.best.as_ref().is_none_or(|best| worth > best.quality.worth() * CLEARLY) {
            let probe = Private::new(eyes.embed(face)?);
            self.best = Some(BestShot { quality: face.quality, probe });
        }
        Ok(())
    }

    /// Every cue there is.
    pub fn life(&self) -> Life {
        let around = self.track.as_ref().zip(self.size).map(|(track, size)| around(track.mesh(), size));
        Life {
            face: self.track.as_ref().map(Track::life),
            body: self.motion.body(around),
            cooperation: Cooperation::default(),
        }
    }
}

fn seen(eyes: &mut Eyes, zone: &Picture, mesh: Mesh) -> Result<Seen, NetError> {
    let (skin, live) = (mesh.skin(zone), eyes.liveness(zone, &mesh)?);
    Ok(Seen { mesh, skin, live })
}

/// The face and what may belong to it, as shares of the zone.
fn around(mesh: &Mesh, (width, height): (u32, u32)) -> [f32; 4] {
    let [left, top, right, bottom] = mesh.bounds();
    let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let half = (right - left).max(bottom - top) * AROUND_FACE / 2.0;
    let (width, height) = (width as f32, height as f32);
    [(x - half) / width, (y - half) / height, (x + half) / width, (y + half) / height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_missed_only_where_the_camera_brought_them_and_they_lay_far_enough_apart() {
        let mut watch = Watch::default();
        assert_eq!(watch.worth(Mono(5000), 700), 1, "the first");
        watch.last = Some(Mono(5000));
        assert_eq!(watch.worth(Mono(6000), 704), 4, "a camera of four a second");
        watch.last = Some(Mono(6000));
        assert_eq!(watch.worth(Mono(7000), 730), 5, "one of twenty-six: five are enough");
        watch.last = Some(Mono(7000));
        assert_eq!(watch.worth(Mono(7200), 731), 1);
    }
}
