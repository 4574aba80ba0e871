//! The whole front end on one picture: batch commands and live cameras see through the same eyes.

use crate::base::frame::{Area, Head, Picture};
use crate::domain::policy::FaceRule;
use crate::domain::sighting::FaceQuality;
use crate::vision::detect::{self, ANCHORS, BOX, Letterbox, OVERLAP, Proposal, overlap};
use crate::vision::manifest::Manifest;
use crate::vision::mesh::{self, CROP, Mesh, POINTS};
use crate::vision::session::{Net, NetError};
use crate::vision::{embed, pad, quality};

/// Pictures with a shorter side than this hold no face that a part would show better.
const SMALLEST_TILED: u32 = 240;
/// Side of a part in pixels, and how many of them lie beside each other at most.
const TILE: u32 = 420;
const MOST_TILES: u32 = 7;
/// Faces measured in one picture, surest first: a bed with more is a crowd, and time is bounded.
const MOST_FACES: usize = 12;

/// A pack that was loaded and proven.
pub struct Eyes {
    pub manifest: Manifest,
    detector: Net,
    mesh: Net,
    embedder: Net,
    pad: Option<Net>,
}

/// One face in a picture.
#[derive(Clone, Debug)]
pub struct Face {
    pub mesh: Mesh,
    pub quality: FaceQuality,
    /// The aligned face, RGB.
    chip: Vec<f32>,
}

/// The nets in the order of the pipeline (detector, mesh, embedder, and PAD where there is one), for benchmarks.
pub type Bare<'eyes> = Vec<&'eyes mut Net>;

impl Eyes {
    /// Loads the pack, checks digests and runs each net's self-test.
    ///
    /// # Errors
    /// [`NetError`] with the file and the remedy.
    pub fn open(manifest: Manifest) -> Result<Eyes, NetError> {
        let folder = &manifest.folder;
        let file = manifest.detector.net(folder);
        let mut detector = Net::load(&file, &[ANCHORS * BOX, ANCHORS])?;
        detector.prove(&file, |outputs| outputs[1].iter().step_by(56).copied().collect())?;
        let file = manifest.mesh.net(folder);
        let mut mesh = Net::load(&file, &[POINTS * 3, 1])?;
        mesh.prove(&file, |outputs| outputs[0].clone())?;
        let file = manifest.embedder.net(folder);
        let mut embedder = Net::load(&file, &[manifest.embedder.dimensions])?;
        embedder.prove(&file, |outputs| outputs[0].clone())?;
        let pad = match &manifest.pad {
            Some(table) => {
                let file = table.net(folder);
                let mut pad = Net::load(&file, &[1])?;
                pad.prove(&file, |outputs| outputs[0].clone())?;
                Some(pad)
            }
            None => None,
        };
        Ok(Eyes { manifest, detector, mesh, embedder, pad })
    }

    /// Every face once, surest first; heads may point anywhere.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn faces(&mut self, picture: &Picture) -> Result<Vec<Face>, NetError> {
        self.faces_towards(picture, Head::Up)
    }

    /// As [`Eyes::faces`], looking first where heads usually point. Where that shows nobody, the other directions are
    /// tried, then the picture's parts, in which a small face is large enough for the detector.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn faces_towards(&mut self, picture: &Picture, head: Head) -> Result<Vec<Face>, NetError> {
        let whole = Area { x: 0, y: 0, width: picture.width(), height: picture.height() };
        for quarters in [head.quarters(), head.quarters() + 1] {
            let faces = self.faces_in(picture, &[whole], quarters)?;
            if !faces.is_empty() {
                return Ok(faces);
            }
        }
        if picture.width().max(picture.height()) <= TILE
            || picture.width().min(picture.height()) < SMALLEST_TILED
        {
            return Ok(Vec::new());
        }
        self.faces_in(picture, &tiles(picture), head.quarters())
    }

    /// Every upright face once, surest first: people who stand. Small and lying ones are not looked for.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn faces_upright(&mut self, picture: &Picture) -> Result<Vec<Face>, NetError> {
        let whole = Area { x: 0, y: 0, width: picture.width(), height: picture.height() };
        self.faces_in(picture, &[whole], Head::Up.quarters())
    }

    /// Faces of some parts of a picture, seen from one direction and its opposite.
    fn faces_in(&mut self, picture: &Picture, areas: &[Area], quarters: u8) -> Result<Vec<Face>, NetError> {
        let mut candidates = Vec::new();
        for area in areas {
            candidates.extend(self.propose(picture, *area, quarters)?);
        }
        candidates.sort_by(|a, b| (b.0.score * b.1.flag).total_cmp(&(a.0.score * a.1.flag)));
        let mut kept: Vec<(Proposal, Mesh)> = Vec::new();
        for candidate in candidates {
            let square = candidate.0.square();
            if kept.iter().all(|(other, _)| overlap(&square, &other.square()) <= OVERLAP) {
                kept.push(candidate);
            }
        }
        kept.truncate(MOST_FACES);
        let mut faces = Vec::new();
        for (proposal, first) in kept {
            faces.extend(self.refine(picture, &proposal, &first)?);
        }
        Ok(faces)
    }

    /// Meshes a face once more on its own upright crop and measures it; `None` when it is no face after all.
    fn refine(
        &mut self,
        picture: &Picture,
        proposal: &Proposal,
        first: &Mesh,
    ) -> Result<Option<Face>, NetError> {
        let Some(mesh) = self.follow(picture, first)? else { return Ok(None) };
        Ok(self.shot(picture, mesh, proposal.score))
    }

    /// The face under a mesh, aligned and measured; `score` is the detector's. `None` when the mesh is degenerate.
    pub fn shot(&self, picture: &Picture, mesh: Mesh, score: f32) -> Option<Face> {
        let size = self.embedder.size();
        let chip = embed::chip(&self.manifest.embedder, size, picture, &mesh)?;
        let quality = quality::measure(score * mesh.flag, picture, &mesh);
        Some(Face { mesh, quality, chip })
    }

    /// The face that `before` showed, one frame later; `None` when it is gone.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn follow(&mut self, picture: &Picture, before: &Mesh) -> Result<Option<Mesh>, NetError> {
        let (center, width, height, angle) = before.extent();
        let is_logit = self.manifest.mesh.flag_is_logit;
        let mesh = mesh::fit(&mut self.mesh, picture, center, width.max(height) * CROP, angle, is_logit)?;
        Ok((mesh.flag >= self.manifest.mesh.min_flag).then_some(mesh))
    }

    /// P(live) of a face in one frame, 0..=1; `None` when the pack has no PAD net.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn liveness(&mut self, picture: &Picture, mesh: &Mesh) -> Result<Option<f32>, NetError> {
        match (&mut self.pad, &self.manifest.pad) {
            (Some(net), Some(table)) => pad::score(net, table, picture, mesh).map(Some),
            _ => Ok(None),
        }
    }

    /// The embedding of one face; never leaves the agent.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn embed(&mut self, face: &Face) -> Result<Vec<f32>, NetError> {
        embed::embed(&mut self.embedder, &face.chip)
    }

    /// # Errors
    /// When the pack has no operating point for `fmr`.
    pub fn rule(&self, fmr: &str) -> Result<FaceRule, NetError> {
        Ok(self.manifest.face_rule(fmr)?)
    }

    pub fn bare(&mut self) -> Bare<'_> {
        [&mut self.detector, &mut self.mesh, &mut self.embedder].into_iter().chain(&mut self.pad).collect()
    }

    fn propose(
        &mut self,
        picture: &Picture,
        area: Area,
        quarters: u8,
    ) -> Result<Vec<(Proposal, Mesh)>, NetError> {
        let Some(part) = picture.cut(area) else { return Ok(Vec::new()) };
        let mut candidates = Vec::new();
        // As it is and upside down; the mesh settles the angles between (measured: all multiples of 15°).
        let upright = Letterbox::new(&part, self.detector.size());
        for turns in [quarters, quarters + 2] {
            let min_score = self.manifest.detector.min_score;
            let letterbox = upright.turned(turns, self.detector.size());
            for mut proposal in detect::detect(&mut self.detector, &letterbox, min_score)? {
                proposal.shift([area.x as f32, area.y as f32]);
                let [right, left] = proposal.eyes;
                let angle = (left[1] - right[1]).atan2(left[0] - right[0]);
                let side = proposal.side * CROP;
                let is_logit = self.manifest.mesh.flag_is_logit;
                let mesh = mesh::fit(&mut self.mesh, picture, proposal.center, side, angle, is_logit)?;
                candidates.push((proposal, mesh));
            }
        }
        Ok(candidates)
    }
}

/// Overlapping square parts in which the smallest usable face (64 pixels) fills the detector's 15 %.
fn tiles(picture: &Picture) -> Vec<Area> {
    let (width, height) = (picture.width(), picture.height());
    let side = TILE.max(width.max(height) * 10 / (10 + (MOST_TILES - 1) * 6)).min(width).min(height);
    let starts = |length: u32| {
        let steps = (length - side).div_ceil(side * 6 / 10);
        (0..=steps).map(move |step| (length - side) * step / steps.max(1))
    };
    starts(height)
        .flat_map(|y| starts(width).map(move |x| Area { x, y, width: side, height: side }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_picture_and_are_few() {
        for (width, height) in [(600, 660), (1280, 720), (1600, 1000), (7680, 4320), (8192, 300)] {
            let tiles = tiles(&Picture::new(width, height, vec![0; (width * height * 3) as usize]).unwrap());
            assert!(tiles.len() <= 60, "{width} x {height}: {}", tiles.len());
            assert!(tiles.iter().all(|tile| tile.x + tile.width <= width && tile.y + tile.height <= height));
            for (x, y) in [(0, 0), (width - 1, height - 1), (width / 2, height / 2)] {
                let inside =
                    |t: &&Area| (t.x..t.x + t.width).contains(&x) && (t.y..t.y + t.height).contains(&y);
                assert!(tiles.iter().any(|tile| inside(&tile)), "{width} x {height} at {x}, {y}");
            }
        }
    }
}
