//! A case (异常) as one file that anybody can check without us: see `wire::case` for what is in it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use crate::base::clock::Wall;
use crate::base::ids::{DeviceId, WardId};
use crate::domain::Finding;
use crate::domain::article;
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Row, number, params,
};
use crate::platform::keys::Keys;
use crate::platform::log::{self, SignedHead};
use crate::wire::case::{self, CaseKeys, Claim, Line};
use crate::wire::event::{Event, Report};
use crate::wire::tree::Hash;

/// Statements of one case: six rounds a day for half a year are fewer. The latest count.
const MOST_LINKS: usize = 2_000;
/// Earlier heads of the log that are put beside the newest one.
const MOST_HEADS: usize = 26;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("device {0} has no exception {1:?}")]
    Unknown(DeviceId, String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the case cannot be written: {0}")]
    Write(#[from] serde_json::Error),
}

/// Writes the case of one exception. A head of the log is signed that covers all of it.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    db: &Database,
    keys: &Keys,
    device: &DeviceId,
    exception: &str,
    now: Wall,
) -> Result<Vec<u8>, ExportError> {
    // Devices deliver meanwhile: only the signing holds them up.
    let found = db.read(|connection| {
        let Some((claim, admitted)) = claim(connection, keys, device, exception, now)? else {
            return Ok(None);
        };
        collect(connection, claim, admitted).map(Some)
    })?;
    let (mut lines, entries) =
        found.ok_or_else(|| ExportError::Unknown(device.clone(), exception.to_owned()))?;
    if let Some(head) = db.write(|tx| log::sign(tx, &keys.log, now))? {
        lines.extend(db.read(|connection| logged(connection, &entries, &head))?);
    }
    Ok(case::write(&lines, &keys.receipt)?)
}

/// The claim, and which entry of the log admitted the device.
fn claim(
    connection: &Connection,
    keys: &Keys,
    device: &DeviceId,
    exception: &str,
    now: Wall,
) -> db::Result<Option<(Claim, u64)>> {
    let public = |key: &SigningKey| hex::encode(key.verifying_key().as_bytes());
    connection.query_row(
        "SELECT d.institution, d.ward, d.statement_key, d.logged, e.kind, e.bed, e.stay, e.first_ms, e.last_ms
         FROM exception e JOIN device d USING (device) WHERE e.device = ?1 AND e.id = ?2",
        [device.as_str(), exception],
        |row| {
            let ward: String = row.get(1)?;
            let ward = WardId::new(ward).map_err(|error| {
                db::Error::FromSqlConversionFailure(1, db::Type::Text, Box::new(error))
            })?;
            let claim = Claim {
                v: 1,
                made: now,
                institution: row.get(0)?,
                ward,
                device: device.clone(),
                exception: exception.to_owned(),
                kind: row.get(4)?,
                bed: row.get(5)?,
                stay: row.get(6)?,
                first: Wall(row.get(7)?),
                last: Wall(row.get(8)?),
                article: article::of(&row.get::<_, String>(4)?).map(|article| article.zh.to_owned()),
                keys: CaseKeys {
                    statements: hex::encode(row.get::<_, Vec<u8>>(2)?),
                    receipts: public(&keys.receipt),
                    log: public(&keys.log),
                },
            };
            Ok((claim, row.get::<_, i64>(3)?.unsigned_abs()))
        },
    )
    .optional()
}

/// One statement of the chain.
struct Link {
    epoch: String,
    seq: i64,
    envelope: String,
    body: String,
    evidence: Option<Vec<u8>>,
    logged: u64,
}

/// Everything but what the log says, and the entries it must say something of.
fn collect(connection: &Connection, claim: Claim, admitted: u64) -> db::Result<(Vec<Line>, BTreeSet<u64>)> {
    let device = claim.device.clone();
    let links = links(connection, &claim)?;
    let mut entries: BTreeSet<u64> = links.values().map(|(link, _)| link.logged).collect();
    entries.insert(admitted);
    entries.extend(openings(connection, &device, links.values())?);
    let receipts = receipts(connection, &device, links.values().map(|(link, _)| link))?;
    let mut lines = vec![Line::Claim(claim)];
    for (link, is_ours) in links.into_values() {
        lines.push(Line::Link {
            envelope: parsed(&link.envelope)?,
            body: is_ours.then_some(link.body),
            evidence: link.evidence.filter(|_| is_ours).map(|bytes| STANDARD.encode(bytes)),
        });
    }
    for receipt in receipts {
        lines.push(Line::Receipt { envelope: parsed(&receipt)? });
    }
    Ok((lines, entries))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> db::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| db::Error::FromSqlConversionFailure(0, db::Type::Text, Box::new(error)))
}

/// The statements about this stay, and each one's neighbours, which show that nothing was put in between; whether the
/// body is of this case.
fn links(connection: &Connection, claim: &Claim) -> db::Result<BTreeMap<u64, (Link, bool)>> {
    let device = claim.device.as_str();
    let mut of_case = Vec::new();
    if let (Some(bed), Some(stay)) = (&claim.bed, &claim.stay) {
        let mut query = connection.prepare(
            "SELECT event FROM done WHERE device = ?1 AND bed = ?2 AND stay = ?3
             ORDER BY done_ms DESC LIMIT ?4",
        )?;
        let most = number(MOST_LINKS as u64 / 3);
        let checks = query.query_map(params![device, bed, stay, most], |row| row.get(0))?;
        for event in checks {
            let event: String = event?;
            of_case.extend(find(connection, "id = ?2", params![device, event])?);
        }
    }
    // What the exception itself says, and whatever is next to its time where no statement speaks of it.
    of_case.extend(about(connection, claim)?);
    if of_case.is_empty() {
        let before = "received_ms <= ?2 ORDER BY received_ms DESC, seq DESC LIMIT 1";
        let after = "received_ms > ?2 ORDER BY received_ms, seq LIMIT 1";
        for which in [before, after] {
            of_case.extend(find(connection, which, params![device, claim.last.0])?);
        }
    }
    let mut found = BTreeMap::new();
    for link in of_case {
        for seq in [link.seq - 1, link.seq + 1] {
            for neighbour in find(connection, "epoch = ?2 AND seq = ?3", params![device, link.epoch, seq])? {
                found.entry(neighbour.logged).or_insert((neighbour, false));
            }
        }
        found.insert(link.logged, (link, true));
    }
    Ok(found)
}

/// Statements whose finding bears the exception's own id, or for contradictions its kind.
fn about(connection: &Connection, claim: &Claim) -> db::Result<Vec<Link>> {
    let pattern = format!("%{}%", claim.exception.replace(['%', '_', '\\'], "_"));
    let which = "body LIKE ?2 ORDER BY received_ms DESC LIMIT ?3";
    let most = number(MOST_LINKS as u64 / 3);
    let mut links = find(connection, which, params![claim.device.as_str(), pattern, most])?;
    links.retain(|link| {
        let event: Option<Event> = serde_json::from_str(&link.body).ok();
        event.is_some_and(|event| match event.data {
            Report::Finding(Finding::Exception(change)) => change.exception == claim.exception,
            Report::Finding(Finding::Irregular(change)) => change.irregularity == claim.exception,
            Report::Finding(_)
            | Report::Hello(_)
            | Report::Roster(_)
            | Report::Beat(_)
            | Report::Privacy(_)
            | Report::Verification(_) => false,
        })
    });
    Ok(links)
}

fn find(connection: &Connection, which: &str, values: &[&dyn db::ToSql]) -> db::Result<Vec<Link>> {
    let mut query = connection.prepare_cached(&format!(
        "SELECT epoch, seq, envelope, body, evidence, logged FROM link WHERE device = ?1 AND {which}"
    ))?;
    let link = |row: &Row<'_>| {
        Ok(Link {
            epoch: row.get(0)?,
            seq: row.get(1)?,
            envelope: row.get(2)?,
            body: row.get(3)?,
            evidence: row.get(4)?,
            logged: row.get::<_, i64>(5)?.unsigned_abs(),
        })
    };
    query.query_map(values, link)?.collect()
}

/// For each statement the receipt it is anchored in and the first one that covers it.
fn receipts<'links>(
    connection: &Connection,
    device: &DeviceId,
    links: impl Iterator<Item = &'links Link>,
) -> db::Result<Vec<String>> {
    let mut found: BTreeMap<(i64, String), String> = BTreeMap::new();
    let mut take = |which: &str, values: &[&dyn db::ToSql]| -> db::Result<()> {
        let text = format!("SELECT received_ms, sha256, envelope FROM receipt WHERE {which} LIMIT 1");
        let row = connection
            .prepare_cached(&text)?
            .query_row(values, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)));
        found.extend(row.optional()?);
        Ok(())
    };
    for link in links {
        let envelope: crate::wire::dsse::Envelope = parsed(&link.envelope)?;
        let statement: crate::wire::statement::Statement =
            parsed(&String::from_utf8_lossy(&envelope.payload))?;
        take("sha256 = ?1", params![statement.anchor])?;
        let covers = "device = ?1 AND epoch = ?2 AND seq >= ?3 ORDER BY seq, received_ms";
        take(covers, params![device.as_str(), link.epoch, link.seq])?;
    }
    Ok(found.into_values().collect())
}

/// Entries of the log that say when evidence of these statements was opened.
fn openings<'links>(
    connection: &Connection,
    device: &DeviceId,
    links: impl Iterator<Item = &'links (Link, bool)>,
) -> db::Result<Vec<u64>> {
    let mut found = Vec::new();
    for (link, _) in links.filter(|(link, is_ours)| *is_ours && link.evidence.is_some()) {
        let Ok(event) = serde_json::from_str::<Event>(&link.body) else { continue };
        let mut query =
            connection.prepare_cached("SELECT logged FROM opened WHERE device = ?1 AND event = ?2")?;
        let entries = query.query_map([device.as_str(), event.id.as_str()], |row| row.get::<_, i64>(0))?;
        for entry in entries {
            found.push(entry?.unsigned_abs());
        }
    }
    Ok(found)
}

/// The head, earlier heads that lead to it, and the way from each entry.
fn logged(connection: &Connection, entries: &BTreeSet<u64>, head: &SignedHead) -> db::Result<Vec<Line>> {
    let hexed = |path: Vec<Hash>| path.iter().map(hex::encode).collect();
    let mut lines = Vec::new();
    for index in entries {
        let path = hexed(log::path(connection, *index, head.size)?);
        lines.push(Line::Logged { index: *index, leaf: log::entry(connection, *index)?, path });
    }
    lines.push(Line::Head { note: head.note.clone() });
    for earlier in log::heads(connection, MOST_HEADS)?.into_iter().filter(|earlier| earlier.size < head.size)
    {
        let path = hexed(log::extension(connection, earlier.size, head.size)?);
        lines.push(Line::Earlier { note: earlier.note, path });
    }
    Ok(lines)
}
