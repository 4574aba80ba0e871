//! What a picture of a face is worth, measured on the aligned chip.

use crate::base::frame::Picture;
use crate::domain::sighting::FaceQuality;
use crate::vision::mesh::Mesh;

/// Measures one face. `chip` is `size` × `size` RGB (0..=255); `score` is detector × flag.
pub fn measure(score: f32, picture: &Picture, mesh: &Mesh, chip: &[f32], size: usize) -> FaceQuality {
    let luma: Vec<f32> =
        chip.chunks_exact(3).map(|rgb| 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]).collect();
    let pose = mesh.pose();
    let (_, width, _, _) = mesh.extent();
    FaceQuality {
        score,
        width_px: width,
        yaw: pose.yaw,
        pitch: pose.pitch,
        sharpness: sharpness(&luma, size),
        luma: luma.iter().sum::<f32>() / luma.len().max(1) as f32,
        outside: outside(mesh, picture),
    }
}

fn outside(mesh: &Mesh, picture: &Picture) -> f32 {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let is_outside = |p: &&[f32; 3]| p[0] < 0.0 || p[1] < 0.0 || p[0] > width || p[1] > height;
    mesh.points.iter().filter(is_outside).count() as f32 / mesh.points.len().max(1) as f32
}

/// Variance of the Laplacian over the middle half, where every face has eyes, nose and mouth.
fn sharpness(luma: &[f32], size: usize) -> f32 {
    let (from, to) = (size / 4, size * 3 / 4);
    let (mut sum, mut squares, mut n) = (0.0_f64, 0.0_f64, 0.0_f64);
    for y in from..to {
        for x in from..to {
            let at = y * size + x;
            let value =
                f64::from(luma[at - 1] + luma[at + 1] + luma[at - size] + luma[at + size] - 4.0 * luma[at]);
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
        let edges: Vec<f32> = (0..64 * 64).map(|at| if at / 3 % 2 == 0 { 0.0 } else { 200.0 }).collect();
        let slope: Vec<f32> = (0..64 * 64).map(|at| (at % 64) as f32).collect();
        assert!(sharpness(&edges, 64) > 1000.0);
        assert!(sharpness(&slope, 64) < 1.0);
    }
}
