//! BlazeFace-short: proposes faces on a picture seen upright or upside down.
//!
//! Source: MediaPipe 0.10.14 (`ssd_anchors_calculator`, `tensors_to_detections`), Bazarevsky et al. 2019,
//! arXiv:1907.05047.

use crate::base::frame::Picture;
use crate::vision::geometry::{Point, Similarity, resize};
use crate::vision::session::{Net, NetError};

pub const ANCHORS: usize = 896;
/// Numbers of one raw box: centre, size and six keypoints.
pub const BOX: usize = 16;
/// Intersection over union from which two boxes are one face.
pub const OVERLAP: f32 = 0.3;
/// Proposals kept of one view: a bed zone with more faces is a crowd, not a patient.
const MOST: usize = 32;

/// A face as the detector sees it, in picture coordinates.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// 0..=1.
    pub score: f32,
    pub center: Point,
    /// Longer side of the box.
    pub side: f32,
    /// The person's right eye, then the left one.
    pub eyes: [Point; 2],
}

impl Proposal {
    /// Moves a proposal of a part to where the part lies in the picture.
    pub fn shift(&mut self, by: Point) {
        for point in self.eyes.iter_mut().chain([&mut self.center]) {
            *point = [point[0] + by[0], point[1] + by[1]];
        }
    }

    /// left, top, right, bottom of the upright square around the face.
    pub fn square(&self) -> [f32; 4] {
        let half = self.side / 2.0;
        let [x, y] = self.center;
        [x - half, y - half, x + half, y + half]
    }
}

/// Centres in the unit square: 16 × 16 cells with two each, then 8 × 8 cells with six each, row by row.
fn anchor(at: usize) -> Point {
    let (cells, cell) = if at < 512 { (16, at / 2) } else { (8, (at - 512) / 6) };
    [((cell % cells) as f32 + 0.5) / cells as f32, ((cell / cells) as f32 + 0.5) / cells as f32]
}

/// A whole picture at the detector's size, black where it does not fill the square.
pub struct Letterbox {
    rgb: Vec<f32>,
    /// From pixels of the letterbox to pixels of the picture.
    matrix: Similarity,
}

impl Letterbox {
    pub fn new(picture: &Picture, size: usize) -> Letterbox {
        let side = picture.width().max(picture.height()) as f32;
        let scale = side / size as f32;
        let length = |pixels: u32| ((pixels as f32 / scale).round() as usize).clamp(1, size);
        let (width, height) = (length(picture.width()), length(picture.height()));
        let (left, top) = ((size - width) / 2, (size - height) / 2);
        let mut rgb = vec![0.0; size * size * 3];
        if let Some(small) = resize(picture, width as u32, height as u32) {
            for (y, row) in small.rgb().chunks_exact(width * 3).enumerate() {
                let from = ((top + y) * size + left) * 3;
                for (value, pixel) in rgb[from..from + width * 3].iter_mut().zip(row) {
                    *value = f32::from(*pixel);
                }
            }
        }
        let matrix = Similarity { a: scale, b: 0.0, tx: -(left as f32) * scale, ty: -(top as f32) * scale };
        Letterbox { rgb, matrix }
    }

    /// The same picture as seen with the head tilted by so many quarter turns clockwise.
    pub fn turned(&self, quarters: u8, size: usize) -> Letterbox {
        let mut rgb = Vec::with_capacity(self.rgb.len());
        let last = size - 1;
        for v in 0..size {
            for u in 0..size {
                let (x, y) = match quarters % 4 {
                    0 => (u, v),
                    1 => (last - v, u),
                    2 => (last - u, last - v),
                    _ => (v, last - u),
                };
                let from = (y * size + x) * 3;
                rgb.extend_from_slice(&self.rgb[from..from + 3]);
            }
        }
        let Similarity { a, tx, ty, .. } = self.matrix;
        let end = a * size as f32;
        let matrix = match quarters % 4 {
            0 => self.matrix,
            1 => Similarity { a: 0.0, b: a, tx: end + tx, ty },
            2 => Similarity { a: -a, b: 0.0, tx: end + tx, ty: end + ty },
            _ => Similarity { a: 0.0, b: -a, tx, ty: end + ty },
        };
        Letterbox { rgb, matrix }
    }
}

/// Faces in one letterbox.
///
/// # Errors
/// [`NetError`].
pub fn detect(net: &mut Net, letterbox: &Letterbox, min_score: f32) -> Result<Vec<Proposal>, NetError> {
    let matrix = letterbox.matrix;
    let outputs = net.run(&letterbox.rgb)?;
    Ok(decode(&outputs[0], &outputs[1], net.size() as f32, min_score)
        .into_iter()
        .map(|(score, values)| {
            let point = |at: usize| matrix.apply([values[at], values[at + 1]]);
            Proposal {
                score,
                center: point(0),
                side: values[2].max(values[3]) * matrix.scale(),
                eyes: [point(4), point(6)],
            }
        })
        .collect())
}

/// Raw outputs to scored boxes in pixels of the input, overlapping ones merged with their scores as weights.
fn decode(boxes: &[f32], scores: &[f32], size: f32, min_score: f32) -> Vec<(f32, [f32; BOX])> {
    let mut found: Vec<(f32, [f32; BOX])> = scores
        .iter()
        .enumerate()
        .map(|(at, raw)| (sigmoid(*raw), at))
        .filter(|(score, _)| *score >= min_score)
        .map(|(score, at)| {
            let center = anchor(at);
            let mut values = [0.0; BOX];
            for (k, value) in values.iter_mut().enumerate() {
                let raw = boxes[at * BOX + k];
                // Entries 2 and 3 are width and height; all others are points relative to the anchor.
                *value = if k == 2 || k == 3 { raw } else { raw + center[k % 2] * size };
            }
            (score, values)
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut merged = Vec::new();
    while !found.is_empty() && merged.len() < MOST {
        let best = corners(&found[0].1);
        let (group, rest): (Vec<_>, Vec<_>) = found
            .into_iter()
            .enumerate()
            .partition(|(at, (_, values))| *at == 0 || overlap(&best, &corners(values)) > OVERLAP);
        found = rest.into_iter().map(|(_, face)| face).collect();
        let total: f32 = group.iter().map(|(_, (score, _))| score).sum();
        let mut mean = [0.0; BOX];
        for (_, (score, values)) in &group {
            for (sum, value) in mean.iter_mut().zip(values) {
                *sum += value * score / total;
            }
        }
        merged.push((group[0].1.0, mean));
    }
    merged
}

fn corners(values: &[f32; BOX]) -> [f32; 4] {
    let [x, y, width, height] = [values[0], values[1], values[2], values[3]];
    [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]
}

/// Intersection over union of two boxes (left, top, right, bottom).
pub fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
}

pub fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value.clamp(-80.0, 80.0)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_begin_and_end_where_mediapipe_puts_them() {
        assert_eq!(anchor(0), [1.0 / 32.0, 1.0 / 32.0]);
        assert_eq!(anchor(2), [3.0 / 32.0, 1.0 / 32.0]);
        assert_eq!(anchor(512), [1.0 / 16.0, 1.0 / 16.0]);
        assert_eq!(anchor(895), [15.0 / 16.0, 15.0 / 16.0]);
    }

    #[test]
    fn both_letterboxes_lead_back_to_the_picture() {
        let picture = Picture::new(1280, 720, vec![9; 1280 * 720 * 3]).unwrap();
        let upright = Letterbox::new(&picture, 128);
        assert_eq!(upright.matrix.apply([0.0, 28.0]), [0.0, 0.0]);
        assert_eq!(upright.matrix.apply([128.0, 100.0]), [1280.0, 720.0]);
        let turned = upright.turned(2, 128);
        assert_eq!(turned.matrix.apply([128.0, 100.0]), [0.0, 0.0]);
        assert_eq!((turned.rgb[0], turned.rgb[64 * 128 * 3]), (0.0, 9.0));
        // The top left corner of the picture is the bottom left one for a head that points right.
        let right = upright.turned(1, 128);
        assert_eq!(right.matrix.apply([28.0, 128.0]), [0.0, 0.0]);
        let left = upright.turned(3, 128);
        assert_eq!(left.matrix.apply([100.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn two_boxes_on_one_face_become_one() {
        let mut boxes = vec![0.0; ANCHORS * BOX];
        let mut scores = vec![-20.0; ANCHORS];
        for at in [100, 101, 800] {
            boxes[at * BOX + 2] = 30.0;
            boxes[at * BOX + 3] = 30.0;
            scores[at] = 3.0;
        }
        assert_eq!(decode(&boxes, &scores, 128.0, 0.5).len(), 2);
    }
}
