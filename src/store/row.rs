//! One row of the journal: a report that is numbered, chained, signed, and its crop sealed, ready for the disk.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use rusqlite::{Transaction, params};

use crate::base::clock::{Now, Wall};
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::base::redact::Private;
use crate::domain::Memory;
use crate::store::room::{self, Worth};
use crate::wire::batch::Head;
use crate::wire::event::{Chance, Event, Report};
use crate::wire::seal;
use crate::wire::statement::{Digests, Statement};

/// Why the journal failed. The agent ends then: findings must not be lost in silence.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal {path} failed: {cause}; check the disk's space and permissions")]
    Database { path: PathBuf, cause: rusqlite::Error },
    #[error("a statement cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Seal(#[from] seal::SealError),
}

/// Who signs, on what.
pub struct Signer {
    pub device: DeviceId,
    pub key: SigningKey,
    pub boot_id: String,
    pub digests: Digests,
    /// The platform's public key for evidence.
    pub evidence_key: [u8; 32],
}

/// One report to be made durable.
pub struct Commit {
    pub at: Now,
    pub report: Report,
    /// The crop, in the clear: it is sealed before it touches the disk.
    pub crop: Option<Private<Vec<u8>>>,
    pub remember: Vec<Memory>,
}

/// One report, ready for the disk.
pub struct Row {
    pub head: Head,
    id: String,
    envelope: String,
    body: String,
    evidence: Option<Vec<u8>>,
    made: Wall,
    worth: Worth,
    memories: Vec<(String, String)>,
}

/// Numbers, chains, signs and seals a report.
///
/// # Errors
/// [`JournalError`], but for the database's.
pub fn row(signer: &Signer, before: &Head, anchor: &str, commit: Commit) -> Result<Row, JournalError> {
    let Commit { at, report, crop, remember } = commit;
    let worth = room::worth(&report);
    let event = Event::new(&signer.device, at.wall, chance(at.wall)?, report);
    let body = serde_json::to_string(&event)?;
    let place = seal::place(&signer.device, &event.id);
    let evidence = crop.map(|crop| seal::seal(&signer.evidence_key, &place, crop.reveal())).transpose()?;
    let statement = Statement {
        v: 1,
        device: signer.device.clone(),
        epoch: before.epoch.clone(),
        seq: before.seq + 1,
        prev: before.link.clone(),
        body_sha256: sha256_hex(body.as_bytes()),
        evidence_sha256: evidence.iter().map(|bytes| sha256_hex(bytes)).collect(),
        t_wall: at.wall,
        t_boot: at.boot,
        boot_id: signer.boot_id.clone(),
        anchor: anchor.to_owned(),
        digests: signer.digests.clone(),
    };
    let (envelope, link) = statement.sign(&signer.key)?;
    let mut memories = Vec::with_capacity(remember.len());
    for memory in &remember {
        memories.push((memory.key(), serde_json::to_string(memory)?));
    }
    let envelope = serde_json::to_string(&envelope)?;
    let head = Head { epoch: statement.epoch, seq: statement.seq, link };
    Ok(Row { head, id: event.id, envelope, body, evidence, made: at.wall, worth, memories })
}

/// Writes a row and what the domain remembers with it.
pub fn insert(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO event (epoch, seq, id, envelope, link, body, evidence, made_ms, worth)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.head.epoch,
            row.head.seq as i64,
            row.id,
            row.envelope,
            row.head.link,
            row.body,
            row.evidence,
            row.made.0,
            row.worth as i64,
        ],
    )?;
    for (key, value) in &row.memories {
        transaction.execute(
            "INSERT INTO memory VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )?;
    }
    Ok(())
}

fn chance(at: Wall) -> Result<Chance, JournalError> {
    let milliseconds = u64::try_from(at.0).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random::<10>()?).into_uuid();
    Ok(Chance { id, salt: random::<16>()? })
}

/// A name for a chain that nobody has used.
///
/// # Errors
/// [`JournalError::Random`].
pub fn new_epoch() -> Result<String, JournalError> {
    Ok(uuid::Uuid::from_bytes(random::<16>()?).simple().to_string())
}

fn random<const N: usize>() -> Result<[u8; N], JournalError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(JournalError::Random)?;
    Ok(bytes)
}
