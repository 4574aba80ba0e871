//! BlazeFace-short: proposes faces on a picture seen upright or upside down.
//!
//! Source: MediaPipe 0.10.14 (`ssd_anchors_calculator`, `tensors_to_detections`), Bazarevsky et al. 2019,
//! arXiv:1907.05047.

use crate::base::frame::Picture;
use crate::vision::geometry::{Point, Similarity, warp};
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

/// Faces on `picture`, seen turned by `angle` radians.
///
/// # Errors
/// [`NetError`].
pub fn detect(
    net: &mut Net,
    picture: &Picture,
    angle: f32,
    min_score: f32,
) -> Result<Vec<Proposal>, NetError> {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let size = net.size() as f32;
    let matrix = Similarity::square([width / 2.0, height / 2.0], width.max(height), angle, size);
    let outputs = net.run(&warp(picture, &matrix, net.size()))?;
    Ok(decode(&outputs[0], &outputs[1], size, min_score)
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
