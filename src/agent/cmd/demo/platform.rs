//! The demo's platform: a process of its own, as in a real installation, started again when it dies.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::agent::cmd::demo::show::Show;
use crate::agent::cmd::demo::ward::Found;
use crate::base::exit::Ending;
use crate::base::files::read_at_most;

/// Where it listens.
#[derive(Clone, Debug, Deserialize)]
pub struct Addresses {
    pub devices: String,
    pub dashboard: String,
}

/// One row of the dashboard's JSON, as far as the demo looks at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    pub bed: String,
    #[serde(default)]
    pub verdict: Option<String>,
    #[serde(default)]
    pub exceptions: Vec<RowException>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RowException {
    pub kind: String,
    #[serde(default)]
    pub state: String,
}

#[derive(Deserialize)]
struct Rows {
    rows: Vec<Row>,
}

pub struct PlatformProcess {
    child: Child,
    folder: PathBuf,
    pub addresses: Addresses,
    /// Who has an account, each with the passphrase.
    pub people: Vec<String>,
    /// With which the demo itself reads the dashboard.
    pub token: String,
}

/// One of each part in the story: name and role; the officer is the demo hospital's.
const PEOPLE: [(&str, &str); 5] = [
    ("核查员甲", "supervisor"),
    ("核查员乙", "reviewer"),
    ("医保员丙", "officer"),
    ("审计员丁", "auditor"),
    ("管理员戊", "administrator"),
];
const HOSPITAL: &str = "示范医院";

const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(5);
const MOST_ANSWER: u64 = 4 * 1024 * 1024;

/// This program, called by the platform's name.
fn program() -> anyhow::Result<Command> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg0("bedcheck-platform");
    Ok(Command::from(command))
}

/// What it prints.
async fn run(arguments: &[&std::ffi::OsStr]) -> anyhow::Result<String> {
    let output = program()?.args(arguments).stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Ending::failed(format!("the platform refused: {message}")).into())
}

impl PlatformProcess {
    /// Makes a platform in `folder` and starts it.
    pub async fn start(folder: &Path, dashboard_port: u16) -> anyhow::Result<PlatformProcess> {
        run(&["init".as_ref(), "--dir".as_ref(), folder.as_os_str()]).await?;
        let mut people = Vec::new();
        for (name, role) in PEOPLE {
            let mut add = ["person", "add", name, "--role", role].map(std::ffi::OsStr::new).to_vec();
            if role == "officer" {
                add.extend(["--institution", HOSPITAL].map(std::ffi::OsStr::new));
            }
            add.extend(["--dir".as_ref(), folder.as_os_str()]);
            people.push(run(&add).await?.lines().next().unwrap_or_default().to_owned());
        }
        let token = for_person(folder, "token", PEOPLE[0].0).await?;
        let (child, addresses) = serve(folder, "127.0.0.1:0", &format!("127.0.0.1:{dashboard_port}")).await?;
        Ok(PlatformProcess { child, folder: folder.to_owned(), addresses, people, token })
    }

    pub async fn add_device(&self, request: &Path, bundle: &Path) -> anyhow::Result<()> {
        run(&[
            "device".as_ref(),
            "add".as_ref(),
            "--dir".as_ref(),
            self.folder.as_os_str(),
            "--request".as_ref(),
            request.as_os_str(),
            "--url".as_ref(),
            self.addresses.devices.as_ref(),
            "--institution".as_ref(),
            HOSPITAL.as_ref(),
            // Longer than a round of the slowest pace: the platform expects the next one within twice of it at the latest.
            "--round-every".as_ref(),
            "3m".as_ref(),
            "--out".as_ref(),
            bundle.as_os_str(),
        ])
        .await
        .map(drop)
    }

    /// Starts the platform again, on the same ports, whenever it dies; returns only when that fails.
    pub async fn keep_alive(&mut self, show: &Show) {
        loop {
            let _ = self.child.wait().await;
            show.note("监管平台已停止，正在重新启动 · the platform stopped; starting it again");
            let at = |url: &str| url.split("//").nth(1).unwrap_or_default().to_owned();
            let (devices, dashboard) = (at(&self.addresses.devices), at(&self.addresses.dashboard));
            match serve(&self.folder, &devices, &dashboard).await {
                Ok((child, _)) => self.child = child,
                Err(error) => {
                    show.note(&format!("{error:#}"));
                    return;
                }
            }
        }
    }

    pub async fn stop(mut self) {
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(Duration::from_secs(3), self.child.wait()).await;
    }
}

/// What `bedcheck-platform person VERB NAME` prints.
async fn for_person(folder: &Path, verb: &str, name: &str) -> anyhow::Result<String> {
    let ask = ["person", verb, name, "--dir"].map(std::ffi::OsStr::new);
    Ok(run(&[&ask[..], &[folder.as_os_str()]].concat()).await?.trim().to_owned())
}

/// A link for each person that signs in once.
pub async fn sign_in_links(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut links = Vec::new();
    for (name, role) in PEOPLE {
        links.push(format!("{name} {role}  {}", for_person(folder, "link", name).await?));
    }
    Ok(links)
}

/// Waits until the dashboard shows every bed as it was found, or until it clearly will not; its rows.
pub async fn rows_like(dashboard: &str, token: &str, found: &[Found]) -> Vec<Row> {
    let mut shown = Vec::new();
    for _ in 0..60 {
        match rows(dashboard, token).await {
            Ok(now) => shown = now,
            // The platform may be starting again right now.
            Err(error) => tracing::debug!(%error, "The dashboard does not answer."),
        }
        if found.iter().all(|bed| reached(bed, &shown)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    shown
}

async fn rows(dashboard: &str, token: &str) -> anyhow::Result<Vec<Row>> {
    let body = tokio::time::timeout(ANSWER, fetch(dashboard, token, "/api/v1/rows")).await??;
    Ok(serde_json::from_slice::<Rows>(&body).context("the dashboard's JSON is not understood")?.rows)
}

/// Whether the dashboard shows this bed's verdict and exceptions.
pub fn reached(found: &Found, rows: &[Row]) -> bool {
    let Some(verdict) = &found.verdict else { return false };
    rows.iter().any(|row| {
        row.bed == found.story.bed
            && row.verdict.as_deref() == Some(verdict.name())
            && found.exceptions.iter().all(|kind| {
                row.exceptions.iter().any(|shown| shown.kind == kind.name() && shown.state != "ended")
            })
    })
}

async fn serve(folder: &Path, devices: &str, dashboard: &str) -> anyhow::Result<(Child, Addresses)> {
    let file = folder.join("addresses.json");
    let _ = std::fs::remove_file(&file);
    let mut child = program()?
        .args(["serve", "--devices", devices, "--dashboard", dashboard, "--grace", "10s", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the platform")?;
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(20);
    loop {
        if let Ok(bytes) = read_at_most(&file, 4096)
            && let Ok(addresses) = serde_json::from_slice(&bytes)
        {
            // Whatever it says later belongs on this terminal.
            if let Some(mut stderr) = child.stderr.take() {
                crate::base::supervise::task("platform log", async move {
                    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::stderr()).await;
                });
            }
            return Ok((child, addresses));
        }
        if let Some(status) = child.try_wait()? {
            let mut message = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                let _ = stderr.read_to_string(&mut message).await;
            }
            return Err(
                Ending::failed(format!("the platform did not start ({status}): {}", message.trim())).into()
            );
        }
        if waited > START {
            anyhow::bail!("the platform did not start within {START:?}");
        }
        tokio::time::sleep(step).await;
        waited += step;
    }
}

/// One GET over plain HTTP on loopback, where the dashboard is; reqwest is built without anything but our TLS.
async fn fetch(base: &str, token: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let authority =
        base.strip_prefix("http://").context("the dashboard's address must begin with http://")?;
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_ANSWER).read_to_end(&mut answer).await?;
    let split = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("the dashboard answered without a header")?;
    let status = String::from_utf8_lossy(&answer[..split]).lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(status.contains(" 200 "), "the dashboard answered {status:?}");
    Ok(answer.split_off(split + 4))
}
