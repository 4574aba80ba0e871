//! The face before a kiosk: one large upright face, found, measured, compared and scored in every frame. Nothing of it is
//! kept but where it was and the numbers of the frame before.

use crate::base::clock::Mono;
use crate::base::frame::{Frame, Picture};
use crate::base::ids::StayId;
use crate::base::redact::Private;
use crate::domain::kiosk::attempt::{FaceNow, Observation};
use crate::domain::sighting::FaceSeen;
use crate::vision::eyes::{Eyes, Face};
use crate::vision::gallery::Gallery;
use crate::vision::mesh::Mesh;
use crate::vision::occupancy::mean_luma;
use crate::vision::session::NetError;

/// A face of less than this share of the largest one's width stands behind and is not meant.
const BESIDE: f32 = 0.5;
/// A face that was away for longer may be another one; one that was in every frame may be seen more seldom, because a slow
/// or busy processor is nobody's guilt.
const AWAY_MS: u64 = 600;
const SELDOM_MS: u64 = 2_500;
/// The nets see the middle of a wide picture: a face there is larger to them.
const WIDEST: f32 = 4.0 / 3.0;

struct Before {
    at: Mono,
    mesh: Mesh,
    probe: Private<Vec<f32>>,
    is_frontal: bool,
}

/// Follows whoever stands there from frame to frame.
#[derive(Default)]
pub struct Near {
    before: Option<Before>,
    /// Whether a frame without a face came since.
    has_missed: bool,
}

impl Near {
    /// Forgets whoever stood there.
    pub fn clear(&mut self) {
        self.before = None;
    }

    /// One frame in numbers. Below `differs_below` two frames do not show one face.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn look(
        &mut self,
        eyes: &mut Eyes,
        frame: &Frame,
        gallery: &Gallery,
        stay: &StayId,
        differs_below: f32,
    ) -> Result<Observation, NetError> {
        let at = frame.taken.mono;
        let (picture, left) = middle(&frame.picture);
        let mut faces = eyes.faces_upright(&picture)?;
        faces.sort_by(|a, b| b.quality.width_px.total_cmp(&a.quality.width_px));
        let widest = faces.first().map_or(0.0, |face| face.quality.width_px);
        let count = faces.iter().filter(|face| face.quality.width_px >= widest * BESIDE).count();
        let (origin, tamper, mean_luma) = (frame.origin, frame.tamper, mean_luma(&picture));
        let bare = Observation { at, origin, tamper, mean_luma, faces: count, face: None };
        let Some(face) = faces.into_iter().next() else {
            self.has_missed = true;
            return Ok(bare);
        };
        let probe = Private::new(eyes.embed(&face)?);
        let live = eyes.liveness(&picture, &face.mesh)?;
        let place = place(&face.mesh, left, &frame.picture);
        let others = gallery.others(probe.reveal(), stay);
        let seen = FaceSeen {
            quality: face.quality,
            claimed: gallery.similarity(probe.reveal(), stay),
            nearest_other: others.nearest,
            common: others.common,
        };
        let (eyes_open, mouth) = (face.mesh.eye_openness(), face.mesh.mouth_openness());
        let goes_on = self.goes_on(at, face, probe, gallery, differs_below);
        let face = FaceNow { goes_on, seen, live, eyes: eyes_open, mouth, place };
        Ok(Observation { face: Some(face), ..bare })
    }

    /// Whether this is the face of the frame before: where that was, a moment later, and like it where both are frontal.
    fn goes_on(
        &mut self,
        at: Mono,
        face: Face,
        probe: Private<Vec<f32>>,
        gallery: &Gallery,
        differs_below: f32,
    ) -> bool {
        let is_frontal = face.quality.yaw.abs() < 15.0;
        let now = Before { at, mesh: face.mesh, probe, is_frontal };
        let has_missed = std::mem::take(&mut self.has_missed);
        let Some(before) = self.before.replace(now) else { return false };
        let Some(now) = &self.before else { return false };
        let most = if has_missed { AWAY_MS } else { SELDOM_MS };
        let is_soon = at.0.saturating_sub(before.at.0) <= most;
        let is_alike = !(before.is_frontal && now.is_frontal)
            || gallery.metric().similarity(before.probe.reveal(), now.probe.reveal()) >= differs_below;
        is_soon && is_alike && before.mesh.goes_on_with(&now.mesh)
    }
}

/// The middle of a wide picture, and how far its left edge lies in.
fn middle(picture: &Picture) -> (Picture, u32) {
    let width = ((picture.height() as f32 * WIDEST) as u32).min(picture.width());
    let x = (picture.width() - width) / 2;
    let area = crate::base::frame::Area { x, y: 0, width, height: picture.height() };
    picture.cut(area).map_or_else(|| (picture.clone(), 0), |part| (part, x))
}

fn place(mesh: &Mesh, left: u32, whole: &Picture) -> [f32; 4] {
    let [x, y, right, bottom] = mesh.bounds();
    let (width, height) = (whole.width() as f32, whole.height() as f32);
    [(x + left as f32) / width, y / height, (right - x) / width, (bottom - y) / height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_wide_picture_and_all_of_a_tall_one() {
        let picture = |width: u32, height: u32| {
            Picture::new(width, height, vec![0; (width * height * 3) as usize]).unwrap()
        };
        let (part, left) = middle(&picture(1280, 720));
        assert_eq!((part.width(), part.height(), left), (960, 720, 160));
        let (part, left) = middle(&picture(480, 600));
        assert_eq!((part.width(), part.height(), left), (480, 600, 0));
    }
}
