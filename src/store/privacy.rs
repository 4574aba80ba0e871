//! Erasing templates so that they are gone, and what is written down about it. The grounds are in [`ledger`](super::ledger).
//!
//! A template is erased in one transaction with the note of it, overwritten (`secure_delete`), and the write-ahead log,
//! which holds older pages, is cut to nothing ([`Privacy::scrub`]). The journal puts the note into the signed chain
//! ([`Journal::tell`](super::Journal::tell)). Nothing here can reach what a worn flash chip keeps of old blocks: there the
//! seal protects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::ids::StayId;
use crate::domain::retention::{Moment, Waiting};
use crate::store::enrolled::KEY;
use crate::store::safe::{Safe, SafeError};
use crate::store::schema;
use crate::wire::privacy::{Erased, Why};

const SALT: &str = "bedcheck-privacy-salt-v1";

/// Why nothing can be erased or written down.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    #[error("the template store {path} failed: {cause}; check the disk's space and permissions")]
    Database { path: PathBuf, cause: rusqlite::Error },
    #[error(transparent)]
    Safe(#[from] SafeError),
    #[error(
        "the salt in {0} cannot be opened: it was changed, or template.key is another; put that key back"
    )]
    Salt(PathBuf),
    #[error("a note cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error(
        "依据台账第 {number} 条与前后不符，台账被改动过 · entry {number} of the ledger does not follow the one before: somebody wrote into it"
    )]
    Ledger { number: u64 },
}

/// Whose templates of which models there are.
pub type Stored = BTreeMap<StayId, Vec<String>>;

/// Everything about faces but the faces.
pub struct Privacy {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    safe: Safe,
    salt: Zeroizing<Vec<u8>>,
}

impl Privacy {
    /// Opens the store in `folder`; makes folder, key and salt at the first call.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn open(folder: &Path) -> Result<Privacy, PrivacyError> {
        let safe = Safe::open(folder, KEY)?;
        let path = folder.join("journal.db");
        let failed = |cause| PrivacyError::Database { path: path.clone(), cause };
        let mut connection = schema::open(&path).map_err(failed)?;
        connection.pragma_update(None, "secure_delete", "ON").map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let known: Option<Vec<u8>> = transaction
            .query_row("SELECT sealed FROM privacy_salt", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let salt = match known {
            Some(sealed) => safe.unseal(SALT, &sealed).ok_or_else(|| PrivacyError::Salt(path.clone()))?,
            None => {
                let mut salt = Zeroizing::new(vec![0; 32]);
                getrandom::fill(&mut salt).map_err(SafeError::Random)?;
                let sealed = safe.seal(SALT, &salt)?;
                transaction.execute("INSERT INTO privacy_salt VALUES (1, ?1)", [sealed]).map_err(failed)?;
                salt
            }
        };
        transaction.commit().map_err(failed)?;
        Ok(Privacy { connection, path, safe, salt })
    }

    /// How a stay is called where its number must not stand: HMAC-SHA-256 under this box's salt, in hexadecimal.
    pub fn subject(&self, stay: &StayId) -> String {
        self.digest(stay.as_str())
    }

    /// The same for a proxy, by the number of the card: one proxy of many patients shows, and nobody else can tell whose
    /// number it is. Blanks and small letters do not make another person.
    pub fn proxy(&self, number: &str) -> String {
        let number: String = number.split_whitespace().collect();
        self.digest(&format!("proxy|{}", number.to_uppercase()))
    }

    fn digest(&self, text: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.salt).map(|mac| mac.chain_update(text));
        // HMAC takes keys of any length.
        mac.map_or_else(|_| String::new(), |mac| hex::encode(mac.finalize().into_bytes()))
    }

    pub(super) fn failed(&self) -> impl Fn(rusqlite::Error) -> PrivacyError + use<> {
        let path = self.path.clone();
        move |cause| PrivacyError::Database { path: path.clone(), cause }
    }

    /// Whose templates there are.
    ///
    /// # Errors
    /// [`PrivacyError::Database`].
    pub fn stored(&self) -> Result<Stored, PrivacyError> {
        let rows: rusqlite::Result<Vec<(String, String)>> = self
            .connection
            .prepare_cached("SELECT DISTINCT stay, models FROM template ORDER BY stay, models")
            .and_then(|mut query| query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
        let mut stored = Stored::new();
        for (stay, models) in rows.map_err(self.failed())? {
            if let Ok(stay) = StayId::new(stay) {
                stored.entry(stay).or_default().push(models);
            }
        }
        Ok(stored)
    }

    /// Erases the templates of a stay, but for those of the models `keep`, and notes it together with `facts` whose names
    /// went. `reason` is what somebody wrote; it stays here, sealed. Ends with [`Privacy::scrub`].
    ///
    /// # Errors
    /// [`PrivacyError`]; nothing was erased then.
    pub fn erase(&mut self, stay: &StayId, asked: &Asked<'_>) -> Result<Erased, PrivacyError> {
        let (subject, failed) = (self.subject(stay), self.failed());
        let sealed = match asked.reason {
            Some(reason) => Some(self.safe.seal(&reason_place(&subject), reason.as_bytes())?),
            None => None,
        };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let templates = transaction
            .execute(
                "DELETE FROM template WHERE stay = ?1 AND models IS NOT ?2",
                params![stay.as_str(), asked.keep],
            )
            .map_err(&failed)?;
        let number = next(&transaction, "erasure").map_err(&failed)?;
        let (templates, facts) = (templates as u64, asked.facts as u64);
        let note =
            Erased { number, subject: subject.clone(), why: asked.why, templates, facts, at: asked.at };
        transaction
            .execute(
                "INSERT INTO erasure VALUES (?1, ?2, ?3)",
                params![number as i64, serde_json::to_string(&note)?, sealed],
            )
            .map_err(&failed)?;
        transaction
            .execute("DELETE FROM leaving WHERE stay = ?1 AND why = ?2", [stay.as_str(), asked.why.name()])
            .map_err(&failed)?;
        if asked.why == Why::Request {
            transaction.execute("INSERT OR IGNORE INTO barred VALUES (?1)", [&subject]).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)?;
        Ok(note)
    }

    /// Cuts the write-ahead log to nothing, so that no older page is left; false while another program reads: try again.
    ///
    /// # Errors
    /// [`PrivacyError::Database`].
    pub fn scrub(&self) -> Result<bool, PrivacyError> {
        cut_log(&self.connection).map_err(self.failed())
    }

    /// Whether the stay must not be enrolled before somebody wants it.
    ///
    /// # Errors
    /// [`PrivacyError::Database`].
    pub fn is_barred(&self, stay: &StayId) -> Result<bool, PrivacyError> {
        let row = self.connection.query_row(
            "SELECT count(*) FROM barred WHERE subject = ?1",
            [self.subject(stay)],
            |row| row.get::<_, i64>(0),
        );
        row.map(|found| found > 0).map_err(self.failed())
    }

    /// Lets the stay be enrolled again; whether it was barred.
    ///
    /// # Errors
    /// [`PrivacyError::Database`].
    pub fn unbar(&self, stay: &StayId) -> Result<bool, PrivacyError> {
        let done = self.connection.execute("DELETE FROM barred WHERE subject = ?1", [self.subject(stay)]);
        done.map(|rows| rows > 0).map_err(self.failed())
    }

    /// Every erasure of this box, oldest first.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn erasures(&self) -> Result<Vec<Erased>, PrivacyError> {
        let rows: rusqlite::Result<Vec<String>> = self
            .connection
            .prepare("SELECT note FROM erasure ORDER BY number")
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect());
        let rows = rows.map_err(self.failed())?;
        rows.iter().map(|note| Ok(serde_json::from_str(note)?)).collect()
    }

    /// What will be erased, and since when it waits.
    ///
    /// # Errors
    /// [`PrivacyError::Database`].
    pub fn leaving(&self) -> Result<BTreeMap<(StayId, Why), Waiting>, PrivacyError> {
        let query = "SELECT stay, why, waited_ms, wall_ms, boot_ms, boot_id FROM leaving";
        let rows: rusqlite::Result<Vec<(String, String, Waiting)>> =
            self.connection.prepare_cached(query).and_then(|mut query| {
                let rows = query.query_map([], |row| {
                    let (wall, boot) = (Wall(row.get(3)?), row.get::<_, i64>(4)?.unsigned_abs());
                    let seen = Moment { wall, boot, boot_id: row.get(5)? };
                    let waited_ms = row.get::<_, i64>(2)?.unsigned_abs();
                    Ok((row.get(0)?, row.get(1)?, Waiting { waited_ms, seen }))
                })?;
                rows.collect()
            });
        let rows = rows.map_err(self.failed())?.into_iter();
        let known = rows
            .filter_map(|(stay, why, waiting)| Some(((StayId::new(stay).ok()?, Why::of(&why)?), waiting)));
        Ok(known.collect())
    }

    /// Keeps what waits, and nothing else.
    ///
    /// # Errors
    /// [`PrivacyError::Database`]; the former ones stay then.
    pub fn keep_leaving(&mut self, all: &BTreeMap<(StayId, Why), Waiting>) -> Result<(), PrivacyError> {
        let failed = self.failed();
        let transaction = self.connection.transaction().map_err(&failed)?;
        transaction.execute("DELETE FROM leaving", []).map_err(&failed)?;
        for ((stay, why), Waiting { waited_ms, seen }) in all {
            let millis = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            let row = params![
                stay.as_str(),
                why.name(),
                millis(*waited_ms),
                seen.wall.0,
                millis(seen.boot),
                seen.boot_id
            ];
            transaction
                .execute("INSERT INTO leaving VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)
                .map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }
}

/// An erasure as it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub why: Why,
    /// Templates of these models stay.
    pub keep: Option<&'a str>,
    /// Facts that were relieved of their names before.
    pub facts: usize,
    pub reason: Option<&'a str>,
    pub at: Wall,
}

impl<'a> Asked<'a> {
    /// Everything of the stay.
    pub fn all(why: Why, at: Wall) -> Asked<'a> {
        Asked { why, keep: None, facts: 0, reason: None, at }
    }
}

/// Cuts the log of a database; false while somebody reads in it.
pub(super) fn cut_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// The next number of a table that only grows.
pub(super) fn next(transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<u64> {
    let query = format!("SELECT coalesce(max(number), 0) + 1 FROM {table}");
    transaction.query_row(&query, [], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// Binds what somebody wrote to its stay.
fn reason_place(subject: &str) -> String {
    format!("bedcheck-erasure-v1|{subject}")
}
