//! What keeps the platform's own papers fresh while it runs: the ports' certificate, and the list of ended ones.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};

use crate::base::clock::{Clock, Wall};
use crate::base::files::{FileError, write_owner_only};
use crate::base::supervise::Stopping;
use crate::net::tls::{Shown, TlsError};
use crate::platform::certificates;
use crate::platform::db::{Database, DatabaseError};
use crate::platform::keys::{Ended, KeyError, Keys};

const LOOK_EVERY: Duration = Duration::from_secs(60);
const LIST_EVERY: Duration = Duration::from_secs(3600);

/// Why something could not be renewed; it is tried again within a minute, and what there was is still shown.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Renews what is due.
pub struct Upkeep {
    pub dir: PathBuf,
    pub keys: Arc<Keys>,
    pub db: Database,
    /// What both ports show.
    pub shown: Arc<Shown>,
    /// The newest list, for the door.
    pub list: watch::Sender<Arc<Vec<u8>>>,
    /// When the last list was made, and of what.
    last: Mutex<Option<(Wall, Vec<Ended>)>>,
}

impl Upkeep {
    /// Renews at once what is due at `now`, and makes the first list.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub fn begin(dir: PathBuf, keys: Arc<Keys>, db: Database, now: Wall) -> Result<Upkeep, UpkeepError> {
        let shown = Shown::new(&keys.shown(&keys.server_identity().cert_pem))?;
        let list = watch::channel(Arc::default()).0;
        let upkeep = Upkeep { dir, keys, db, shown, list, last: Mutex::new(None) };
        upkeep.turn(now)?;
        Ok(upkeep)
    }

    /// Looks once. What fails leaves everything as it was.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub fn turn(&self, now: Wall) -> Result<(), UpkeepError> {
        let certificate = self.renew_certificate(now);
        self.renew_list(now)?;
        certificate
    }

    fn renew_certificate(&self, now: Wall) -> Result<(), UpkeepError> {
        let Some(cert_pem) = self.keys.server_renewal(&self.dir, now)? else { return Ok(()) };
        write_owner_only(&self.dir.join("server.pem"), cert_pem.as_bytes())?;
        self.shown.exchange(&self.keys.shown(&cert_pem))?;
        info!("The ports show a new certificate.");
        Ok(())
    }

    /// Every hour, sooner when a certificate has ended, and when the clock was set back before the last one.
    fn renew_list(&self, now: Wall) -> Result<(), UpkeepError> {
        let ended = self.db.read(|connection| certificates::ended(connection, now))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |at: Wall| now >= at && now.since(at) < LIST_EVERY;
        if last.as_ref().is_some_and(|(at, of)| is_fresh(*at) && *of == ended) {
            return Ok(());
        }
        let list = self.keys.revocation_list(&ended, now)?;
        write_owner_only(&self.dir.join("crl.der"), &list)?;
        self.list.send_replace(Arc::new(list));
        *last = Some((now, ended));
        Ok(())
    }

    /// Looks every minute until shutdown.
    pub async fn run(self: Arc<Self>, clock: Clock, mut stopping: Stopping) {
        while !stopping.begun_within(LOOK_EVERY).await {
            let (upkeep, now) = (self.clone(), clock.now().wall);
            match tokio::task::spawn_blocking(move || upkeep.turn(now)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    error!(%error, "A certificate or list could not be renewed; will try again.")
                }
                Err(error) => error!(%error, "Renewing certificates failed; will try again."),
            }
        }
    }
}
