//! What a believed batch changes: the chain first, then roster, ledger and cases, all in one transaction.

use ed25519_dalek::SigningKey;
use tracing::{info, warn};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::domain::Finding;
use crate::platform::bundles;
use crate::platform::cases::{self, Own};
use crate::platform::chain::{self, Believed, Place};
use crate::platform::db::{self, Transaction, number, params};
use crate::platform::devices::{self, Registered};
use crate::platform::draws;
use crate::platform::ledger::{self, Source};
use crate::platform::log;
use crate::platform::orders;
use crate::platform::stay;
use crate::platform::verifications;
use crate::wire::batch::{Head, ItemResult, RECEIPT_TYPE, Receipt};
use crate::wire::dsse::Envelope;
use crate::wire::event::{Beat, Report, RosterSeen};
use crate::wire::statement::{Cover, NO_LINK};

/// Everything of one batch in one transaction; `None` when the device was revoked meanwhile.
pub fn commit(
    tx: &Transaction<'_>,
    device: &DeviceId,
    items: &[Believed],
    now: Wall,
) -> db::Result<Option<Receipt>> {
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
    let orders = orders::open(tx, device, now)?;
    let log_head = log::newest(tx)?.map(|head| head.note);
    Ok(Some(Receipt {
        v: 1,
        device: device.clone(),
        head,
        received: now,
        results,
        orders,
        log_head,
        evidence_key: None,
    }))
}

/// Signs a receipt and keeps it: what a later statement is anchored in must be found again.
pub fn sign(tx: &Transaction<'_>, receipt: &Receipt, key: &SigningKey) -> db::Result<Envelope> {
    let json = |error| db::Error::ToSqlConversionFailure(Box::new(error));
    let payload = serde_json::to_vec(receipt).map_err(json)?;
    let digest = sha256_hex(&payload);
    let envelope = Envelope::sign(key, RECEIPT_TYPE, payload);
    tx.execute(
        "INSERT OR IGNORE INTO receipt VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            digest,
            receipt.device.as_str(),
            receipt.head.epoch,
            number(receipt.head.seq),
            serde_json::to_string(&envelope).map_err(json)?,
            receipt.received.0,
        ],
    )?;
    Ok(envelope)
}

/// Where the device must go on: the head of the epoch it spoke of, also when we have nothing of it.
fn head_of(tx: &Transaction<'_>, device: &DeviceId, epoch: String) -> db::Result<Head> {
    Ok(chain::head(tx, device, &epoch)?.unwrap_or(Head { epoch, seq: 0, link: NO_LINK.to_owned() }))
}

/// One batch ahead of the head is an old batch or a restored platform; two in a row is a gap.
fn note_gap(tx: &Transaction<'_>, device: &DeviceId, first: Place, now: Wall) -> db::Result<()> {
    if first != Place::Ahead {
        let had_gap = tx.execute(
            "UPDATE device SET gap_starts = 0 WHERE device = ?1 AND gap_starts > 0",
            [device.as_str()],
        )?;
        if had_gap > 0 {
            cases::end(tx, device, Own::ChainGap, now)?;
        }
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
) -> db::Result<()> {
    if registered.epoch.is_some() {
        cases::raise(tx, device, Own::ChainNewEpoch, now)?;
    }
    info!(%device, epoch, "A device began a chain.");
    tx.execute("UPDATE device SET epoch = ?2 WHERE device = ?1", [device.as_str(), epoch])?;
    registered.epoch = Some(epoch.to_owned());
    Ok(())
}

fn count(tx: &Transaction<'_>, device: &DeviceId, place: Place) -> db::Result<()> {
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
) -> db::Result<()> {
    let is_new = chain::append(tx, device, item, now)?;
    if item.cover != Cover::Whole {
        cases::raise(tx, device, Own::Pruned, now)?;
        warn!(%device, seq = item.checked.statement.seq, cover = ?item.cover, "A statement came without what it covers.");
    }
    if item.cover == Cover::NoBody {
        return Ok(());
    }
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
        Report::Roster(roster) => {
            stay::note(tx, device, roster, now)?;
            replace_roster(tx, device, roster)
        }
        Report::Finding(Finding::RoundBegun(plan)) => {
            draws::begin_round(tx, device, epoch, plan, now)?;
            if let Some(order) = &plan.order {
                orders::answer(tx, device, order, (epoch, plan.round), now)?;
            }
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
        Report::Finding(Finding::Irregular(change)) => cases::take_irregular(tx, device, change),
        Report::Finding(Finding::Committed(said)) => draws::commit(tx, device, epoch, said, now),
        // It is in the chain and the log; nothing of the ledger depends on it.
        Report::Privacy(_) => Ok(()),
        Report::Verification(said) => verifications::keep(tx, device, &event.id, said, now),
        Report::Beat(beat) => hear_beat(tx, device, beat, now),
    }
}

fn hear_beat(tx: &Transaction<'_>, device: &DeviceId, beat: &Beat, now: Wall) -> db::Result<()> {
    let cameras = serde_json::to_string(&beat.cameras).unwrap_or_default();
    let eased = beat.eased.and_then(|eased| serde_json::to_string(&eased).ok());
    tx.execute(
        "UPDATE device SET stored_faces = ?2, unsent = ?3, cameras = ?4, eased = ?5 WHERE device = ?1",
        params![
            device.as_str(),
            i64::try_from(beat.stored_faces).unwrap_or(i64::MAX),
            i64::try_from(beat.unsent).unwrap_or(i64::MAX),
            cameras,
            eased,
        ],
    )?;
    bundles::hear(tx, device, beat.bundle.as_ref(), now)
}

fn replace_roster(tx: &Transaction<'_>, device: &DeviceId, roster: &RosterSeen) -> db::Result<()> {
    tx.execute("DELETE FROM roster WHERE device = ?1", [device.as_str()])?;
    for row in &roster.stays {
        tx.execute(
            "INSERT INTO roster VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (device, bed) DO UPDATE SET stay = ?3, masked_name = ?4, templates = ?5",
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
