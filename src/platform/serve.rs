//! The ports, the sweep and the upkeep, from start to clean end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;

use crate::base::clock::{Clock, Wall};
use crate::base::files::{FileError, write_owner_only};
use crate::base::supervise::{self, Stopping};
use crate::net::server;
use crate::net::tls::{self, TlsError};
use crate::platform::dashboard::Dashboard;
use crate::platform::db::Database;
use crate::platform::enrol::{self, Door};
use crate::platform::ingest::{Answering, Ingest};
use crate::platform::keys::{KeyError, Keys};
use crate::platform::ledger;
use crate::platform::log;
use crate::platform::place::{Place, PlaceError};
use crate::platform::renewal::Renewal;
use crate::platform::turns::Turns;
use crate::platform::upkeep::{Upkeep, UpkeepError};
use crate::platform::webhooks::sender::Sender;

const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What `serve` is told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: PathBuf,
    /// Where devices deliver, over mutual TLS.
    pub devices: String,
    /// Where new devices enrol by token, over TLS without a client certificate; closed where there is none.
    pub enrol: Option<String>,
    /// Where people look, in the clear: loopback only.
    pub dashboard: String,
    pub grace: Duration,
    /// Batches of one device a second.
    pub rate: u32,
}

/// Why the platform did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("{0} has no platform.db: make the folder with `bedcheck-platform init --dir {dir}`", dir = .0.display())]
    NoDatabase(PathBuf),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "the dashboard speaks plain HTTP and shows personal data: {0} is no loopback address; use 127.0.0.1:PORT and reach it through an authenticated proxy or an SSH tunnel"
    )]
    NotLoopback(String),
    #[error("{0}")]
    Listen(#[from] std::io::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
}

/// A platform that runs; ends when shutdown begins.
pub struct Running {
    pub devices: SocketAddr,
    pub enrol: Option<SocketAddr>,
    pub dashboard: SocketAddr,
    /// Renews certificates and lists; looks every minute by itself.
    pub upkeep: Arc<Upkeep>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Resolves when all its tasks have ended.
    pub async fn ended(self) {
        for task in self.tasks {
            // A panic was logged by the task itself.
            let _ = task.await;
        }
    }
}

/// Binds the ports, writes `addresses.json` and serves until shutdown.
///
/// # Errors
/// [`ServeError`].
pub async fn start(settings: &Settings, clock: Clock, stopping: &Stopping) -> Result<Running, ServeError> {
    let keys = Arc::new(Keys::read(&settings.dir)?);
    let db = open_database(&settings.dir)?;
    let since = clock.now().wall;
    let upkeep = Arc::new(Upkeep::begin(settings.dir.clone(), keys.clone(), db.clone(), since)?);
    let tls = tls::server_showing(keys.ca_pem(), upkeep.shown.clone())?;
    // A former life's addresses would send whoever waits for the file to closed ports.
    let _ = std::fs::remove_file(settings.dir.join("addresses.json"));
    let dashboard_port = listen_on_loopback(&settings.dashboard).await?;
    let device_port = server::listen(&settings.devices).await?;
    let (devices, dashboard) = (device_port.local_addr()?, dashboard_port.local_addr()?);
    let refused = Arc::new(AtomicU64::new(0));

    let (changes, changed) = watch::channel(0);
    let (turns, answering) = (Turns::new(settings.rate), Answering::of(&keys));
    let ingest = Arc::new(Ingest::new(db.clone(), clock.clone(), answering, changes.clone(), turns));
    let renewal = Renewal::new(db.clone(), keys.clone(), clock.clone());
    let routes = ingest.router().merge(renewal.router());
    let overdue = Overdue { since, grace: settings.grace, log_key: keys.log.clone() };
    let page = Arc::new(Dashboard::new(db.clone(), clock.clone(), keys.clone(), changed, refused.clone()));
    let mut tasks = Vec::new();
    let mut enrol = None;
    if let Some(address) = &settings.enrol {
        let port = server::listen(address).await?;
        enrol = Some(port.local_addr()?);
        let door = Door::new(db.clone(), keys, clock.clone(), upkeep.list.subscribe(), refused);
        let tls = Some(tls::open_server(upkeep.shown.clone())?);
        let serve =
            server::serve_at_most(enrol::MOST_CONNECTIONS, port, tls, door.router(), stopping.clone());
        tasks.push(supervise::task("enrolment port", serve));
    }
    let webhooks = Sender::new(db.clone()).run(clock.clone(), stopping.clone());
    tasks.push(supervise::task("webhooks", webhooks));
    let sweep = sweep(db, clock.clone(), overdue, changes, stopping.clone());
    let devices_served = server::serve(device_port, Some(tls), routes, stopping.clone());
    let page_served = server::serve(dashboard_port, None, page.router(), stopping.clone());
    tasks.push(supervise::task("device port", devices_served));
    tasks.push(supervise::task("dashboard", page_served));
    tasks.push(supervise::task("sweep", sweep));
    tasks.push(supervise::task("upkeep", upkeep.clone().run(clock, stopping.clone())));
    let running = Running { devices, enrol, dashboard, upkeep, tasks };
    // Last, so that whoever waits for the file finds all ports open.
    write_addresses(&settings.dir, &running)?;
    Ok(running)
}

/// Opens the database of an existing platform.
///
/// # Errors
/// [`ServeError::NoDatabase`] where `init` has not been.
pub fn open_database(dir: &Path) -> Result<Database, ServeError> {
    let place = Place::of(dir)?;
    if place.is_missing() {
        return Err(ServeError::NoDatabase(dir.to_owned()));
    }
    Ok(place.open()?)
}

async fn listen_on_loopback(address: &str) -> Result<TcpListener, ServeError> {
    let name = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let is_loopback = name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_loopback {
        return Err(ServeError::NotLoopback(address.to_owned()));
    }
    let listener = server::listen(address).await?;
    // `localhost` is what the resolver says.
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address.to_owned()));
    }
    Ok(listener)
}

fn write_addresses(dir: &Path, running: &Running) -> Result<(), FileError> {
    let addresses = serde_json::json!({
        "devices": format!("https://{}", running.devices),
        "enrol": running.enrol.map(|enrol| format!("https://{enrol}")),
        "dashboard": format!("http://{}", running.dashboard),
    });
    write_owner_only(&dir.join("addresses.json"), addresses.to_string().as_bytes())
}

/// What is done every second: overdue checks, and the log's head where an hour is over.
#[derive(Clone)]
struct Overdue {
    since: Wall,
    grace: Duration,
    log_key: SigningKey,
}

async fn sweep(
    db: Database,
    clock: Clock,
    overdue: Overdue,
    changes: watch::Sender<u64>,
    mut stopping: Stopping,
) {
    while !stopping.begun_within(SWEEP_EVERY).await {
        let (db, now) = (db.clone(), clock.now().wall);
        let Overdue { since, grace, log_key } = overdue.clone();
        let work = move || {
            db.write(|tx| {
                log::sign_hourly(tx, &log_key, now)?;
                ledger::sweep(tx, now, since, grace)
            })
        };
        let swept = tokio::task::spawn_blocking(work).await;
        match swept {
            Ok(Ok(true)) => changes.send_modify(|count| *count += 1),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => error!(%error, "The ledger could not be swept; will try again."),
            Err(error) => error!(%error, "The sweep of the ledger failed; will try again."),
        }
    }
}
