//! `POST /v1/certificate` on the device port: the certificate for the next TLS key of a device that shows its present one.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use crate::base::clock::Clock;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::net::server::PeerCertificate;
use crate::platform::answer::{self, Unread};
use crate::platform::certificates::{self, NotRenewed};
use crate::platform::db::{Database, DatabaseError};
use crate::platform::devices;
use crate::platform::keys::{KeyError, Keys};
use crate::wire::enrol::Renewed;

const MOST_AT_ONCE: usize = 4;
/// A request holds one certificate request and one key.
const MOST_BYTES: usize = 32 * 1024;

/// What renewing works with.
pub struct Renewal {
    db: Database,
    keys: Arc<Keys>,
    clock: Clock,
    places: Arc<Semaphore>,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no certificate of a device was shown")]
    Nobody,
    #[error("this device or certificate is not admitted")]
    NotAdmitted,
    #[error("the request is too large")]
    TooLarge,
    #[error("the request came too slowly or broke off")]
    Broken,
    #[error("the request is not understood: {0}")]
    Format(serde_json::Error),
    #[error(transparent)]
    NotRenewed(#[from] NotRenewed),
    #[error("the platform is busy")]
    Busy,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Refusal {
    fn answer(&self) -> Response {
        let said = self.to_string();
        match self {
            Refusal::Nobody => answer::refusal(StatusCode::UNAUTHORIZED, said, None),
            Refusal::NotAdmitted | Refusal::NotRenewed(NotRenewed::OtherDevice | NotRenewed::OtherKey) => {
                answer::refusal(StatusCode::FORBIDDEN, said, None)
            }
            Refusal::TooLarge => answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, said, None),
            Refusal::Broken
            | Refusal::Format(_)
            | Refusal::NotRenewed(
                NotRenewed::Request(_) | NotRenewed::SameKey | NotRenewed::Keys(KeyError::Request(_)),
            ) => answer::refusal(StatusCode::BAD_REQUEST, said, None),
            Refusal::NotRenewed(NotRenewed::TooMany) => {
                answer::refusal(StatusCode::TOO_MANY_REQUESTS, said, Some(3600))
            }
            Refusal::Busy => answer::refusal(StatusCode::SERVICE_UNAVAILABLE, said, Some(2)),
            Refusal::Database(_) | Refusal::NotRenewed(NotRenewed::Keys(_) | NotRenewed::Database(_)) => {
                let said = "the platform cannot issue anything now".to_owned();
                answer::refusal(StatusCode::SERVICE_UNAVAILABLE, said, Some(60))
            }
        }
    }
}

impl Renewal {
    pub fn new(db: Database, keys: Arc<Keys>, clock: Clock) -> Renewal {
        Renewal { db, keys, clock, places: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }

    pub fn router(self) -> Router {
        Router::new().route("/v1/certificate", post(take)).with_state(Arc::new(self))
    }
}

async fn take(State(renewal): State<Arc<Renewal>>, request: Request) -> Response {
    match receive(&renewal, request).await {
        Ok(renewed) => axum::Json(renewed).into_response(),
        Err(refusal) => {
            if matches!(refusal, Refusal::Database(_) | Refusal::NotRenewed(NotRenewed::Database(_))) {
                error!(error = %refusal, "A new certificate could not be stored.");
            } else {
                warn!(error = %refusal, "A new certificate was refused.");
            }
            refusal.answer()
        }
    }
}

async fn receive(renewal: &Arc<Renewal>, request: Request) -> Result<Renewed, Refusal> {
    let peer = request.extensions().get::<PeerCertificate>().ok_or(Refusal::Nobody)?;
    let device = devices::named_in(&peer.0).ok_or(Refusal::Nobody)?;
    let fingerprint = sha256_hex(&peer.0);
    let place = renewal.places.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let bytes = answer::body(request.into_body(), MOST_BYTES).await.map_err(|unread| match unread {
        Unread::TooLarge => Refusal::TooLarge,
        Unread::Broken => Refusal::Broken,
    })?;
    let renewal = renewal.clone();
    let work = move || {
        let _held = place;
        renewal.renew(&device, &fingerprint, &bytes)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Busy)?
}

impl Renewal {
    fn renew(&self, device: &DeviceId, fingerprint: &str, bytes: &[u8]) -> Result<Renewed, Refusal> {
        let now = self.clock.now().wall;
        certificates::admitted(&self.db, device, fingerprint, now)?.ok_or(Refusal::NotAdmitted)?;
        let request = serde_json::from_slice(bytes).map_err(Refusal::Format)?;
        let cert_pem = certificates::renew(&self.db, &self.keys, device, &request, now)?;
        info!(%device, "A new certificate was issued.");
        Ok(Renewed { v: 1, cert_pem })
    }
}
