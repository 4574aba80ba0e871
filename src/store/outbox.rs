//! The journal as anybody may look at it beside the running agent: nothing here writes.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use rusqlite::{Connection, OpenFlags, Row, params};

use crate::base::clock::Wall;
use crate::store::JournalError;
use crate::wire::batch::Item;
use crate::wire::dsse::Envelope;
use crate::wire::statement::{Cover, check, cover};

/// What waits or has arrived.
#[derive(Clone, Debug)]
pub struct Said {
    pub epoch: String,
    pub seq: u64,
    /// The `type` of the CloudEvent.
    pub kind: String,
    pub made: Wall,
    pub acknowledged: Option<Wall>,
    pub bytes: usize,
    pub has_evidence: bool,
}

/// One unbroken chain in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFound {
    pub epoch: String,
    /// More than 1 where older rows were acknowledged and have gone.
    pub first: u64,
    pub last: u64,
    pub acknowledged: u64,
}

/// What a look at every row found.
#[derive(Debug, Default)]
pub struct Verified {
    pub chains: Vec<ChainFound>,
    /// Rows that gave up evidence or body for want of room, as they say themselves.
    pub pruned: u64,
    /// Each with epoch and number.
    pub faults: Vec<String>,
}

/// The journal, read only.
pub struct Outbox {
    connection: Connection,
    path: PathBuf,
}

struct Stored {
    epoch: String,
    seq: u64,
    envelope: String,
    link: String,
    body: String,
    evidence: Option<Vec<u8>>,
    is_acknowledged: bool,
    /// 1: the evidence went for want of room, 2: the body too.
    pruned: i64,
}

impl Outbox {
    /// # Errors
    /// [`JournalError::Database`], also where no agent has run.
    pub fn open(state: &Path) -> Result<Outbox, JournalError> {
        let path = state.join("journal.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Connection::open_with_flags(&path, flags) {
            Ok(connection) => Ok(Outbox { connection, path }),
            Err(cause) => Err(JournalError::Database { path, cause }),
        }
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> JournalError {
        let path = self.path.clone();
        move |cause| JournalError::Database { path: path.clone(), cause }
    }

    /// The newest `most` rows, oldest first.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn newest(&self, most: usize) -> Result<Vec<Said>, JournalError> {
        let said = |row: &Row<'_>| {
            Ok(Said {
                epoch: row.get(0)?,
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                kind: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                made: Wall(row.get(3)?),
                acknowledged: row.get::<_, Option<i64>>(4)?.map(Wall),
                bytes: row.get::<_, i64>(5)?.unsigned_abs() as usize,
                has_evidence: row.get(6)?,
            })
        };
        let mut rows: Vec<Said> = self
            .connection
            .prepare(
                "SELECT epoch, seq, json_extract(body, '$.type'), made_ms, acked_ms,
                        length(envelope) + length(body) + coalesce(length(evidence), 0), evidence IS NOT NULL
                 FROM event ORDER BY made_ms DESC, seq DESC LIMIT ?1",
            )
            .and_then(|mut query| query.query_map([most as i64], said)?.collect())
            .map_err(self.failed())?;
        rows.reverse();
        Ok(rows)
    }

    /// How many rows there are, and how many of them wait.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn count(&self) -> Result<(u64, u64), JournalError> {
        self.connection
            .query_row("SELECT count(*), count(*) FILTER (WHERE acked_ms IS NULL) FROM event", [], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()))
            })
            .map_err(self.failed())
    }

    /// Everything that waits, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn waiting(&self) -> Result<Vec<Item>, JournalError> {
        let rows = self.rows("acked_ms IS NULL AND epoch = (SELECT epoch FROM chain)")?;
        rows.into_iter()
            .map(|row| {
                let envelope: Envelope = serde_json::from_str(&row.envelope)?;
                let evidence = row.evidence.map(|bytes| STANDARD.encode(bytes));
                Ok(Item { envelope, body: row.body, evidence })
            })
            .collect()
    }

    fn rows(&self, which: &str) -> Result<Vec<Stored>, JournalError> {
        let stored = |row: &Row<'_>| {
            Ok(Stored {
                epoch: row.get(0)?,
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                envelope: row.get(2)?,
                link: row.get(3)?,
                body: row.get(4)?,
                evidence: row.get(5)?,
                is_acknowledged: row.get(6)?,
                pruned: row.get(7)?,
            })
        };
        self.connection
            .prepare(&format!(
                "SELECT epoch, seq, envelope, link, body, evidence, acked_ms IS NOT NULL, pruned FROM event
                 WHERE {which} ORDER BY epoch, seq"
            ))
            .and_then(|mut query| query.query_map(params![], stored)?.collect())
            .map_err(self.failed())
    }

    /// Looks at every row: signature, number, link, body, evidence, and that the head is the last one's.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<Verified, JournalError> {
        let (epoch, seq, link): (String, i64, String) = self
            .connection
            .query_row("SELECT epoch, seq, link FROM chain", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .map_err(self.failed())?;
        let mut found = Verified::default();
        let mut before: Option<Stored> = None;
        for row in self.rows("1")? {
            let place = format!("{} {}", row.epoch, row.seq);
            found.pruned += u64::from(row.pruned > 0);
            let follows = before.as_ref().filter(|before| before.epoch == row.epoch);
            if let Some(fault) = fault(&row, follows, key) {
                found.faults.push(format!("{place}: {fault}"));
            }
            match found.chains.last_mut().filter(|chain| chain.epoch == row.epoch) {
                Some(chain) => {
                    chain.last = row.seq;
                    chain.acknowledged += u64::from(row.is_acknowledged);
                }
                None => found.chains.push(ChainFound {
                    epoch: row.epoch.clone(),
                    first: row.seq,
                    last: row.seq,
                    acknowledged: u64::from(row.is_acknowledged),
                }),
            }
            before = Some(row);
        }
        let last = self.rows("epoch = (SELECT epoch FROM chain)")?.pop();
        let is_head = last.as_ref().is_none_or(|row| (row.seq, &row.link) == (seq.unsigned_abs(), &link));
        if !is_head {
            found.faults.push(format!(
                "{epoch} {seq}: 链头之后的记录不见了 · the rows up to the head are not all here"
            ));
        }
        Ok(found)
    }
}

fn fault(row: &Stored, before: Option<&Stored>, key: &VerifyingKey) -> Option<String> {
    let envelope: Envelope = match serde_json::from_str(&row.envelope) {
        Ok(envelope) => envelope,
        Err(error) => return Some(format!("信封无法读取 · the envelope cannot be read: {error}")),
    };
    let checked = match check(&envelope, key) {
        Ok(checked) => checked,
        Err(error) => return Some(error.to_string()),
    };
    let statement = &checked.statement;
    if checked.link != row.link || statement.seq != row.seq || statement.epoch != row.epoch {
        return Some("编号或链值被改 · number or link was changed".to_owned());
    }
    match (cover(statement, &row.body, row.evidence.as_deref()), row.pruned) {
        (Some(Cover::Whole), 0) | (Some(Cover::NoEvidence), 1) | (Some(Cover::NoBody), 2) => {}
        _ => return Some("正文或证据被改 · body or evidence was changed".to_owned()),
    }
    match before {
        Some(before) if before.seq + 1 != row.seq => {
            Some(format!("缺少 {0} 之后的记录 · rows after {0} are missing", before.seq))
        }
        Some(before) if before.link != statement.prev => {
            Some("与前一条不相接 · does not follow the one before".to_owned())
        }
        Some(_) | None => None,
    }
}
