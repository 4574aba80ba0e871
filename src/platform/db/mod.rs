//! One SQLite file: WAL, synced in full, one writer at a time, one reader beside it.
//!
//! A receipt says "this is safe", so nothing is acknowledged that is not on the disk: `synchronous=FULL`.

mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::base::sqlite;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
#[error("the database {path} failed: {cause}; check the disk's space and permissions")]
pub struct DatabaseError {
    pub path: PathBuf,
    pub cause: rusqlite::Error,
}

/// The platform's memory. Cloning gives another handle to the same file. Its calls block: use `spawn_blocking`.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Pages are drawn while a batch is written.
    reader: Mutex<Connection>,
}

impl Database {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`DatabaseError`], also for a file of a newer version.
    pub fn open(path: &Path) -> Result<Database, DatabaseError> {
        let failed = |cause| DatabaseError { path: path.to_owned(), cause };
        let writer = sqlite::open(path, &schema::SCHEMA).map_err(failed)?;
        let reader = sqlite::open(path, &schema::SCHEMA).map_err(failed)?;
        reader.pragma_update(None, "query_only", "ON").map_err(failed)?;
        Ok(Database(Arc::new(Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })))
    }

    /// Does `work` in one transaction: all of it is on the disk afterwards, or nothing.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was changed.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        // A panic inside `work` rolled its transaction back: the connection is good.
        let mut connection = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let done = work(&transaction)?;
                transaction.commit()?;
                Ok(done)
            })
            .map_err(|cause| DatabaseError { path: self.0.path.clone(), cause })
    }

    /// Reads one consistent state.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DatabaseError> {
        let mut connection = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .transaction()
            .and_then(|transaction| work(&transaction))
            .map_err(|cause| DatabaseError { path: self.0.path.clone(), cause })
    }
}

/// SQLite's integers are signed; a number beyond them can never be the next of a chain or of the rounds.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
