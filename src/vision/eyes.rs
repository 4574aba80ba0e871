//! The whole front end on one picture: batch commands and live cameras see through the same eyes.

use crate::base::frame::Picture;
use crate::domain::policy::FaceRule;
use crate::domain::sighting::FaceQuality;
use crate::vision::detect::{self, ANCHORS, BOX, Letterbox, OVERLAP, Proposal, overlap};
use crate::vision::manifest::Manifest;
use crate::vision::mesh::{self, CROP, Mesh, POINTS};
use crate::vision::session::{Net, NetError};
use crate::vision::{embed, pad, quality};

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

/// The three nets, for benchmarks.
pub struct Bare<'eyes> {
    pub detector: &'eyes mut Net,
    pub mesh: &'eyes mut Net,
    pub embedder: &'eyes mut Net,
}

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

    /// Every face once, surest first.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn faces(&mut self, picture: &Picture) -> Result<Vec<Face>, NetError> {
        let mut candidates = self.propose(picture)?;
        candidates.sort_by(|a, b| (b.0.score * b.1.flag).total_cmp(&(a.0.score * a.1.flag)));
        let mut kept: Vec<(Proposal, Mesh)> = Vec::new();
        for candidate in candidates {
            let square = candidate.0.square();
            if kept.iter().all(|(other, _)| overlap(&square, &other.square()) <= OVERLAP) {
                kept.push(candidate);
            }
        }
        let mut faces = Vec::new();
        for (proposal, first) in kept {
            let (center, width, height, angle) = first.extent();
            let side = width.max(height) * CROP;
            let is_logit = self.manifest.mesh.flag_is_logit;
            let mesh = mesh::fit(&mut self.mesh, picture, center, side, angle, is_logit)?;
            if mesh.flag < self.manifest.mesh.min_flag {
                continue;
            }
            let size = self.embedder.size();
            let Some(chip) = embed::chip(&self.manifest.embedder, size, picture, &mesh) else { continue };
            let quality = quality::measure(proposal.score * mesh.flag, &mesh, &chip, size);
            faces.push(Face { mesh, quality, chip });
        }
        Ok(faces)
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
        Bare { detector: &mut self.detector, mesh: &mut self.mesh, embedder: &mut self.embedder }
    }

    fn propose(&mut self, picture: &Picture) -> Result<Vec<(Proposal, Mesh)>, NetError> {
        let mut candidates = Vec::new();
        // As it is and upside down; the mesh settles the angles between (measured: all multiples of 15°).
        let upright = Letterbox::new(picture, self.detector.size());
        for letterbox in [&upright, &upright.turned(self.detector.size())] {
            let min_score = self.manifest.detector.min_score;
            for proposal in detect::detect(&mut self.detector, letterbox, min_score)? {
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
