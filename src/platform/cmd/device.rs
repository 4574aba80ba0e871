//! `bedcheck-platform device token | add | list | revoke`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use comfy_table::Table;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::base::files::{read_at_most, write_owner_only};
use crate::base::ids::{DeviceId, WardId};
use crate::platform::cmd::{duration, key_ending, say, serve_ending};
use crate::platform::devices::{self, Admission};
use crate::platform::keys::Keys;
use crate::platform::serve;
use crate::platform::tokens::{self, Purpose};
use crate::platform::view;

/// A request holds one certificate request and two keys.
const MOST_REQUEST: u64 = 64 * 1024;
/// Where `serve --enrol` listens by custom.
const ENROL_PORT: u16 = 8444;

#[derive(Subcommand)]
pub enum DeviceCommand {
    /// Make a token with which a new device enrols itself: good for 24 hours and one use. Printed as a line and as a QR code.
    Token {
        #[arg(long)]
        dir: PathBuf,
        /// Name of the device.
        #[arg(long)]
        device: DeviceId,
        /// Ward it stands in.
        #[arg(long)]
        ward: WardId,
        #[arg(long)]
        institution: String,
        /// How the device reaches the platform: https://HOST:PORT.
        #[arg(long)]
        url: String,
        /// Where it enrols; port 8444 of the same host unless given.
        #[arg(long)]
        enrol_url: Option<String>,
        /// The longest time between the beginnings of two rounds.
        #[arg(long, default_value = "4h", value_parser = duration)]
        round_every: Duration,
        /// Only the device with this serial number.
        #[arg(long)]
        serial: Option<String>,
        /// Print the line alone, for programs.
        #[arg(long)]
        plain: bool,
    },
    /// Admit the device of a signed request and write the bundle it needs.
    Add {
        #[arg(long)]
        dir: PathBuf,
        /// The file that `bedcheck` made on the device.
        #[arg(long)]
        request: PathBuf,
        /// How the device reaches the platform: https://HOST:PORT.
        #[arg(long)]
        url: String,
        #[arg(long)]
        institution: String,
        /// The longest time between the beginnings of two rounds.
        #[arg(long, default_value = "4h", value_parser = duration)]
        round_every: Duration,
        #[arg(long)]
        out: PathBuf,
    },
    List {
        #[arg(long)]
        dir: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Shut a device out from its next request on.
    Revoke {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        device: String,
    },
}

impl DeviceCommand {
    pub fn run(self, now: Wall) -> anyhow::Result<()> {
        match self {
            DeviceCommand::Token {
                dir,
                device,
                ward,
                institution,
                url,
                enrol_url,
                round_every,
                serial,
                plain,
            } => {
                let enrol_url = enrol_url.map_or_else(|| beside(&url), Ok)?;
                let admission = Admission { url, institution, round_every };
                token(&dir, &Purpose { device, ward, serial, admission, enrol_url }, plain, now)
            }
            DeviceCommand::Add { dir, request, url, institution, round_every, out } => {
                add(&dir, &request, &Admission { url, institution, round_every }, &out, now)
            }
            DeviceCommand::List { dir, json } => list(&dir, json),
            DeviceCommand::Revoke { dir, device } => revoke(&dir, device, now),
        }
    }
}

/// The enrolment port of the same host.
fn beside(url: &str) -> anyhow::Result<String> {
    let unusable = || Ending::usage(format_args!("{url:?} is not an https address with a host"));
    let mut beside = reqwest::Url::parse(url).map_err(|_| unusable())?;
    beside.set_path("");
    beside.set_port(Some(ENROL_PORT)).map_err(|()| unusable())?;
    Ok(beside.as_str().trim_end_matches('/').to_owned())
}

fn token(dir: &Path, purpose: &Purpose, plain: bool, now: Wall) -> anyhow::Result<()> {
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let token = tokens::make(&db, &keys, purpose, now)?;
    let line = token.print();
    if plain {
        say(line.as_str());
        return Ok(());
    }
    say(format_args!(
        "设备 {} 的接入令牌，一次有效，{} 前使用 · token for {0}, good once and until {1}:\n",
        purpose.device,
        now.plus(tokens::LIFE)
    ));
    say(line.as_str());
    // What is lost on a screen is a corner at most: the low level keeps the code small enough for a terminal.
    let code = QrCode::with_error_correction_level(line.as_bytes(), EcLevel::L)
        .context("the token does not fit into a QR code; copy the line")?;
    // Black on white whatever the terminal's own colours are: not every scanner reads a code turned inside out.
    let (before, after) =
        if std::io::stdout().is_terminal() { ("\x1b[30;107m", "\x1b[0m") } else { ("", "") };
    let drawn = code.render::<Dense1x2>().build();
    let lines: Vec<String> = drawn.lines().map(|line| format!("{before}{line}{after}")).collect();
    say(format_args!("\n{}\n", lines.join("\n")));
    say(
        "在终端上运行并粘贴 · on the device, then paste it:  bedcheck device enrol --state /var/lib/bedcheck\n\
         令牌即密码，请勿截图转发 · the token is a password: do not forward it",
    );
    Ok(())
}

fn add(dir: &Path, request: &Path, admission: &Admission, out: &Path, now: Wall) -> anyhow::Result<()> {
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let bytes = read_at_most(request, MOST_REQUEST)?;
    let envelope = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no device request", request.display()))?;
    let bundle = devices::add(&db, &keys, &envelope, admission, now)?;
    write_owner_only(out, &serde_json::to_vec_pretty(&bundle)?)?;
    say(format_args!("Admitted device {}; its bundle is {}.", bundle.device, out.display()));
    Ok(())
}

fn list(dir: &Path, json: bool) -> anyhow::Result<()> {
    let devices = serve::open_database(dir)
        .map_err(serve_ending)?
        .read(|connection| view::devices(connection, None))?;
    if json {
        say(serde_json::to_string_pretty(&devices)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header([
        "device",
        "institution",
        "ward",
        "last contact",
        "chain",
        "certificate until",
        "state",
    ]);
    for device in devices {
        let time = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), |ms| Wall(ms).to_string());
        table.add_row([
            device.device,
            device.institution,
            device.ward,
            time(device.last_contact),
            format!("{} at {}", device.head.state, device.head.seq),
            time(Some(device.certificate_until)),
            device.revoked.map_or_else(|| "admitted".to_owned(), |at| format!("revoked {}", Wall(at))),
        ]);
    }
    say(table);
    Ok(())
}

fn revoke(dir: &Path, device: String, now: Wall) -> anyhow::Result<()> {
    let device = DeviceId::new(device).map_err(Ending::usage)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    if !devices::revoke(&db, &device, now)? {
        return Err(Ending::failed(format_args!("no device {device} is known here")).into());
    }
    say(format_args!("Device {device} is shut out from its next request on."));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_enrols_on_the_port_beside_the_one_it_delivers_to() {
        assert_eq!(beside("https://platform.example:8443").unwrap(), "https://platform.example:8444");
        assert_eq!(beside("https://10.1.2.3:8443/").unwrap(), "https://10.1.2.3:8444");
        assert!(beside("platform.example").is_err());
    }
}
