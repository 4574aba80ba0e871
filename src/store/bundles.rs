//! Which signed bundle is in use, and the highest ever accepted. A database of its own: both survive a new journal.
//!
//! ```text
//!  (none) ──activate──► on probation ──settle──► settled ──activate──► on probation …
//!                           └──give_up──► the one before (or the shipped pack)
//! ```
//!
//! The switch to a bundle, its version as the highest seen and the metadata that later bundles are held against are one
//! synced transaction: after a power cut all of it counts or none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::base::sqlite::{self, Schema};

const SCHEMA: Schema = Schema {
    page_bytes: 4096,
    version: 1,
    tables: "
        CREATE TABLE standing (
            one INTEGER PRIMARY KEY CHECK (one = 1), highest INTEGER NOT NULL, current INTEGER, previous INTEGER,
            starts INTEGER, returned INTEGER, why TEXT
        ) STRICT;
        INSERT INTO standing VALUES (1, 0, NULL, NULL, NULL, NULL, NULL);
        CREATE TABLE seen (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
        CREATE TABLE bundle (version INTEGER PRIMARY KEY, root BLOB NOT NULL, targets BLOB NOT NULL) STRICT;
    ",
};

/// The name of the trusted root in [`Seen`].
pub const ROOT: &str = "root.json";
/// The name of the signed list of files.
pub const TARGETS: &str = "targets.json";

/// Metadata files of the highest bundle, by name: what later ones are held against.
pub type Seen = BTreeMap<String, Vec<u8>>;

/// Root and list of files of one bundle, as signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedFiles {
    pub root: Vec<u8>,
    pub targets: Vec<u8>,
}

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
#[error("the database of updates {path} failed: {cause}; check the disk's space and permissions")]
pub struct BundlesError {
    path: PathBuf,
    cause: rusqlite::Error,
}

/// Where this device stands. `None` as current means the pack that came with the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub highest: u64,
    pub current: Option<u64>,
    /// What is gone back to while the current one is on probation.
    pub previous: Option<u64>,
    /// Starts since the current one was activated; absent when it has proven itself.
    pub starts: Option<u64>,
    /// The bundle given up last, and why.
    pub returned: Option<(u64, String)>,
}

pub struct Bundles {
    connection: Connection,
    path: PathBuf,
}

impl Bundles {
    /// Opens or creates the database in the state folder.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn open(state: &Path) -> Result<Bundles, BundlesError> {
        let path = state.join("updates.db");
        match sqlite::open(&path, &SCHEMA) {
            Ok(connection) => Ok(Bundles { connection, path }),
            Err(cause) => Err(BundlesError { path, cause }),
        }
    }

    /// The same where there is one: a device that trusts no root has none, and looking makes none.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn open_if_there(state: &Path) -> Result<Option<Bundles>, BundlesError> {
        if state.join("updates.db").exists() { Bundles::open(state).map(Some) } else { Ok(None) }
    }

    /// # Errors
    /// [`BundlesError`].
    pub fn standing(&self) -> Result<Standing, BundlesError> {
        standing(&self.connection).map_err(|cause| self.failed(cause))
    }

    /// # Errors
    /// [`BundlesError`].
    pub fn seen(&self) -> Result<Seen, BundlesError> {
        let rows = self.connection.prepare("SELECT name, bytes FROM seen").and_then(|mut query| {
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Seen>>()
        });
        rows.map_err(|cause| self.failed(cause))
    }

    /// Takes the first root. False when one is trusted already: later ones come signed by it.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn trust(&mut self, root: &[u8]) -> Result<bool, BundlesError> {
        self.write(|tx| {
            tx.execute("INSERT INTO seen VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![ROOT, root])
        })
        .map(|rows| rows > 0)
    }

    /// Root and list of files of an accepted bundle.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn signed(&self, version: u64) -> Result<Option<SignedFiles>, BundlesError> {
        let query = "SELECT root, targets FROM bundle WHERE version = ?1";
        self.connection
            .query_row(query, [version as i64], |row| {
                Ok(SignedFiles { root: row.get(0)?, targets: row.get(1)? })
            })
            .optional()
            .map_err(|cause| self.failed(cause))
    }

    /// Switches to a bundle, on probation. One that had not proven itself is not what is gone back to.
    ///
    /// # Errors
    /// [`BundlesError`]: nothing changed then.
    pub fn activate(&mut self, version: u64, seen: &Seen) -> Result<(), BundlesError> {
        self.write(|tx| {
            tx.execute("DELETE FROM seen", [])?;
            for (name, bytes) in seen {
                tx.execute("INSERT INTO seen VALUES (?1, ?2)", params![name, bytes])?;
            }
            tx.execute(
                "INSERT OR REPLACE INTO bundle VALUES (?1, ?2, ?3)",
                params![version as i64, seen.get(ROOT), seen.get(TARGETS)],
            )?;
            tx.execute(
                "UPDATE standing SET previous = CASE WHEN starts IS NULL THEN current ELSE previous END,
                 highest = max(highest, ?1), current = ?1, starts = 0, returned = NULL, why = NULL",
                [version as i64],
            )
        })
        .map(drop)
    }

    /// Counts a start while on probation.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn started(&mut self) -> Result<(), BundlesError> {
        self.write(|tx| tx.execute("UPDATE standing SET starts = starts + 1", [])).map(drop)
    }

    /// Takes a start back: the agent was ended by somebody and did not end by itself.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn ended_well(&mut self) -> Result<(), BundlesError> {
        self.write(|tx| tx.execute("UPDATE standing SET starts = max(starts - 1, 0)", [])).map(drop)
    }

    /// The current bundle has proven itself. False when it was not on probation.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn settle(&mut self, version: u64) -> Result<bool, BundlesError> {
        self.write(|tx| {
            let settle = "UPDATE standing SET starts = NULL, previous = NULL WHERE current = ?1 AND starts IS NOT NULL";
            let rows = tx.execute(settle, [version as i64])?;
            tx.execute("DELETE FROM bundle WHERE version NOT IN (SELECT current FROM standing)", [])?;
            Ok(rows)
        })
        .map(|rows| rows > 0)
    }

    /// Goes back to the one before; the version stays the highest seen. Where it went back to and from.
    ///
    /// # Errors
    /// [`BundlesError`].
    pub fn give_up(&mut self, why: &str) -> Result<Standing, BundlesError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE standing SET returned = current, why = ?1, current = previous, previous = NULL, starts = NULL
                 WHERE starts IS NOT NULL",
                [why],
            )?;
            standing(tx)
        })
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, BundlesError> {
        let path = self.path.clone();
        let done = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let done = work(&tx)?;
            tx.commit().map(|()| done)
        });
        done.map_err(|cause| BundlesError { path, cause })
    }

    fn failed(&self, cause: rusqlite::Error) -> BundlesError {
        BundlesError { path: self.path.clone(), cause }
    }
}

fn standing(connection: &Connection) -> rusqlite::Result<Standing> {
    let query = "SELECT highest, current, previous, starts, returned, why FROM standing";
    connection.query_row(query, [], |row| {
        let number =
            |at: usize| row.get::<_, Option<i64>>(at).map(|number| number.map(|number| number as u64));
        let why: Option<String> = row.get(5)?;
        Ok(Standing {
            highest: number(0)?.unwrap_or(0),
            current: number(1)?,
            previous: number(2)?,
            starts: number(3)?,
            returned: number(4)?.map(|version| (version, why.unwrap_or_default())),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        Seen::from([(ROOT.to_owned(), text.into()), (TARGETS.to_owned(), text.into())])
    }

    #[test]
    fn a_bundle_on_probation_settles_or_leads_back_and_no_version_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Bundles::open_if_there(folder.path()).unwrap().is_none());
        let mut bundles = Bundles::open(folder.path()).unwrap();
        assert!(bundles.trust(b"one").unwrap() && !bundles.trust(b"two").unwrap());
        assert_eq!(bundles.seen().unwrap()[ROOT], b"one");

        bundles.activate(3, &seen("3")).unwrap();
        bundles.started().unwrap();
        assert_eq!(bundles.standing().unwrap().starts, Some(1));
        bundles.ended_well().unwrap();
        assert!(!bundles.settle(2).unwrap() && bundles.settle(3).unwrap() && !bundles.settle(3).unwrap());

        // Two that fail one after the other lead back to the one that was good.
        bundles.activate(4, &seen("4")).unwrap();
        bundles.activate(5, &seen("5")).unwrap();
        let after = bundles.give_up("net").unwrap();
        let wanted =
            Standing { highest: 5, current: Some(3), returned: Some((5, "net".into())), ..after.clone() };
        assert_eq!((after.starts, after.previous, after.clone()), (None, None, wanted));
        assert_eq!(bundles.give_up("again").unwrap(), after, "what is settled is not given up");
        let three = SignedFiles { root: b"3".to_vec(), targets: b"3".to_vec() };
        assert_eq!(bundles.signed(3).unwrap(), Some(three));
        assert_eq!(Bundles::open(folder.path()).unwrap().standing().unwrap(), after);
    }
}
