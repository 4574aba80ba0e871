//! What came of a spot check, ward by ward: which round answered, and what it found in the beds that were ordered.

use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::db::{self, Connection, params};

/// What one ward had to do, and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Part {
    pub device: String,
    pub ward: String,
    pub nonce: String,
    /// The beds that were named; none is the whole ward.
    pub beds: Vec<String>,
    pub until: i64,
    pub answered: Option<i64>,
    pub found: Vec<Found>,
}

/// One bed of the round that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Found {
    pub bed: String,
    pub masked_name: Option<String>,
    /// `None` while it is looked at, and where the round did not have this bed at all.
    pub verdict: Option<String>,
    pub is_in_round: bool,
    pub done: Option<i64>,
    pub received: Option<i64>,
    /// The event whose sealed picture may be opened.
    pub evidence: Option<String>,
}

/// Every ward's part of an order.
pub fn parts_of(connection: &Connection, id: &str) -> db::Result<Vec<Part>> {
    let mut query = connection.prepare_cached(
        "SELECT c.device, d.ward, c.nonce, c.beds, c.until_ms, c.answered_ms, c.epoch, c.round
         FROM spot_check c JOIN device d USING (device) WHERE c.spot_order = ?1 ORDER BY length(d.ward), d.ward, c.device",
    )?;
    let mut rows = query.query([id])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let beds: String = row.get(3)?;
        let mut part = Part {
            device: row.get(0)?,
            ward: row.get(1)?,
            nonce: row.get(2)?,
            beds: beds.lines().map(str::to_owned).collect(),
            until: row.get(4)?,
            answered: row.get(5)?,
            found: Vec::new(),
        };
        if let (Some(epoch), Some(round)) = (row.get::<_, Option<String>>(6)?, row.get::<_, Option<i64>>(7)?)
        {
            part.found = found(connection, &part, &epoch, round)?;
        }
        parts.push(part);
    }
    Ok(parts)
}

/// What the round that answered found in the beds that were ordered.
fn found(connection: &Connection, part: &Part, epoch: &str, round: i64) -> db::Result<Vec<Found>> {
    let mut in_round: Vec<Found> = connection
        .prepare_cached(
            "SELECT u.bed, u.masked_name, coalesce(o.verdict, CASE u.state WHEN 'not_done' THEN 'NotDone' END),
                    o.done_ms, o.received_ms, CASE WHEN o.evidence <> 0 THEN o.event END
             FROM due u LEFT JOIN done o USING (device, epoch, round, bed)
             WHERE u.device = ?1 AND u.epoch = ?2 AND u.round = ?3 ORDER BY length(u.bed), u.bed",
        )?
        .query_map(params![part.device, epoch, round], |row| {
            Ok(Found {
                bed: row.get(0)?,
                masked_name: row.get(1)?,
                verdict: row.get(2)?,
                is_in_round: true,
                done: row.get(3)?,
                received: row.get(4)?,
                evidence: row.get(5)?,
            })
        })?
        .collect::<db::Result<_>>()?;
    if part.beds.is_empty() {
        return Ok(in_round);
    }
    in_round.retain(|found| part.beds.contains(&found.bed));
    let missing = part.beds.iter().filter(|bed| !in_round.iter().any(|found| found.bed == **bed));
    let missing: Vec<Found> = missing
        .map(|bed| Found {
            bed: bed.clone(),
            masked_name: None,
            verdict: None,
            is_in_round: false,
            done: None,
            received: None,
            evidence: None,
        })
        .collect();
    in_round.extend(missing);
    Ok(in_round)
}
