//! Opens what a fault left behind with the product's own parts and looks for a broken promise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bedcheck::base::clock::{Now, Wall};
use bedcheck::base::files::sha256_hex;
use bedcheck::platform::db::Database;
use bedcheck::platform::{accept, chain, devices};
use bedcheck::store::{Commit, Journal, Signer};
use bedcheck::wire::batch::Fate;
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::event::{Beat, Report};
use bedcheck::wire::statement::{self, Digests, NO_LINK};
use rusqlite::Connection;

use crate::promises::{Ever, Place, Promises};
use crate::rerun;

/// What is wrong, in words; the first that is found.
pub type Complaint = String;

/// One row of either side's chain.
struct Row {
    id: Option<String>,
    place: Place,
    envelope: String,
    body: String,
    evidence: Option<Vec<u8>>,
    is_acked: bool,
}

/// Judges states; remembers envelopes that were checked, most are the same in the next state.
#[derive(Default)]
pub struct Judge {
    believed: BTreeMap<String, (String, String)>,
}

impl Judge {
    /// The agent's disk: opened as the agent opens it, then read row by row.
    pub fn agent(
        &mut self,
        folder: &Path,
        promised: &Promises,
        ever: Option<&Ever>,
    ) -> Result<(), Complaint> {
        let path = folder.join("agent/journal.db");
        if promised.said.is_empty() && !path.exists() {
            return Ok(());
        }
        drop(journal(folder)?);
        let connection = Connection::open(&path).map_err(broken)?;
        is_whole(&connection)?;
        let rows = rows(
            &connection,
            "SELECT id, epoch, seq, link, envelope, body, evidence, acked_ms IS NOT NULL FROM event ORDER BY epoch, seq",
        )?;
        self.is_chain(&rows)?;
        let (epoch, seq, link): (String, u64, String) = connection
            .query_row("SELECT epoch, seq, link FROM chain", [], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?))
            })
            .map_err(broken)?;
        let last = rows.iter().rfind(|row| row.place.epoch == epoch);
        let head = last.map_or((0, NO_LINK), |row| (row.place.seq, row.place.link.as_str()));
        if head != (seq, link.as_str()) {
            return Err(format!("the head says {seq}, the last row {}", head.0));
        }
        nothing_unsaid(&rows, ever)?;
        kept(&rows, promised, ever)
    }

    /// The platform's disk.
    pub fn platform(
        &mut self,
        folder: &Path,
        promised: &Promises,
        ever: Option<&Ever>,
    ) -> Result<(), Complaint> {
        if !promised.is_admitted {
            return Ok(());
        }
        let path = folder.join("platform/platform.db");
        drop(Database::open(&path).map_err(|error| format!("the platform does not start: {error}"))?);
        let connection = Connection::open(&path).map_err(broken)?;
        is_whole(&connection)?;
        let known: i64 =
            connection.query_row("SELECT count(*) FROM device", [], |row| row.get(0)).map_err(broken)?;
        if known != 1 {
            return Err("the admitted device is gone".to_owned());
        }
        let rows = rows(
            &connection,
            "SELECT id, epoch, seq, link, envelope, body, evidence, 1 FROM link ORDER BY epoch, seq",
        )?;
        self.is_chain(&rows)?;
        let links: BTreeMap<(&str, u64), &str> = rows
            .iter()
            .map(|row| ((row.place.epoch.as_str(), row.place.seq), row.place.link.as_str()))
            .collect();
        for receipt in &promised.received {
            if receipt.seq > 0
                && links.get(&(receipt.epoch.as_str(), receipt.seq)) != Some(&receipt.link.as_str())
            {
                return Err(format!("the receipt for number {} is not kept", receipt.seq));
            }
        }
        nothing_unsaid(&rows, ever)?;
        accuses_nobody(&connection)
    }

    /// Each epoch runs from 1 without a gap, each row signed, linked to the one before and covering its body.
    fn is_chain(&mut self, rows: &[Row]) -> Result<(), Complaint> {
        let mut before: Option<&Place> = None;
        for row in rows {
            let (seq, prev) = before
                .filter(|before| before.epoch == row.place.epoch)
                .map_or((1, NO_LINK), |before| (before.seq + 1, before.link.as_str()));
            if row.place.seq != seq {
                return Err(format!("number {seq} is missing before {}", row.place.seq));
            }
            let (link, before_it) = self.believe(row)?;
            if (link.as_str(), before_it.as_str()) != (row.place.link.as_str(), prev) {
                return Err(format!("number {seq} is not linked to the one before"));
            }
            before = Some(&row.place);
        }
        Ok(())
    }

    /// Link and predecessor of a row that is signed and covered.
    fn believe(&mut self, row: &Row) -> Result<(String, String), Complaint> {
        let evidence =
            row.evidence.as_deref().map(|bytes| STANDARD.encode(sha256_hex(bytes))).unwrap_or_default();
        let key = format!("{}|{}|{}|{evidence}", row.place.seq, row.envelope, row.body);
        if let Some(known) = self.believed.get(&key) {
            return Ok(known.clone());
        }
        let said =
            |error: &dyn std::fmt::Display| format!("number {} is not believed: {error}", row.place.seq);
        let envelope: Envelope = serde_json::from_str(&row.envelope).map_err(|error| said(&error))?;
        let checked =
            statement::check(&envelope, &rerun::key().verifying_key()).map_err(|error| said(&error))?;
        let cover = statement::cover(&checked.statement, &row.body, row.evidence.as_deref());
        if cover != Some(statement::Cover::Whole) {
            return Err(said(&"body or evidence is not what was signed"));
        }
        if (checked.statement.seq, &checked.statement.epoch) != (row.place.seq, &row.place.epoch) {
            return Err(said(&"it is signed for another place"));
        }
        let found = (checked.link, checked.statement.prev);
        self.believed.insert(key, found.clone());
        Ok(found)
    }
}

/// No number holds anything but what the run put there.
fn nothing_unsaid(rows: &[Row], ever: Option<&Ever>) -> Result<(), Complaint> {
    let is_known =
        |row: &Row| ever.is_none_or(|ever| ever.knows(&row.place.epoch, row.place.seq, &row.place.link));
    match rows.iter().find(|row| !is_known(row)) {
        Some(row) => Err(format!("number {} holds what nobody said", row.place.seq)),
        None => Ok(()),
    }
}

/// Every promised event stands where it was promised and is acknowledged if that was promised.
fn kept(rows: &[Row], promised: &Promises, ever: Option<&Ever>) -> Result<(), Complaint> {
    let found: BTreeMap<&str, &Row> = rows.iter().filter_map(|row| Some((row.id.as_deref()?, row))).collect();
    for (id, place) in &promised.said {
        let row = found.get(id.as_str()).ok_or_else(|| format!("promised number {} is lost", place.seq))?;
        let may_move = promised.is_renewing && !promised.acked.contains(id);
        let moved = may_move && ever.is_none_or(|ever| ever.follows(id, place, &row.place));
        if row.place != *place && !moved {
            return Err(format!("promised number {} stands at {} now", place.seq, row.place.seq));
        }
        if promised.acked.contains(id) && !row.is_acked {
            return Err(format!("the acknowledgement of number {} is lost", place.seq));
        }
    }
    Ok(())
}

/// Life goes on between two disks: what waits is delivered, one more event is said, nobody is accused, all is there once.
pub fn goes_on(folder: &Path, promised: &Promises) -> Result<(), Complaint> {
    let mut journal = journal(folder)?;
    let path = folder.join("platform/platform.db");
    let platform = Database::open(&path).map_err(|error| format!("the platform does not start: {error}"))?;
    journal.commit(vec![beat()]).map_err(|error| error.to_string())?;
    let device = rerun::device();
    while let Some(unsent) = journal.unsent().map_err(|error| error.to_string())? {
        let registered = platform
            .read(|connection| devices::find(connection, &device))
            .map_err(|error| error.to_string())?;
        let registered = registered.ok_or("the platform does not know the device")?;
        let items: Result<Vec<_>, _> =
            unsent.items.into_iter().map(|item| chain::believe(item, &device, &registered)).collect();
        let items = items.map_err(|error| format!("the platform does not believe: {error}"))?;
        let receipt = platform
            .write(|tx| accept::commit(tx, &device, &items, later()))
            .map_err(|error| error.to_string())?;
        let receipt = receipt.ok_or("the device is revoked")?;
        let wrong =
            receipt.results.iter().find(|result| matches!(result.fate, Fate::Fork | Fate::OutOfOrder));
        if let Some(result) = wrong {
            return Err(format!("number {} is called {:?} afterwards", result.seq, result.fate));
        }
        if !journal.acknowledge(&receipt.head, NO_LINK, later()).map_err(|error| error.to_string())? {
            return Err(format!("the receipt's head {} is not ours", receipt.head.seq));
        }
    }
    drop((journal, platform));
    let connection = Connection::open(&path).map_err(broken)?;
    arrived_once(&connection, promised.said.keys())?;
    accuses_nobody(&connection)
}

/// Every event is with the platform exactly once.
pub fn arrived_once<'a>(
    connection: &Connection,
    ids: impl Iterator<Item = &'a String>,
) -> Result<(), Complaint> {
    let mut query = connection.prepare("SELECT id FROM link WHERE id IS NOT NULL").map_err(broken)?;
    let arrived: Result<Vec<String>, _> = query.query_map([], |row| row.get(0)).map_err(broken)?.collect();
    let arrived = arrived.map_err(broken)?;
    let once: BTreeSet<&String> = arrived.iter().collect();
    if once.len() != arrived.len() {
        return Err("an event arrived twice".to_owned());
    }
    ids.into_iter()
        .find(|id| !once.contains(id))
        .map_or(Ok(()), |id| Err(format!("event {id} never arrived")))
}

/// No honest device is said to have forked, left a gap or been tampered with.
pub fn accuses_nobody(connection: &Connection) -> Result<(), Complaint> {
    let forks: i64 = connection
        .query_row("SELECT (SELECT count(*) FROM quarantine) + (SELECT sum(forks) FROM device)", [], |row| {
            row.get(0)
        })
        .map_err(broken)?;
    let cases: i64 = connection
        .query_row(
            "SELECT count(*) FROM exception WHERE kind IN ('chain_fork', 'chain_gap', 'tampered')",
            [],
            |row| row.get(0),
        )
        .map_err(broken)?;
    if (forks, cases) == (0, 0) {
        Ok(())
    } else {
        Err(format!("an honest device is accused: {forks} forks, {cases} cases"))
    }
}

fn is_whole(connection: &Connection) -> Result<(), Complaint> {
    let said: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(broken)?;
    if said == "ok" { Ok(()) } else { Err("the database is damaged".to_owned()) }
}

fn rows(connection: &Connection, query: &str) -> Result<Vec<Row>, Complaint> {
    let mut query = connection.prepare(query).map_err(broken)?;
    let rows = query.query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            place: Place { epoch: row.get(1)?, seq: row.get::<_, i64>(2)?.unsigned_abs(), link: row.get(3)? },
            envelope: row.get(4)?,
            body: row.get(5)?,
            evidence: row.get(6)?,
            is_acked: row.get(7)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(broken)
}

pub fn journal(folder: &Path) -> Result<Journal, Complaint> {
    let signer = Signer {
        device: rerun::device(),
        key: rerun::key(),
        boot_id: "after".into(),
        digests: Digests::default(),
        evidence_key: rerun::evidence_key(),
    };
    let path = folder.join("agent/journal.db");
    Journal::open(&path, signer).map_err(|error| format!("the agent does not start: {error}"))
}

pub fn beat() -> Commit {
    let report = Report::Beat(Beat::default());
    Commit { at: Now { wall: later(), ..Now::default() }, report, crop: None, remember: vec![] }
}

/// After everything the writer did, before anything is thrown away.
fn later() -> Wall {
    rerun::BEGAN.plus(Duration::from_secs(2 * 24 * 3600))
}

fn broken(error: rusqlite::Error) -> Complaint {
    format!("the database cannot be read: {error}")
}
