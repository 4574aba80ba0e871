//! What one look at one bed showed, in numbers and without pixels.

use serde::{Deserialize, Serialize};

use crate::base::clock::Now;
use crate::base::frame::{Origin, Tamper};
use crate::base::ids::{CameraId, StayId};
use crate::domain::liveness::Life;
use crate::domain::patrol::LookId;

/// The answer to one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    pub look: LookId,
    pub camera: CameraId,
    pub taken: Now,
    pub origin: Origin,
    /// What keeps the camera from showing the ward.
    pub tamper: Option<Tamper>,
    pub scene: Scene,
    /// What was seen of breathing, blinking and the like up to this look.
    pub life: Box<Life>,
}

/// A look that brought no picture.
#[derive(Clone, Debug, PartialEq)]
pub struct NoSighting {
    pub look: LookId,
    pub reason: Reason,
}

/// What the zone of the bed showed.
#[derive(Clone, Debug, PartialEq)]
pub enum Scene {
    /// Too little light to see a face if there were one; mean luma 0..=255.
    Dark { mean_luma: f32 },
    /// No face at any angle.
    NoFace { occupancy: Occupancy },
    /// At least one face; `best` is the one most like the person expected here.
    Faces { count: usize, best: FaceSeen },
}

/// Whether something lies in the bed, told apart from the picture of the empty bed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Occupancy {
    /// Share of the zone that differs from the empty bed, 0..=1.
    Changed(f32),
    /// No picture of the empty bed exists, so absence cannot be told from a hidden face.
    Unknown,
}

/// A face, measured and compared.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceSeen {
    pub quality: FaceQuality,
    /// Similarity to the templates of the person expected here; `None` when none is enrolled.
    pub claimed: Option<f32>,
    /// The most similar *other* person of the roster.
    pub nearest_other: Option<(StayId, f32)>,
    /// Mean similarity to all other people of the roster, where they are enough for a mean.
    pub common: Option<f32>,
}

impl FaceSeen {
    /// Similarity to the person expected, less what this face has in common with everybody (score normalisation by
    /// mean subtraction): some faces are a little like all others.
    pub fn distinctive(&self, claimed: f32, typical: Option<f32>) -> f32 {
        claimed - self.common.zip(typical).map_or(0.0, |(common, typical)| (common - typical).max(0.0))
    }
}

/// Measurements of one face; ranges as in `QualityRule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaceQuality {
    pub score: f32,
    pub width_px: f32,
    pub yaw: f32,
    pub pitch: f32,
    pub sharpness: f32,
    pub luma: f32,
    /// Share of the face's points that lie outside the picture, 0..=1.
    #[serde(default)]
    pub outside: f32,
    /// Texture of the mouth against the eyes; small under a mask.
    #[serde(default)]
    pub mouth: f32,
}

impl FaceQuality {
    /// How much a shot is worth for recognition, to choose the best of several of one face: sharp, frontal, lit, whole.
    pub fn worth(&self) -> f32 {
        let frontal = self.yaw.to_radians().cos() * self.pitch.to_radians().cos();
        let lit = (self.luma / 60.0).min(1.0);
        self.sharpness.clamp(0.0, 800.0) * frontal.max(0.0) * lit * (1.0 - self.outside)
    }
}

/// Why a look proves nothing. None of these is the ward's guilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// 光线太暗
    Dark,
    /// 画面模糊
    Blurred,
    /// 人脸太小
    TooSmall,
    /// 人脸偏转
    TurnedAway,
    /// 人脸不完整
    CutOff,
    /// 口鼻被遮挡
    Covered,
    /// 检测不可靠
    WeakDetection,
    /// 多人入镜
    SeveralFaces,
    /// 相似度在两个阈值之间
    UncertainMatch,
    /// 未登记人脸
    NotEnrolled,
    /// 没有空床参考图
    NoEmptyReference,
    /// 摄像头异常
    Tampered,
    /// 摄像头无画面
    NoPicture,
    /// 活体证据不足
    LifeUnproven,
    /// 本轮未轮到
    NotReached,
    /// 各次结果不一致
    Contradictory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sharp_frontal_shot_is_worth_more() {
        let good = FaceQuality {
            score: 0.9,
            width_px: 120.0,
            sharpness: 60.0,
            luma: 120.0,
            ..FaceQuality::default()
        };
        for worse in [
            FaceQuality { sharpness: 30.0, ..good },
            FaceQuality { yaw: 28.0, ..good },
            FaceQuality { luma: 20.0, ..good },
            FaceQuality { outside: 0.2, ..good },
        ] {
            assert!(worse.worth() < good.worth(), "{worse:?}");
        }
    }
}
