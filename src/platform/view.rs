//! What is known now, read from the tables: one row per bed, the exceptions, the devices, the ledger.
//!
//! Times are milliseconds since 1970, as on the wire. `done` is the device's clock, `received` the platform's.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::domain::effort::Eased;
use crate::domain::irregular::Irregularity;
use crate::domain::verdict::{CheckResult, Verdict};
use crate::domain::verify::Proof;
use crate::platform::db::{self, Connection, OptionalExtension, Row, params};

/// One bed of a device's current roster.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BedRow {
    pub institution: String,
    pub device: String,
    pub ward: String,
    pub bed: String,
    pub stay: String,
    pub masked_name: String,
    /// How many templates are enrolled; 0 means that this stay cannot be verified.
    pub templates: i64,
    /// `None` before the first check; `NotDone` where the last due check was not proved in time.
    pub verdict: Option<String>,
    pub reason: Option<String>,
    /// The patient who lies here instead.
    pub found: Option<String>,
    pub similarity: Option<f32>,
    pub threshold: Option<f32>,
    pub fmr: Option<String>,
    pub looks: Option<u8>,
    /// The cue that decided about life, and its numbers.
    #[schema(value_type = Option<Object>)]
    pub life: Option<Proof>,
    pub round: Option<i64>,
    pub rounds_seen: i64,
    /// Whether a check is due now and not yet proved.
    pub is_due: bool,
    pub due: Option<i64>,
    pub done: Option<i64>,
    pub received: Option<i64>,
    pub age_s: Option<i64>,
    pub synthetic: bool,
    pub evidence: Option<String>,
    pub exceptions: Vec<RowException>,
    pub chain: ChainView,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RowException {
    pub id: String,
    pub kind: String,
    pub state: String,
    pub rounds: i64,
    pub first: i64,
    pub last: i64,
}

/// How far a device's chain reaches, and whether it holds: `ok`, `gap`, `fork`, `tampered`, `none`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChainView {
    pub epoch: Option<String>,
    pub seq: i64,
    pub state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ExceptionRow {
    pub institution: String,
    pub device: String,
    pub ward: String,
    pub id: String,
    pub kind: String,
    pub state: String,
    /// `device` or `platform`: who found it.
    pub origin: String,
    pub bed: Option<String>,
    pub stay: Option<String>,
    pub masked_name: Option<String>,
    pub verdict: Option<String>,
    pub rounds: i64,
    pub first: i64,
    pub last: i64,
    pub ended: Option<i64>,
    pub age_s: i64,
    /// What is irregular, where it is not about one check.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Irregularity>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DeviceRow {
    pub device: String,
    pub institution: String,
    pub ward: String,
    pub added: i64,
    pub revoked: Option<i64>,
    pub certificate_until: i64,
    pub round_every_s: i64,
    pub last_contact: Option<i64>,
    pub next_round_by: i64,
    pub head: ChainView,
    pub accepted: i64,
    pub duplicates: i64,
    pub forks: i64,
    pub version: Option<String>,
    pub mode: Option<String>,
    pub stored_faces: Option<i64>,
    pub unsent: Option<i64>,
    pub cameras: serde_json::Value,
    /// Heat or load lets fewer beds be watched at once, as it last said; null where not.
    #[schema(value_type = Option<Object>)]
    pub eased: Option<Eased>,
    /// The signed bundle in use, the highest accepted and the root; null where it takes none.
    pub bundle: serde_json::Value,
}

/// One check that was due.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DueRow {
    pub device: String,
    pub epoch: String,
    pub round: i64,
    pub bed: String,
    pub stay: String,
    pub masked_name: String,
    pub due: i64,
    pub until: i64,
    /// `open`, `settled` or `not_done`.
    pub state: String,
    pub verdict: Option<String>,
    pub done: Option<i64>,
    pub received: Option<i64>,
}

/// Every bed of every admitted device.
pub fn beds(connection: &Connection, scope: Option<&str>, now: Wall) -> db::Result<Vec<BedRow>> {
    beds_of(connection, scope, None, now)
}

/// Every bed of one admitted device, or of all of them.
pub fn beds_of(
    connection: &Connection,
    scope: Option<&str>,
    device: Option<&str>,
    now: Wall,
) -> db::Result<Vec<BedRow>> {
    let mut rows = Vec::new();
    let mut query = connection.prepare_cached(
        "SELECT d.institution, d.device, d.ward, r.bed, r.stay, r.masked_name, r.templates
         FROM roster r JOIN device d USING (device) WHERE d.revoked_ms IS NULL AND (?1 IS NULL OR d.institution = ?1)
               AND (?2 IS NULL OR d.device = ?2)
         ORDER BY d.institution, d.ward, d.device, length(r.bed), r.bed",
    )?;
    let mut found = query.query([scope, device])?;
    while let Some(row) = found.next()? {
        let device: String = row.get(1)?;
        let chain = chain(connection, &device)?;
        rows.push(bed(connection, &row, chain, now)?);
    }
    Ok(rows)
}

/// A bed out of institution, device, ward, bed, stay, masked name and templates.
pub(super) fn bed(connection: &Connection, row: &Row<'_>, chain: ChainView, now: Wall) -> db::Result<BedRow> {
    let mut bed = blank(row, row.get(1)?, chain)?;
    fill_check(connection, &mut bed, now)?;
    bed.exceptions = open_of(connection, &bed)?;
    Ok(bed)
}

fn blank(row: &Row<'_>, device: String, chain: ChainView) -> db::Result<BedRow> {
    Ok(BedRow {
        institution: row.get(0)?,
        device,
        ward: row.get(2)?,
        bed: row.get(3)?,
        stay: row.get(4)?,
        masked_name: row.get(5)?,
        templates: row.get(6)?,
        verdict: None,
        reason: None,
        found: None,
        similarity: None,
        threshold: None,
        fmr: None,
        looks: None,
        life: None,
        round: None,
        rounds_seen: 0,
        is_due: false,
        due: None,
        done: None,
        received: None,
        age_s: None,
        synthetic: false,
        evidence: None,
        exceptions: Vec::new(),
        chain,
    })
}

/// The newest check that came to an end; an open one only sets `is_due`, so that a row never loses what is known.
fn fill_check(connection: &Connection, bed: &mut BedRow, now: Wall) -> db::Result<()> {
    bed.rounds_seen = connection
        .prepare_cached("SELECT count(*) FROM done WHERE device = ?1 AND bed = ?2 AND stay = ?3")?
        .query_row([&bed.device, &bed.bed, &bed.stay], |row| row.get(0))?;
    let mut query = connection.prepare_cached(
        "SELECT u.state, u.round, u.due_ms, u.until_ms, o.result, o.received_ms, o.event, o.evidence
         FROM due u LEFT JOIN done o USING (device, epoch, round, bed)
         WHERE u.device = ?1 AND u.bed = ?2 AND u.stay = ?3 ORDER BY u.due_ms DESC, u.round DESC LIMIT 2",
    )?;
    let mut checks = query.query([&bed.device, &bed.bed, &bed.stay])?;
    while let Some(check) = checks.next()? {
        let state: String = check.get(0)?;
        if state == "open" {
            bed.is_due = true;
            continue;
        }
        bed.round = check.get(1)?;
        bed.due = check.get(2)?;
        let result: Option<String> = check.get(4)?;
        match result.and_then(|json| serde_json::from_str::<CheckResult>(&json).ok()) {
            Some(result) => {
                bed.received = check.get(5)?;
                if check.get::<_, Option<bool>>(7)? == Some(true) {
                    let event: String = check.get(6)?;
                    bed.evidence =
                        Some(format!("/evidence/{}/{event}", crate::platform::keys::uri(&bed.device)));
                }
                fill_result(bed, &result, now);
            }
            None => {
                let until: i64 = check.get(3)?;
                bed.verdict = Some("NotDone".to_owned());
                bed.age_s = Some(seconds(now, until));
            }
        }
        break;
    }
    Ok(())
}

fn fill_result(bed: &mut BedRow, result: &CheckResult, now: Wall) {
    bed.verdict = Some(result.verdict.name().to_owned());
    match &result.verdict {
        Verdict::Inconclusive { reason } => {
            bed.reason = serde_json::to_value(reason).ok().and_then(|name| Some(name.as_str()?.to_owned()));
        }
        Verdict::WrongBed { found } => bed.found = Some(found.to_string()),
        Verdict::NotLive { .. }
        | Verdict::Verified
        | Verdict::Absent
        | Verdict::Excused { .. }
        | Verdict::FaceHidden
        | Verdict::Mismatch => {}
    }
    bed.similarity = result.similarity;
    bed.threshold = Some(result.threshold);
    bed.fmr = Some(result.fmr.clone());
    bed.looks = Some(result.looks);
    bed.life = result.life.clone();
    bed.done = Some(result.done.0);
    bed.age_s = Some(seconds(now, result.done.0));
    bed.synthetic = result.synthetic;
}

fn open_of(connection: &Connection, bed: &BedRow) -> db::Result<Vec<RowException>> {
    connection
        .prepare_cached(
            "SELECT id, kind, state, rounds, first_ms, last_ms FROM exception
             WHERE device = ?1 AND bed = ?2 AND stay = ?3 AND state <> 'ended' ORDER BY first_ms",
        )?
        .query_map([&bed.device, &bed.bed, &bed.stay], |row| {
            Ok(RowException {
                id: row.get(0)?,
                kind: row.get(1)?,
                state: row.get(2)?,
                rounds: row.get(3)?,
                first: row.get(4)?,
                last: row.get(5)?,
            })
        })?
        .collect()
}

/// How far the chain of a device reaches, and whether it holds.
pub fn chain(connection: &Connection, device: &str) -> db::Result<ChainView> {
    let head: Option<(String, i64)> = connection
        .prepare_cached(
            "SELECT h.epoch, h.seq FROM device d JOIN head h ON h.device = d.device AND h.epoch = d.epoch
             WHERE d.device = ?1",
        )?
        .query_row([device], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let has = |kind: &str| -> db::Result<bool> {
        connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM exception WHERE device = ?1 AND kind = ?2 AND state <> 'ended')",
            )?
            .query_row([device, kind], |row| row.get(0))
    };
    let state = if has("chain_fork")? {
        "fork"
    } else if has("tampered")? {
        "tampered"
    } else if has("chain_gap")? {
        "gap"
    } else if head.is_some() {
        "ok"
    } else {
        "none"
    };
    let (epoch, seq) = head.map_or((None, 0), |(epoch, seq)| (Some(epoch), seq));
    Ok(ChainView { epoch, seq, state })
}

/// An exception out of the sixteen columns with which every query of them begins.
pub(super) fn exception(row: &Row<'_>, now: Wall) -> db::Result<ExceptionRow> {
    let first: i64 = row.get(12)?;
    Ok(ExceptionRow {
        institution: row.get(0)?,
        device: row.get(1)?,
        ward: row.get(2)?,
        id: row.get(3)?,
        kind: row.get(4)?,
        state: row.get(5)?,
        origin: row.get(6)?,
        bed: row.get(7)?,
        stay: row.get(8)?,
        masked_name: row.get(9)?,
        verdict: row.get(10)?,
        rounds: row.get(11)?,
        first,
        last: row.get(13)?,
        ended: row.get(14)?,
        age_s: seconds(now, first),
        // What a newer agent says is shown by its kind alone.
        detail: row.get::<_, Option<String>>(15)?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Every device, revoked ones too.
pub fn devices(connection: &Connection, scope: Option<&str>) -> db::Result<Vec<DeviceRow>> {
    let mut devices = devices_where(connection, scope, None, "", i64::MAX)?;
    let place = |row: &DeviceRow| (row.institution.clone(), row.ward.clone());
    devices.sort_by_key(place);
    Ok(devices)
}

/// One device.
pub fn device(connection: &Connection, scope: Option<&str>, device: &str) -> db::Result<Option<DeviceRow>> {
    Ok(devices_where(connection, scope, Some(device), "", 1)?.pop())
}

/// Devices by name, from the one after `after` on, at most `most`.
pub(super) fn devices_after(
    connection: &Connection,
    scope: Option<&str>,
    after: &str,
    most: i64,
) -> db::Result<Vec<DeviceRow>> {
    devices_where(connection, scope, None, after, most)
}

fn devices_where(
    connection: &Connection,
    scope: Option<&str>,
    device: Option<&str>,
    after: &str,
    most: i64,
) -> db::Result<Vec<DeviceRow>> {
    let mut query = connection.prepare_cached(
        "SELECT device, institution, ward, added_ms, revoked_ms, cert_until_ms, round_every_ms / 1000,
                last_contact_ms, expected_ms, accepted, duplicates, forks, version, mode, stored_faces, unsent,
                cameras, bundle, eased
         FROM device
         WHERE (?1 IS NULL OR institution = ?1) AND (?2 IS NULL OR device = ?2) AND device > ?3
         ORDER BY device LIMIT ?4",
    )?;
    let mut found = query.query(params![scope, device, after, most])?;
    let mut devices = Vec::new();
    while let Some(row) = found.next()? {
        let device: String = row.get(0)?;
        let json =
            |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        devices.push(DeviceRow {
            head: chain(connection, &device)?,
            device,
            institution: row.get(1)?,
            ward: row.get(2)?,
            added: row.get(3)?,
            revoked: row.get(4)?,
            certificate_until: row.get(5)?,
            round_every_s: row.get(6)?,
            last_contact: row.get(7)?,
            next_round_by: row.get(8)?,
            accepted: row.get(9)?,
            duplicates: row.get(10)?,
            forks: row.get(11)?,
            version: row.get(12)?,
            mode: row.get(13)?,
            stored_faces: row.get(14)?,
            unsent: row.get(15)?,
            cameras: json(row.get(16)?),
            bundle: json(row.get(17)?),
            eased: row.get::<_, Option<String>>(18)?.and_then(|text| serde_json::from_str(&text).ok()),
        });
    }
    Ok(devices)
}

/// A check out of the twelve columns with which every query of them begins.
pub(super) fn check(row: &Row<'_>) -> db::Result<DueRow> {
    let state: String = row.get(8)?;
    let verdict: Option<String> = row.get(9)?;
    Ok(DueRow {
        device: row.get(0)?,
        epoch: row.get(1)?,
        round: row.get(2)?,
        bed: row.get(3)?,
        stay: row.get(4)?,
        masked_name: row.get(5)?,
        due: row.get(6)?,
        until: row.get(7)?,
        verdict: verdict.or_else(|| (state == "not_done").then(|| "NotDone".to_owned())),
        state,
        done: row.get(10)?,
        received: row.get(11)?,
    })
}

fn seconds(now: Wall, then: i64) -> i64 {
    i64::try_from(now.since(Wall(then)).as_secs()).unwrap_or(i64::MAX)
}

/// How far the newest round of a device is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundView {
    pub device: String,
    pub round: i64,
    pub began: i64,
    pub until: i64,
    pub open: i64,
    pub settled: i64,
    pub not_done: i64,
}

/// The newest round of one admitted device, or of every one.
pub fn rounds(
    connection: &Connection,
    scope: Option<&str>,
    device: Option<&str>,
) -> db::Result<Vec<RoundView>> {
    connection
        .prepare_cached(
            "SELECT u.device, u.round, max(u.due_ms), max(u.until_ms), count(*) FILTER (WHERE u.state = 'open'),
                    count(*) FILTER (WHERE u.state = 'settled'), count(*) FILTER (WHERE u.state = 'not_done')
             FROM device d CROSS JOIN due u ON u.device = d.device AND u.epoch = d.epoch AND u.round =
                  (SELECT max(round) FROM due n WHERE n.device = d.device AND n.epoch = d.epoch)
             WHERE d.revoked_ms IS NULL AND (?1 IS NULL OR d.institution = ?1) AND (?2 IS NULL OR d.device = ?2)
             GROUP BY u.device, u.round ORDER BY u.device, u.round",
        )?
        .query_map([scope, device], |row| {
            Ok(RoundView {
                device: row.get(0)?,
                round: row.get(1)?,
                began: row.get(2)?,
                until: row.get(3)?,
                open: row.get(4)?,
                settled: row.get(5)?,
                not_done: row.get(6)?,
            })
        })?
        .collect()
}
