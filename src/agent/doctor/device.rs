//! The machine itself: library, models, clock, disk, keys and the platform.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use x509_parser::pem::parse_x509_pem;

use crate::agent::config::Settings;
use crate::agent::doctor::{Line, existing};
use crate::agent::{identity, tasks};
use crate::base::clock::{Now, Wall};
use crate::base::space;
use crate::store::bundles::Bundles;
use crate::vision::manifest::Grade as PackGrade;
use crate::vision::runtime;
use crate::wire::enrol::DeviceBundle;

/// The platform has to answer within this.
const PATIENCE: Duration = Duration::from_secs(8);
/// Less room than this is nearly none: a week of statements takes some MB, evidence more.
const LOW: u64 = 1024 * 1024 * 1024;
const VERY_LOW: u64 = 100 * 1024 * 1024;
/// Certificates live for 30 days at the shortest.
pub const DAYS_TO_WARN: i64 = 10;

pub fn library() -> Line {
    let title = ("推理库", "ONNX Runtime");
    match runtime::load() {
        Ok(runtime) => {
            let known = runtime.known.unwrap_or("未知版本 unknown build");
            let line = Line::good("library", title, format!("{} ({known})", runtime.path.display()));
            if runtime.known.is_some() {
                line
            } else {
                line.attention(
                    "正式运行只接受随附的库 · production takes only the bundled one: models/fetch-runtime",
                )
            }
        }
        Err(error) => Line::good("library", title, error.to_string()).bad("models/fetch-runtime"),
    }
}

pub fn models(settings: &Settings) -> Line {
    let title = ("人脸模型", "face pack");
    match tasks::open_eyes(settings) {
        Ok(eyes) => {
            let manifest = &eyes.manifest;
            let found = format!("{} {}，自检通过 self-test passed", manifest.pack, manifest.version);
            let line = Line::good("models", title, found);
            if manifest.embedder.grade == PackGrade::Pilot {
                line.attention(
                    "试用级模型，不得用于正式认定 · a pilot pack: its findings accuse nobody by themselves",
                )
            } else {
                line
            }
        }
        Err(error) => Line::good("models", title, format!("{error:#}"))
            .bad("检查 models 目录或配置项 models · check the folder `models` and the key of that name"),
    }
}

/// Where this device stands with signed updates; nothing where it trusts nobody's.
pub fn updates(settings: &Settings) -> Option<Line> {
    let title = ("签名更新", "signed updates");
    let bundles = match Bundles::open_if_there(&settings.state) {
        Ok(bundles) => bundles?,
        Err(error) => {
            return Some(Line::good("updates", title, error.to_string()).bad("bedcheck update status"));
        }
    };
    let standing = match bundles.standing() {
        Ok(standing) => standing,
        Err(error) => {
            return Some(Line::good("updates", title, error.to_string()).bad("bedcheck update status"));
        }
    };
    let highest = standing.highest;
    let found = match standing.current {
        Some(version) => format!("更新包 bundle {version}，最高 highest {highest}"),
        None => format!("随程序附带的模型 the shipped pack，最高 highest {highest}"),
    };
    let line = Line::good("updates", title, found);
    Some(match (standing.returned, standing.starts) {
        (Some((version, why)), _) => Line { found: format!("{}：{why}", line.found), ..line }.attention(format!(
            "更新包 {version} 试用失败已退回，请联系监管方发布新版 · bundle {version} was given up: ask for a higher version"
        )),
        (None, Some(starts)) => line.attention(format!(
            "试用中，第 {starts} 次启动 · on probation, start {starts}: it settles by itself"
        )),
        (None, None) => line,
    })
}

pub fn clock(settings: &Settings, now: Now) -> Line {
    let line = Line::good("clock", ("时钟", "clock"), format!("{}", now.wall));
    let born = identity::bundle(&settings.state)
        .ok()
        .and_then(|bundle| validity(bundle.cert_pem.as_bytes()))
        .map(|(from, _)| from);
    if born.is_some_and(|born| now.wall < born) {
        return line.bad("时间早于本机证书签发时间，请校时 · earlier than this device's certificate: set the clock (timedatectl set-ntp true)");
    }
    if Path::new("/run/systemd/timesync/synchronized").exists() || Path::new("/run/chrony").exists() {
        line
    } else {
        line.attention("未发现网络校时，请接入院内 NTP · no time service was found: point timesyncd or chrony at the hospital's NTP server")
    }
}

pub fn disk(settings: &Settings) -> Line {
    let title = ("磁盘", "disk");
    let at = existing(&settings.state);
    let Some(space) = space::of(&at) else {
        return Line::good("disk", title, format!("{}", at.display()))
            .attention("无法得知剩余空间 · free space is unknown");
    };
    let gib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0 / 1024.0;
    let found = format!("{}: 剩余 free {:.1} / {:.1} GiB", at.display(), gib(space.free), gib(space.total));
    let line = Line::good("disk", title, found);
    let mode = std::fs::metadata(&settings.state).map(|data| data.permissions().mode() & 0o077).unwrap_or(0);
    if space.free < VERY_LOW {
        line.bad("空间不足，请清理或换盘 · make room: findings could not be kept")
    } else if mode != 0 {
        line.bad(format!("他人可读，请执行 others can read it: chmod -R go= {}", settings.state.display()))
    } else if space.free < LOW {
        line.attention("空间不多，请清理 · make room soon")
    } else {
        line
    }
}

/// Where the keys are that seal faces and names on this disk.
pub fn keys(settings: &Settings) -> Line {
    let title = ("密封密钥", "sealing keys");
    let in_files: Vec<&str> =
        ["template.key", "facts.key"].into_iter().filter(|name| settings.state.join(name).exists()).collect();
    if in_files.is_empty() {
        return Line::good("keys", title, "尚未生成，或由系统保管 · not made yet, or kept by the system");
    }
    Line::good(
        "keys",
        title,
        format!(
            "{}：文件，仅属主可读（弱）· files, owner-only: weak against whoever copies the disk",
            in_files.join(", ")
        ),
    )
    .attention(
        "用 systemd 凭据保管，见 bedcheck.service · keep them as systemd credentials, see bedcheck.service",
    )
}

/// The device's certificate, and the platform behind it.
pub async fn identity(settings: &Settings, now: Now) -> Vec<Line> {
    let title = ("设备证书", "certificate");
    let bundle = match identity::bundle(&settings.state) {
        Ok(bundle) => bundle,
        Err(error) => {
            let next = "bedcheck device request，再 then bedcheck device accept bundle.json";
            return vec![Line::good("certificate", title, error.to_string()).bad(next)];
        }
    };
    let certificate = match validity(bundle.cert_pem.as_bytes()) {
        Some((_, until)) => {
            let days = days_left(until, now);
            let line = Line::good("certificate", title, format!("{}，剩 {days} 天 days left", bundle.device));
            let next =
                "请平台管理员重新签发 bundle.json · ask the platform's administrator for a new bundle.json";
            match days {
                days if days < 0 => line.bad(next),
                days if days < DAYS_TO_WARN => line.attention(next),
                _ => line,
            }
        }
        None => Line::good("certificate", title, "看不懂 not understood")
            .bad("bedcheck device accept bundle.json"),
    };
    vec![certificate, platform(settings, &bundle).await]
}

async fn platform(settings: &Settings, bundle: &DeviceBundle) -> Line {
    let line = |found: String| Line::good("platform", ("监管平台", "platform"), found);
    let url = &bundle.platform_url;
    let next = "检查网络、防火墙和平台地址；断网时结果保存在本机 · check network, firewall and address; findings are kept meanwhile";
    let platform = match identity::platform(&settings.state, bundle) {
        Ok(platform) => platform,
        Err(error) => return line(error.to_string()).bad("bedcheck device accept bundle.json"),
    };
    let client = platform.client.patient_for(PATIENCE);
    match client.send(reqwest::Method::GET, "/healthz", Vec::new()).await {
        // Whatever it answers: its certificate is right, and so is ours.
        Ok(answer) if answer.status < 500 => line(format!("{url} 双向认证通过 mutual TLS works")),
        Ok(answer) => line(format!("{url} HTTP {}", answer.status)).attention(next),
        Err(error) => line(error.to_string()).attention(next),
    }
}

/// From when until when the first certificate of a chain is good.
pub fn validity(pem: &[u8]) -> Option<(Wall, Wall)> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let wall = |seconds: i64| Wall(seconds.saturating_mul(1000));
    Some((wall(validity.not_before.timestamp()), wall(validity.not_after.timestamp())))
}

/// Whole days until then; below 0 when it is over.
pub fn days_left(until: Wall, now: Now) -> i64 {
    (until.0 - now.wall.0).div_euclid(24 * 3_600_000)
}
