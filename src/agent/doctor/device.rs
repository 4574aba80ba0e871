//! The machine itself: library, models, clock, disk, keys and the platform.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::agent::board::{self, Board};
use crate::agent::config::Settings;
use crate::agent::doctor::{Line, existing};
use crate::agent::lamp::Lamp;
use crate::agent::{identity, tasks};
use crate::base::clock::Now;
use crate::base::ids::DeviceId;
use crate::base::space;
use crate::domain::effort::Heat;
use crate::net::cert::Validity;
use crate::store::bundles::Bundles;
use crate::store::keys::{self, KEYS, Place};
use crate::vision::manifest::Grade as PackGrade;
use crate::vision::runtime;
use crate::wire::enrol::DeviceBundle;

/// The platform has to answer within this.
const PATIENCE: Duration = Duration::from_secs(8);
/// Less room than this is nearly none: a week of statements takes some MB, evidence more.
const LOW: u64 = 1024 * 1024 * 1024;
const VERY_LOW: u64 = 100 * 1024 * 1024;
/// Certificates of ports live for 30 days at the shortest.
pub const DAYS_TO_WARN: i64 = 10;
/// The agent asks every hour once its certificate is due; a day later something is in its way.
const OVERDUE: Duration = Duration::from_secs(24 * 3600);

/// The board, what a net may take of it, and how hot it is.
pub fn board() -> Line {
    let board = Board::here();
    let (cores, heat) = (board::cores(), board.heat());
    let degrees = heat.map_or("温度未知 no thermometer".to_owned(), |heat| format!("{heat:.0} °C"));
    let mut found =
        format!("{}：{cores} 核 cores，推理线程 threads {}，{degrees}", board.title, board.threads());
    let has_watchdog = Path::new(&board.watchdog).exists();
    let watchdog = if has_watchdog { board.watchdog.as_str() } else { "无 none" };
    found = format!("{found}，硬件看门狗 watchdog {watchdog}");
    for more in [&board.cameras, &board.notes].into_iter().filter(|more| !more.is_empty()) {
        found = format!("{found}\n{more}");
    }
    let line = Line::good("board", ("主板", "board"), found);
    match board.thermal.grade(heat) {
        Heat::Hot => line.bad("过热，一次只看一张床：检查通风、积灰和环境温度 · too hot, one bed is watched at a time: look at ventilation, dust and the room"),
        Heat::Warm => line.attention("偏热，内核可能降频 · warm: the kernel may slow it down"),
        Heat::Fine if board.cores > cores && board.board != "generic" => {
            line.attention("有处理器核心被关闭 · some of its cores are switched off")
        }
        Heat::Fine => line,
    }
}

/// The lamp that says how the terminal is; nothing where the board has none.
pub fn lamp() -> Option<Line> {
    let lamp = Lamp::find(&Board::here().lamps)?;
    let line = Line::good("lamp", ("指示灯", "lamp"), lamp.folder().display().to_string());
    Some(match lamp.may_be_moved() {
        Ok(()) => line,
        Err(error) => Line { found: format!("{}：{error}", line.found), ..line }.attention(
            "重新应用 udev 规则：udevadm control --reload && udevadm trigger --subsystem-match=leds · apply the udev rules again",
        ),
    })
}

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
        .and_then(|bundle| identity::tls(&settings.state, &bundle).ok())
        .and_then(|shown| Validity::of_pem(&shown.cert_pem))
        .map(|validity| validity.from);
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
    let places: Result<Vec<Place>, _> =
        KEYS.into_iter().map(|name| keys::place(&settings.state, name)).collect();
    let places = match places {
        Ok(places) => places,
        Err(error) => {
            let next = "从备份恢复密钥 · bring the key back from a backup";
            return Line::good("keys", title, error.to_string()).bad(next);
        }
    };
    let named: Vec<String> =
        KEYS.iter().zip(&places).map(|(name, place)| format!("{name}：{place}")).collect();
    let line = Line::good("keys", title, named.join("\n"));
    let token = places.iter().any(|place| matches!(place, Place::Token(_)));
    if places.contains(&Place::File) {
        line.attention(
            "用 systemd 凭据或 PKCS#11 保管，见 bedcheck.service 和 keys.store · keep them as systemd credentials or under a PKCS#11 token, see bedcheck.service and keys.store",
        )
    } else if let Some(error) = token.then(|| opens(settings)).flatten() {
        line.bad(error)
    } else {
        line
    }
}

/// Why a token does not give its keys.
fn opens(settings: &Settings) -> Option<String> {
    KEYS.into_iter().find_map(|name| match keys::place(&settings.state, name) {
        Ok(Place::Token(_)) => keys::key(&settings.state, name).err().map(|error| error.to_string()),
        Ok(Place::Nowhere | Place::Credential | Place::File) | Err(_) => None,
    })
}

/// The device's certificate, and the platform behind it.
pub async fn identity(settings: &Settings, now: Now) -> Vec<Line> {
    let title = CERTIFICATE;
    let bundle = match identity::bundle(&settings.state) {
        Ok(bundle) => bundle,
        Err(error) => {
            let next = "请平台管理员签发令牌，再 ask the platform's administrator for a token, then: bedcheck device enrol";
            return vec![Line::good("certificate", title, error.to_string()).bad(next)];
        }
    };
    let shown = identity::tls(&settings.state, &bundle);
    let certificate = match shown.ok().and_then(|shown| Validity::of_pem(&shown.cert_pem)) {
        Some(validity) => life(&bundle.device, validity, now),
        None => Line::good("certificate", title, "看不懂 not understood").bad("bedcheck device enrol"),
    };
    vec![certificate, platform(settings, &bundle).await]
}

const CERTIFICATE: (&str, &str) = ("设备证书", "certificate");

/// How much of a certificate's life is left, and whether the next one should have come.
fn life(device: &DeviceId, validity: Validity, now: Now) -> Line {
    let days = validity.days_left(now.wall);
    let line = Line::good("certificate", CERTIFICATE, format!("{device}，剩 {days} 天 days left"));
    if now.wall >= validity.until {
        line.bad("已过期，请用新令牌重新接入 · expired: ask for a new token, then: bedcheck device enrol")
    } else if now.wall >= validity.renew_at().plus(OVERDUE) {
        line.attention(
            "本应已自动换新：检查程序是否运行、平台是否连通 · should have been renewed by itself: is the agent running, does it reach the platform?",
        )
    } else {
        line
    }
}

async fn platform(settings: &Settings, bundle: &DeviceBundle) -> Line {
    let line = |found: String| Line::good("platform", ("监管平台", "platform"), found);
    let url = &bundle.platform_url;
    let next = "检查网络、防火墙和平台地址；断网时结果保存在本机 · check network, firewall and address; findings are kept meanwhile";
    let platform = match identity::platform(&settings.state, bundle) {
        Ok(platform) => platform,
        Err(error) => return line(error.to_string()).bad("bedcheck device enrol"),
    };
    let client = platform.client.patient_for(PATIENCE);
    match client.send(reqwest::Method::GET, "/healthz", Vec::new()).await {
        // Whatever it answers: its certificate is right, and so is ours.
        Ok(answer) if answer.status < 500 => line(format!("{url} 双向认证通过 mutual TLS works")),
        Ok(answer) => line(format!("{url} HTTP {}", answer.status)).attention(next),
        Err(error) => line(error.to_string()).attention(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::doctor::Grade;
    use crate::base::clock::Wall;

    #[test]
    fn a_certificate_that_should_have_been_renewed_is_told_before_it_expires() {
        let day = 24 * 3_600_000;
        let thirty = Validity { from: Wall(0), until: Wall(30 * day) };
        let device = DeviceId::new("terminal-3a").unwrap();
        let grade = |at: i64| life(&device, thirty, Now { wall: Wall(at), ..Now::default() }).grade;
        assert_eq!(grade(20 * day), Grade::Good, "due, and the agent is about to ask");
        assert_eq!(grade(21 * day), Grade::Attention);
        assert_eq!(grade(30 * day - 1), Grade::Attention);
        assert_eq!(grade(30 * day), Grade::Bad);
    }
}
