//! Whether a camera shows its ward: covered, out of focus, moved, frozen or fed with a loop. Pure: pictures and times in,
//! a verdict out; one look costs 0.2 to 1 ms (see `bedcheck bench`).
//!
//! Darkness is no tampering: lamps are put out in every ward, and a lens under opaque tape in the dark cannot be told from
//! that by its picture. What is learnt about a camera is never learnt from a picture in doubt, so that a cover does not
//! become usual by staying; and a camera that was moved stays so until the agent starts again with zones that fit.
//!
//! Frozen and looped are watched for on live cameras only: a recording repeats itself by nature, and whatever it shows is
//! marked synthetic already.

mod look;
mod looped;
mod usual;

use std::time::Duration;

use crate::base::clock::{Mono, Now};
use crate::base::frame::{Origin, Picture, Tamper};

use look::Look;
use looped::Looped;
use usual::Usual;

/// Looks nearer to each other than this are left out.
const SPACING_MS: u64 = 450;
/// Mean grey value below which nothing is said; the vision calls such a picture dark.
const DARK: f32 = 28.0;
/// Covered: fewer bits of entropy and fewer cells with detail than any ward has (the demo's have 3.2 bits and 0.17; paper,
/// cloth and a hand 0 to 2.2 bits and up to 0.02; measured).
const COVERED_ENTROPY: f32 = 2.6;
const COVERED_DETAIL: f32 = 0.04;
/// Out of focus: less than so much of the usual sharpness.
const BLURRED: f32 = 0.3;
/// Moved: fewer of the fixed edges are in their place (chance leaves a third).
const MOVED: f32 = 0.5;
/// Out of focus and moved are said of pictures only that have so much of their usual contrast.
const CONTRAST: f32 = 0.4;

/// How long each must be seen before it is believed, and be gone before it is over.
const COVERED_AFTER: Duration = Duration::from_secs(10);
const BLURRED_AFTER: Duration = Duration::from_secs(20);
const MOVED_AFTER: Duration = Duration::from_secs(60);
const FROZEN_AFTER: Duration = Duration::from_secs(20);
const OVER_AFTER: Duration = Duration::from_secs(10);
/// Frozen needs so many equal pictures besides: a slow camera brings two in that time.
const FROZEN_PICTURES: u32 = 5;

/// The watch over one camera.
#[derive(Default)]
pub struct Watch {
    usual: Usual,
    looped: Looped,
    last: Option<Mono>,
    same: Same,
    covered: Suspicion,
    blurred: Suspicion,
    moved: Suspicion,
    frozen: Suspicion,
    comes_round: Suspicion,
    verdict: Option<Tamper>,
}

/// How long the picture has been the same to the last bit.
#[derive(Default)]
struct Same {
    digest: u64,
    since: Mono,
    pictures: u32,
}

/// Something seen, not yet believed; or believed, and perhaps over.
#[derive(Default)]
struct Suspicion {
    since: Option<Mono>,
    gone_since: Option<Mono>,
    is_believed: bool,
}

impl Suspicion {
    fn take(&mut self, is_seen: bool, now: Mono, after: Duration) {
        if is_seen {
            self.gone_since = None;
            let since = *self.since.get_or_insert(now);
            self.is_believed |= now - since >= after;
        } else {
            self.since = None;
            let gone = *self.gone_since.get_or_insert(now);
            self.is_believed &= now - gone < OVER_AFTER;
        }
    }

    fn is_open(&self) -> bool {
        self.since.is_some() || self.is_believed
    }
}

impl Watch {
    /// Takes the next picture of the camera; what it makes of the latest ones.
    pub fn take(&mut self, picture: &Picture, now: Now, origin: Origin) -> Option<Tamper> {
        if self.last.is_some_and(|last| now.mono.0 < last.0 + SPACING_MS) {
            return self.verdict;
        }
        self.last = Some(now.mono);
        let look = Look::of(picture);
        if look.mean >= DARK {
            self.take_lit(&look, now);
        }
        if origin == Origin::Live {
            self.take_live(&look, now.mono);
        }
        self.verdict = [
            (&self.covered, Tamper::Covered),
            (&self.frozen, Tamper::Frozen),
            (&self.comes_round, Tamper::Looped),
            (&self.moved, Tamper::Moved),
            (&self.blurred, Tamper::Defocused),
        ]
        .into_iter()
        .find_map(|(suspicion, tamper)| suspicion.is_believed.then_some(tamper));
        self.verdict
    }

    fn take_live(&mut self, look: &Look, now: Mono) {
        if self.same.pictures > 0 && self.same.digest == look.digest {
            self.same.pictures += 1;
        } else {
            self.same = Same { digest: look.digest, since: now, pictures: 1 };
        }
        // A keyframe is encoded anew, so that even a still scene differs; so much time holds several of them.
        let is_same = self.same.pictures >= FROZEN_PICTURES && now - self.same.since >= FROZEN_AFTER;
        self.frozen.take(is_same, now, Duration::ZERO);
        if self.is_in_doubt() {
            // A cover differs from the ward in the same way at every look.
            self.looped.begin_again();
        } else if self.same.pictures == 1 && look.mean >= DARK {
            let comes_round = self.looped.take(look, now);
            self.comes_round.take(comes_round, now, Duration::ZERO);
        }
    }

    fn take_lit(&mut self, look: &Look, now: Now) {
        let is_covered = look.entropy < COVERED_ENTROPY && look.detail < COVERED_DETAIL;
        let has_contrast = self.usual.contrast(look).is_some_and(|share| share >= CONTRAST);
        let is_blurred = has_contrast && self.usual.sharpness(look).is_some_and(|share| share < BLURRED);
        let is_elsewhere =
            has_contrast && !is_blurred && self.usual.edges_kept(look).is_some_and(|share| share < MOVED);
        self.covered.take(is_covered, now.mono, COVERED_AFTER);
        self.blurred.take(is_blurred, now.mono, BLURRED_AFTER);
        self.moved.take(is_elsewhere, now.mono, MOVED_AFTER);
        if !self.is_in_doubt() {
            self.usual.learn(look, now.mono, now.wall);
        }
    }

    fn is_in_doubt(&self) -> bool {
        [&self.covered, &self.blurred, &self.moved].into_iter().any(Suspicion::is_open)
    }

    /// Whether something is suspected or believed, or the same picture came twice: more pictures are needed to know.
    pub fn is_uneasy(&self) -> bool {
        let suspicions = [&self.covered, &self.blurred, &self.moved, &self.frozen, &self.comes_round];
        self.same.pictures > 1 || suspicions.into_iter().any(Suspicion::is_open)
    }

    /// The greatest likeness of the last picture with one before it (see [`looped`]), for measuring.
    pub fn likeness(&self) -> f32 {
        self.looped.likeness()
    }
}

/// Mean grey value of a picture, 0 to 255.
pub fn brightness(picture: &Picture) -> f32 {
    Look::of(picture).mean
}

#[cfg(test)]
mod tests;
