//! One picture from a camera. Lives here so that capture and vision stay strangers.

use std::fmt;
use std::sync::Arc;

use crate::base::clock::Now;
use crate::base::ids::CameraId;

/// How a frame came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a camera that films now.
    Live,
    /// From a recording: its evidence can never count as real.
    Synthetic,
}

/// What keeps a camera from showing its ward. Such a look proves nothing and accuses nobody of being away; the camera
/// itself is the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tamper {
    /// 镜头被遮挡
    Covered,
    /// 画面失焦
    Defocused,
    /// 摄像头被移动
    Moved,
    /// 画面冻结
    Frozen,
    /// 画面循环播放
    Looped,
    /// 控制指令无响应: the picture does not follow a change of the camera's own controls.
    Unresponsive,
    /// 虚拟摄像头
    Virtual,
}

impl Tamper {
    pub fn chinese(self) -> &'static str {
        match self {
            Tamper::Covered => "镜头被遮挡",
            Tamper::Defocused => "画面失焦",
            Tamper::Moved => "摄像头被移动",
            Tamper::Frozen => "画面冻结",
            Tamper::Looped => "画面循环播放",
            Tamper::Unresponsive => "控制指令无响应",
            Tamper::Virtual => "虚拟摄像头",
        }
    }

    /// The name in code, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Tamper::Covered => "covered",
            Tamper::Defocused => "defocused",
            Tamper::Moved => "moved",
            Tamper::Frozen => "frozen",
            Tamper::Looped => "looped",
            Tamper::Unresponsive => "unresponsive",
            Tamper::Virtual => "virtual",
        }
    }
}

/// An 8-bit RGB picture, row by row, `width * height * 3` bytes.
#[derive(Clone)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Arc<[u8]>,
}

impl Picture {
    /// `None` when the bytes do not fill `width` × `height` pixels or either is 0.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Picture> {
        let wanted = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        (wanted > 0 && rgb.len() == wanted).then(|| Picture { width, height, rgb: rgb.into() })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The part of the picture within `area`, clipped to the picture; `None` when nothing is left.
    pub fn cut(&self, area: Area) -> Option<Picture> {
        let right = area.x.saturating_add(area.width).min(self.width);
        let bottom = area.y.saturating_add(area.height).min(self.height);
        if area.x >= right || area.y >= bottom {
            return None;
        }
        let mut rgb = Vec::with_capacity(((right - area.x) * (bottom - area.y)) as usize * 3);
        for y in area.y..bottom {
            let from = (y as usize * self.width as usize + area.x as usize) * 3;
            rgb.extend_from_slice(&self.rgb[from..from + (right - area.x) as usize * 3]);
        }
        Picture::new(right - area.x, bottom - area.y, rgb)
    }
}

/// The size only: pixels of a ward belong into no log.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} × {})", self.width, self.height)
    }
}

/// A rectangle in pixels from the top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// Where the top of a patient's head usually points in the picture: a hint for looking, never a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    #[default]
    Up,
    Right,
    Down,
    Left,
}

impl Head {
    /// Clockwise quarter turns from upright.
    pub fn quarters(self) -> u8 {
        match self {
            Head::Up => 0,
            Head::Right => 1,
            Head::Down => 2,
            Head::Left => 3,
        }
    }
}

/// A picture with where and when it was taken.
#[derive(Clone)]
pub struct Frame {
    pub camera: CameraId,
    /// Counts the frames of this camera since it opened; gaps are dropped frames.
    pub number: u64,
    pub taken: Now,
    pub origin: Origin,
    /// What the camera's watch makes of its latest pictures.
    pub tamper: Option<Tamper>,
    pub picture: Picture,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_clipped_to_the_picture() {
        let picture = Picture::new(4, 2, (0..24).collect()).unwrap();
        let cut = picture.cut(Area { x: 2, y: 1, width: 9, height: 9 }).unwrap();
        assert_eq!((cut.width(), cut.height(), cut.rgb()), (2, 1, &[18, 19, 20, 21, 22, 23][..]));
        assert!(picture.cut(Area { x: 4, y: 0, width: 1, height: 1 }).is_none());
        assert!(Picture::new(2, 2, vec![0; 11]).is_none());
    }
}
