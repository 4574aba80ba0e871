//! What a picture of a face is worth, measured on an upright crop of it: no embedder's alignment matters.

use crate::base::frame::Picture;
use crate::domain::sighting::FaceQuality;
use crate::vision::geometry::{self, Similarity, warp};
use crate::vision::mesh::Mesh;

/// Side of the upright crop: the longer side of the face's box.
const UPRIGHT: usize = 96;
// Mesh vertices whose box is the mouth, and the right eye.
const MOUTH: [usize; 4] = [61, 291, 0, 17];
const EYES: [usize; 4] = [33, 133, 159, 145];

/// Measures one face; `score` is detector × flag. Nothing to see where the mesh is a point.
pub fn measure(score: f32, picture: &Picture, mesh: &Mesh) -> FaceQuality {
    let (center, width, height, angle) = mesh.extent();
    let crop = Similarity::square(center, width.max(height), angle, UPRIGHT as f32);
    let pose = mesh.pose();
    let mut quality = FaceQuality {
        score,
        width_px: width,
        yaw: pose.yaw,
        pitch: pose.pitch,
        outside: outside(mesh, picture),
        ..FaceQuality::default()
    };
    if let Some(inverse) = crop.inverse() {
        let luma: Vec<f32> = warp(picture, &crop, UPRIGHT)
            .chunks_exact(3)
            .map(|rgb| geometry::luma([rgb[0], rgb[1], rgb[2]]))
            .collect();
        quality.sharpness = sharpness(&luma);
        quality.luma = luma.iter().sum::<f32>() / luma.len() as f32;
        quality.mouth = mouth(&luma, |vertex| inverse.apply(mesh.middle(&[vertex])));
    }
    quality
}

/// How much there is to see around the mouth, against the eyes of the same face: a mask, a hand or a blanket is flat.
/// On 2,307 LFW faces 99.9 % are above 0.27; with flat masks painted over the same faces 95 % are below 0.14.
fn mouth(luma: &[f32], place: impl Fn(usize) -> [f32; 2]) -> f32 {
    let texture = |vertices: &[usize]| {
        let (mut low, mut high) = ([UPRIGHT as f32; 2], [0.0_f32; 2]);
        for point in vertices.iter().map(|vertex| place(*vertex)) {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]).max(0.0);
                high[axis] = high[axis].max(point[axis]).min(UPRIGHT as f32 - 2.0);
            }
        }
        steps(luma, low.map(|v| v as usize), high.map(|v| v as usize))
    };
    texture(&MOUTH) / (texture(&EYES) + 1.0)
}

/// Median step to the next pixel across and down, and a fifth of the mean one, within a box.
fn steps(luma: &[f32], low: [usize; 2], high: [usize; 2]) -> f32 {
    let (mut across, mut down) = (Vec::new(), Vec::new());
    for y in low[1]..=high[1].max(low[1]) {
        for x in low[0]..=high[0].max(low[0]) {
            let at = y * UPRIGHT + x;
            across.push((luma[at + 1] - luma[at]).abs());
            down.push((luma[at + UPRIGHT] - luma[at]).abs());
        }
    }
    let mean = down.iter().sum::<f32>() / down.len().max(1) as f32;
    across.sort_by(f32::total_cmp);
    down.sort_by(f32::total_cmp);
    let median = |sorted: &[f32]| sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    median(&across) + median(&down) + 0.2 * mean
}

fn outside(mesh: &Mesh, picture: &Picture) -> f32 {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let is_outside = |p: &&[f32; 3]| p[0] < 0.0 || p[1] < 0.0 || p[0] > width || p[1] > height;
    mesh.points.iter().filter(is_outside).count() as f32 / mesh.points.len().max(1) as f32
}

/// Variance of the Laplacian over the middle half, where every face has eyes, nose and mouth.
fn sharpness(luma: &[f32]) -> f32 {
    let (from, to) = (UPRIGHT / 4, UPRIGHT * 3 / 4);
    let (mut sum, mut squares, mut n) = (0.0_f64, 0.0_f64, 0.0_f64);
    for y in from..to {
        for x in from..to {
            let at = y * UPRIGHT + x;
            let value = f64::from(
                luma[at - 1] + luma[at + 1] + luma[at - UPRIGHT] + luma[at + UPRIGHT] - 4.0 * luma[at],
            );
            sum += value;
            squares += value * value;
            n += 1.0;
        }
    }
    (squares / n - (sum / n).powi(2)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_sharper_than_slopes() {
        let edges: Vec<f32> =
            (0..UPRIGHT * UPRIGHT).map(|at| if at / 3 % 2 == 0 { 0.0 } else { 200.0 }).collect();
        let slope: Vec<f32> = (0..UPRIGHT * UPRIGHT).map(|at| (at % UPRIGHT) as f32).collect();
        assert!(sharpness(&edges) > 1000.0);
        assert!(sharpness(&slope) < 1.0);
    }
}
