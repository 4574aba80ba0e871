//! The device's next certificate, asked for at two thirds of the life of the present one and used without a restart.
//!
//! The order makes every power cut harmless: the new key is on the disk before it is asked for; key and certificate take
//! the place of the old pair in one file; the platform accepts the old one until the new one was used.

use std::path::PathBuf;
use std::time::Duration;

use tracing::{info, warn};

use crate::agent::identity::{self, IdentityError};
use crate::base::backoff::{Backoff, draw};
use crate::base::clock::{Clock, Wall};
use crate::base::ids::WardId;
use crate::base::supervise::Stopping;
use crate::net::cert::Validity;
use crate::net::client::ClientError;
use crate::uplink::{Platform, UplinkError};

/// How often the certificate is looked at; ten days remain when it is due.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Not again before that after a success: with a clock far ahead every certificate looks old.
const REST: Duration = Duration::from_secs(24 * 3600);

/// What renewing needs.
pub struct Renew {
    pub state: PathBuf,
    pub platform: Platform,
    pub ward: WardId,
    pub clock: Clock,
}

/// Why there is no new certificate; the present one stays in use.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Renew {
    /// Looks every hour until shutdown; after a failure at random moments, at most an hour apart.
    pub async fn run(self, mut stopping: Stopping) {
        let mut backoff = Backoff::new(Duration::from_secs(60), LOOK_EVERY);
        loop {
            let turn = tokio::select! {
                turn = self.turn(self.clock.now().wall) => turn,
                () = stopping.begun() => return,
            };
            let wait = match turn {
                Ok(true) => {
                    info!("A new certificate is in use.");
                    backoff.reset();
                    REST
                }
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    let asked = match &error {
                        NotRenewed::Uplink(UplinkError::Busy { retry_after, .. }) => *retry_after,
                        NotRenewed::Uplink(_) | NotRenewed::Identity(_) | NotRenewed::Client(_) => None,
                    };
                    let wait = backoff.next(draw()).max(asked.unwrap_or_default());
                    warn!(%error, wait_ms = wait.as_millis() as u64, "No new certificate; the present one stays in use.");
                    wait
                }
            };
            if stopping.begun_within(wait).await {
                return;
            }
        }
    }

    /// Renews the certificate if it is due at `now`; whether it was.
    ///
    /// # Errors
    /// [`NotRenewed`]; everything is as it was.
    pub async fn turn(&self, now: Wall) -> Result<bool, NotRenewed> {
        let bundle = identity::bundle(&self.state)?;
        let present = identity::tls(&self.state, &bundle)?;
        if !Validity::of_pem(&present.cert_pem).is_some_and(|validity| validity.is_due(now)) {
            return Ok(false);
        }
        let request = identity::next_request(&self.state, &bundle, &self.ward)?;
        let cert_pem = self.platform.renew(&request).await?;
        let next = identity::take_next(&self.state, &bundle, cert_pem)?;
        self.platform.client.show(&next)?;
        Ok(true)
    }
}
