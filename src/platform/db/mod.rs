//! The platform's store: all that it knows, in one SQLite file or in a PostgreSQL database.
//!
//! A receipt says "this is safe", so nothing is acknowledged that is not on the disk; and there is one writer at a time, so
//! that what a work reads before it writes cannot change in between. Works that come together share one sync
//! (`base::writer`). Whatever is asked is written once for both databases (`sql`).

pub mod copy;
#[cfg(all(test, feature = "postgres"))]
mod elsewhere;
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
mod schema;
mod sql;
mod sqlite;
mod values;

use std::path::Path;
use std::sync::Arc;

pub use sql::{
    Connection, Error, FromSql, Mapped, OptionalExtension, Params, Result, Row, Rows, Statement, ToSql,
    Transaction, Type, Value, params,
};

/// What a store is given to read with.
type Reading<'w> = &'w mut dyn FnMut(&Connection<'_>) -> Result<()>;
/// What a store is given to write with.
type Writing<'w> = &'w mut dyn FnMut(&Transaction<'_>) -> Result<()>;

/// What every database must give. `tests/platform/store` holds each against the same suite.
trait Store: Send + Sync {
    /// Where it is, for people; never with a password.
    fn place(&self) -> String;

    /// What to look at when it fails.
    fn remedy(&self) -> &'static str {
        SPACE
    }

    /// Does the work once, in one transaction beside which nobody else writes: all of it is on the disk afterwards, or
    /// nothing.
    ///
    /// # Errors
    /// Of the work or of the database; nothing was changed.
    fn write(&self, work: Writing<'_>) -> Result<()>;

    /// Does the work once, on one consistent state.
    ///
    /// # Errors
    /// Of the work or of the database.
    fn read(&self, work: Reading<'_>) -> Result<()>;
}

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
#[error("the database {place} failed: {cause}; check {remedy}")]
pub struct DatabaseError {
    /// The file, or the address without a password.
    pub place: String,
    pub cause: Error,
    remedy: &'static str,
}

const SPACE: &str = "the disk's space and permissions";

/// The platform's memory. Cloning gives another handle to the same. Its calls block: use `spawn_blocking`.
#[derive(Clone)]
pub struct Database(Arc<dyn Store>);

impl Database {
    /// Opens or creates the SQLite file.
    ///
    /// # Errors
    /// [`DatabaseError`], also for a file of a newer version.
    pub fn open(path: &Path) -> std::result::Result<Database, DatabaseError> {
        #[cfg(all(test, feature = "postgres"))]
        if let Some(other) = elsewhere::instead_of(path) {
            return other;
        }
        Database::opened_by(path, crate::base::sqlite::open)
    }

    /// As [`Database::open`], with another way of opening the file: the proofs' controls, which lose what they promise.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn opened_by(path: &Path, open: sqlite::Opening) -> std::result::Result<Database, DatabaseError> {
        let failed = |cause| DatabaseError { place: path.display().to_string(), cause, remedy: SPACE };
        Ok(Database(Arc::new(sqlite::Sqlite::open(path, open).map_err(failed)?)))
    }

    /// Brings the tables of a SQLite file up to date; from which version to which.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was changed.
    pub fn upgrade(path: &Path) -> std::result::Result<(i64, i64), DatabaseError> {
        let failed = |cause| DatabaseError { place: path.display().to_string(), cause, remedy: SPACE };
        migrations::upgrade_sqlite(path).map_err(failed)
    }

    /// Opens the PostgreSQL database at `address`, and makes its tables where there are none. `ca_pem` vouches for a server
    /// on another machine.
    ///
    /// # Errors
    /// [`DatabaseError`], also for one of another version.
    #[cfg(feature = "postgres")]
    pub fn connect(address: &str, ca_pem: Option<&str>) -> std::result::Result<Database, DatabaseError> {
        let opened = postgres::Postgres::open(address, ca_pem);
        Ok(Database(Arc::new(opened.map_err(|cause| unreached(address, cause))?)))
    }

    /// As [`Database::upgrade`], for a PostgreSQL database.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was changed.
    #[cfg(feature = "postgres")]
    pub fn upgrade_at(address: &str, ca_pem: Option<&str>) -> std::result::Result<(i64, i64), DatabaseError> {
        postgres::Postgres::upgrade(address, ca_pem).map_err(|cause| unreached(address, cause))
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.0.place()
    }

    /// Does `work` in one transaction: all of it is on the disk afterwards, or nothing.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was changed.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> std::result::Result<T, DatabaseError> {
        let (mut work, mut done) = (Some(work), None);
        let outcome = self.0.write(&mut |transaction| {
            let work = work.take().ok_or(Error::InvalidQuery)?;
            done = Some(work(transaction)?);
            Ok(())
        });
        self.answer(outcome, done)
    }

    /// Reads one consistent state.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection<'_>) -> Result<T>,
    ) -> std::result::Result<T, DatabaseError> {
        let (mut work, mut done) = (Some(work), None);
        let outcome = self.0.read(&mut |connection| {
            let work = work.take().ok_or(Error::InvalidQuery)?;
            done = Some(work(connection)?);
            Ok(())
        });
        self.answer(outcome, done)
    }

    fn answer<T>(&self, outcome: Result<()>, done: Option<T>) -> std::result::Result<T, DatabaseError> {
        // A store that says "done" has done the work.
        let done = outcome.and_then(|()| done.ok_or(Error::InvalidQuery));
        done.map_err(|cause| DatabaseError { place: self.0.place(), cause, remedy: self.0.remedy() })
    }
}

#[cfg(feature = "postgres")]
fn unreached(address: &str, cause: Error) -> DatabaseError {
    DatabaseError { place: postgres::shown(address), cause, remedy: postgres::REMEDY }
}

/// Integers of the databases are signed; a number beyond them can never be the next of a chain or of the rounds.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
