//! `[health]`, `[page]` and `[kiosk]`: what the agent serves on this machine alone.

use std::net::IpAddr;

use crate::agent::config::camera::{CameraMode, CameraSettings};
use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;
use crate::base::ids::CameraId;

pub const HEALTH: &[Key] = &[key(
    "listen",
    Kind::Socket,
    Need::Required("127.0.0.1:9464"),
    "指标 /metrics 与健康状态 /healthz 的本机地址",
    "where /metrics and /healthz are served on this machine",
)];

pub const PAGE: &[Key] = &[key(
    "listen",
    Kind::Socket,
    Need::Required("127.0.0.1:8470"),
    "本机页面（床位区域编辑器）的地址；用 bedcheck zones 取得链接",
    "where the local page (zone editor) is served; `bedcheck zones` gives a link to it",
)];

pub const KIOSK: &[Key] = &[key(
    "listen",
    Kind::Socket,
    Need::Required("127.0.0.1:8471"),
    "核查窗口页面的本机地址；本机浏览器全屏打开；需要一台 mode = \"kiosk\" 的摄像头",
    "where the kiosk's screen is served to this machine's browser; wants one camera of mode \"kiosk\"",
)];

/// The address of `[health]`, `[page]` or `[kiosk]`; anything but loopback is complained of.
pub fn read(fields: Option<&Fields>, found: &mut Complaints) -> Option<String> {
    let fields = fields?;
    let address = fields.text("listen")?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        found.add(
            fields.place("listen"),
            format!("{address} 不是本机回环地址；请写 127.0.0.1:端口，远程访问请用 SSH 隧道"),
            format!(
                "{address} is no loopback address: write 127.0.0.1:PORT and reach it through an SSH tunnel"
            ),
        );
    }
    Some(address.to_owned())
}

/// Where the kiosk's screen is served, and through which camera it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KioskSettings {
    pub listen: String,
    pub camera: CameraId,
}

/// `[kiosk]` with its camera; one kiosk has one camera.
pub fn kiosk(
    fields: Option<&Fields>,
    cameras: &[CameraSettings],
    found: &mut Complaints,
) -> Option<KioskSettings> {
    let listen = read(fields, found)?;
    let mut kiosks = cameras.iter().filter(|camera| camera.mode == CameraMode::Kiosk);
    match (kiosks.next(), kiosks.next()) {
        (Some(camera), None) => Some(KioskSettings { listen, camera: camera.id.clone() }),
        (first, _) => {
            let count = if first.is_some() { "2+" } else { "0" };
            found.add(
                fields?.place("listen"),
                format!("[kiosk] 需要恰好一台 mode = \"kiosk\" 的摄像头，现有 {count}"),
                format!("[kiosk] wants exactly one camera of mode \"kiosk\"; there are {count}"),
            );
            None
        }
    }
}
