//! Passive liveness: one crop around the face, one score (presentation attack detection, ISO/IEC 30107-3).

use crate::base::frame::Picture;
use crate::vision::detect::sigmoid;
use crate::vision::geometry::{Similarity, warp};
use crate::vision::manifest::Pad;
use crate::vision::mesh::Mesh;
use crate::vision::session::{Net, NetError};

/// P(live), 0..=1, of one frame. The crop is the upright square around the mesh's box, `crop` longer sides wide: paper
/// edges and bezels lie outside the face.
///
/// # Errors
/// [`NetError`].
pub fn score(net: &mut Net, table: &Pad, picture: &Picture, mesh: &Mesh) -> Result<f32, NetError> {
    let (center, width, height, angle) = mesh.extent();
    let side = width.max(height) * table.crop;
    let matrix = Similarity::square(center, side, angle, net.size() as f32);
    let logit = net.run(&warp(picture, &matrix, net.size()))?[0][0];
    Ok(sigmoid(logit))
}
