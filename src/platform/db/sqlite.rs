//! The store in one SQLite file: WAL, synced in full, one writer at a time, a few readers beside it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::sql::{Connection, Error, Result, Transaction, Value};
use super::values::{ToSql, Type};
use super::{Reading, Store, Writing, migrations};
use crate::base::sqlite::Schema;
use crate::base::writer::{Channel, Writer};

/// Statements kept prepared for each connection: more than there are.
const PREPARED: usize = 256;

/// Kept in memory by the writer, in KiB: the ends of every device's chain, which each of its batches touches.
const CACHE_KIB: i64 = 64 * 1024;

/// Pages of the write-ahead log before they are folded into the file: the same ones are written again with every batch,
/// and after the thousand that is usual they would be folded in at nearly every commit.
const LOG_PAGES: i64 = 16_384;

/// Deliveries ask who is there while pages are drawn.
const READERS: usize = 3;

/// A way of opening a file.
pub type Opening = fn(&Path, &Schema) -> rusqlite::Result<rusqlite::Connection>;

/// A file.
pub struct Sqlite {
    path: PathBuf,
    writer: Writer<Held>,
    readers: Vec<Mutex<rusqlite::Connection>>,
}

impl Sqlite {
    /// Opens or creates the file; `open` is [`sqlite::open`](crate::base::sqlite::open) but in the proofs.
    ///
    /// # Errors
    /// What SQLite says; a version that is not ours is refused.
    pub fn open(path: &Path, open: Opening) -> Result<Sqlite> {
        let connection = || {
            let connection = open(path, &migrations::sqlite()).map_err(other_version)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            Ok::<_, Error>(connection)
        };
        let writer = connection()?;
        writer.pragma_update(None, "cache_size", -CACHE_KIB)?;
        writer.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        let reader = || {
            let reader = connection()?;
            reader.pragma_update(None, "query_only", "ON")?;
            Ok(Mutex::new(reader))
        };
        let readers = (0..READERS).map(|_| reader()).collect::<Result<_>>()?;
        Ok(Sqlite { path: path.to_owned(), writer: Writer::new(Held(writer)), readers })
    }

    /// A reader nobody uses, else the first one as soon as it is free.
    fn reader(&self) -> MutexGuard<'_, rusqlite::Connection> {
        // A panic inside a reader's work rolled its transaction back: the connection is good.
        let free = self.readers.iter().find_map(|reader| match reader.try_lock() {
            Ok(reader) => Some(reader),
            Err(TryLockError::Poisoned(reader)) => Some(reader.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.readers[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Another version is not a failure of the disk.
fn other_version(error: rusqlite::Error) -> Error {
    let is_version =
        error.sqlite_error().is_some_and(|said| said.extended_code == rusqlite::ffi::SQLITE_MISMATCH);
    if is_version {
        return Error::Unfit(format!("{error}; `bedcheck-platform migrate` brings an older one up to date"));
    }
    Error::Sqlite(error)
}

impl Store for Sqlite {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, work: Writing<'_>) -> Result<()> {
        self.writer.write(|held| work(&Transaction::new(Connection::sqlite(&held.0))))
    }

    fn read(&self, work: Reading<'_>) -> Result<()> {
        let mut reader = self.reader();
        let transaction = reader.transaction()?;
        work(&Connection::sqlite(&transaction))
    }
}

/// The connection that writes.
struct Held(rusqlite::Connection);

impl Channel for Held {
    type Error = Error;

    fn begin(&mut self) -> Result<()> {
        Ok(self.0.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&mut self) -> Result<()> {
        let committed = self.0.execute_batch("COMMIT");
        if committed.is_err() {
            // Where SQLite has already undone it, there is nothing to undo.
            let _ = self.0.execute_batch("ROLLBACK");
        }
        Ok(committed?)
    }

    fn is_open(&self) -> bool {
        !self.0.is_autocommit()
    }

    fn mark(&mut self) -> Result<()> {
        Ok(self.0.execute_batch("SAVEPOINT work")?)
    }

    fn keep(&mut self) -> Result<()> {
        Ok(self.0.execute_batch("RELEASE work")?)
    }

    fn undo(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK TO work; RELEASE work");
    }

    fn again(error: &Error) -> Error {
        let Error::Sqlite(error) = error else { return Error::Together(error.to_string()) };
        let code = error.sqlite_error().copied();
        let code = code.unwrap_or(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR));
        rusqlite::Error::SqliteFailure(code, Some(error.to_string())).into()
    }
}

/// Our values as SQLite takes them.
struct Bound<'v>(Value<'v>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null(_) => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Real(number) => ValueRef::Real(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The values of a statement for SQLite.
pub(super) fn bound(values: &[&dyn ToSql]) -> impl rusqlite::Params {
    rusqlite::params_from_iter(values.iter().map(|value| Bound(value.value())))
}

/// A column of a row.
pub(super) fn value<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Value<'r>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null(Type::Text),
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes);
            Value::Text(
                text.map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))?,
            )
        }
    })
}
