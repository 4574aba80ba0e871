//! `[[camera]]`

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::source_of_pictures::{
    self, CERTIFICATE, EVERY, FPS, PASSWORD_FILE, RECORDED, RTSP, SNAPSHOT, SYNTHETIC, Source, USB, USER,
};
use crate::agent::config::walk::Fields;
use crate::base::ids::CameraId;
use crate::base::picture;
use crate::domain::liveness::PassiveRule;

const SHARE: Kind = Kind::Number { least: 0.0, most: 1.0 };

const PASSIVE: &[Key] = &[
    key("live_at", SHARE, Need::Required("0.6"), "不低于此值视为活体", "from this score on a face is alive"),
    key("attack_below", SHARE, Need::Required("0.1"), "低于此值视为攻击", "below this score it is an attack"),
];

pub const KEYS: &[Key] = &[
    key("id", Kind::Id, Need::Required("cam-1"), "摄像头编号", "the camera's name here"),
    key(
        "mode",
        Kind::Word(&[
            ("bed", "固定看床，按时自动核查", "watches beds by itself when a check is due"),
            ("round", "巡查推车或床旁终端，由护士操作", "on a cart or at the bedside, used by a nurse"),
            ("door", "病区出入口", "at the ward's only exit"),
            ("kiosk", "入院、结算、取药窗口", "at admission, settlement or pharmacy"),
        ]),
        Need::Default("bed"),
        "用途",
        "what the camera is for",
    ),
    RECORDED,
    FPS,
    RTSP,
    SNAPSHOT,
    EVERY,
    CERTIFICATE,
    USB,
    USER,
    PASSWORD_FILE,
    SYNTHETIC,
    key(
        "empty",
        Kind::File,
        Need::Optional("recordings/cam-1-empty.jpg"),
        "安装时拍摄的空病房照片；没有它永远不会判为“不在床”",
        "the empty ward, taken at installation; without it nobody is ever \"absent\"",
    ),
    key(
        "passive",
        Kind::Table(PASSIVE),
        Need::Optional(""),
        "该摄像头的活体阈值，由 bedcheck calibrate 写出",
        "liveness thresholds of this camera; `bedcheck calibrate` writes them",
    ),
];

/// What a camera is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraMode {
    /// 在床
    #[default]
    Bed,
    /// 巡查
    Round,
    /// 病区门
    Door,
    /// 核查
    Kiosk,
}

impl CameraMode {
    /// Whether bed zones make sense in its picture.
    pub fn sees_beds(self) -> bool {
        matches!(self, CameraMode::Bed | CameraMode::Round)
    }
}

/// A camera as it is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSettings {
    pub id: CameraId,
    pub mode: CameraMode,
    pub source: Source,
    /// Picture of the empty ward, taken at installation.
    pub empty: Option<PathBuf>,
    /// What `bedcheck calibrate` measured on this camera.
    pub passive: Option<PassiveRule>,
}

/// All cameras, each with its place; what is wrong is left out.
pub fn read<'fields>(
    tables: impl Iterator<Item = &'fields Fields>,
    base: &Path,
    found: &mut Complaints,
) -> Vec<CameraSettings> {
    let mut cameras: Vec<CameraSettings> = Vec::new();
    for fields in tables {
        let Some(camera) = one(fields, base, found) else { continue };
        if cameras.iter().any(|known| known.id == camera.id) {
            let id = camera.id.as_str();
            found.add(
                fields.place("id"),
                format!("摄像头 {id:?} 写了两次，请改名或删除一处"),
                format!("camera {id:?} stands here twice: rename or delete one"),
            );
            continue;
        }
        cameras.push(camera);
    }
    cameras
}

fn one(fields: &Fields, base: &Path, found: &mut Complaints) -> Option<CameraSettings> {
    let source = source_of_pictures::read(fields, base, found);
    for key in ["recorded", "empty", "certificate"] {
        if let Some(path) = fields.path(key, base).filter(|path| !path.exists()) {
            let path = path.display();
            found.add(
                fields.place(key),
                format!("{key}: {path} 不存在，请检查路径"),
                format!("{key}: {path} does not exist"),
            );
        }
    }
    let passive = fields.table("passive").and_then(|rule| {
        Some(PassiveRule { live_at: rule.number("live_at")?, attack_below: rule.number("attack_below")? })
    });
    if passive.is_some_and(|rule| rule.attack_below > rule.live_at) {
        found.add(
            fields.place("passive"),
            "attack_below 不得高于 live_at；请用 bedcheck calibrate 写出的值",
            "attack_below must not be above live_at; `bedcheck calibrate` writes both",
        );
    }
    Some(CameraSettings {
        id: fields.read("id")?,
        mode: fields.read("mode").unwrap_or_default(),
        source: source?,
        empty: fields.path("empty", base),
        passive,
    })
}

/// Width and height of the camera's picture, where a picture says so.
pub fn size(camera: &CameraSettings) -> Option<(u32, u32)> {
    picture::size(camera.empty.as_ref()?)
}
