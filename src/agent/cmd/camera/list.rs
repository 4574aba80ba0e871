//! `bedcheck camera list`

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::agent::cmd::{say, say_json};
use crate::agent::config::{self, Source};
use crate::base::exit::{Code, Ending};

#[derive(clap::Args)]
pub struct List {
    /// Configuration file whose cameras are listed as well.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> anyhow::Result<Code> {
        let configured = match &self.config {
            Some(path) => config::read(path).map_err(Ending::config)?.cameras,
            None => Vec::new(),
        };
        let configured: Vec<(String, String)> =
            configured.iter().map(|camera| (camera.id.to_string(), described(&camera.source))).collect();
        if self.json {
            let cameras: Vec<Value> =
                configured.iter().map(|(id, source)| json!({ "camera": id, "source": source })).collect();
            say_json(&json!({ "usb": usb_json()?, "configured": cameras }))?;
            return Ok(Code::Fine);
        }
        say_usb();
        for (id, source) in configured {
            say(format!("已配置 configured  {id}  {source}"));
        }
        Ok(Code::Fine)
    }
}

/// What the configuration says, without any login.
fn described(source: &Source) -> String {
    match source {
        Source::Recorded { path, fps } => format!("recorded {} ({fps} / s)", path.display()),
        Source::Rtsp { address, .. } => format!("rtsp {address}"),
        Source::Snapshot { address, every, .. } => format!("snapshot {address} (every {every:?})"),
        Source::Usb { name } => format!("usb {}", name.display()),
    }
}

#[cfg(feature = "usb")]
fn found() -> Vec<crate::capture::usb::device::Found> {
    use crate::capture::usb::device::{Permit, list};
    list(Permit::Real)
}

#[cfg(feature = "usb")]
fn usb_json() -> anyhow::Result<Value> {
    Ok(serde_json::to_value(found())?)
}

/// The first USB camera that may be used, by the name that stays with it.
#[cfg(feature = "usb")]
pub fn first_usb() -> Option<PathBuf> {
    let usable = found().into_iter().find(|camera| camera.refused.is_none())?;
    Some(usable.by_id.unwrap_or(usable.node))
}

/// Every USB camera with driver, name and formats.
#[cfg(feature = "usb")]
pub fn say_usb() {
    let found = found();
    if found.is_empty() {
        say("没有 USB 摄像头 · no USB camera is plugged in");
    }
    for camera in found {
        let name = camera.by_id.as_ref().unwrap_or(&camera.node);
        say(format!("USB  {}  {}  驱动 driver {}", name.display(), camera.card, camera.driver));
        if let Some(serial) = &camera.serial {
            say(format!("     序列号 serial {serial}"));
        }
        if let Some(why) = &camera.refused {
            say(format!("     拒绝使用 refused: {why}"));
        }
        for mode in camera.formats {
            say(format!("     {} {} × {}  {} / s", mode.fourcc, mode.width, mode.height, mode.fps));
        }
    }
}

#[cfg(not(feature = "usb"))]
fn usb_json() -> anyhow::Result<Value> {
    Ok(json!([]))
}

#[cfg(not(feature = "usb"))]
pub fn first_usb() -> Option<PathBuf> {
    None
}

#[cfg(not(feature = "usb"))]
pub fn say_usb() {
    say("此程序不含 USB 摄像头支持 · this program was built without USB cameras (feature usb)");
}
