//! `POST /v1/batches` on the device port: who speaks, whether it is true, where it belongs; then a signed receipt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::SigningKey;
use tokio::sync::{Semaphore, watch};
use tracing::{error, warn};

use crate::base::clock::{Clock, Wall};
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::net::server::PeerCertificate;
use crate::platform::accept;
use crate::platform::answer::{self, Unread};
use crate::platform::cases::{self, Own};
use crate::platform::certificates;
use crate::platform::chain;
use crate::platform::db::{Database, DatabaseError};
use crate::platform::devices::{self, Registered};
use crate::wire::batch::{Answer, Batch, Item, MOST_BYTES, MOST_ITEMS};
use crate::wire::dsse::Envelope;
use crate::wire::parcel::{self, BadParcel};

/// Batches worked on at once: each holds up to 8 MiB.
const MOST_AT_ONCE: usize = 16;
/// Of one device: an agent sends one after the other, a second may overlap after a lost answer.
const MOST_PER_DEVICE: usize = 2;

/// What the device port works with.
pub struct Ingest {
    pub db: Database,
    pub clock: Clock,
    pub receipt_key: SigningKey,
    /// Counts changes, for the live page.
    pub changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
    busy: Mutex<BTreeMap<DeviceId, usize>>,
}

/// Why a batch is refused; the peer gets a short sentence, the log the rest.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no certificate of a device was shown")]
    Nobody,
    #[error("this device or certificate is not admitted")]
    NotAdmitted,
    #[error("the batch or one of its statements is another device's")]
    OtherDevice,
    #[error("the batch is too large")]
    TooLarge,
    #[error("the batch came too slowly or broke off")]
    Broken,
    #[error("the batch is not understood: {0}")]
    Format(serde_json::Error),
    #[error("batch version {0} is not understood, 1 is")]
    Version(u8),
    #[error("item {at} is not believed: {why}")]
    NotTrue { at: usize, why: chain::NotTrue },
    #[error("too many batches of this device at once")]
    DeviceBusy,
    #[error("the platform is busy")]
    Busy,
    #[error(transparent)]
    Parcel(#[from] BadParcel),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::Nobody => StatusCode::UNAUTHORIZED,
            Refusal::NotAdmitted | Refusal::OtherDevice => StatusCode::FORBIDDEN,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Broken
            | Refusal::Format(_)
            | Refusal::Version(_)
            | Refusal::NotTrue { .. }
            | Refusal::Parcel(_) => StatusCode::BAD_REQUEST,
            Refusal::DeviceBusy => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Busy | Refusal::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn answer(&self) -> Response {
        // Paths and causes of our own are none of the peer's business.
        let is_ours = matches!(self, Refusal::Database(_));
        let detail =
            if is_ours { "the platform cannot store anything now".to_owned() } else { self.to_string() };
        let wait = match self {
            Refusal::DeviceBusy => Some(1),
            Refusal::Busy => Some(2),
            Refusal::Database(_) => Some(30),
            Refusal::Nobody
            | Refusal::NotAdmitted
            | Refusal::OtherDevice
            | Refusal::TooLarge
            | Refusal::Broken
            | Refusal::Format(_)
            | Refusal::Version(_)
            | Refusal::NotTrue { .. }
            | Refusal::Parcel(_) => None,
        };
        answer::refusal(self.status(), detail, wait)
    }
}

impl Ingest {
    pub fn new(db: Database, clock: Clock, receipt_key: SigningKey, changes: watch::Sender<u64>) -> Ingest {
        let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
        Ingest { db, clock, receipt_key, changes, places, busy: Mutex::default() }
    }

    /// The routes of the device port.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().route("/v1/batches", post(take)).with_state(self)
    }
}

async fn take(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    match receive(&ingest, request).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(refusal) => {
            if matches!(refusal, Refusal::Database(_)) {
                error!(error = %refusal, "A batch could not be stored.");
            } else {
                warn!(error = %refusal, "A batch was refused.");
            }
            refusal.answer()
        }
    }
}

/// The cheap questions first: nothing of the body is read before the sender is known and has a place.
async fn receive(ingest: &Arc<Ingest>, request: Request) -> Result<Answer, Refusal> {
    let peer = request.extensions().get::<PeerCertificate>().ok_or(Refusal::Nobody)?;
    let device = devices::named_in(&peer.0).ok_or(Refusal::Nobody)?;
    let fingerprint = sha256_hex(&peer.0);
    let place = ingest.places.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let turn = Turn::take(ingest, &device).ok_or(Refusal::DeviceBusy)?;
    let bytes = body(request.into_body()).await?;
    let worker = ingest.clone();
    let work = move || {
        let _held = (place, turn);
        take_batch(&worker, &device, &fingerprint, &bytes)
    };
    // The work goes on if the peer leaves: a transaction is never cut in the middle.
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Busy)?
}

async fn body(body: Body) -> Result<Vec<u8>, Refusal> {
    answer::body(body, MOST_BYTES * 2).await.map_err(|unread| match unread {
        Unread::TooLarge => Refusal::TooLarge,
        Unread::Broken => Refusal::Broken,
    })
}

/// One of a device's places; given back when dropped.
struct Turn {
    ingest: Arc<Ingest>,
    device: DeviceId,
}

impl Turn {
    fn take(ingest: &Arc<Ingest>, device: &DeviceId) -> Option<Turn> {
        let mut busy = ingest.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(device.clone()).or_default();
        (*count < MOST_PER_DEVICE).then(|| {
            *count += 1;
            Turn { ingest: ingest.clone(), device: device.clone() }
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = self.ingest.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.device);
            }
        }
    }
}

fn take_batch(
    ingest: &Ingest,
    device: &DeviceId,
    fingerprint: &str,
    bytes: &[u8],
) -> Result<Answer, Refusal> {
    let now = ingest.clock.now().wall;
    let registered =
        certificates::admitted(&ingest.db, device, fingerprint, now)?.ok_or(Refusal::NotAdmitted)?;
    let batch: Batch = serde_json::from_slice(bytes).map_err(Refusal::Format)?;
    if batch.v != 1 {
        return Err(Refusal::Version(batch.v));
    }
    if batch.device != *device {
        return Err(Refusal::OtherDevice);
    }
    if batch.items.len() > MOST_ITEMS {
        return Err(Refusal::TooLarge);
    }
    let taken = take_items(&ingest.db, &ingest.receipt_key, device, &registered, batch.items, now);
    ingest.changes.send_modify(|count| *count += 1);
    Ok(Answer { receipt: taken? })
}

/// Believes and commits consecutive items; the signed receipt. One that is not true becomes a case.
fn take_items(
    db: &Database,
    receipt_key: &SigningKey,
    device: &DeviceId,
    registered: &Registered,
    items: Vec<Item>,
    now: Wall,
) -> Result<Envelope, Refusal> {
    let mut believed = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match chain::believe(item, device, registered) {
            Ok(item) => believed.push(item),
            Err(why) => {
                // Whoever brought it was let in, so this is the device's doing or its owner's.
                db.write(|tx| cases::raise(tx, device, Own::Tampered, now))?;
                return Err(Refusal::NotTrue { at, why });
            }
        }
    }
    let receipt = db.write(|tx| {
        let receipt = accept::commit(tx, device, &believed, now)?;
        receipt.map(|receipt| accept::sign(tx, &receipt, receipt_key)).transpose()
    })?;
    receipt.ok_or(Refusal::NotAdmitted)
}

/// Takes what a cut-off hospital brings on a stick; the receipts it takes back, one a line.
///
/// # Errors
/// Why the parcel or an item of it is refused; what came before in it was taken.
pub fn take_parcel(
    db: &Database,
    receipt_key: &SigningKey,
    file: &[u8],
    now: Wall,
) -> Result<Vec<Envelope>, Refusal> {
    let device = parcel::sender(file)?;
    let registered = db.read(|connection| devices::find(connection, &device))?;
    let registered = registered.filter(|known| !known.revoked).ok_or(Refusal::NotAdmitted)?;
    let key = registered.key.as_ref().ok_or(Refusal::NotAdmitted)?;
    let (_, items) = parcel::read(file, key)?;
    let mut receipts = Vec::new();
    let mut rest = items.into_iter();
    loop {
        let items: Vec<Item> = rest.by_ref().take(MOST_ITEMS).collect();
        if items.is_empty() {
            return Ok(receipts);
        }
        receipts.push(take_items(db, receipt_key, &device, &registered, items, now)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    #[tokio::test]
    async fn a_body_over_the_limit_is_too_large_and_not_merely_broken() {
        let full = body(Body::from(vec![b' '; MOST_BYTES * 2])).await;
        assert_eq!(full.unwrap().len(), MOST_BYTES * 2);
        let refused = body(Body::from(vec![b' '; MOST_BYTES * 2 + 1])).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_device_has_two_places_and_gets_them_back() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let ingest = Arc::new(Ingest::new(db, Clock::system(), key, watch::channel(0).0));
        let (one, other) = (DeviceId::new("a").unwrap(), DeviceId::new("b").unwrap());
        let first = Turn::take(&ingest, &one).unwrap();
        let _second = Turn::take(&ingest, &one).unwrap();
        assert!(Turn::take(&ingest, &one).is_none());
        assert!(Turn::take(&ingest, &other).is_some());
        drop(first);
        assert!(Turn::take(&ingest, &one).is_some());
        assert_eq!(ingest.busy.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_busy_platform_says_when_to_come_back() {
        let answer = Refusal::DeviceBusy.answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]),
            (429, &"1".parse().unwrap())
        );
        let answer = Refusal::Busy.answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]),
            (503, &"2".parse().unwrap())
        );
    }
}
