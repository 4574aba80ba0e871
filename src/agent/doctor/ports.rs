//! The ports on which hospital systems speak to us, and the certificates they see.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::agent::config::{Port, Settings};
use crate::agent::doctor::Line;
use crate::agent::doctor::device::DAYS_TO_WARN;
use crate::base::clock::Now;
use crate::base::files::read_at_most;
use crate::net::cert::Validity;

const PATIENCE: Duration = Duration::from_secs(2);
const MOST_BYTES: u64 = 1024 * 1024;
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
    lines
}

async fn one(what: &str, title: (&'static str, &'static str), port: &Port, now: Now) -> Line {
    let address = &port.listen;
    let is_served = matches!(tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)));
    let line = |found: String| Line::good(what, title, found);
    let line = if is_served {
        line(format!("{address} 正在监听 is listening"))
    } else {
        match TcpListener::bind(address).await {
            Ok(_) => line(format!("{address} 空闲，终端未运行 is free, no agent runs")),
            Err(error) => {
                return line(format!("{address}: {error}"))
                    .bad(format!("换一个地址或端口 {what}.listen · choose another address or port"));
            }
        }
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
