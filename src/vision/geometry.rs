//! Points, similarity transforms and warps.
//!
//! Points are continuous: pixel (column i, row j) covers [i, i+1) × [j, j+1), its centre is (i + 0.5, j + 0.5).

use crate::base::frame::{Area, Picture};
pub use crate::base::picture::{resize, shrink};

/// x to the right, y down, in pixels.
pub type Point = [f32; 2];

/// A similarity (rotation, scale, shift): (x, y) → (a·x − b·y + tx, b·x + a·y + ty).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    pub a: f32,
    pub b: f32,
    pub tx: f32,
    pub ty: f32,
}

impl Similarity {
    /// From a `size` × `size` crop to the square of that centre, side and clockwise angle (radians).
    pub fn square(center: Point, side: f32, angle: f32, size: f32) -> Similarity {
        let (a, b) = (side / size * angle.cos(), side / size * angle.sin());
        let half = size / 2.0;
        Similarity { a, b, tx: center[0] - a * half + b * half, ty: center[1] - b * half - a * half }
    }

    /// Least squares over pairs of points; `None` when the sources coincide.
    pub fn fit(source: &[Point], target: &[Point]) -> Option<Similarity> {
        let (s, t) = (mean(source), mean(target));
        let (mut along, mut across, mut weight) = (0.0, 0.0, 0.0);
        for (p, q) in source.iter().zip(target) {
            let (px, py, qx, qy) = (p[0] - s[0], p[1] - s[1], q[0] - t[0], q[1] - t[1]);
            along += px * qx + py * qy;
            across += px * qy - py * qx;
            weight += px * px + py * py;
        }
        if weight < f32::EPSILON {
            return None;
        }
        let (a, b) = (along / weight, across / weight);
        Some(Similarity { a, b, tx: t[0] - a * s[0] + b * s[1], ty: t[1] - b * s[0] - a * s[1] })
    }

    pub fn apply(&self, [x, y]: Point) -> Point {
        [self.a * x - self.b * y + self.tx, self.b * x + self.a * y + self.ty]
    }

    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// `None` when the scale is 0.
    pub fn inverse(&self) -> Option<Similarity> {
        let norm = self.a * self.a + self.b * self.b;
        if norm < f32::EPSILON {
            return None;
        }
        let (a, b) = (self.a / norm, -self.b / norm);
        Some(Similarity { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) })
    }

    fn divided(&self, by: f32) -> Similarity {
        Similarity { a: self.a / by, b: self.b / by, tx: self.tx / by, ty: self.ty / by }
    }
}

fn mean(points: &[Point]) -> Point {
    let n = points.len().max(1) as f32;
    let sum = points.iter().fold([0.0, 0.0], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
    [sum[0] / n, sum[1] / n]
}

/// Bilinear crop of `size` × `size` RGB values (0..=255), row by row. `matrix` takes points of the crop to points of
/// `picture`; what lies outside is black.
pub fn warp(picture: &Picture, matrix: &Similarity, size: usize) -> Vec<f32> {
    if matrix.scale() <= 2.0 {
        return sample(picture, matrix, size);
    }
    // Bilinear alone skips pixels when it shrinks by more than two: halve first, but only the part that is needed.
    let halvings = (matrix.scale() / 2.0).log2().ceil() as u32;
    let (area, mut matrix) = part_under(picture, matrix, size, 1 << halvings);
    let Some(mut part) = halve(picture, area) else { return vec![0.0; size * size * 3] };
    matrix = matrix.divided(2.0);
    while matrix.scale() > 2.0 {
        let whole = Area { x: 0, y: 0, width: part.width(), height: part.height() };
        let Some(smaller) = halve(&part, whole) else { break };
        part = smaller;
        matrix = matrix.divided(2.0);
    }
    sample(&part, &matrix, size)
}

/// The part of the picture under a crop, its corner on a multiple of `grid` so that halving it gives the same pixels as
/// halving the whole, and the matrix relative to that corner.
fn part_under(picture: &Picture, matrix: &Similarity, size: usize, grid: u32) -> (Area, Similarity) {
    let end = size as f32;
    let corners = [[0.0, 0.0], [end, 0.0], [0.0, end], [end, end]].map(|corner| matrix.apply(corner));
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for corner in corners {
        for axis in 0..2 {
            low[axis] = low[axis].min(corner[axis]);
            high[axis] = high[axis].max(corner[axis]);
        }
    }
    // Two pixels of the smallest picture on every side: bilinear reaches beyond the last centre.
    let margin = 2.0 * grid as f32;
    let from = |value: f32| (value - margin).max(0.0) as u32 / grid * grid;
    let (x, y) = (from(low[0]), from(low[1]));
    let length =
        |high: f32, from: u32| ((high + margin).max(0.0) as u32).saturating_sub(from) / grid * grid + grid;
    let area = Area {
        x: x.min(picture.width()),
        y: y.min(picture.height()),
        width: length(high[0], x),
        height: length(high[1], y),
    };
    let shifted = Similarity { tx: matrix.tx - area.x as f32, ty: matrix.ty - area.y as f32, ..*matrix };
    (area, shifted)
}

/// Fractional bits of a coordinate while sampling: a step is off by at most 1/131072 pixel, a row of 1024 by 1/128.
/// Integers, because rounding a float down is a library call on plain x86-64.
const FRACTION: u32 = 16;

fn sample(picture: &Picture, matrix: &Similarity, size: usize) -> Vec<f32> {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let rgb = picture.rgb();
    let row = width as usize * 3;
    let one = (1_i64 << FRACTION) as f32;
    let (step_x, step_y) = ((matrix.a * one).round() as i64, (matrix.b * one).round() as i64);
    // Weights of 1/256: a shift of 1/512 pixel at most, and whole numbers all the way to the sum.
    let part = |value: i64| (value >> (FRACTION - 8)) as u32 & 255;
    let mut out = vec![0.0_f32; size * size * 3];
    for (v, line) in out.chunks_exact_mut(size * 3).enumerate() {
        let [x, y] = matrix.apply([0.5, v as f32 + 0.5]);
        let (mut x, mut y) = (((x - 0.5) * one) as i64, ((y - 0.5) * one) as i64);
        for pixel in line.chunks_exact_mut(3) {
            let (left, top) = (x >> FRACTION, y >> FRACTION);
            let (fx, fy) = (part(x), part(y));
            if left >= 0 && top >= 0 && left + 1 < width && top + 1 < height {
                let from = top as usize * row + left as usize * 3;
                let (upper, lower) = (&rgb[from..from + 6], &rgb[from + row..from + row + 6]);
                let weights = [(256 - fx) * (256 - fy), fx * (256 - fy), (256 - fx) * fy, fx * fy];
                for c in 0..3 {
                    let sum = u32::from(upper[c]) * weights[0]
                        + u32::from(upper[c + 3]) * weights[1]
                        + u32::from(lower[c]) * weights[2]
                        + u32::from(lower[c + 3]) * weights[3];
                    pixel[c] = sum as f32 / 65536.0;
                }
            } else if left >= -1 && top >= -1 && left < width && top < height {
                border(picture, [left, top], [fx as f32 / 256.0, fy as f32 / 256.0], pixel);
            }
            (x, y) = (x + step_x, y + step_y);
        }
    }
    out
}

/// A pixel some of whose neighbours lie outside, which counts as black.
fn border(picture: &Picture, [left, top]: [i64; 2], [fx, fy]: [f32; 2], pixel: &mut [f32]) {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    for (c, value) in pixel.iter_mut().enumerate() {
        let at = |x: i64, y: i64| {
            if x < 0 || y < 0 || x >= width || y >= height {
                0.0
            } else {
                f32::from(picture.rgb()[(y * width + x) as usize * 3 + c])
            }
        };
        let upper = at(left, top) * (1.0 - fx) + at(left + 1, top) * fx;
        let lower = at(left, top + 1) * (1.0 - fx) + at(left + 1, top + 1) * fx;
        *value = upper * (1.0 - fy) + lower * fy;
    }
}

/// A part at half its width and height, each pixel the mean of four; `None` below 2 × 2.
fn halve(picture: &Picture, area: Area) -> Option<Picture> {
    let width = area.width.min(picture.width().saturating_sub(area.x)) / 2;
    let height = area.height.min(picture.height().saturating_sub(area.y)) / 2;
    let row = picture.width() as usize * 3;
    let mut rgb = vec![0_u8; (width * height * 3) as usize];
    for (y, line) in rgb.chunks_exact_mut((width as usize * 3).max(1)).enumerate() {
        let from = (area.y as usize + 2 * y) * row + area.x as usize * 3;
        let upper = &picture.rgb()[from..from + width as usize * 6];
        let lower = &picture.rgb()[from + row..from + row + width as usize * 6];
        for ((pixel, p), q) in line.chunks_exact_mut(3).zip(upper.chunks_exact(6)).zip(lower.chunks_exact(6))
        {
            for c in 0..3 {
                let sum = u16::from(p[c]) + u16::from(p[c + 3]) + u16::from(q[c]) + u16::from(q[c + 3]);
                pixel[c] = ((sum + 2) / 4) as u8;
            }
        }
    }
    Picture::new(width, height, rgb)
}

/// Brightness of an RGB value (ITU-R BT.601), in its own range.
pub fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Luma (0..=255) of a picture scaled to `side` × `side`, row by row.
pub fn small_luma(picture: &Picture, side: usize) -> Option<Vec<f32>> {
    let small = resize(picture, side as u32, side as u32)?;
    Some(small.rgb().chunks_exact(3).map(|rgb| luma([rgb[0], rgb[1], rgb[2]].map(f32::from))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_undone_by_its_inverse() {
        let truth = Similarity { a: 1.2, b: -0.7, tx: 3.0, ty: 9.0 };
        let source = [[0.0, 0.0], [10.0, 0.0], [3.0, 7.0], [5.0, 5.0]];
        let target = source.map(|point| truth.apply(point));
        let fitted = Similarity::fit(&source, &target).unwrap();
        for point in source {
            let back = fitted.inverse().unwrap().apply(fitted.apply(point));
            assert!((back[0] - point[0]).abs() < 1e-4 && (back[1] - point[1]).abs() < 1e-4);
        }
        assert!(Similarity::fit(&[[1.0, 1.0]; 3], &[[0.0, 0.0]; 3]).is_none());
    }

    #[test]
    fn a_warp_by_a_quarter_turn_moves_the_corner() {
        let mut rgb = vec![0; 4 * 4 * 3];
        rgb[..3].fill(200);
        let picture = Picture::new(4, 4, rgb).unwrap();
        let turned = Similarity::square([2.0, 2.0], 4.0, std::f32::consts::FRAC_PI_2, 4.0);
        let crop = warp(&picture, &turned, 4);
        let bright: Vec<usize> = (0..16).filter(|at| crop[at * 3] > 100.0).collect();
        assert_eq!(bright, [12], "the top left corner is the bottom left one of the turned crop");
    }

    #[test]
    fn a_reduction_of_a_part_equals_that_of_the_whole() {
        let rgb = (0..301 * 203 * 3).map(|at| (at * 7919 % 251) as u8).collect();
        let picture = Picture::new(301, 203, rgb).unwrap();
        let matrix = Similarity::square([190.0, 90.0], 100.0, 0.7, 20.0);
        let whole = {
            let whole =
                |picture: &Picture| Area { x: 0, y: 0, width: picture.width(), height: picture.height() };
            let once = halve(&picture, whole(&picture)).unwrap();
            let halved = halve(&once, whole(&once)).unwrap();
            sample(&halved, &matrix.divided(2.0).divided(2.0), 20)
        };
        assert!(matrix.scale() > 4.0);
        for (a, b) in warp(&picture, &matrix, 20).iter().zip(&whole) {
            assert!((a - b).abs() < 0.05, "{a} {b}");
        }
    }

    #[test]
    fn a_large_reduction_averages_instead_of_skipping() {
        let rgb = (0..64 * 64).flat_map(|at| [if (at + at / 64) % 2 == 0 { 0 } else { 255 }; 3]).collect();
        let picture = Picture::new(64, 64, rgb).unwrap();
        let crop = warp(&picture, &Similarity::square([32.0, 32.0], 64.0, 0.0, 8.0), 8);
        assert!(crop.iter().all(|value| (value - 127.5).abs() < 2.0));
    }
}
