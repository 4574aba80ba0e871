//! Whether something lies in a bed, told apart from the picture of the empty bed taken at installation.
//!
//! Lamps and clouds change a picture as much as a body does, so structure is compared and not brightness: the zone is
//! divided into blocks and each is correlated with the same block of the empty bed (contrast-structure term of SSIM,
//! Wang et al. 2004). A body under a blanket moves folds and edges in most blocks; light moves none.

use crate::base::frame::Picture;
use crate::vision::geometry::{luma, small_luma};

/// Zones are compared at this size: folds stay, noise and a nudge of the camera by a pixel do not.
const SIDE: usize = 96;
const BLOCK: usize = 12;
/// Stabilises flat blocks; (0.03 · 255)² of the SSIM paper.
const FLAT: f32 = 58.5;
/// Correlation below which a block is another scene.
const SAME_ABOVE: f32 = 0.5;
/// Luma steps that no change of light within a zone explains, after the whole zone's change is taken out.
const LIGHT: f32 = 35.0;

/// The empty bed, kept as 96 × 96 luma.
#[derive(Clone)]
pub struct EmptyBed(Vec<f32>);

impl EmptyBed {
    /// `zone` is the bed's zone cut out of the picture of the empty ward.
    pub fn new(zone: &Picture) -> Option<EmptyBed> {
        Some(EmptyBed(small_luma(zone, SIDE)?))
    }

    /// Share of the zone that differs from the empty bed, 0..=1.
    pub fn changed(&self, zone: &Picture) -> Option<f32> {
        let now = small_luma(zone, SIDE)?;
        let (empty_mean, now_mean) = (mean(&self.0), mean(&now));
        let gain = if now_mean > 1.0 { empty_mean / now_mean } else { 1.0 };
        let blocks = SIDE / BLOCK;
        let changed = (0..blocks * blocks)
            .filter(|block| {
                let corner = (block / blocks) * BLOCK * SIDE + (block % blocks) * BLOCK;
                differs(&self.0, &now, gain, corner)
            })
            .count();
        Some(changed as f32 / (blocks * blocks) as f32)
    }
}

fn differs(empty: &[f32], now: &[f32], gain: f32, corner: usize) -> bool {
    let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for y in 0..BLOCK {
        for x in 0..BLOCK {
            let at = corner + y * SIDE + x;
            let (p, q) = (empty[at], now[at] * gain);
            (a, b, aa, bb, ab) = (a + p, b + q, aa + p * p, bb + q * q, ab + p * q);
        }
    }
    let n = (BLOCK * BLOCK) as f32;
    let (a, b) = (a / n, b / n);
    let (var_a, var_b, both) = (aa / n - a * a, bb / n - b * b, ab / n - a * b);
    let structure = (2.0 * both + FLAT) / (var_a + var_b + FLAT);
    structure < SAME_ABOVE || (a - b).abs() > LIGHT
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

/// Mean luma of a picture, 0..=255, from every fourth pixel of every fourth row.
pub fn mean_luma(picture: &Picture) -> f32 {
    let row = picture.width() as usize * 3;
    let samples: Vec<f32> = picture
        .rgb()
        .chunks_exact(row)
        .step_by(4)
        .flat_map(|row| row.chunks_exact(3).step_by(4))
        .map(|rgb| luma([rgb[0], rgb[1], rgb[2]].map(f32::from)))
        .collect();
    mean(&samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn striped(light: f32, body: bool) -> Picture {
        let rgb = (0..192 * 192)
            .flat_map(|at| {
                let (x, y) = (at % 192, at / 192);
                let inside = body && (40..150).contains(&x) && (40..180).contains(&y);
                let value = if inside { (y * 7 % 180) as f32 } else { 100.0 + ((x / 24) % 2) as f32 * 60.0 };
                [(value * light) as u8; 3]
            })
            .collect();
        Picture::new(192, 192, rgb).unwrap()
    }

    #[test]
    fn a_body_changes_the_zone_and_a_lamp_does_not() {
        let empty = EmptyBed::new(&striped(1.0, false)).unwrap();
        assert!(empty.changed(&striped(0.5, false)).unwrap() < 0.02);
        assert!(empty.changed(&striped(1.0, true)).unwrap() > 0.25);
        assert!(mean_luma(&striped(0.05, false)) < 10.0);
    }
}
