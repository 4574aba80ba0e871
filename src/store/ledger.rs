//! The ledger of grounds (依据台账): for each stay on which ground its face is compared, who wrote that down and when, and
//! whether consent was withdrawn. It only grows; each entry holds the link of the one before, and the signed chain holds
//! every link, so that whoever has the chain sees a ledger that was changed, cut or written anew.
//!
//! A stay without an entry stands on `[legal]` of the configuration. After a withdrawal the stay counts as not enrolled
//! until another ground is written down.

use std::path::Path;

use rusqlite::{OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::clock::Wall;
use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::base::ids::StayId;
use crate::store::privacy::{Privacy, PrivacyError, next};
use crate::wire::privacy::{LedgerNote, Step};

/// The link before the first.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// A notice is a page or two; a scan of one some MB.
const MOST_NOTICE: u64 = 32 * 1024 * 1024;

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub number: u64,
    /// Link of the entry before.
    pub prev: String,
    /// Salted digest of the stay.
    pub subject: String,
    pub step: Step,
    pub written: Written,
}

/// How an entry came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Version of the notice that was shown.
    pub notice: Option<String>,
    /// SHA-256 of the notice or of the signed form.
    pub notice_sha256: Option<String>,
    /// An office or a staff number.
    pub by: String,
    pub at: Wall,
}

/// The digest of a notice.
///
/// # Errors
/// [`FileError`].
pub fn notice_digest(path: &Path) -> Result<String, FileError> {
    Ok(sha256_hex(&read_at_most(path, MOST_NOTICE)?))
}

fn link(entry: &str) -> String {
    hex::encode(Sha256::new().chain_update("bedcheck-ledger-v1\n").chain_update(entry).finalize())
}

/// What the chain says of an entry.
pub(super) fn note(entry: &Entry, link: String) -> LedgerNote {
    let Entry { number, subject, step, written, .. } = entry.clone();
    LedgerNote { number, link, subject, step, at: written.at }
}

impl Privacy {
    /// Writes down a ground, or its withdrawal; durable when this returns.
    ///
    /// # Errors
    /// [`PrivacyError`]; nothing was written then.
    pub fn write_down(&mut self, stay: &StayId, step: Step, written: Written) -> Result<Entry, PrivacyError> {
        let (subject, failed) = (self.subject(stay), self.failed());
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let number = next(&transaction, "ledger").map_err(&failed)?;
        let prev: Option<String> = transaction
            .query_row("SELECT link FROM ledger WHERE number = ?1", [number as i64 - 1], |row| row.get(0))
            .optional()
            .map_err(&failed)?;
        let prev = prev.unwrap_or_else(|| NONE.to_owned());
        let entry = Entry { number, prev, subject, step, written };
        let text = serde_json::to_string(&entry)?;
        transaction
            .execute("INSERT INTO ledger VALUES (?1, ?2, ?3)", params![number as i64, text, link(&text)])
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(entry)
    }

    /// Every entry with its link, oldest first, proved: numbers without gaps, each holding the link of the one before.
    ///
    /// # Errors
    /// [`PrivacyError::Ledger`] with the first that does not fit.
    pub fn ledger(&self) -> Result<Vec<(Entry, String)>, PrivacyError> {
        let rows: rusqlite::Result<Vec<(i64, String, String)>> =
            self.connection.prepare("SELECT number, entry, link FROM ledger ORDER BY number").and_then(
                |mut query| query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect(),
            );
        let mut before = NONE.to_owned();
        let mut entries = Vec::new();
        for (at, (number, text, stored)) in rows.map_err(self.failed())?.into_iter().enumerate() {
            let wrong = || PrivacyError::Ledger { number: number.unsigned_abs() };
            let entry: Entry = serde_json::from_str(&text).map_err(|_| wrong())?;
            let is_next = number == at as i64 + 1 && entry.number == number.unsigned_abs();
            if !is_next || entry.prev != before || link(&text) != stored {
                return Err(wrong());
            }
            before.clone_from(&stored);
            entries.push((entry, stored));
        }
        Ok(entries)
    }

    /// What the ledger says last of a stay; `None` where it stands on the configuration's ground.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn ground(&self, stay: &StayId) -> Result<Option<Step>, PrivacyError> {
        let subject = self.subject(stay);
        Ok(self
            .ledger()?
            .iter()
            .rev()
            .find(|(entry, _)| entry.subject == subject)
            .map(|(entry, _)| entry.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::privacy::Basis;

    fn written(at: i64) -> Written {
        Written { notice: Some("V1".into()), notice_sha256: None, by: "医务处".into(), at: Wall(at) }
    }

    fn ledger(folder: &Path) -> Privacy {
        let mut privacy = Privacy::open(folder).unwrap();
        let consent = Step::Recorded { basis: Basis::Consent };
        for (at, (stay, step)) in
            [("S1", consent), ("S2", consent), ("S1", Step::Withdrawn)].iter().enumerate()
        {
            privacy.write_down(&StayId::new(*stay).unwrap(), *step, written(at as i64)).unwrap();
        }
        privacy
    }

    #[test]
    fn the_last_word_on_a_stay_counts_and_no_number_of_a_stay_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        drop(ledger(folder.path()));
        let privacy = Privacy::open(folder.path()).unwrap();
        let ground = |stay: &str| privacy.ground(&StayId::new(stay).unwrap()).unwrap();
        assert_eq!(ground("S1"), Some(Step::Withdrawn));
        assert_eq!(ground("S2"), Some(Step::Recorded { basis: Basis::Consent }));
        assert_eq!(ground("S3"), None);
        let entries = privacy.ledger().unwrap();
        assert_eq!(entries[0].0.subject, entries[2].0.subject);
        assert!(!format!("{entries:?}").contains("S1"));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Privacy::open(elsewhere.path()).unwrap();
        assert_ne!(other.subject(&StayId::new("S1").unwrap()), entries[0].0.subject, "another box's salt");
    }

    #[test]
    fn a_ledger_that_was_written_into_is_named_by_its_entry() {
        let changes = [
            ("UPDATE ledger SET entry = replace(entry, '医务处', '护理部') WHERE number = 2", 2),
            ("DELETE FROM ledger WHERE number = 1", 2),
            ("UPDATE ledger SET link = (SELECT link FROM ledger WHERE number = 1) WHERE number = 3", 3),
        ];
        for (change, number) in changes {
            let folder = tempfile::tempdir().unwrap();
            let privacy = ledger(folder.path());
            assert!(privacy.connection.execute(change, []).unwrap_err().to_string().contains("append only"));
            privacy.connection.execute_batch("DROP TRIGGER ledger_grows; DROP TRIGGER ledger_stays").unwrap();
            privacy.connection.execute(change, []).unwrap();
            let found = privacy.ledger();
            assert!(
                matches!(found, Err(PrivacyError::Ledger { number: at }) if at == number),
                "{change}: {found:?}"
            );
        }
    }
}
