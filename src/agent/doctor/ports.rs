//! The ports on which hospital systems and the kiosk's screen speak to us, and the certificates they see.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::agent::config::{Port, Settings};
use crate::agent::doctor::Line;
use crate::agent::doctor::device::DAYS_TO_WARN;
use crate::base::clock::Now;
use crate::base::files::read_at_most;
use crate::net::cert::Validity;
use crate::store::staff::Staff;

const PATIENCE: Duration = Duration::from_secs(2);
const MOST_BYTES: u64 = 1024 * 1024;
/// Where a face does not work, two members of staff sign.
const SIGNERS: usize = 2;
const HL7: (&str, &str) = ("HL7 接口", "HL7");

/// One line for each port; that there is none for HL7 is said as well.
pub async fn look(settings: &Settings, now: Now) -> Vec<Line> {
    let mut lines = Vec::new();
    match &settings.hl7 {
        Some(port) => lines.push(one("hl7", HL7, port, now).await),
        None => lines.push(Line::good("hl7", HL7, "未配置 · not configured")),
    }
    if let Some(port) = &settings.http {
        lines.push(one("http", ("国家接口", "national interface"), port, now).await);
    }
    if let Some(kiosk) = &settings.kiosk {
        lines.push(counter(settings, &kiosk.listen).await);
    }
    lines
}

/// The kiosk is of use only where the other way than the face exists, too.
async fn counter(settings: &Settings, listen: &str) -> Line {
    let line = match served("kiosk", ("核查窗口", "kiosk"), listen).await {
        Ok(line) => line,
        Err(line) => return line,
    };
    match Staff::of(&settings.state).names() {
        Err(error) => {
            line.bad(format!("{error}：重新登记工作人员 enter the staff again: bedcheck staff add"))
        }
        Ok(names) if names.len() < SIGNERS => {
            let found = format!("{}，工作人员 {} 人 staff", line.found, names.len());
            Line { found, ..line }.attention(
                "刷脸不成时需两名工作人员签名，否则患者无法办理 · where a face does not work, two sign: bedcheck staff add 姓名 NAME",
            )
        }
        Ok(names) => {
            Line { found: format!("{}，工作人员 {} 人 staff", line.found, names.len()), ..line }
        }
    }
}

/// Whether an address is served or free; the line of one that can be neither.
async fn served(what: &str, title: (&'static str, &'static str), address: &str) -> Result<Line, Line> {
    let is_served = matches!(tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)));
    let line = |found: String| Line::good(what, title, found);
    if is_served {
        return Ok(line(format!("{address} 正在监听 is listening")));
    }
    match TcpListener::bind(address).await {
        Ok(_) => Ok(line(format!("{address} 空闲，终端未运行 is free, no agent runs"))),
        Err(error) => Err(line(format!("{address}: {error}"))
            .bad(format!("换一个地址或端口 {what}.listen · choose another address or port"))),
    }
}

async fn one(what: &str, title: (&'static str, &'static str), port: &Port, now: Now) -> Line {
    let line = match served(what, title, &port.listen).await {
        Ok(line) => line,
        Err(line) => return line,
    };
    let Some(tls) = &port.tls else { return line };
    let pem = read_at_most(&tls.cert, MOST_BYTES).unwrap_or_default();
    let left = Validity::of_pem(&String::from_utf8_lossy(&pem));
    let next = format!("请更换证书 {} · replace the certificate", tls.cert.display());
    match left.map(|validity| validity.days_left(now.wall)) {
        None => line.bad(next),
        Some(days) if days < 0 => line.bad(next),
        Some(days) if days < DAYS_TO_WARN => line.attention(next),
        Some(days) => Line { found: format!("{}，证书剩 {days} 天 days left", line.found), ..line },
    }
}
