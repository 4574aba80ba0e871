//! The chain of everything this agent ever said, and which part of it the platform has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tracing::info;

use crate::base::clock::{Now, Wall};
use crate::domain::Memory;
use crate::store::room::{self, Room};
pub use crate::store::row::{Commit, JournalError, Signer};
use crate::store::row::{insert, new_epoch, row};
use crate::store::schema;
use crate::store::told;
use crate::wire::batch::{Head, Item, MOST_BYTES, MOST_ITEMS};
use crate::wire::dsse::Envelope;
use crate::wire::event::Report;
use crate::wire::statement::{NO_LINK, Statement};

/// Acknowledged rows are kept this long, so that a platform restored from a backup can be fed again.
const KEEP_ACKED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Rows the platform has not acknowledged, oldest first.
pub struct Unsent {
    pub items: Vec<Item>,
    pub last: Head,
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub rows: u64,
}

/// The single writer.
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    signer: Signer,
    most_bytes: u64,
    room: Room,
}

impl Journal {
    /// Opens or creates the journal; a new one begins a new epoch.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, signer: Signer) -> Result<Journal, JournalError> {
        let failed = |cause| JournalError::Database { path: path.to_owned(), cause };
        let connection = schema::open(path).map_err(failed)?;
        let (path, most_bytes) = (path.to_owned(), room::USUAL_BYTES);
        let mut journal = Journal { connection, path, signer, most_bytes, room: Room::default() };
        let known: Option<i64> = journal
            .connection
            .query_row("SELECT seq FROM chain", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        if known.is_none() {
            let epoch = new_epoch()?;
            info!(%epoch, "A new chain begins.");
            journal
                .connection
                .execute("INSERT INTO chain VALUES (1, ?1, 0, ?2, ?2, NULL)", params![epoch, NO_LINK])
                .map_err(failed)?;
        }
        let key: Option<Vec<u8>> = journal
            .connection
            .query_row("SELECT evidence_key FROM chain", [], |row| row.get(0))
            .map_err(failed)?;
        if let Some(key) = key.and_then(|key| key.try_into().ok()) {
            journal.signer.evidence_key = key;
        }
        Ok(journal)
    }

    /// Seals evidence to another key of the platform's from now on.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn seal_to(&mut self, key: [u8; 32]) -> Result<(), JournalError> {
        if self.signer.evidence_key != key {
            self.connection
                .execute("UPDATE chain SET evidence_key = ?1", [key])
                .map_err(database(&self.path))?;
            self.signer.evidence_key = key;
            info!("The platform has a new key for evidence.");
        }
        Ok(())
    }

    /// With so many bytes of the disk instead of the usual ones.
    #[must_use]
    pub fn within(self, most_bytes: u64) -> Journal {
        Journal { most_bytes, ..self }
    }

    /// How much room the last commit found.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Makes reports durable, all or none: numbered, chained, signed, with evidence and the domain's memory.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of them is durable then.
    pub fn commit(&mut self, commits: Vec<Commit>) -> Result<Head, JournalError> {
        self.write(|_| Ok(commits)).map(|(head, _)| head)
    }

    /// Puts into the chain what was erased and written into the ledger since it was asked last, each once: the notes and
    /// how far they were told become durable together. How many there were.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of them is durable then.
    pub fn tell(&mut self, now: Now) -> Result<usize, JournalError> {
        if !told::is_behind(&self.connection).map_err(database(&self.path))? {
            return Ok(0);
        }
        let said = |note| Commit { at: now, report: Report::Privacy(note), crop: None, remember: Vec::new() };
        let (_, told) = self.write(|transaction| {
            let notes = told::take(transaction)?;
            Ok(notes.into_iter().map(said).collect())
        })?;
        Ok(told)
    }

    /// Makes durable, together, what `gather` finds and changes. The new head, and how many reports there were.
    fn write(
        &mut self,
        gather: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Vec<Commit>>,
    ) -> Result<(Head, usize), JournalError> {
        let failed = database(&self.path);
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let (mut head, anchor) = chain(&transaction).map_err(&failed)?;
        let commits = gather(&transaction).map_err(&failed)?;
        let said = commits.len();
        for mut commit in commits {
            // A picture is given up before anything that is said.
            commit.crop = commit.crop.filter(|_| self.room != Room::Full);
            let row = row(&self.signer, &head, &anchor, commit)?;
            insert(&transaction, &row).map_err(&failed)?;
            head = row.head;
        }
        transaction
            .execute("UPDATE chain SET seq = ?1, link = ?2", params![head.seq as i64, head.link])
            .map_err(&failed)?;
        let room = room::make(&transaction, self.most_bytes).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        self.room = room;
        Ok((head, said))
    }

    /// What a former life wrote down. A row that is no longer understood is left out and named in the log.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn memories(&self) -> Result<Vec<Memory>, JournalError> {
        let rows: rusqlite::Result<Vec<String>> = self
            .connection
            .prepare("SELECT value FROM memory ORDER BY key")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect());
        let rows = rows.map_err(database(&self.path))?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                serde_json::from_str(row)
                    .map_err(|error| tracing::warn!(%error, "A memory of an older version is not understood; it is left out."))
                    .ok()
            })
            .collect())
    }

    /// The oldest unacknowledged rows, as many as one batch may hold; `None` when everything arrived.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn unsent(&self) -> Result<Option<Unsent>, JournalError> {
        self.rows("acked_ms IS NULL", 0)
    }

    /// Rows from `seq` on, acknowledged or not: for a platform that fell behind what it once had.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn rows_after(&self, seq: u64) -> Result<Option<Unsent>, JournalError> {
        self.rows("seq > ?1", seq)
    }

    fn rows(&self, which: &str, after: u64) -> Result<Option<Unsent>, JournalError> {
        let failed = database(&self.path);
        let mut query = self
            .connection
            .prepare(&format!(
                "SELECT envelope, body, evidence, epoch, seq, link FROM event
                 WHERE {which} AND ?1 >= 0 AND epoch = (SELECT epoch FROM chain) ORDER BY seq LIMIT {MOST_ITEMS}"
            ))
            .map_err(&failed)?;
        let mut rows = query.query([after as i64]).map_err(&failed)?;
        let (mut items, mut last, mut bytes) = (Vec::new(), None, 0);
        while let Some(row) = rows.next().map_err(&failed)? {
            let (item, head) = item(row).map_err(&failed)?;
            bytes += item.body.len() * 2 + item.evidence.as_ref().map_or(0, String::len) + 2048;
            if bytes > MOST_BYTES && !items.is_empty() {
                break;
            }
            items.push(item);
            last = Some(head);
        }
        Ok(last.map(|last| Unsent { items, last }))
    }

    /// Marks everything up to `head` as safe with the platform and anchors the next statement in its receipt. Old
    /// acknowledged rows go. False when `head` is not ours: nothing changes then.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn acknowledge(&mut self, head: &Head, receipt_digest: &str, at: Wall) -> Result<bool, JournalError> {
        let failed = database(&self.path);
        let transaction = self.connection.transaction().map_err(&failed)?;
        let done = (|| {
            let ours: Option<String> = transaction
                .query_row(
                    "SELECT link FROM event WHERE epoch = ?1 AND seq = ?2",
                    params![head.epoch, head.seq as i64],
                    |row| row.get(0),
                )
                .optional()?;
            if ours.as_deref() != Some(head.link.as_str()) {
                return Ok(false);
            }
            transaction.execute(
                "UPDATE event SET acked_ms = ?3 WHERE epoch = ?1 AND seq <= ?2 AND acked_ms IS NULL",
                params![head.epoch, head.seq as i64, at.0],
            )?;
            transaction.execute("UPDATE chain SET anchor = ?1", [receipt_digest])?;
            transaction.execute(
                "DELETE FROM event WHERE acked_ms < ?1 AND made_ms < ?1",
                [at.0 - KEEP_ACKED.as_millis() as i64],
            )?;
            Ok(true)
        })()
        .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(done)
    }

    /// Begins a new chain and says everything unacknowledged again in it: same events, new numbers and signatures. For a
    /// platform that holds another history of this device (a restored or cloned disk): it raises a case and goes on,
    /// where insisting on the old chain would jam for ever. The number of rows taken over.
    ///
    /// # Errors
    /// [`JournalError`]: the old chain stays then.
    pub fn begin_epoch(&mut self) -> Result<u64, JournalError> {
        let failed = database(&self.path);
        let mut head = Head { epoch: new_epoch()?, seq: 0, link: NO_LINK.to_owned() };
        let transaction = self.connection.transaction().map_err(&failed)?;
        let unsent: Vec<(String, String)> = transaction
            .prepare("SELECT id, envelope FROM event WHERE acked_ms IS NULL ORDER BY epoch = (SELECT epoch FROM chain), seq")
            .and_then(|mut query| query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .map_err(&failed)?;
        for (id, envelope) in unsent {
            let envelope: Envelope = serde_json::from_str(&envelope)?;
            let mut statement: Statement = serde_json::from_slice(&envelope.payload)?;
            statement.epoch.clone_from(&head.epoch);
            statement.seq = head.seq + 1;
            statement.prev = head.link;
            let (envelope, link) = statement.sign(&self.signer.key)?;
            let envelope = serde_json::to_string(&envelope)?;
            transaction
                .execute(
                    "UPDATE event SET epoch = ?2, seq = ?3, envelope = ?4, link = ?5 WHERE id = ?1",
                    params![id, statement.epoch, statement.seq as i64, envelope, link],
                )
                .map_err(&failed)?;
            head = Head { epoch: statement.epoch, seq: statement.seq, link };
        }
        transaction
            .execute(
                "UPDATE chain SET epoch = ?1, seq = ?2, link = ?3",
                params![head.epoch, head.seq as i64, head.link],
            )
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(head.seq)
    }

    /// # Errors
    /// [`JournalError::Database`].
    pub fn pending(&self) -> Result<Pending, JournalError> {
        let rows: i64 = self
            .connection
            .query_row("SELECT count(*) FROM event WHERE acked_ms IS NULL", [], |row| row.get(0))
            .map_err(database(&self.path))?;
        Ok(Pending { rows: rows as u64 })
    }
}

fn database(path: &Path) -> impl Fn(rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    move |cause| JournalError::Database { path: path.clone(), cause }
}

fn chain(transaction: &Transaction<'_>) -> rusqlite::Result<(Head, String)> {
    transaction.query_row("SELECT epoch, seq, link, anchor FROM chain", [], |row| {
        let head = Head { epoch: row.get(0)?, seq: row.get::<_, i64>(1)? as u64, link: row.get(2)? };
        Ok((head, row.get(3)?))
    })
}

fn item(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Item, Head)> {
    use base64::Engine;
    let envelope: String = row.get(0)?;
    let envelope = serde_json::from_str(&envelope).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let evidence: Option<Vec<u8>> = row.get(2)?;
    let evidence = evidence.map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes));
    let head = Head { epoch: row.get(3)?, seq: row.get::<_, i64>(4)? as u64, link: row.get(5)? };
    Ok((Item { envelope, body: row.get(1)?, evidence }, head))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::base::ids::DeviceId;
    use crate::base::redact::Private;
    use crate::wire::event::Beat;
    use crate::wire::seal;
    use crate::wire::statement;
    use crate::wire::statement::Digests;

    fn journal(folder: &Path) -> Journal {
        let signer = Signer {
            device: DeviceId::new("ward-3a").unwrap(),
            key: SigningKey::from_bytes(&[3; 32]),
            boot_id: "b".into(),
            digests: Digests::default(),
            evidence_key: seal::key_pair().1,
        };
        Journal::open(&folder.join("journal.db"), signer).unwrap()
    }

    fn beat(crop: Option<&[u8]>) -> Commit {
        let report = Report::Beat(Beat { rounds_done: 1, ..Beat::default() });
        let crop = crop.map(|bytes| Private::new(bytes.to_vec()));
        Commit { at: Now { wall: Wall(1_700_000_000_123), ..Now::default() }, report, crop, remember: vec![] }
    }

    #[test]
    fn reports_form_one_signed_chain_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let heads: Vec<Head> =
            (0..3).map(|_| journal(folder.path()).commit(vec![beat(None)]).unwrap()).collect();
        assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [1, 2, 3]);
        let unsent = journal(folder.path()).unsent().unwrap().unwrap();
        let key = SigningKey::from_bytes(&[3; 32]).verifying_key();
        let mut prev = NO_LINK.to_owned();
        for item in &unsent.items {
            let checked = statement::check(&item.envelope, &key).unwrap();
            assert_eq!(checked.statement.prev, prev);
            assert_eq!(statement::cover(&checked.statement, &item.body, None), Some(statement::Cover::Whole));
            prev = checked.link;
        }
        assert_eq!(prev, heads[2].link);
    }

    #[test]
    fn only_our_own_head_is_acknowledged_and_a_repeat_is_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        let first = journal.commit(vec![beat(None)]).unwrap();
        journal.commit(vec![beat(None)]).unwrap();
        let forged = Head { link: NO_LINK.into(), ..first.clone() };
        assert!(!journal.acknowledge(&forged, "r", Wall(0)).unwrap());
        assert!(journal.acknowledge(&first, "r", Wall(0)).unwrap());
        assert!(journal.acknowledge(&first, "r", Wall(0)).unwrap());
        assert_eq!(journal.pending().unwrap().rows, 1);
        assert_eq!(journal.rows_after(0).unwrap().unwrap().items.len(), 2);
    }

    #[test]
    fn a_new_epoch_says_the_same_events_again_in_an_unbroken_chain() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        let first = journal.commit(vec![beat(None)]).unwrap();
        journal.commit(vec![beat(Some(b"crop")), beat(None)]).unwrap();
        journal.acknowledge(&first, "r", Wall(0)).unwrap();
        let before: Vec<Item> = journal.unsent().unwrap().unwrap().items;
        assert_eq!(journal.begin_epoch().unwrap(), 2);
        let after = journal.unsent().unwrap().unwrap();
        let key = SigningKey::from_bytes(&[3; 32]).verifying_key();
        let mut prev = NO_LINK.to_owned();
        for (at, (old, new)) in before.iter().zip(&after.items).enumerate() {
            let checked = statement::check(&new.envelope, &key).unwrap();
            assert_eq!((&new.body, &new.evidence), (&old.body, &old.evidence));
            assert_eq!((checked.statement.seq, &checked.statement.prev), (at as u64 + 1, &prev));
            assert_ne!(checked.statement.epoch, first.epoch);
            prev = checked.link;
        }
        assert_eq!(journal.commit(vec![beat(None)]).unwrap().seq, 3);
        // And once more before anything of it arrived: the first row of a chain is taken over like any other.
        let before: Vec<Item> = journal.unsent().unwrap().unwrap().items;
        assert_eq!(journal.begin_epoch().unwrap(), 3);
        let after = journal.unsent().unwrap().unwrap().items;
        assert!(before.iter().map(|item| &item.body).eq(after.iter().map(|item| &item.body)));
    }

    #[test]
    fn evidence_is_never_on_the_disk_in_the_clear() {
        let folder = tempfile::tempdir().unwrap();
        let crop: Vec<u8> = b"\xFF\xD8\xFF a picture of a person".repeat(20);
        journal(folder.path()).commit(vec![beat(Some(&crop))]).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(20).any(|window| window == &crop[..20]));
        }
    }
}
