//! One connection to PostgreSQL, for threads that may block.
//!
//! A thread of its own drives the sockets of all connections, so that whoever waits for an answer may be anywhere, also
//! inside another runtime.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_postgres::types::{FromSql, IsNull, ToSql as Bind, Type as Kind, to_sql_checked};
use tokio_postgres::{Client, Config, Row, Statement};
use tracing::debug;

use super::dialect;
use super::tls::Tls;
use crate::base::supervise;
use crate::platform::db::sql::{Error, Result};
use crate::platform::db::values::{ToSql, Type, Value};

/// Seconds an answer may take: the server gives up after a minute by itself (`SETTINGS`) but in a copy, and the network
/// finds out within seconds who is gone. This is for one that stands still.
const PATIENCE: u32 = 600;
/// Statements kept prepared; more texts than there are.
const PREPARED: usize = 512;

/// What every connection promises: the disk before the answer, an end to every wait, and small statements left uncompiled.
const SETTINGS: &str = "
SET synchronous_commit = on; SET statement_timeout = '60s'; SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '120s'; SET standard_conforming_strings = on; SET jit = off;
SET search_path = bedcheck, pg_catalog; SET client_min_messages = warning";

/// What drives the sockets; dropping it closes them.
pub struct Driver {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    /// # Errors
    /// Where there is no thread or no socket left.
    pub fn start() -> io::Result<Driver> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        supervise::thread("postgres", move || {
            // An error is the drop of the other end, which is what is waited for.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Driver { handle, _stop: stop })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the server or the network says.
    pub fn connect(&self, config: &Config, tls: &Tls) -> Result<Session> {
        let (config, tls) = (config.clone(), tls.clone());
        let connect = self.handle.spawn(async move { config.connect(tls).await });
        let connected = wait(connect)?.map_err(|_| Error::Unfit("the program is ending".to_owned()))?;
        let (client, connection) = connected?;
        self.handle.spawn(async move {
            if let Err(error) = connection.await {
                // Whoever waits for an answer is told as well.
                debug!(%error, "A connection to the database ended.");
            }
        });
        let session = Session { client, statements: RefCell::default(), is_lost: Cell::new(false) };
        session.batch(SETTINGS)?;
        Ok(session)
    }
}

/// Prepared ones by text, and by what their values are.
type Statements = HashMap<String, Vec<(Vec<Type>, Statement)>>;

/// A connection.
pub struct Session {
    client: Client,
    statements: RefCell<Statements>,
    /// Nothing is known of it any more.
    is_lost: Cell<bool>,
}

impl Session {
    /// Whether it is of no use any more.
    pub fn is_lost(&self) -> bool {
        self.is_lost.get() || self.client.is_closed()
    }

    /// Does what needs no values.
    ///
    /// # Errors
    /// What the server says.
    pub fn batch(&self, sql: &str) -> Result<()> {
        self.answer(wait(self.client.batch_execute(sql)))
    }

    /// Does a statement; how many rows it touched.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, sql: &str, values: &[&dyn ToSql]) -> Result<usize> {
        let statement = self.prepared(sql, values)?;
        let bound = bound(values);
        let bound: Vec<&(dyn Bind + Sync)> = bound.iter().map(|value| value as _).collect();
        let touched = self.answer(wait(self.client.execute(&statement, &bound)))?;
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    /// All rows of a statement: what works read is bounded, and a connection has one answer at a time.
    ///
    /// # Errors
    /// What the server says.
    pub fn query(&self, sql: &str, values: &[&dyn ToSql]) -> Result<std::vec::IntoIter<Row>> {
        let statement = self.prepared(sql, values)?;
        let bound = bound(values);
        let bound: Vec<&(dyn Bind + Sync)> = bound.iter().map(|value| value as _).collect();
        Ok(self.answer(wait(self.client.query(&statement, &bound)))?.into_iter())
    }

    fn prepared(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Statement> {
        let kinds: Vec<Type> = values.iter().map(|value| value.value().kind()).collect();
        let known = |statements: &Statements| {
            let (_, statement) = statements.get(sql)?.iter().find(|(of, _)| *of == kinds)?;
            Some(statement.clone())
        };
        if let Some(statement) = known(&self.statements.borrow()) {
            return Ok(statement);
        }
        let types: Vec<Kind> = kinds.iter().copied().map(named).collect();
        let statement = self.answer(wait(self.client.prepare_typed(&dialect::adapt(sql), &types)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= PREPARED {
            statements.clear();
        }
        statements.entry(sql.to_owned()).or_default().push((kinds, statement.clone()));
        Ok(statement)
    }

    /// Takes an answer; without one, or where the server ends the connection, nothing is known of it any more.
    fn answer<T>(&self, answer: Result<std::result::Result<T, tokio_postgres::Error>>) -> Result<T> {
        let is_lost = match &answer {
            Err(_) => true,
            Ok(Ok(_)) => false,
            Ok(Err(error)) => {
                error.as_db_error().is_none_or(|said| said.severity() != "ERROR") && !is_ours(error)
            }
        };
        if is_lost {
            self.is_lost.set(true);
        }
        Ok(answer??)
    }
}

/// A value of ours that does not fit, or a row we do not understand: the connection is good.
fn is_ours(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none()
        && !error.is_closed()
        && error.source().is_some_and(|cause| !cause.is::<io::Error>())
}

/// An error in words, without what the server says of the values: they may be a person's.
pub fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{} ({})", said.message(), said.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

fn named(kind: Type) -> Kind {
    match kind {
        Type::Integer => Kind::INT8,
        Type::Real => Kind::FLOAT8,
        Type::Text => Kind::TEXT,
        Type::Blob => Kind::BYTEA,
    }
}

fn bound<'v>(values: &'v [&'v dyn ToSql]) -> Vec<Bound<'v>> {
    values.iter().map(|value| Bound(value.value())).collect()
}

#[derive(Debug)]
struct Bound<'v>(Value<'v>);

impl Bind for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Kind,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Value::Null(_) => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Real(number) => number.to_sql(kind, out),
            // PostgreSQL has no text with a NUL in it, and a device's words must not stop its chain.
            Value::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Kind) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column as it came.
struct Found<'r>(Value<'r>);

impl<'r> FromSql<'r> for Found<'r> {
    fn from_sql(
        kind: &Kind,
        raw: &'r [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Found(match *kind {
            Kind::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Kind::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Kind::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Kind::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Kind::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Kind::FLOAT4 => Value::Real(f32::from_sql(kind, raw)?.into()),
            Kind::NUMERIC => Value::Integer(whole(raw).ok_or("a number that is not whole or too large")?),
            Kind::BYTEA => Value::Blob(raw),
            _ => Value::Text(<&str>::from_sql(kind, raw)?),
        }))
    }

    fn accepts(_: &Kind) -> bool {
        true
    }
}

/// A NUMERIC, as the sum of a column is, where it is a whole number: digits of base 10000 after four counts of 16 bits.
fn whole(raw: &[u8]) -> Option<i64> {
    let mut words = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight, sign, _scale) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut sum = 0_i64;
    for at in 0..=weight {
        let digit = if at < count { words.next()? } else { 0 };
        sum = sum.checked_mul(10_000)?.checked_add(i64::from(digit))?;
    }
    let is_whole = words.all(|digit| digit == 0);
    is_whole.then_some(match sign {
        0 => Some(sum),
        0x4000 => Some(-sum),
        _ => None,
    })?
}

/// A column of a row.
pub fn value(row: &Row, column: usize) -> Result<Value<'_>> {
    let found: Option<Found<'_>> = row.try_get(column)?;
    Ok(found.map_or(Value::Null(Type::Text), |found| found.0))
}

/// Waits on this thread.
///
/// # Errors
/// Where no answer came for ten minutes: the server's own limits are shorter.
pub fn wait<F: Future>(future: F) -> Result<F::Output> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken { thread: std::thread::current(), has_been: AtomicBool::new(false) });
    let waker = woken.clone().into();
    let mut context = Context::from_waker(&waker);
    let mut seconds = 0;
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Ok(done);
        }
        while !woken.has_been.swap(false, Ordering::AcqRel) {
            if seconds == PATIENCE {
                return Err(Error::Unfit("the database did not answer for ten minutes".to_owned()));
            }
            std::thread::park_timeout(Duration::from_secs(1));
            seconds += 1;
        }
        // An answer on its way is a sign of life.
        seconds = 0;
    }
}

struct Woken {
    thread: Thread,
    has_been: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.has_been.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_the_whole_numbers_they_are() {
        let numeric =
            |words: &[i16]| whole(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
        assert_eq!(numeric(&[0, 0, 0, 0]), Some(0));
        assert_eq!(numeric(&[1, 0, 0, 0, 7]), Some(7));
        assert_eq!(numeric(&[1, 1, 0, 0, 5]), Some(50_000));
        assert_eq!(numeric(&[2, 1, 0x4000, 0, 1, 2345]), Some(-12_345));
        assert_eq!(numeric(&[2, 0, 0, 1, 1, 5000]), None, "1.5");
        assert_eq!(numeric(&[1, -1, 0, 1, 5000]), None, "0.5");
        assert_eq!(numeric(&[1, 9, 0, 0, 1]), None, "too large");
    }

    #[test]
    fn an_answer_is_waited_for_also_inside_another_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (tell, told) = oneshot::channel();
            let other = std::thread::scope(|scope| {
                scope.spawn(move || tell.send(7));
                wait(told).unwrap().unwrap()
            });
            assert_eq!(other, 7);
        });
    }
}
