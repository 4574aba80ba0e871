//! Where a `[[camera]]` has its pictures from: exactly one of a recording, RTSP, snapshots over HTTP, a USB port.
//!
//! A password never stands in the configuration: it is the content of a file that only its owner may read, or a
//! credential that systemd hands over (`LoadCredential=`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;
use crate::base::files::{credential, read_at_most};
use crate::capture::address::{Address, BadAddress};

pub const RECORDED: Key = key(
    "recorded",
    Kind::File,
    Need::Either("recordings/cam-1"),
    "录像：图片文件夹或 .mjpeg 文件；recorded、rtsp、snapshot、usb 四者选一",
    "a folder of pictures or a .mjpeg file; exactly one of recorded, rtsp, snapshot, usb",
);
pub const FPS: Key = key(
    "fps",
    Kind::Number { least: 0.01, most: 120.0 },
    Need::Default("5"),
    "录像每秒帧数",
    "pictures per second of a recording",
);
pub const RTSP: Key = key(
    "rtsp",
    Kind::Text,
    Need::Either("rtsp://192.0.2.10:554/stream1"),
    "网络摄像头的 H.264 码流地址；密码写在 password_file 指定的文件里",
    "address of an IP camera's H.264 stream; the password goes into password_file",
);
pub const SNAPSHOT: Key = key(
    "snapshot",
    Kind::Text,
    Need::Either("http://192.0.2.10/snapshot.jpg"),
    "网络摄像头的抓图地址（HTTP 或 HTTPS）",
    "address of an IP camera's snapshots, HTTP or HTTPS",
);
pub const EVERY: Key = key(
    "every",
    Kind::Span { least: Duration::from_millis(300), most: Duration::from_secs(3600) },
    Need::Default("10s"),
    "抓图间隔；核查期间自动加快",
    "pause between snapshots; shorter while a bed is being checked",
);
pub const CERTIFICATE: Key = key(
    "certificate",
    Kind::File,
    Need::Optional("cam-1.pem"),
    "HTTPS 抓图摄像头的证书（PEM）",
    "certificate of a camera with HTTPS snapshots, PEM",
);
pub const USB: Key = key(
    "usb",
    Kind::File,
    Need::Either("/dev/v4l/by-id/usb-Vendor_Camera_1234-video-index0"),
    "USB 摄像头；用 bedcheck camera list 查看名称",
    "a USB camera; `bedcheck camera list` says its name",
);
pub const USER: Key =
    key("user", Kind::Text, Need::Optional("viewer"), "摄像头用户名", "user name at the camera");
pub const PASSWORD_FILE: Key = key(
    "password_file",
    Kind::File,
    Need::Optional("cam-1.password"),
    "存放摄像头密码的文件（chmod 600），或 systemd 凭据的名称",
    "file that holds the camera's password (chmod 600), or the name of a systemd credential",
);
pub const SYNTHETIC: Key = key(
    "synthetic",
    Kind::Flag,
    Need::Default("false"),
    "该码流播放的是录像（演示、培训），其结果永远标明为合成",
    "this stream plays a recording (demo, training): what it shows is marked synthetic for ever",
);

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Recorded { path: PathBuf, fps: f32 },
    Rtsp { address: Address, is_synthetic: bool },
    Snapshot { address: Address, every: Duration, certificate: Option<PathBuf> },
    Usb { name: PathBuf },
}

const SOURCES: [&str; 4] = ["recorded", "rtsp", "snapshot", "usb"];
/// Longest password with its line end.
const MOST_PASSWORD: u64 = 1024;

/// The one source of a camera; what is wrong is complained of.
pub fn read(fields: &Fields, base: &Path, found: &mut Complaints) -> Option<Source> {
    let one = SOURCES.into_iter().find(|name| fields.text(name).is_some())?;
    match one {
        "recorded" => {
            Some(Source::Recorded { path: fields.path("recorded", base)?, fps: fields.number("fps")? })
        }
        "rtsp" => {
            let address = address(fields, "rtsp", &["rtsp"], base, found)?;
            Some(Source::Rtsp { address, is_synthetic: fields.flag("synthetic")? })
        }
        "snapshot" => {
            let address = address(fields, "snapshot", &["http", "https"], base, found)?;
            let (every, certificate) = (fields.span("every")?, fields.path("certificate", base));
            Some(Source::Snapshot { address, every, certificate })
        }
        _usb => Some(Source::Usb { name: fields.path("usb", base)? }),
    }
}

fn address(
    fields: &Fields,
    key: &str,
    schemes: &'static [&'static str],
    base: &Path,
    found: &mut Complaints,
) -> Option<Address> {
    let password = match fields.text("password_file") {
        Some(name) => Some(password(fields, name, base, found)?),
        None => None,
    };
    let password = password.as_deref().map(String::as_str);
    match Address::new(fields.text(key)?, schemes, fields.text("user"), password) {
        Ok(address) => Some(address),
        Err(error) => {
            let chinese = match &error {
                BadAddress::Unreadable(_) => "不是摄像头地址",
                BadAddress::Scheme { .. } => "地址开头不对",
                BadAddress::Password => "地址里不能写密码，请写入单独的文件并用 password_file 指定",
                BadAddress::NoPassword => "有用户名但没有密码，请用 password_file 指定密码文件",
                BadAddress::NoUser => "有密码但没有用户名，请写 user",
            };
            found.add(fields.place(key), format!("{key}: {chinese}"), format!("{key}: {error}"));
            None
        }
    }
}

/// A credential of systemd goes before a file of that name beside the configuration.
fn password(fields: &Fields, name: &str, base: &Path, found: &mut Complaints) -> Option<Zeroizing<String>> {
    let path = credential(name).unwrap_or_else(|| base.join(name));
    let mut complain = |chinese: String, english: String| {
        found.add(
            fields.place("password_file"),
            format!("password_file: {chinese}"),
            format!("password_file: {english}"),
        );
        None
    };
    let bytes = match read_at_most(&path, MOST_PASSWORD) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => return complain(format!("读不到 {}", path.display()), error.to_string()),
    };
    let mode = path.metadata().map_or(0, |facts| facts.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        return complain(
            format!("{path} 其他用户也能读，请执行 chmod 600 {path}"),
            format!("{path} can be read by others; run chmod 600 {path}"),
        );
    }
    let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        return complain(format!("{} 是空的", path.display()), format!("{} is empty", path.display()));
    }
    Some(Zeroizing::new(text))
}
