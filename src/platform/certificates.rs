//! The certificates of devices: which are accepted, how the next one follows, which are not accepted any more.
//!
//! ```text
//!  issued ──► current ──(next is used)──► ended
//!     └──► next ──(first use)──► current        next ──(another is asked for)──► ended
//! ```
//! The old certificate counts until the new one was used: an answer that is lost locks nobody out. Once it was used the
//! old one is worth nothing, also where somebody copied it.

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::net::cert;
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Transaction, params,
};
use crate::platform::devices::{self, Registered};
use crate::platform::keys::{Ended, Issued, KeyError, Keys, requested_key};
use crate::wire::dsse::Envelope;
use crate::wire::enrol::{BadRequest, DeviceRequest};

/// Unexpired ones of one device: a month of a device that asks every few days, and no more.
const MOST_OF_ONE: i64 = 8;

/// Why a device gets no new certificate. The one it has stays good.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    #[error(transparent)]
    Request(#[from] BadRequest),
    #[error("the request is another device's")]
    OtherDevice,
    #[error("the request was signed with another statement key than this device is known by")]
    OtherKey,
    #[error("the TLS key of the request is the present one: make a new one")]
    SameKey,
    #[error("this device asked for too many certificates")]
    TooMany,
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The device, if it may speak with the certificate of this fingerprint at `now`. The first use of a new one ends the
/// old one.
///
/// # Errors
/// [`DatabaseError`].
pub fn admitted(
    db: &Database,
    device: &DeviceId,
    fingerprint: &str,
    now: Wall,
) -> Result<Option<Registered>, DatabaseError> {
    let Some((registered, standing)) = db.read(|connection| {
        let found = devices::find(connection, device)?;
        found.map(|found| Ok((found, standing(connection, device)?))).transpose()
    })?
    else {
        return Ok(None);
    };
    if registered.revoked {
        return Ok(None);
    }
    // A connection may outlive the certificate that opened it.
    if registered.cert_sha256 == fingerprint {
        return Ok((now < standing.until).then_some(registered));
    }
    if standing.next.is_none_or(|(next, until)| next != fingerprint || now >= until) {
        return Ok(None);
    }
    let promoted = db.write(|tx| promote(tx, device, fingerprint, now))?;
    Ok(promoted.then(|| Registered { cert_sha256: fingerprint.to_owned(), ..registered }))
}

struct Standing {
    until: Wall,
    next: Option<(String, Wall)>,
}

fn standing(connection: &Connection, device: &DeviceId) -> db::Result<Standing> {
    connection.query_row(
        "SELECT cert_until_ms, next_cert_sha256, until_ms FROM device
         LEFT JOIN certificate ON sha256 = next_cert_sha256 WHERE device.device = ?1",
        [device.as_str()],
        |row| {
            let next: Option<String> = row.get(1)?;
            let until: Option<i64> = row.get(2)?;
            Ok(Standing { until: Wall(row.get(0)?), next: next.zip(until.map(Wall)) })
        },
    )
}

fn promote(tx: &Transaction<'_>, device: &DeviceId, next: &str, now: Wall) -> db::Result<bool> {
    let changed = tx.execute(
        "UPDATE device SET cert_sha256 = ?2, next_cert_sha256 = NULL,
             cert_until_ms = (SELECT until_ms FROM certificate WHERE sha256 = ?2)
         WHERE device = ?1 AND next_cert_sha256 = ?2 AND revoked_ms IS NULL",
        params![device.as_str(), next],
    )?;
    if changed == 1 {
        end(tx, device, Some(next), false, now)?;
    }
    Ok(changed == 1)
}

/// Writes down what was issued.
pub fn record(tx: &Transaction<'_>, device: &DeviceId, issued: &Issued) -> db::Result<()> {
    tx.execute(
        "INSERT INTO certificate (sha256, device, serial, pem, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![issued.sha256, device.as_str(), issued.serial, issued.pem, issued.until.0],
    )?;
    Ok(())
}

/// Ends all certificates of a device except `keep`.
pub fn end(
    tx: &Transaction<'_>,
    device: &DeviceId,
    keep: Option<&str>,
    is_revoked: bool,
    now: Wall,
) -> db::Result<()> {
    tx.execute(
        "UPDATE certificate SET ended_ms = ?3, revoked = ?4
         WHERE device = ?1 AND ended_ms IS NULL AND sha256 IS DISTINCT FROM ?2",
        params![device.as_str(), keep, now.0, is_revoked],
    )?;
    Ok(())
}

/// The certificate that a device uses now.
pub fn current(connection: &Connection, device: &DeviceId) -> db::Result<Option<String>> {
    connection
        .query_row(
            "SELECT pem FROM device JOIN certificate ON sha256 = cert_sha256 WHERE device.device = ?1",
            [device.as_str()],
            |row| row.get(0),
        )
        .optional()
}

/// What has ended and not expired, oldest first.
pub fn ended(connection: &Connection, now: Wall) -> db::Result<Vec<Ended>> {
    connection
        .prepare_cached(
            "SELECT serial, ended_ms, revoked FROM certificate WHERE ended_ms IS NOT NULL AND until_ms > ?1
             ORDER BY ended_ms, serial",
        )?
        .query_map([now.0], |row| {
            Ok(Ended { serial: row.get(0)?, at: Wall(row.get(1)?), is_revoked: row.get(2)? })
        })?
        .collect()
}

/// Issues the certificate (PEM) for the next TLS key of `device`, which the port has recognised. The same key asked
/// for again gets the same certificate.
///
/// # Errors
/// [`NotRenewed`].
pub fn renew(
    db: &Database,
    keys: &Keys,
    device: &DeviceId,
    request: &Envelope,
    now: Wall,
) -> Result<String, NotRenewed> {
    let (request, key) = DeviceRequest::open(request)?;
    if request.device != *device {
        return Err(NotRenewed::OtherDevice);
    }
    let wanted = requested_key(&request.csr_pem)?;
    let issued = keys.issue(&request.csr_pem, device, now)?;
    db.write(|tx| {
        let Some(known) = devices::find(tx, device)?.filter(|known| !known.revoked) else {
            return Ok(Err(NotRenewed::OtherDevice));
        };
        if known.key != Some(key) {
            return Ok(Err(NotRenewed::OtherKey));
        }
        if current(tx, device)?.as_deref().and_then(key_of).as_ref() == Some(&wanted) {
            return Ok(Err(NotRenewed::SameKey));
        }
        let waiting = waiting(tx, device)?;
        if let Some(pem) = waiting.filter(|pem| key_of(pem).as_ref() == Some(&wanted)) {
            return Ok(Ok(pem));
        }
        if unexpired(tx, device, now)? >= MOST_OF_ONE {
            return Ok(Err(NotRenewed::TooMany));
        }
        end(tx, device, Some(&known.cert_sha256), false, now)?;
        record(tx, device, &issued)?;
        tx.execute(
            "UPDATE device SET next_cert_sha256 = ?2 WHERE device = ?1",
            params![device.as_str(), issued.sha256],
        )?;
        Ok(Ok(issued.pem.clone()))
    })?
}

fn key_of(pem: &str) -> Option<Vec<u8>> {
    cert::public_key(&cert::first(pem)?)
}

fn waiting(connection: &Connection, device: &DeviceId) -> db::Result<Option<String>> {
    connection
        .query_row(
            "SELECT pem FROM device JOIN certificate ON sha256 = next_cert_sha256 WHERE device.device = ?1",
            [device.as_str()],
            |row| row.get(0),
        )
        .optional()
}

fn unexpired(connection: &Connection, device: &DeviceId, now: Wall) -> db::Result<i64> {
    connection.query_row(
        "SELECT count(*) FROM certificate WHERE device = ?1 AND until_ms > ?2",
        params![device.as_str(), now.0],
        |row| row.get(0),
    )
}
