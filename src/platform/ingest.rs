//! `POST /v1/batches` on the device port: who speaks, whether it is true, where it belongs; then a signed receipt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rusqlite::{Transaction, params};
use tokio::sync::{Semaphore, watch};
use tracing::{error, info, warn};

use crate::base::clock::{Clock, Wall};
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::domain::Finding;
use crate::net::server::PeerCertificate;
use crate::platform::cases::{self, Own};
use crate::platform::chain::{self, Believed, Place};
use crate::platform::db::{Database, DatabaseError};
use crate::platform::devices::{self, Registered};
use crate::platform::ledger::{self, Source};
use crate::wire::batch::{
    Answer, Batch, Head, ItemResult, MOST_BYTES, MOST_ITEMS, Problem, RECEIPT_TYPE, Receipt,
};
use crate::wire::dsse::Envelope;
use crate::wire::event::{Report, RosterSeen};
use crate::wire::statement::NO_LINK;

/// Batches worked on at once: each holds up to 8 MiB.
const MOST_AT_ONCE: usize = 16;
/// Of one device: an agent sends one after the other, a second may overlap after a lost answer.
const MOST_PER_DEVICE: usize = 2;
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What the device port works with.
pub struct Ingest {
    pub db: Database,
    pub clock: Clock,
    pub receipt_key: ed25519_dalek::SigningKey,
    /// Counts changes, for the live page.
    pub changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
    busy: Mutex<BTreeMap<DeviceId, usize>>,
}

/// Why a batch is refused; the peer gets a short sentence, the log the rest.
#[derive(Debug, thiserror::Error)]
enum Refusal {
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
    Database(#[from] DatabaseError),
    #[error("the receipt cannot be made: {0}")]
    Receipt(serde_json::Error),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::Nobody => StatusCode::UNAUTHORIZED,
            Refusal::NotAdmitted | Refusal::OtherDevice => StatusCode::FORBIDDEN,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Broken | Refusal::Format(_) | Refusal::Version(_) | Refusal::NotTrue { .. } => {
                StatusCode::BAD_REQUEST
            }
            Refusal::DeviceBusy => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Busy | Refusal::Database(_) | Refusal::Receipt(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn answer(&self) -> Response {
        let status = self.status();
        // Paths and causes of our own are none of the peer's business.
        let is_ours = matches!(self, Refusal::Database(_) | Refusal::Receipt(_));
        let detail =
            if is_ours { "the platform cannot store anything now".to_owned() } else { self.to_string() };
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Refused").to_owned(),
            status: status.as_u16(),
            detail: Some(detail),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut answer = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
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
            | Refusal::Receipt(_) => None,
        };
        if let Some(seconds) = wait {
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
        }
        answer
    }
}

impl Ingest {
    pub fn new(
        db: Database,
        clock: Clock,
        receipt_key: ed25519_dalek::SigningKey,
        changes: watch::Sender<u64>,
    ) -> Ingest {
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
            if matches!(refusal, Refusal::Database(_) | Refusal::Receipt(_)) {
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
        accept(&worker, &device, &fingerprint, &bytes)
    };
    // The work goes on if the peer leaves: a transaction is never cut in the middle.
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Busy)?
}

async fn body(body: Body) -> Result<Vec<u8>, Refusal> {
    let limit = MOST_BYTES * 2;
    match tokio::time::timeout(BODY_WAIT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                if error.to_string().contains("length limit exceeded") {
                    return Err(Refusal::TooLarge);
                }
                cause = error.source();
            }
            Err(Refusal::Broken)
        }
        Err(_) => Err(Refusal::Broken),
    }
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

fn accept(ingest: &Ingest, device: &DeviceId, fingerprint: &str, bytes: &[u8]) -> Result<Answer, Refusal> {
    let now = ingest.clock.now().wall;
    let registered = ingest.db.read(|connection| devices::find(connection, device))?;
    let registered = registered
        .filter(|known| !known.revoked && known.cert_sha256 == fingerprint)
        .ok_or(Refusal::NotAdmitted)?;
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
    let mut items = Vec::with_capacity(batch.items.len());
    for (at, item) in batch.items.into_iter().enumerate() {
        match chain::believe(item, device, &registered) {
            Ok(believed) => items.push(believed),
            Err(why) => {
                // The certificate was right, so this is the device's doing or its owner's.
                ingest.db.write(|tx| cases::raise(tx, device, Own::Tampered, now))?;
                ingest.changes.send_modify(|count| *count += 1);
                return Err(Refusal::NotTrue { at, why });
            }
        }
    }
    let receipt = ingest.db.write(|tx| commit(tx, device, &items, now))?.ok_or(Refusal::NotAdmitted)?;
    ingest.changes.send_modify(|count| *count += 1);
    let payload = serde_json::to_vec(&receipt).map_err(Refusal::Receipt)?;
    Ok(Answer { receipt: Envelope::sign(&ingest.receipt_key, RECEIPT_TYPE, payload) })
}

/// Everything of one batch in one transaction; `None` when the device was revoked meanwhile.
fn commit(
    tx: &Transaction<'_>,
    device: &DeviceId,
    items: &[Believed],
    now: Wall,
) -> rusqlite::Result<Option<Receipt>> {
    let Some(mut registered) = devices::find(tx, device)?.filter(|known| !known.revoked) else {
        return Ok(None);
    };
    let mut results = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let place = chain::find_place(tx, device, registered.epoch.as_deref(), &item.checked)?;
        if at == 0 {
            note_gap(tx, device, place, now)?;
        }
        match place {
            Place::NewEpoch => {
                begin_epoch(tx, device, &mut registered, &item.checked.statement.epoch, now)?;
                keep(tx, device, item, &registered, now)?;
            }
            Place::Next => keep(tx, device, item, &registered, now)?,
            Place::Fork => {
                chain::quarantine(tx, device, item, now)?;
                cases::raise(tx, device, Own::ChainFork, now)?;
                warn!(%device, seq = item.checked.statement.seq, "A chain forked.");
            }
            Place::Known | Place::Ahead => {}
        }
        count(tx, device, place)?;
        results.push(ItemResult { seq: item.checked.statement.seq, fate: place.fate() });
    }
    let said = items.iter().map(|item| item.checked.statement.t_wall).max();
    ledger::heard(tx, device, said, now)?;
    let epoch = items.last().map(|item| item.checked.statement.epoch.clone()).or(registered.epoch);
    let head = head_of(tx, device, epoch.unwrap_or_default())?;
    Ok(Some(Receipt { v: 1, device: device.clone(), head, received: now, results }))
}

/// Where the device must go on: the head of the epoch it spoke of, also when we have nothing of it.
fn head_of(tx: &Transaction<'_>, device: &DeviceId, epoch: String) -> rusqlite::Result<Head> {
    Ok(chain::head(tx, device, &epoch)?.unwrap_or(Head { epoch, seq: 0, link: NO_LINK.to_owned() }))
}

/// One batch ahead of the head is an old batch or a restored platform; two in a row is a gap.
fn note_gap(tx: &Transaction<'_>, device: &DeviceId, first: Place, now: Wall) -> rusqlite::Result<()> {
    if first != Place::Ahead {
        tx.execute(
            "UPDATE device SET gap_starts = 0 WHERE device = ?1 AND gap_starts > 0",
            [device.as_str()],
        )?;
        cases::end(tx, device, Own::ChainGap, now)?;
        return Ok(());
    }
    let starts: i64 = tx.query_row(
        "UPDATE device SET gap_starts = gap_starts + 1 WHERE device = ?1 RETURNING gap_starts",
        [device.as_str()],
        |row| row.get(0),
    )?;
    if starts >= 2 {
        cases::raise(tx, device, Own::ChainGap, now)?;
        warn!(%device, "A chain has a gap.");
    }
    Ok(())
}

fn begin_epoch(
    tx: &Transaction<'_>,
    device: &DeviceId,
    registered: &mut Registered,
    epoch: &str,
    now: Wall,
) -> rusqlite::Result<()> {
    if registered.epoch.is_some() {
        cases::raise(tx, device, Own::ChainNewEpoch, now)?;
    }
    info!(%device, epoch, "A device began a chain.");
    tx.execute("UPDATE device SET epoch = ?2 WHERE device = ?1", [device.as_str(), epoch])?;
    registered.epoch = Some(epoch.to_owned());
    Ok(())
}

fn count(tx: &Transaction<'_>, device: &DeviceId, place: Place) -> rusqlite::Result<()> {
    let column = match place {
        Place::Next | Place::NewEpoch => "accepted",
        Place::Known => "duplicates",
        Place::Fork => "forks",
        Place::Ahead => return Ok(()),
    };
    tx.execute(&format!("UPDATE device SET {column} = {column} + 1 WHERE device = ?1"), [device.as_str()])?;
    Ok(())
}

/// Appends an item to the chain and lets it take effect.
fn keep(
    tx: &Transaction<'_>,
    device: &DeviceId,
    item: &Believed,
    registered: &Registered,
    now: Wall,
) -> rusqlite::Result<()> {
    let is_new = chain::append(tx, device, item, now)?;
    let Some(event) = &item.event else {
        cases::raise(tx, device, Own::Unreadable, now)?;
        warn!(%device, seq = item.checked.statement.seq, "A signed body is not understood.");
        return Ok(());
    };
    if !is_new {
        return Ok(());
    }
    let epoch = item.checked.statement.epoch.as_str();
    match &event.data {
        Report::Hello(hello) => {
            tx.execute(
                "UPDATE device SET version = ?2, mode = ?3 WHERE device = ?1",
                params![device.as_str(), hello.version, hello.mode],
            )?;
            Ok(())
        }
        Report::Roster(roster) => replace_roster(tx, device, roster),
        Report::Finding(Finding::RoundBegun(plan)) => {
            ledger::begin_round(tx, device, epoch, plan, now, registered.round_every)
        }
        Report::Finding(Finding::Checked(result)) => {
            let has_evidence = item.evidence.is_some();
            ledger::settle(
                tx,
                device,
                result,
                &Source { epoch, event: &event.id, has_evidence, received: now },
            )
        }
        Report::Finding(Finding::Exception(change)) => cases::take(tx, device, change),
        Report::Beat(beat) => {
            let cameras = serde_json::to_string(&beat.cameras).unwrap_or_default();
            tx.execute(
                "UPDATE device SET stored_faces = ?2, unsent = ?3, cameras = ?4 WHERE device = ?1",
                params![
                    device.as_str(),
                    i64::try_from(beat.stored_faces).unwrap_or(i64::MAX),
                    i64::try_from(beat.unsent).unwrap_or(i64::MAX),
                    cameras,
                ],
            )?;
            Ok(())
        }
    }
}

fn replace_roster(tx: &Transaction<'_>, device: &DeviceId, roster: &RosterSeen) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM roster WHERE device = ?1", [device.as_str()])?;
    for row in &roster.stays {
        tx.execute(
            "INSERT OR REPLACE INTO roster VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                device.as_str(),
                row.bed.as_str(),
                row.stay.as_str(),
                row.masked_name,
                i64::try_from(row.templates).unwrap_or(i64::MAX),
            ],
        )?;
    }
    Ok(())
}
