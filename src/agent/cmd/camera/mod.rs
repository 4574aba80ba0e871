//! `bedcheck camera`: what an installer needs on site. Which cameras there are, what one shows, and whether it is good enough.

mod list;
mod probe;

pub(super) use list::{first_usb, say_usb};

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{ImageFormat, RgbImage};
use zeroize::Zeroizing;

use crate::agent::cmd::say;
use crate::agent::{config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::files::{read_at_most, write_owner_only};
use crate::base::frame::{Origin, Picture};
use crate::base::ids::CameraId;
use crate::capture::address::Address;
use crate::capture::decoder::Program;
use crate::capture::rtsp::Rtsp;
use crate::capture::snapshot::Snapshot;
use crate::capture::{Attention, Camera as Source, CameraError};

const MOST_PASSWORD: u64 = 1024;

#[derive(clap::Args)]
pub struct Camera {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// 列出摄像头 · lists USB cameras with driver, name and formats, and those of the configuration.
    List(list::List),
    /// 抓一张图 · writes one picture of a camera to a file.
    Snap(Snap),
    /// 检测摄像头 · opens a camera for some seconds and says how it is.
    Probe(probe::Probe),
}

impl Camera {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.what {
            What::List(list) => list.run(),
            What::Snap(snap) => snap.run(),
            What::Probe(probe) => probe.run(),
        }
    }
}

/// Which camera is meant: one of the configuration, an address, or a USB camera's name.
#[derive(clap::Args)]
struct Which {
    /// Configuration file that has the camera.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// The camera's name in the configuration.
    #[arg(long, value_name = "ID", required_unless_present_any = ["url", "device"])]
    camera: Option<CameraId>,
    /// Address instead: rtsp://, http:// or https://, with the user name in it where one is needed.
    #[arg(long, value_name = "URL", conflicts_with = "camera")]
    url: Option<String>,
    /// File that holds the password for --url.
    #[arg(long, value_name = "FILE", requires = "url")]
    password_file: Option<PathBuf>,
    /// USB camera instead: its name in /dev/v4l/by-id, or /dev/videoN.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["camera", "url"])]
    device: Option<PathBuf>,
}

impl Which {
    /// The camera, not yet connected.
    fn open(&self) -> anyhow::Result<Box<dyn Source>> {
        if let Some(url) = &self.url {
            return self.by_address(url);
        }
        if let Some(device) = &self.device {
            return by_name(device);
        }
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let camera = settings.cameras.iter().find(|camera| Some(&camera.id) == self.camera.as_ref());
        let camera = camera.ok_or_else(|| {
            let known: Vec<&str> = settings.cameras.iter().map(|camera| camera.id.as_str()).collect();
            Ending::config(format!(
                "没有这个摄像头 · there is no such camera; cameras are {}",
                known.join(", ")
            ))
        })?;
        tasks::open_camera(camera)
    }

    fn by_address(&self, url: &str) -> anyhow::Result<Box<dyn Source>> {
        let password = match &self.password_file {
            Some(path) => {
                let bytes = Zeroizing::new(read_at_most(path, MOST_PASSWORD).map_err(Ending::config)?);
                Some(Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
            }
            None => None,
        };
        let password = password.as_deref().map(String::as_str);
        let address =
            Address::new(url, &["rtsp", "http", "https"], None, password).map_err(Ending::config)?;
        let is_rtsp = address.url().scheme() == "rtsp";
        Ok(if is_rtsp {
            Box::new(Rtsp::new(address, Origin::Live, Program::own()).map_err(Ending::failed)?)
        } else {
            Box::new(Snapshot::new(address, Duration::from_secs(1), None).map_err(Ending::failed)?)
        })
    }
}

#[cfg(feature = "usb")]
fn by_name(name: &Path) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(crate::capture::usb::Usb::new(name.to_owned())))
}

#[cfg(not(feature = "usb"))]
fn by_name(_: &Path) -> anyhow::Result<Box<dyn Source>> {
    Err(Ending::config("this program was built without USB cameras (feature usb)").into())
}

#[derive(clap::Args)]
struct Snap {
    #[command(flatten)]
    which: Which,
    /// Where to write the picture: .png, .jpg, .bmp or .webp.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Snap {
    fn run(self) -> anyhow::Result<Code> {
        let format = ImageFormat::from_path(&self.out).map_err(|_| {
            Ending::config(
                "--out 的扩展名须为 .png、.jpg、.bmp、.webp · must end in .png, .jpg, .bmp or .webp",
            )
        })?;
        let mut camera = self.which.open()?;
        match camera.next_picture(&Attention::full(&Clock::system())) {
            Ok(picture) => {
                write_owner_only(&self.out, &encoded(&picture, format)?).map_err(Ending::failed)?;
                say(format!("{} · {} × {}", self.out.display(), picture.width(), picture.height()));
                Ok(Code::Fine)
            }
            Err(error) => Err(told(&error)),
        }
    }
}

fn encoded(picture: &Picture, format: ImageFormat) -> anyhow::Result<Vec<u8>> {
    let image = RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec());
    let image = image.ok_or_else(|| anyhow::anyhow!("the picture has fewer pixels than it says"))?;
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// A camera's failure for the person at the terminal.
fn told(error: &CameraError) -> anyhow::Error {
    Ending::failed(error.words().to_string()).into()
}
