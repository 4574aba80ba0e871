//! The command line of `bedcheck-platform`.

mod device;
mod migrate;
mod people;
#[cfg(feature = "screening")]
mod screening;
mod update;
mod webhook;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::base::clock::{Clock, Wall};
pub(crate) use crate::base::exit::say;
use crate::base::exit::{Code, Ending, arguments, code_of};
use crate::base::files::{read_at_most, write_owner_only};
use crate::base::ids::{BedId, DeviceId};
use crate::base::{logging, supervise};
use crate::platform::cmd::device::DeviceCommand;
use crate::platform::cmd::people::{EvidenceCommand, PersonCommand};
use crate::platform::cmd::update::Update;
use crate::platform::cmd::webhook::WebhookCommand;
use crate::platform::ingest::Answering;
use crate::platform::keys::{self, KeyError, Keys};
use crate::platform::place::Place;
use crate::platform::serve::{self, ServeError, Settings};
use crate::platform::spot_checks::{self, Wanted, What};
use crate::platform::turns::USUAL_RATE;
use crate::platform::upkeep::UpkeepError;
use crate::platform::{export, ingest, log};
use crate::wire::{case, note, parcel};

/// Reference supervision platform: receives findings, holds wards to their rounds, shows exceptions.
#[derive(Parser)]
#[command(name = "bedcheck-platform", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make keys, certificates and an empty database.
    Init {
        #[arg(long)]
        dir: PathBuf,
        /// Names and addresses under which devices reach the platform.
        #[arg(long = "host", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
        hosts: Vec<String>,
        /// The store in PostgreSQL instead of a SQLite file in the folder: postgres://USER@HOST/DATABASE of an empty
        /// database, without a password (~/.pgpass, PGPASSFILE, or the credential bedcheck-database-password).
        #[arg(long, value_name = "ADDRESS")]
        database: Option<String>,
    },
    /// Bring the database to this program's version, or copy it into another one.
    Migrate(migrate::Migrate),
    /// Admit, list and shut out devices.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// People with an account: roles, links that sign in, tokens for programs.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Programs elsewhere that are told when exceptions and cases move.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// The key evidence is sealed to.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Order a spot check (抽查) of beds now; it reaches the device with its next report.
    Order {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        device: String,
        /// A bed to look at; may be repeated. Without any the whole ward is meant.
        #[arg(long = "bed")]
        beds: Vec<String>,
        /// How soon it must be carried out.
        #[arg(long, default_value = "10m", value_parser = duration)]
        within: Duration,
        /// Wants a picture of each bed; a device gives it with `evidence = "on_request"` only.
        #[arg(long)]
        evidence: bool,
    },
    /// Take the file that `bedcheck outbox export` wrote in a hospital without network.
    Ingest {
        #[arg(long)]
        dir: PathBuf,
        /// The file from the hospital.
        file: PathBuf,
        /// Where to write the receipts it takes back (`bedcheck outbox accept`).
        #[arg(long)]
        receipts: PathBuf,
    },
    /// Write the case of an exception to a file that `bedcheck-verify` checks anywhere.
    Export {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        device: String,
        /// Id of the exception, as /api/v1/exceptions gives it.
        #[arg(long)]
        exception: String,
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the newest signed head of the log, for whoever keeps one, and the fingerprints of our keys.
    Head {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Sign updates of models, policy and calibration.
    #[command(subcommand)]
    Update(Update),
    /// Screening 智慧筛查: settlements joined to presence, rules, leads.
    #[cfg(feature = "screening")]
    #[command(subcommand)]
    Screening(screening::Screening),
    /// Receive from devices and show the dashboard until SIGTERM.
    Serve {
        #[arg(long)]
        dir: PathBuf,
        /// Where devices deliver, over mutual TLS; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8443")]
        devices: String,
        /// Where new devices enrol with a token (port 8444 by custom), and where /crl is; closed unless given.
        #[arg(long, value_name = "ADDR")]
        enrol: Option<String>,
        /// Where people look; a loopback address.
        #[arg(long, default_value = "127.0.0.1:8080")]
        dashboard: String,
        /// How long after its end a check may still arrive in time.
        #[arg(long, default_value = "60s", value_parser = duration)]
        grace: Duration,
        /// Batches a device may deliver each second; more wait (429).
        #[arg(long, default_value_t = USUAL_RATE)]
        rate: u32,
    },
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "write a time such as 90s, 15m or 4h".to_owned())
}

/// Runs the program; `args` begins with its name.
pub fn main(args: impl Iterator<Item = OsString>) -> Code {
    let said: Arguments = match arguments(args) {
        Ok(said) => said,
        Err(code) => return code,
    };
    match run(said.command) {
        Ok(()) => Code::Fine,
        Err(error) => {
            complain(&error);
            code_of(&error)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place that tells the operator why the program ends")]
fn complain(error: &anyhow::Error) {
    eprintln!("bedcheck-platform: {error:#}");
}

fn run(command: Command) -> anyhow::Result<()> {
    let now = Clock::system().now().wall;
    match command {
        Command::Init { dir, hosts, database } => init(&dir, &hosts, database.as_deref(), now),
        Command::Migrate(command) => migrate::run(&command),
        Command::Device(command) => command.run(now),
        Command::Person(command) => people::person(command, now),
        Command::Webhook(command) => webhook::run(command, now),
        Command::Evidence(command) => people::evidence(command),
        Command::Order { dir, device, beds, within, evidence } => {
            order(&dir, device, &beds, now, (within, evidence))
        }
        Command::Ingest { dir, file, receipts } => take_file(&dir, &file, &receipts, now),
        Command::Export { dir, device, exception, out } => export(&dir, device, &exception, &out, now),
        Command::Head { dir } => head(&dir, now),
        Command::Update(command) => command.run(now),
        #[cfg(feature = "screening")]
        Command::Screening(command) => screening::run(command, now),
        Command::Serve { dir, devices, enrol, dashboard, grace, rate } => {
            run_server(&Settings { dir, devices, enrol, dashboard, grace, rate })
        }
    }
}

fn init(dir: &Path, hosts: &[String], database: Option<&str>, now: Wall) -> anyhow::Result<()> {
    let place = match database {
        Some(address) => Place::named(address, dir).map_err(Ending::config)?,
        None => Place::File(dir.join("platform.db")),
    };
    if database.is_some() && matches!(place, Place::File(_)) {
        return Err(Ending::usage(
            "--database takes postgres://...; without it the store is a file in the folder",
        )
        .into());
    }
    // Before there are keys: a server that cannot be reached leaves no half of a platform behind.
    let db = database.map(|_| place.open()).transpose().map_err(Ending::config)?;
    keys::init(dir, hosts, now).map_err(key_ending)?;
    place.note(dir)?;
    let db = db.map_or_else(|| place.open(), Ok)?;
    say(format_args!("Made the platform's keys in {} and its database: {}.", dir.display(), db.place()));
    Ok(())
}

fn order(
    dir: &Path,
    device: String,
    beds: &[String],
    now: Wall,
    (within, evidence): (Duration, bool),
) -> anyhow::Result<()> {
    let device = DeviceId::new(device).map_err(Ending::usage)?;
    let beds: Result<Vec<BedId>, _> = beds.iter().map(|bed| BedId::new(bed.clone())).collect();
    let beds = beds.map_err(Ending::usage)?;
    let what = if beds.is_empty() {
        What::Ward { device: device.clone() }
    } else {
        What::Beds { device: device.clone(), beds }
    };
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let wanted = Wanted { what, within, evidence };
    let id = spot_checks::place(&db, spot_checks::root(&keys), None, &wanted, now).map_err(Ending::failed)?;
    let until = now.plus(within);
    say(format_args!("Spot check {id} waits for device {device} until {until}."));
    Ok(())
}

fn take_file(dir: &Path, file: &Path, receipts: &Path, now: Wall) -> anyhow::Result<()> {
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let bytes = read_at_most(file, parcel::MOST_BYTES)?;
    let taken = ingest::take_parcel(&db, &Answering::of(&keys), &bytes, now)
        .with_context(|| format!("{} is refused", file.display()))?;
    let mut lines = Vec::new();
    for receipt in &taken {
        serde_json::to_writer(&mut lines, receipt)?;
        lines.push(b'\n');
    }
    write_owner_only(receipts, &lines)?;
    say(format_args!("Taken; the receipts are in {}.", receipts.display()));
    Ok(())
}

fn export(dir: &Path, device: String, exception: &str, out: &Path, now: Wall) -> anyhow::Result<()> {
    let device = DeviceId::new(device).map_err(Ending::usage)?;
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let file = export::export(&db, &keys, &device, exception, now)?;
    write_owner_only(out, &file)?;
    say(format_args!("The case is in {}; check it with: bedcheck-verify {0}", out.display()));
    Ok(())
}

fn head(dir: &Path, now: Wall) -> anyhow::Result<()> {
    let keys = Keys::read(dir).map_err(key_ending)?;
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let head = db.write(|tx| log::sign(tx, &keys.log, now))?;
    say(head.map_or_else(|| "The log is empty.\n".to_owned(), |head| head.note));
    for (name, key) in [("receipts", keys.receipt.verifying_key()), ("log", keys.log.verifying_key())] {
        say(format_args!("{name}: {}", case::fingerprint(&hex::encode(key.as_bytes()))));
    }
    say(format_args!("for witnesses: {}", note::verifier_key(&keys.log.verifying_key())));
    Ok(())
}

fn run_server(settings: &Settings) -> anyhow::Result<()> {
    logging::start("info");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopping) = supervise::shutdown();
        // Before the ports open: whoever sees them may end us at once.
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let running = serve::start(settings, Clock::system(), &stopping).await.map_err(serve_ending)?;
        say(format_args!(
            "Devices deliver to https://{}; the dashboard is at http://{}/",
            running.devices, running.dashboard
        ));
        if let Some(enrol) = running.enrol {
            say(format_args!("New devices enrol at https://{enrol}."));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        stop.fire();
        running.ended().await;
        Ok(())
    })
}

pub fn key_ending(error: KeyError) -> anyhow::Error {
    Ending::config(error).into()
}

pub fn serve_ending(error: ServeError) -> anyhow::Error {
    match error {
        ServeError::Keys(_)
        | ServeError::NoDatabase(_)
        | ServeError::NotLoopback(_)
        | ServeError::Tls(_)
        | ServeError::Upkeep(UpkeepError::Keys(_) | UpkeepError::Tls(_)) => Ending::config(error).into(),
        ServeError::Place(_)
        | ServeError::Listen(_)
        | ServeError::File(_)
        | ServeError::Upkeep(UpkeepError::File(_) | UpkeepError::Database(_)) => Ending::failed(error).into(),
    }
}
