//! `bedcheck device enrol | request | accept`.

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::agent::cmd::{say, tokio};
use crate::agent::identity;
use crate::base::exit::{Code, Ending};
use crate::base::files::{read_at_most, write_owner_only};
use crate::base::ids::{DeviceId, WardId};
use crate::uplink::{self, UplinkError};
use crate::wire::token::Token;

/// A line of some hundred characters.
const MOST_TOKEN: u64 = 4096;
/// Where boards and PCs keep their serial number; the second is for root's eyes.
const SERIALS: [&str; 2] = ["/proc/device-tree/serial-number", "/sys/class/dmi/id/product_serial"];

#[derive(clap::Args)]
pub struct Device {
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(clap::Subcommand)]
enum DeviceCommand {
    /// Joins the platform with the token its administrator made: keys, certificate, everything.
    Enrol {
        /// State directory of the agent.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
        state: PathBuf,
        /// The token. Everybody on this machine can see it here: better leave it out and paste it when asked.
        #[arg(value_name = "TOKEN", conflicts_with = "token_file")]
        token: Option<String>,
        /// A file with the token; `-` reads it from standard input, as without any.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// This device's serial number, where the program cannot read it from the machine.
        #[arg(long)]
        serial: Option<String>,
    },
    /// Makes this device's keys and writes the request for the platform's administrator.
    Request {
        /// State directory of the agent.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
        state: PathBuf,
        /// Name of this device.
        #[arg(long)]
        device: DeviceId,
        /// Ward it stands in.
        #[arg(long)]
        ward: WardId,
        /// Where to write the request.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Takes the bundle the platform's administrator sent back.
    Accept {
        /// State directory of the agent.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
        state: PathBuf,
        /// The bundle.
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
    },
}

impl Device {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.command {
            DeviceCommand::Enrol { state, token, token_file, serial } => {
                let token = line(token, token_file.as_deref())?;
                join(&state, &token, serial)?;
            }
            DeviceCommand::Request { state, device, ward, out } => {
                let request = identity::request(&state, &device, &ward).map_err(Ending::config)?;
                write_owner_only(&out, &serde_json::to_vec_pretty(&request)?).map_err(Ending::failed)?;
                say(format!(
                    "请求文件 · request: {} (send it to the platform's administrator)",
                    out.display()
                ));
            }
            DeviceCommand::Accept { state, bundle } => {
                let bundle = identity::accept(&state, &bundle).map_err(Ending::config)?;
                say(format!("设备 {} 已接入 · joins {}", bundle.device, bundle.platform_url));
            }
        }
        Ok(Code::Fine)
    }
}

/// Joins the platform that made this token.
pub(super) fn join(state: &Path, token: &str, serial: Option<String>) -> anyhow::Result<()> {
    let token = Token::parse(token).map_err(Ending::usage)?;
    enrol(state, &token, serial.or_else(serial_of_this_machine))
}

/// The token from wherever it is; a person at a terminal is asked for it.
pub(super) fn line(token: Option<String>, file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    if let Some(token) = token {
        return Ok(Zeroizing::new(token));
    }
    if let Some(path) = file.filter(|path| *path != Path::new("-")) {
        let bytes = Zeroizing::new(read_at_most(path, MOST_TOKEN).map_err(Ending::usage)?);
        return Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()));
    }
    if std::io::stdin().is_terminal() {
        say("请粘贴接入令牌后回车 · paste the token and press Enter:");
    }
    let mut line = Zeroizing::new(String::with_capacity(MOST_TOKEN as usize));
    std::io::stdin().lock().take(MOST_TOKEN).read_line(&mut line).map_err(Ending::usage)?;
    Ok(line)
}

fn serial_of_this_machine() -> Option<String> {
    SERIALS.iter().find_map(|path| {
        let bytes = read_at_most(Path::new(path), 256).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let serial = text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned();
        (!serial.is_empty()).then_some(serial)
    })
}

fn enrol(state: &Path, token: &Token, serial: Option<String>) -> anyhow::Result<()> {
    let enrolment = identity::enrolment(state, token, serial).map_err(Ending::config)?;
    let bundle = tokio()?.block_on(uplink::enrol(token, &enrolment)).map_err(|error| {
        let next = if matches!(error, UplinkError::Client(_)) {
            "；请检查网络和本机时钟 · check the network and this machine's clock"
        } else {
            ""
        };
        Ending::failed(format!("未能接入 {} · not enrolled: {error}{next}", token.url))
    })?;
    identity::join(state, &bundle).map_err(Ending::config)?;
    say(format!("设备 {} 已接入 · joins {}", bundle.device, bundle.platform_url));
    Ok(())
}
