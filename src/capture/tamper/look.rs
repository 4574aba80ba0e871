//! What the watch keeps of one picture: 160 × 90 grey values and a few numbers.

use crate::base::frame::Picture;

/// Grid of every look.
pub const WIDTH: usize = 160;
pub const HEIGHT: usize = 90;
pub const CELLS: usize = WIDTH * HEIGHT;

/// Samples along each side of a cell: enough to keep the sensor's noise and some of the finest detail.
const SAMPLES: usize = 3;

/// Share of cells that count as edges: relative, so that lamps and exposure change little.
const EDGE_SHARE: f32 = 0.12;
/// A gradient below so many grey levels is no edge however flat the rest is.
const LEAST_GRADIENT: f32 = 6.0;

/// One picture as the watch sees it.
pub struct Look {
    /// Grey value of each cell, 0 to 255, row by row.
    pub luma: Vec<f32>,
    pub mean: f32,
    /// Standard deviation of the cells.
    pub contrast: f32,
    /// Bits, 0 to 5: of a histogram with 32 bins.
    pub entropy: f32,
    /// Mean Laplacian per contrast: what a lens out of focus loses.
    pub sharpness: f32,
    /// The strongest gradients.
    pub edges: Vec<bool>,
    /// Share of cells with a gradient that is no noise.
    pub detail: f32,
    /// Of every byte of the picture: a frozen picture is the same to the last bit.
    pub digest: u64,
}

impl Look {
    pub fn of(picture: &Picture) -> Look {
        let luma = grid(picture);
        let mean = luma.iter().sum::<f32>() / CELLS as f32;
        let variance = luma.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / CELLS as f32;
        let contrast = variance.sqrt();
        let (gradients, laplacian) = slopes(&luma);
        let detail = gradients.iter().filter(|value| **value > LEAST_GRADIENT).count() as f32 / CELLS as f32;
        let edges = strongest(&gradients);
        let sharpness = laplacian / contrast.max(1.0);
        let entropy = entropy(&luma);
        Look { luma, mean, contrast, entropy, sharpness, edges, detail, digest: digest(picture.rgb()) }
    }
}

/// Mean grey value of a few samples of each cell; Rec. 601 weights.
fn grid(picture: &Picture) -> Vec<f32> {
    let (width, height, rgb) = (picture.width() as usize, picture.height() as usize, picture.rgb());
    let columns: Vec<usize> =
        (0..WIDTH * SAMPLES).map(|x| (x * 2 + 1) * width / (WIDTH * SAMPLES * 2) * 3).collect();
    let mut cells = vec![0.0; CELLS];
    for y in 0..HEIGHT * SAMPLES {
        let row = &rgb[(y * 2 + 1) * height / (HEIGHT * SAMPLES * 2) * width * 3..];
        let line = &mut cells[y / SAMPLES * WIDTH..][..WIDTH];
        for (cell, samples) in line.iter_mut().zip(columns.chunks(SAMPLES)) {
            for &at in samples {
                *cell += 0.299 * f32::from(row[at])
                    + 0.587 * f32::from(row[at + 1])
                    + 0.114 * f32::from(row[at + 2]);
            }
        }
    }
    cells.iter_mut().for_each(|cell| *cell /= (SAMPLES * SAMPLES) as f32);
    cells
}

/// Gradient of each cell, and the mean of the Laplacian's size.
fn slopes(luma: &[f32]) -> (Vec<f32>, f32) {
    let mut gradients = vec![0.0; CELLS];
    let mut laplacian = 0.0;
    for y in 1..HEIGHT - 1 {
        for x in 1..WIDTH - 1 {
            let at = y * WIDTH + x;
            let (left, right, up, down) = (luma[at - 1], luma[at + 1], luma[at - WIDTH], luma[at + WIDTH]);
            gradients[at] = (right - left).abs() + (down - up).abs();
            laplacian += (left + right + up + down - 4.0 * luma[at]).abs();
        }
    }
    (gradients, laplacian / CELLS as f32)
}

fn strongest(gradients: &[f32]) -> Vec<bool> {
    let mut sorted = gradients.to_vec();
    let rank = ((1.0 - EDGE_SHARE) * CELLS as f32) as usize;
    let (_, border, _) = sorted.select_nth_unstable_by(rank, f32::total_cmp);
    let border = border.max(LEAST_GRADIENT);
    gradients.iter().map(|value| *value > border).collect()
}

fn entropy(luma: &[f32]) -> f32 {
    let mut bins = [0_u32; 32];
    for value in luma {
        bins[(*value as usize / 8).min(31)] += 1;
    }
    let shares = bins.iter().filter(|count| **count > 0).map(|count| *count as f32 / CELLS as f32);
    shares.map(|share| -share * share.log2()).sum()
}

/// FNV-1a over words of eight bytes: equal pictures are equal, others differ but for one in 2^64.
fn digest(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xCBF2_9CE4_8422_2325, |state, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (state ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(29)
    })
}
