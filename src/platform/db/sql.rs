//! Statements on whichever database there is, with the names and shapes of `rusqlite`.
//!
//! Each statement is written once, in SQL that SQLite and PostgreSQL both take (`dialect` says what is adapted, and
//! how). A row lives until the next one is asked for. Statements are prepared once for a connection's life.

use std::ops::Deref;

#[cfg(feature = "postgres")]
use super::postgres::Session;
pub use super::values::{FromSql, Params, ToSql, Type, Value};
use super::{sqlite, values};

pub type Result<T> = std::result::Result<T, Error>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the statement gave no row")]
    QueryReturnedNoRows,
    /// What should be stored cannot be written down.
    #[error("a value cannot be stored: {0}")]
    ToSqlConversionFailure(Cause),
    /// Column, what it holds, and why that is not understood.
    #[error("column {0} ({1:?}) is not understood: {2}")]
    FromSqlConversionFailure(usize, Type, Cause),
    /// Nothing of it shall count; for whoever undoes on purpose.
    #[error("undone on purpose")]
    InvalidQuery,
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[cfg(feature = "postgres")]
    #[error("{}", super::postgres::words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The database itself is not as it must be, and what helps.
    #[error("{0}")]
    Unfit(String),
    /// Another work of the same transaction made it fail as a whole; its words.
    #[error("{0}")]
    Together(String),
}

/// The values of a statement, of whatever types.
#[macro_export]
macro_rules! platform_params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::platform::db::ToSql),*] as &[&dyn $crate::platform::db::ToSql]
    };
}
pub use crate::platform_params as params;

/// A connection that reads one consistent state.
pub struct Connection<'c>(Backend<'c>);

#[derive(Clone, Copy)]
enum Backend<'c> {
    Sqlite(&'c rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Postgres(&'c Session),
}

impl<'c> Connection<'c> {
    pub(super) fn sqlite(connection: &'c rusqlite::Connection) -> Connection<'c> {
        Connection(Backend::Sqlite(connection))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(session: &'c Session) -> Connection<'c> {
        Connection(Backend::Postgres(session))
    }

    pub(super) fn is_postgres(&self) -> bool {
        match self.0 {
            Backend::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => true,
        }
    }

    /// Does statements that each database has in its own words.
    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        match self.0 {
            Backend::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(session) => session.batch(sql),
        }
    }

    /// A statement that is kept for the next time.
    ///
    /// # Errors
    /// What the database says.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match self.0 {
            Backend::Sqlite(connection) => Prepared::Sqlite(connection.prepare_cached(sql)?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(session) => Prepared::Postgres(session, sql.to_owned()),
        }))
    }

    /// As [`Connection::prepare_cached`].
    ///
    /// # Errors
    /// What the database says.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.prepare_cached(sql)
    }

    /// What `read` makes of the first row.
    ///
    /// # Errors
    /// [`Error::QueryReturnedNoRows`]; what the database says.
    pub fn query_row<T, P: Params, F>(&self, sql: &str, params: P, read: F) -> Result<T>
    where
        F: FnOnce(&Row<'_>) -> Result<T>,
    {
        self.prepare_cached(sql)?.query_row(params, read)
    }
}

/// What a work changes; all of it counts, or nothing.
pub struct Transaction<'c>(Connection<'c>);

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: Connection<'c>) -> Transaction<'c> {
        Transaction(connection)
    }

    /// Does one statement; how many rows it touched.
    ///
    /// # Errors
    /// What the database says.
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }
}

impl<'c> Deref for Transaction<'c> {
    type Target = Connection<'c>;

    fn deref(&self) -> &Connection<'c> {
        &self.0
    }
}

/// A statement.
pub struct Statement<'c>(Prepared<'c>);

enum Prepared<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    #[cfg(feature = "postgres")]
    Postgres(&'c Session, String),
}

impl Statement<'_> {
    /// As [`Transaction::execute`].
    ///
    /// # Errors
    /// What the database says.
    pub fn execute<P: Params>(&mut self, params: P) -> Result<usize> {
        params.with(|values| match &mut self.0 {
            Prepared::Sqlite(statement) => Ok(statement.execute(sqlite::bound(values))?),
            #[cfg(feature = "postgres")]
            Prepared::Postgres(session, sql) => session.execute(sql, values),
        })
    }

    /// The rows it gives.
    ///
    /// # Errors
    /// What the database says.
    pub fn query<P: Params>(&mut self, params: P) -> Result<Rows<'_>> {
        params.with(|values| {
            Ok(match &mut self.0 {
                Prepared::Sqlite(statement) => Rows::Sqlite(statement.query(sqlite::bound(values))?),
                #[cfg(feature = "postgres")]
                Prepared::Postgres(session, sql) => Rows::Postgres(session.query(sql, values)?, None),
            })
        })
    }

    /// What `map` makes of each row.
    ///
    /// # Errors
    /// What the database says.
    pub fn query_map<T, P: Params, F>(&mut self, params: P, map: F) -> Result<Mapped<'_, F>>
    where
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        Ok(Mapped { rows: self.query(params)?, map })
    }

    /// As [`Connection::query_row`].
    ///
    /// # Errors
    /// [`Error::QueryReturnedNoRows`]; what the database says.
    pub fn query_row<T, P: Params, F>(&mut self, params: P, read: F) -> Result<T>
    where
        F: FnOnce(&Row<'_>) -> Result<T>,
    {
        let mut rows = self.query(params)?;
        let row = rows.next()?.ok_or(Error::QueryReturnedNoRows)?;
        read(&row)
    }

    /// Whether there is a row.
    ///
    /// # Errors
    /// What the database says.
    pub fn exists<P: Params>(&mut self, params: P) -> Result<bool> {
        Ok(self.query(params)?.next()?.is_some())
    }
}

/// Rows, one after the other.
pub enum Rows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    /// Those to come, and the one that was given out last.
    #[cfg(feature = "postgres")]
    Postgres(std::vec::IntoIter<tokio_postgres::Row>, Option<tokio_postgres::Row>),
}

impl Rows<'_> {
    /// The next row, which lives until this is asked again.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::should_implement_trait, reason = "as in rusqlite: a row borrows from its rows")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match self {
            Rows::Sqlite(rows) => rows.next()?.map(|row| Row(Columns::Sqlite(row))),
            #[cfg(feature = "postgres")]
            Rows::Postgres(rows, last) => {
                *last = rows.next();
                last.as_ref().map(|row| Row(Columns::Postgres(row)))
            }
        })
    }
}

/// Rows with something made of each.
pub struct Mapped<'s, F> {
    rows: Rows<'s>,
    map: F,
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for Mapped<'_, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.rows.next() {
            Ok(row) => row.map(|row| (self.map)(&row)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// One row.
pub struct Row<'r>(Columns<'r>);

enum Columns<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    #[cfg(feature = "postgres")]
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// A column, by its number from 0.
    ///
    /// # Errors
    /// [`Error::FromSqlConversionFailure`]; what the database says.
    pub fn get<I: At, T: FromSql>(&self, column: I) -> Result<T> {
        let column = column.at();
        values::read(column, self.value(column)?)
    }

    /// A column as it is.
    ///
    /// # Errors
    /// What the database says.
    pub fn value(&self, column: usize) -> Result<Value<'_>> {
        match &self.0 {
            Columns::Sqlite(row) => sqlite::value(row, column),
            #[cfg(feature = "postgres")]
            Columns::Postgres(row) => super::postgres::value(row, column),
        }
    }
}

/// Where a column is; a trait so that `get::<_, T>` reads as in `rusqlite`.
pub trait At {
    fn at(self) -> usize;
}

impl At for usize {
    fn at(self) -> usize {
        self
    }
}

/// Turns "no row" into `None`.
pub trait OptionalExtension<T> {
    /// # Errors
    /// All but [`Error::QueryReturnedNoRows`].
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
