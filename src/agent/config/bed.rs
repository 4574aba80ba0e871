//! `[[bed]]`

use crate::agent::config::camera::{self, CameraSettings};
use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;
use crate::base::frame::{Area, Head};
use crate::base::ids::{BedId, CameraId};
use crate::base::picture::MOST_SIDE;

/// Smaller zones hold no face that could be compared.
pub const LEAST_SIDE: u32 = 64;

const START: Kind = Kind::Whole { least: 0, most: MOST_SIDE as i64 };
const LENGTH: Kind = Kind::Whole { least: 1, most: MOST_SIDE as i64 };

const ZONE: &[Key] = &[
    key("x", START, Need::Required("20"), "左边界", "left edge"),
    key("y", START, Need::Required("30"), "上边界", "upper edge"),
    key("width", LENGTH, Need::Required("600"), "宽", "width"),
    key("height", LENGTH, Need::Required("660"), "高", "height"),
];

pub const KEYS: &[Key] = &[
    key("id", Kind::Id, Need::Required("01"), "床号，与名册一致", "the bed as the roster calls it"),
    key("camera", Kind::Id, Need::Required("cam-1"), "看这张床的摄像头", "the camera that sees it"),
    key(
        "zone",
        Kind::Table(ZONE),
        Need::Required(""),
        "床位区域（像素），区域之外一律不看；可在本机页面上画（bedcheck zones）",
        "pixels; nothing outside is looked at; `bedcheck zones` draws it",
    ),
    key(
        "head",
        Kind::Word(&[
            ("up", "画面上方", "upwards in the picture"),
            ("right", "右", "to the right"),
            ("down", "下", "downwards"),
            ("left", "左", "to the left"),
        ]),
        Need::Default("up"),
        "患者头部通常朝画面哪边，仅作提示",
        "where heads usually point in the picture; only a hint",
    ),
];

/// A bed in a camera's picture.
#[derive(Clone, Debug, PartialEq)]
pub struct BedSettings {
    pub id: BedId,
    pub camera: CameraId,
    pub zone: Area,
    pub head: Head,
}

/// All beds; what is wrong is complained of.
pub fn read<'fields>(
    tables: impl Iterator<Item = &'fields Fields>,
    cameras: &[CameraSettings],
    // The names of all cameras, also of those that something is wrong with.
    names: &[&str],
    found: &mut Complaints,
) -> Vec<BedSettings> {
    let sizes: Vec<(&CameraId, Option<(u32, u32)>)> =
        cameras.iter().map(|camera| (&camera.id, camera::size(camera))).collect();
    let mut beds: Vec<BedSettings> = Vec::new();
    for fields in tables {
        check_camera(fields, names, found);
        let Some(bed) = one(fields) else { continue };
        let id = bed.id.as_str();
        if beds.iter().any(|known| known.id == bed.id) {
            found.add(
                fields.place("id"),
                format!("床位 {id:?} 写了两次，请改号或删除一处"),
                format!("bed {id:?} stands here twice: rename or delete one"),
            );
        }
        if let Some(same) = beds.iter().find(|known| known.camera == bed.camera && known.zone == bed.zone) {
            found.add(
                fields.place("zone"),
                format!("床位 {id:?} 与 {:?} 的区域完全相同，请重画一个", same.id.as_str()),
                format!("bed {id:?} has the same zone as {:?}: draw one of them anew", same.id.as_str()),
            );
        }
        let size = sizes.iter().find(|(camera, _)| **camera == bed.camera).and_then(|(_, size)| *size);
        if let Some(other) = cameras.iter().find(|camera| camera.id == bed.camera && !camera.mode.sees_beds())
        {
            found.add(
                fields.place("camera"),
                format!(
                    "床位 {:?}：摄像头 {:?} 的用途不是看床，请换摄像头或改其 mode",
                    bed.id.as_str(),
                    other.id.as_str()
                ),
                format!(
                    "bed {:?}: camera {:?} is not for beds; name another one or change its mode",
                    bed.id.as_str(),
                    other.id.as_str()
                ),
            );
        }
        check_zone(&bed, size, fields, found);
        beds.push(bed);
    }
    beds
}

fn one(fields: &Fields) -> Option<BedSettings> {
    let zone = fields.table("zone")?;
    Some(BedSettings {
        id: fields.read("id")?,
        camera: fields.read("camera")?,
        zone: Area {
            x: zone.whole("x")?,
            y: zone.whole("y")?,
            width: zone.whole("width")?,
            height: zone.whole("height")?,
        },
        head: fields.read("head").unwrap_or_default(),
    })
}

fn check_camera(fields: &Fields, names: &[&str], found: &mut Complaints) {
    let Some(camera) = fields.text("camera") else { return };
    if names.is_empty() || names.contains(&camera) {
        return;
    }
    let bed = fields.text("id").unwrap_or("?");
    let known = names.join(", ");
    found.add(
        fields.place("camera"),
        format!("床位 {bed:?}：没有摄像头 {camera:?}，现有 {known}"),
        format!("bed {bed:?}: camera {camera:?} does not exist; cameras are {known}"),
    );
}

fn check_zone(bed: &BedSettings, size: Option<(u32, u32)>, fields: &Fields, found: &mut Complaints) {
    let (id, zone) = (bed.id.as_str(), bed.zone);
    if zone.width < LEAST_SIDE || zone.height < LEAST_SIDE {
        let drawn = format!("{} × {}", zone.width, zone.height);
        found.add(
            fields.place("zone"),
            format!("床位 {id:?}：区域 {drawn} 像素放不下人脸，至少 {LEAST_SIDE} × {LEAST_SIDE}"),
            format!(
                "bed {id:?}: a zone of {drawn} pixels is too small for a face; draw at least {LEAST_SIDE} × {LEAST_SIDE}"
            ),
        );
    }
    let (right, bottom) = (zone.x + zone.width, zone.y + zone.height);
    let (width, height) = size.unwrap_or((MOST_SIDE, MOST_SIDE));
    if right > width || bottom > height {
        found.add(
            fields.place("zone"),
            format!("床位 {id:?}：区域到 {right} × {bottom}，超出画面 {width} × {height}，请重画"),
            format!("bed {id:?}: the zone reaches {right} × {bottom}, beyond the picture of {width} × {height}: draw it anew"),
        );
    }
}
