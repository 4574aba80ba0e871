//! FaceMesh: 468 points, from which alignment, pose and box follow at any roll angle.
//!
//! Source: Kartynnik et al. 2019, arXiv:1907.06724; vertex numbers of MediaPipe's canonical face.

use crate::base::frame::Picture;
use crate::vision::detect::sigmoid;
use crate::vision::geometry::{Point, Similarity, warp};
use crate::vision::session::{Net, NetError};

pub const POINTS: usize = 468;
/// Side of a mesh crop, in longer sides of the box it is made from.
pub const CROP: f32 = 1.5;
/// A face that jumps farther than this share of its width between two frames is another face.
const JUMP: f32 = 0.5;

// Right and left are the person's own.
const RIGHT_EYE: usize = 33;
const LEFT_EYE: usize = 263;
const FOREHEAD: usize = 10;
const CHIN: usize = 152;
// Corner, two points of the upper lid, corner, two of the lower lid under them (Soukupová and Čech 2016).
const RIGHT_LIDS: [usize; 6] = [33, 160, 158, 133, 153, 144];
const LEFT_LIDS: [usize; 6] = [362, 385, 387, 263, 373, 380];
const INNER_LIPS: [usize; 2] = [13, 14];
const MOUTH_CORNERS: [usize; 2] = [61, 291];
// Middle of the forehead and both cheeks, and the side of the patch that is averaged there, in pixels.
const SKIN: [usize; 3] = [151, 50, 280];
const SKIN_PATCH: usize = 7;
/// Pitch of a level face by this measure: the median of 6,920 LFW faces.
const LEVEL_PITCH: f32 = 5.6;

/// A meshed face in picture coordinates.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// x, y, and z in the same unit (away from the camera is positive).
    pub points: Vec<[f32; 3]>,
    /// How sure the net is that this is a face, 0..=1.
    pub flag: f32,
}

/// Angles in degrees. Positive: towards the picture's right, chin down, clockwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub yaw: f32,
    pub pitch: f32,
    pub roll: f32,
}

/// Runs the net on the square of that centre, side and clockwise angle (radians).
///
/// # Errors
/// [`NetError`].
pub fn fit(
    net: &mut Net,
    picture: &Picture,
    center: Point,
    side: f32,
    angle: f32,
    flag_is_logit: bool,
) -> Result<Mesh, NetError> {
    let size = net.size() as f32;
    let matrix = Similarity::square(center, side, angle, size);
    let outputs = net.run(&warp(picture, &matrix, net.size()))?;
    let points = outputs[0]
        .chunks_exact(3)
        .map(|point| {
            let [x, y] = matrix.apply([point[0], point[1]]);
            [x, y, point[2] * side / size]
        })
        .collect();
    let flag = if flag_is_logit { sigmoid(outputs[1][0]) } else { outputs[1][0] };
    Ok(Mesh { points, flag })
}

impl Mesh {
    fn xy(&self, vertex: usize) -> Point {
        [self.points[vertex][0], self.points[vertex][1]]
    }

    /// The mean of some vertices.
    pub fn middle(&self, vertices: &[usize]) -> Point {
        let n = vertices.len().max(1) as f32;
        vertices.iter().fold([0.0, 0.0], |sum, vertex| {
            let [x, y] = self.xy(*vertex);
            [sum[0] + x / n, sum[1] + y / n]
        })
    }

    /// Clockwise angle of the eye line, radians.
    pub fn roll(&self) -> f32 {
        let (right, left) = (self.xy(RIGHT_EYE), self.xy(LEFT_EYE));
        (left[1] - right[1]).atan2(left[0] - right[0])
    }

    /// Centre, width and height of the face along its own axes, and its roll in radians.
    pub fn extent(&self) -> (Point, f32, f32, f32) {
        let angle = self.roll();
        let (sin, cos) = angle.sin_cos();
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for point in &self.points {
            let turned = [cos * point[0] + sin * point[1], cos * point[1] - sin * point[0]];
            for axis in 0..2 {
                low[axis] = low[axis].min(turned[axis]);
                high[axis] = high[axis].max(turned[axis]);
            }
        }
        let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        let center = [cos * middle[0] - sin * middle[1], sin * middle[0] + cos * middle[1]];
        (center, high[0] - low[0], high[1] - low[1], angle)
    }

    /// Whether `later` can be the same face one frame later.
    pub fn goes_on_with(&self, later: &Mesh) -> bool {
        let ((a, width, ..), (b, ..)) = (self.extent(), later.extent());
        (a[0] - b[0]).hypot(a[1] - b[1]) <= width * JUMP
    }

    pub fn pose(&self) -> Pose {
        let roll = self.roll();
        let (sin, cos) = roll.sin_cos();
        let turned = |from: usize, to: usize| {
            let (a, b) = (self.points[from], self.points[to]);
            let (x, y, z) = (b[0] - a[0], b[1] - a[1], b[2] - a[2]);
            [cos * x + sin * y, cos * y - sin * x, z]
        };
        let (across, down) = (turned(RIGHT_EYE, LEFT_EYE), turned(FOREHEAD, CHIN));
        Pose {
            yaw: across[2].atan2(across[0]).to_degrees(),
            pitch: down[2].atan2(down[1]).to_degrees() - LEVEL_PITCH,
            roll: roll.to_degrees(),
        }
    }

    /// left, top, right, bottom of the points.
    pub fn bounds(&self) -> [f32; 4] {
        self.points.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |b, p| {
            [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])]
        })
    }

    /// Distance of two vertices in the picture.
    fn between(&self, [a, b]: [usize; 2]) -> f32 {
        let (a, b) = (self.xy(a), self.xy(b));
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    /// Eye aspect ratio, mean of both eyes: about 0.3 open, below 0.15 closed.
    pub fn eye_openness(&self) -> f32 {
        let of = |[outer, upper1, upper2, inner, lower2, lower1]: [usize; 6]| {
            (self.between([upper1, lower1]) + self.between([upper2, lower2]))
                / (2.0 * self.between([outer, inner])).max(1e-3)
        };
        (of(RIGHT_LIDS) + of(LEFT_LIDS)) / 2.0
    }

    /// Inner height of the mouth over its width: about 0 closed, 0.3 and more wide open.
    pub fn mouth_openness(&self) -> f32 {
        self.between(INNER_LIPS) / self.between(MOUTH_CORNERS).max(1e-3)
    }

    /// Mean colour of the skin on forehead and cheeks, RGB 0..=255; `None` outside the picture.
    pub fn skin(&self, picture: &Picture) -> Option<[f32; 3]> {
        let (mut sum, mut count) = ([0.0_f32; 3], 0.0);
        let width = picture.width() as usize;
        for vertex in SKIN {
            let [x, y] = self.xy(vertex);
            for step in 0..SKIN_PATCH * SKIN_PATCH {
                let (dx, dy) = ((step % SKIN_PATCH) as f32 - 3.0, (step / SKIN_PATCH) as f32 - 3.0);
                let (px, py) = (x + dx, y + dy);
                if px < 0.0 || py < 0.0 || px >= picture.width() as f32 || py >= picture.height() as f32 {
                    continue;
                }
                let at = (py as usize * width + px as usize) * 3;
                for (channel, sum) in sum.iter_mut().enumerate() {
                    *sum += f32::from(picture.rgb()[at + channel]);
                }
                count += 1.0;
            }
        }
        (count > 0.0).then(|| sum.map(|value| value / count))
    }
}
