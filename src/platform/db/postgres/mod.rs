//! The store in a PostgreSQL database, for more than one machine's worth of readers and backups.
//!
//! ```text
//!   works of this process ──► one writing connection, groups of works ──► BEGIN, lock of the database, ... COMMIT (synced)
//!   pages, deliveries     ──► a few reading connections ──► REPEATABLE READ, READ ONLY: one consistent state
//! ```
//! One writer at a time, of all processes: each transaction that writes first takes one advisory lock. Every delivery
//! appends to one log, so that writers could never run beside each other anyway, and with the lock nothing ever has to be
//! done twice. A connection that is lost is opened again with the next work.

mod address;
mod dialect;
mod schema;
mod session;
mod tls;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use tokio_postgres::Config;

pub(super) use schema::{step, whole};
#[cfg(test)]
pub(super) use session::Driver;
pub(super) use session::{Session, value, words};

#[cfg(not(test))]
use self::session::Driver;
use self::tls::Tls;
use super::migrations;
use super::sql::{Connection, Error, Result, Transaction};
use super::{Reading, Store, Writing};
use crate::base::writer::{Channel, Writer};

/// Pages are drawn and devices ask who they are at the same time.
const READERS: usize = 4;

/// Whoever writes holds this lock: the letters "bedcheck" as a number.
const LOCK: i64 = 0x6265_6463_6865_636b;

/// What to look at when it fails.
pub const REMEDY: &str = "that PostgreSQL runs there, its disk's space and this account's rights";

/// A database.
pub struct Postgres {
    place: String,
    writer: Writer<Held>,
    readers: Vec<Mutex<Option<Reader>>>,
    server: Server,
}

/// How to reach it.
#[derive(Clone)]
pub(super) struct Server {
    driver: Arc<Driver>,
    config: Config,
    tls: Tls,
}

impl Server {
    /// The server that an address names, without TLS.
    #[cfg(test)]
    pub(super) fn at(address: &str, driver: Driver) -> Result<Server> {
        let config = address::parse(address).map_err(|error| Error::Unfit(error.to_string()))?;
        Ok(Server { driver: Arc::new(driver), config, tls: Tls::default() })
    }

    pub(super) fn connect(&self) -> Result<Session> {
        self.driver.connect(&self.config, &self.tls)
    }
}

impl Postgres {
    /// Opens the database at `address`, and makes the tables where there are none. `ca_pem` vouches for a server on
    /// another machine.
    ///
    /// # Errors
    /// [`Error::Unfit`] for an address, a server or a version that will not do; what the server says.
    pub fn open(address: &str, ca_pem: Option<&str>) -> Result<Postgres> {
        let (server, place) = server(address, ca_pem)?;
        let session = server.connect()?;
        fit(&session)?;
        let mut held = Held { server: server.clone(), session: Some(session), is_open: false };
        held.begin()?;
        migrations::begin_postgres(held.session()?)?;
        held.commit()?;
        let readers = (0..READERS).map(|_| Mutex::new(None)).collect();
        Ok(Postgres { place, writer: Writer::new(held), readers, server })
    }

    /// Brings the tables of an older version up to date; from which version to which.
    ///
    /// # Errors
    /// As [`Postgres::open`]; nothing was changed.
    pub fn upgrade(address: &str, ca_pem: Option<&str>) -> Result<(i64, i64)> {
        let (server, _) = server(address, ca_pem)?;
        let session = server.connect()?;
        fit(&session)?;
        let mut held = Held { server, session: Some(session), is_open: false };
        held.begin()?;
        let versions = migrations::upgrade_postgres(held.session()?)?;
        held.commit()?;
        Ok(versions)
    }

    /// A connection nobody uses, else the first one as soon as it is free.
    fn reader(&self) -> MutexGuard<'_, Option<Reader>> {
        let free = self.readers.iter().find_map(|reader| match reader.try_lock() {
            Ok(reader) => Some(reader),
            Err(TryLockError::Poisoned(reader)) => Some(reader.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.readers[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An address for people; what cannot be read may hold a password and is not repeated.
pub fn shown(address: &str) -> String {
    address::parse(address).map_or_else(|_| "PostgreSQL".to_owned(), |config| address::shown(&config))
}

fn server(address: &str, ca_pem: Option<&str>) -> Result<(Server, String)> {
    let unfit = |error: &dyn std::fmt::Display| Error::Unfit(error.to_string());
    let config = address::parse(address).map_err(|error| unfit(&error))?;
    let tls = ca_pem.map(crate::net::tls::client_of).transpose().map_err(|error| unfit(&error))?;
    let driver = Driver::start().map_err(|error| unfit(&error))?;
    let place = address::shown(&config);
    Ok((Server { driver: Arc::new(driver), config, tls: Tls(tls) }, place))
}

/// What no table can make up for.
fn fit(session: &Session) -> Result<()> {
    let setting = |name: &str| {
        let sql = format!("SELECT current_setting('{name}')");
        Connection::postgres(session).query_row(&sql, [], |row| row.get::<_, String>(0))
    };
    if setting("fsync")? != "on" {
        return Err(Error::Unfit(
            "the server runs with fsync=off: what it confirms may be gone after a power cut, and a receipt would lie; \
             set fsync=on in postgresql.conf"
                .to_owned(),
        ));
    }
    if setting("server_encoding")? != "UTF8" {
        return Err(Error::Unfit(
            "the database is not in UTF-8: make it with createdb --encoding=UTF8 --template=template0"
                .to_owned(),
        ));
    }
    Ok(())
}

impl Store for Postgres {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn remedy(&self) -> &'static str {
        REMEDY
    }

    fn write(&self, work: Writing<'_>) -> Result<()> {
        self.writer.write(|held| work(&Transaction::new(Connection::postgres(held.session()?))))
    }

    fn read(&self, work: Reading<'_>) -> Result<()> {
        let mut place = self.reader();
        let reader = Reader::ready(&mut place, &self.server)?;
        reader.is_open = true;
        let done = work(&Connection::postgres(&reader.session));
        // Nothing was changed, so that there is nothing to lose.
        reader.is_open = reader.session.batch("ROLLBACK").is_err();
        done
    }
}

/// A connection that reads.
struct Reader {
    session: Session,
    /// A work that panicked left its transaction open.
    is_open: bool,
}

impl Reader {
    /// In a transaction that sees one state; on a new connection where the last one is lost.
    fn ready<'p>(place: &'p mut Option<Reader>, server: &Server) -> Result<&'p mut Reader> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        if let Some(reader) = place.as_mut().filter(|reader| !reader.session.is_lost()) {
            if reader.is_open {
                let _ = reader.session.batch("ROLLBACK");
            }
            if reader.session.batch(BEGIN).is_err() {
                *place = None;
            }
        } else {
            *place = None;
        }
        match place {
            Some(reader) => Ok(reader),
            None => {
                let session = server.connect()?;
                session.batch(BEGIN)?;
                Ok(place.insert(Reader { session, is_open: false }))
            }
        }
    }
}

/// The connection that writes.
struct Held {
    server: Server,
    session: Option<Session>,
    is_open: bool,
}

impl Held {
    fn session(&self) -> Result<&Session> {
        self.session.as_ref().ok_or_else(|| Error::Unfit("the connection to the database is lost".to_owned()))
    }

    fn try_begin(&mut self) -> Result<()> {
        let session = match self.session.take().filter(|session| !session.is_lost()) {
            Some(session) => self.session.insert(session),
            None => self.session.insert(self.server.connect()?),
        };
        // Each statement sees what was committed before it (READ COMMITTED), so all of them what was before the lock.
        session.batch(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})"))
    }
}

impl Channel for Held {
    type Error = Error;

    fn begin(&mut self) -> Result<()> {
        let mut begun = self.try_begin();
        // The server was started again since the last work.
        if begun.is_err() && self.session.as_ref().is_some_and(Session::is_lost) {
            begun = self.try_begin();
        }
        if let (Err(_), Some(session)) = (&begun, &self.session) {
            let _ = session.batch("ROLLBACK");
        }
        self.is_open = begun.is_ok();
        begun
    }

    fn commit(&mut self) -> Result<()> {
        self.is_open = false;
        // A transaction that failed before would answer COMMIT with a quiet ROLLBACK; a question makes it say so.
        let committed = self.session().and_then(|session| session.batch("SELECT 1; COMMIT"));
        if let (Err(_), Some(session)) = (&committed, &self.session) {
            let _ = session.batch("ROLLBACK");
        }
        committed
    }

    fn is_open(&self) -> bool {
        self.is_open && self.session.as_ref().is_some_and(|session| !session.is_lost())
    }

    fn mark(&mut self) -> Result<()> {
        self.session()?.batch("SAVEPOINT work")
    }

    fn keep(&mut self) -> Result<()> {
        self.session()?.batch("RELEASE SAVEPOINT work")
    }

    fn undo(&mut self) {
        let undone = self
            .session()
            .and_then(|session| session.batch("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work"));
        if undone.is_err() {
            // Nothing of the group counts.
            let _ = self.session().and_then(|session| session.batch("ROLLBACK"));
            self.is_open = false;
        }
    }

    fn again(error: &Error) -> Error {
        Error::Together(error.to_string())
    }
}
