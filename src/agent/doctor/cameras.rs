//! Each camera: whether it brings a picture, and whether the picture can be worked with.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::agent::config::{CameraSettings, Settings};
use crate::agent::doctor::Line;
use crate::agent::tasks;
use crate::base::clock::Clock;
use crate::base::frame::{Area, Picture};
use crate::base::ids::CameraId;
use crate::base::supervise;
use crate::capture::Attention;

/// A network camera needs a few seconds for its first picture.
const PATIENCE: Duration = Duration::from_secs(15);
/// Mean brightness (0..=255) below which nobody is recognised.
const DARK: f32 = 25.0;

/// One picture of a camera, with everything outside the bed zones dark, as the agent sees it.
pub struct Snapshot {
    pub camera: CameraId,
    pub picture: Picture,
}

/// Opens every camera and takes one picture of each; those that do not answer are given up.
pub async fn look(settings: &Settings) -> (Vec<Line>, Vec<Snapshot>) {
    let (mut lines, mut pictures) = (Vec::new(), Vec::new());
    for camera in &settings.cameras {
        let what = format!("camera.{}", camera.id);
        let title = ("摄像头", "camera");
        match snapshot(camera).await {
            Ok(picture) => {
                lines.push(judge(settings, camera, &picture, Line::good(&what, title, String::new())));
                let zones: Vec<Area> = zones(settings, &camera.id);
                pictures.push(Snapshot { camera: camera.id.clone(), picture: masked(&picture, &zones) });
            }
            Err(error) => lines.push(
                Line::good(&what, title, format!("{}: {error}", camera.id))
                    .bad("检查电源、网线、地址和密码 · check power, cable, address and password"),
            ),
        }
    }
    (lines, pictures)
}

/// One picture of each camera, unmasked: for drawing zones.
pub async fn snapshots(settings: &Settings) -> Vec<Snapshot> {
    let mut found = Vec::new();
    for camera in &settings.cameras {
        if let Ok(picture) = snapshot(camera).await {
            found.push(Snapshot { camera: camera.id.clone(), picture });
        }
    }
    found
}

async fn snapshot(camera: &CameraSettings) -> Result<Picture, String> {
    let (send, receive) = oneshot::channel();
    let camera = camera.clone();
    // A camera that hangs keeps its thread; the program ends soon anyway.
    supervise::thread("doctor-camera", move || {
        let picture =
            tasks::open_camera(&camera).map_err(|error| format!("{error:#}")).and_then(|mut source| {
                let attention = Attention::full(&Clock::system());
                source.next_picture(&attention).map_err(|error| error.words().to_string())
            });
        // Nobody waits any more when it took too long.
        let _ = send.send(picture);
    })
    .map_err(|error| error.to_string())?;
    match tokio::time::timeout(PATIENCE, receive).await {
        Ok(Ok(picture)) => picture,
        Ok(Err(_)) => Err("没有图像 no picture".to_owned()),
        Err(_) => {
            Err(format!("{} 秒内没有图像 no picture within {} s", PATIENCE.as_secs(), PATIENCE.as_secs()))
        }
    }
}

fn judge(settings: &Settings, camera: &CameraSettings, picture: &Picture, line: Line) -> Line {
    let (width, height) = (picture.width(), picture.height());
    let light = picture.rgb().iter().map(|value| f64::from(*value)).sum::<f64>() / picture.rgb().len() as f64;
    let line =
        Line { found: format!("{}: {width} × {height}，亮度 light {light:.0}", camera.id), ..line };
    let outside: Vec<&str> = settings
        .beds
        .iter()
        .filter(|bed| bed.camera == camera.id)
        .filter(|bed| bed.zone.x + bed.zone.width > width || bed.zone.y + bed.zone.height > height)
        .map(|bed| bed.id.as_str())
        .collect();
    if !outside.is_empty() {
        let next = format!(
            "床位区域超出画面，请重画 zones beyond the picture: {}；bedcheck zones",
            outside.join(", ")
        );
        return line.bad(next);
    }
    if (light as f32) < DARK {
        return line
            .attention("画面太暗，请开灯或检查镜头 · too dark: switch the light on or look at the lens");
    }
    if camera.empty.is_none() && camera.mode.sees_beds() {
        return line.attention(
            "没有空病房照片，永远不会判为不在床：请补拍并填写 empty · without a picture of the empty ward nobody is ever absent",
        );
    }
    line
}

/// Whether there are beds to look at.
pub fn beds(settings: &Settings) -> Line {
    let line = Line::good("beds", ("床位", "beds"), format!("{} 张 beds with a zone", settings.beds.len()));
    if settings.beds.is_empty() {
        line.attention("在本机页面上画 draw them: bedcheck zones")
    } else {
        line
    }
}

fn zones(settings: &Settings, camera: &CameraId) -> Vec<Area> {
    settings.beds.iter().filter(|bed| bed.camera == *camera).map(|bed| bed.zone).collect()
}

/// What lies outside every zone is nobody's business; without zones everything is shown, for there is nothing to draw on
/// otherwise.
fn masked(picture: &Picture, zones: &[Area]) -> Picture {
    if zones.is_empty() {
        return picture.clone();
    }
    let width = picture.width() as usize;
    let mut rgb = picture.rgb().to_vec();
    for (at, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((at % width) as u32, (at / width) as u32);
        let is_inside = |zone: &Area| {
            (zone.x..zone.x + zone.width).contains(&x) && (zone.y..zone.y + zone.height).contains(&y)
        };
        if !zones.iter().any(is_inside) {
            pixel.fill(16);
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).unwrap_or_else(|| picture.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_the_zones_is_not_shown() {
        let picture = Picture::new(4, 2, vec![200; 24]).unwrap();
        let zone = Area { x: 1, y: 0, width: 2, height: 1 };
        let seen: Vec<u8> = masked(&picture, &[zone]).rgb().chunks(3).map(|pixel| pixel[0]).collect();
        assert_eq!(seen, [16, 200, 200, 16, 16, 16, 16, 16]);
        assert_eq!(masked(&picture, &[]).rgb(), picture.rgb());
    }
}
