//! A face as a vector: aligned by mesh points, then through the embedder.

use crate::base::frame::Picture;
use crate::vision::geometry::{Point, Similarity, warp};
use crate::vision::manifest::Embedder;
use crate::vision::mesh::Mesh;
use crate::vision::session::{Net, NetError};

/// The aligned face: `size` × `size` RGB values (0..=255), row by row. `None` when the mesh is degenerate.
pub fn chip(table: &Embedder, size: usize, picture: &Picture, mesh: &Mesh) -> Option<Vec<f32>> {
    let source: Vec<Point> = table.alignment.iter().map(|anchor| mesh.middle(&anchor.vertices)).collect();
    let target: Vec<Point> = table.alignment.iter().map(|anchor| anchor.to).collect();
    let matrix = Similarity::fit(&source, &target)?.inverse()?;
    Some(warp(picture, &matrix, size))
}

/// The embedding of an aligned face; never leaves the agent.
///
/// # Errors
/// [`NetError`].
pub fn embed(net: &mut Net, chip: &[f32]) -> Result<Vec<f32>, NetError> {
    Ok(net.run(chip)?.swap_remove(0))
}
