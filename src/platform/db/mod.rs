//! One SQLite file: WAL, synced in full, one writer at a time, a few readers beside it.
//!
//! A receipt says "this is safe", so nothing is acknowledged that is not on the disk: `synchronous=FULL`.

mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use crate::base::sqlite;
pub use crate::base::writer::Transaction;
use crate::base::writer::Writer;

/// Statements kept prepared for each connection: more than there are.
const PREPARED: usize = 128;

/// Kept in memory by the writer, in KiB: the ends of every device's chain, which each of its batches touches.
const CACHE_KIB: i64 = 64 * 1024;

/// Pages of the write-ahead log before they are folded into the file: the same ones are written again with every batch,
/// and after the thousand that is usual they would be folded in at nearly every commit.
const LOG_PAGES: i64 = 16_384;

/// Deliveries ask who is there while pages are drawn.
const READERS: usize = 3;

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
    writer: Writer,
    readers: Vec<Mutex<Connection>>,
}

impl Database {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`DatabaseError`], also for a file of a newer version.
    pub fn open(path: &Path) -> Result<Database, DatabaseError> {
        let failed = |cause| DatabaseError { path: path.to_owned(), cause };
        let connection = || {
            let connection = sqlite::open(path, &schema::SCHEMA)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            Ok::<_, rusqlite::Error>(connection)
        };
        let reader = || {
            let reader = connection()?;
            reader.pragma_update(None, "query_only", "ON")?;
            Ok(Mutex::new(reader))
        };
        let writer = || {
            let writer = connection()?;
            writer.pragma_update(None, "cache_size", -CACHE_KIB)?;
            writer.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            Ok(Writer::new(writer))
        };
        Ok(Database(Arc::new(Inner {
            path: path.to_owned(),
            writer: writer().map_err(failed)?,
            readers: (0..READERS).map(|_| reader()).collect::<Result<_, _>>().map_err(failed)?,
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
        self.0.writer.write(work).map_err(|cause| DatabaseError { path: self.0.path.clone(), cause })
    }

    /// Reads one consistent state.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DatabaseError> {
        self.reader()
            .transaction()
            .and_then(|transaction| work(&transaction))
            .map_err(|cause| DatabaseError { path: self.0.path.clone(), cause })
    }

    /// A reader nobody uses, else the first one as soon as it is free.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a reader's work rolled its transaction back: the connection is good.
        let free = self.0.readers.iter().find_map(|reader| match reader.try_lock() {
            Ok(reader) => Some(reader),
            Err(TryLockError::Poisoned(reader)) => Some(reader.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.0.readers[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// SQLite's integers are signed; a number beyond them can never be the next of a chain or of the rounds.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
