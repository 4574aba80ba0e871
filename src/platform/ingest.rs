//! `POST /v1/batches` on the device port: who speaks, whether it is true, where it belongs; then a signed receipt.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::SigningKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
use crate::platform::keys::Keys;
use crate::platform::turns::{NotYet, Turns};
use crate::wire::batch::{Answer, Batch, Item, MOST_BYTES, MOST_ITEMS, Receipt};
use crate::wire::dsse::Envelope;
use crate::wire::parcel::{self, BadParcel};

/// Bodies held at once, in KiB: 16 of the largest, or thousands of the usual ones.
const MOST_HELD_KIB: usize = 128 * 1024;
/// Batches worked on at once: each keeps a thread until its group is on the disk.
const MOST_AT_WORK: usize = 64;
/// So long a batch waits for its place before it is sent away.
const PLACE_WAIT: Duration = Duration::from_secs(5);
/// The JSON of a batch may be twice as long as what it carries.
const LONGEST: usize = MOST_BYTES * 2;

/// What the device port works with.
pub struct Ingest {
    pub db: Database,
    pub clock: Clock,
    pub answering: Answering,
    /// Counts changes, for the live page.
    pub changes: watch::Sender<u64>,
    held: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    turns: Arc<Turns>,
}

/// What a receipt is made with.
#[derive(Clone)]
pub struct Answering {
    pub receipt_key: SigningKey,
    /// What evidence shall be sealed to.
    pub evidence_key: [u8; 32],
}

impl Answering {
    /// Of the platform's present keys.
    pub fn of(keys: &Keys) -> Answering {
        Answering { receipt_key: keys.receipt.clone(), evidence_key: keys.evidence_public }
    }
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
    DeviceBusy(NotYet),
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
            Refusal::DeviceBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Busy | Refusal::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn answer(&self) -> Response {
        // Paths and causes of our own are none of the peer's business.
        let is_ours = matches!(self, Refusal::Database(_));
        let detail =
            if is_ours { "the platform cannot store anything now".to_owned() } else { self.to_string() };
        let wait = match self {
            Refusal::DeviceBusy(NotYet { wait }) => Some(u32::try_from(wait.as_secs()).unwrap_or(1).max(1)),
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
    pub fn new(
        db: Database,
        clock: Clock,
        answering: Answering,
        changes: watch::Sender<u64>,
        turns: Arc<Turns>,
    ) -> Ingest {
        let held = Arc::new(Semaphore::new(MOST_HELD_KIB));
        let workers = Arc::new(Semaphore::new(MOST_AT_WORK));
        Ingest { db, clock, answering, changes, held, workers, turns }
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
    let now = ingest.clock.now().mono;
    let turn = ingest.turns.take(&device, now).map_err(Refusal::DeviceBusy)?;
    let length = request.body().size_hint().exact().map_or(LONGEST, |length| length as usize);
    if length > LONGEST {
        return Err(Refusal::TooLarge);
    }
    let held = place(&ingest.held, length.div_ceil(1024)).await?;
    let bytes = body(request.into_body()).await?;
    let worker = place(&ingest.workers, 1).await?;
    let ingest = ingest.clone();
    let work = move || {
        let _kept = (held, turn, worker);
        take_batch(&ingest, &device, &fingerprint, &bytes)
    };
    // The work goes on if the peer leaves: a transaction is never cut in the middle.
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Busy)?
}

/// Waits in turn for `wanted` of `places`, not for ever.
async fn place(places: &Arc<Semaphore>, wanted: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let wanted = u32::try_from(wanted).map_err(|_| Refusal::TooLarge)?;
    match tokio::time::timeout(PLACE_WAIT, places.clone().acquire_many_owned(wanted)).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Refusal::Busy),
    }
}

async fn body(body: Body) -> Result<Vec<u8>, Refusal> {
    answer::body(body, LONGEST).await.map_err(|unread| match unread {
        Unread::TooLarge => Refusal::TooLarge,
        Unread::Broken => Refusal::Broken,
    })
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
    let taken = take_items(&ingest.db, &ingest.answering, device, &registered, batch.items, now);
    ingest.changes.send_modify(|count| *count += 1);
    Ok(Answer { receipt: taken? })
}

/// Believes and commits consecutive items; the signed receipt. One that is not true becomes a case.
fn take_items(
    db: &Database,
    answering: &Answering,
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
        let Some(receipt) = accept::commit(tx, device, &believed, now)? else { return Ok(None) };
        let evidence_key = Some(hex::encode(answering.evidence_key));
        accept::sign(tx, &Receipt { evidence_key, ..receipt }, &answering.receipt_key).map(Some)
    })?;
    receipt.ok_or(Refusal::NotAdmitted)
}

/// Takes what a cut-off hospital brings on a stick; the receipts it takes back, one a line.
///
/// # Errors
/// Why the parcel or an item of it is refused; what came before in it was taken.
pub fn take_parcel(
    db: &Database,
    answering: &Answering,
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
        receipts.push(take_items(db, answering, &device, &registered, items, now)?);
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
    fn a_busy_platform_says_when_to_come_back() {
        let answer = Refusal::DeviceBusy(NotYet { wait: Duration::from_millis(300) }).answer();
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
