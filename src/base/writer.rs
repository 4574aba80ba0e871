//! One writer at a time, one sync for many: who comes while another's work is done joins its transaction.
//!
//! ```text
//!   A  BEGIN  work A ...........  waits for the group's end ........... done
//!   B            (comes meanwhile)  work B  waits ..................... done
//!   C                     (comes meanwhile)  work C  COMMIT, one sync   done
//! ```
//! Whoever finds nobody behind commits for all, so a lone writer waits for nobody. Each work lies in a savepoint of its
//! own: one that fails or panics takes nothing else with it, and nobody is told "done" before the sync.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::{Connection, Params, Row, Savepoint, ffi};

/// Works of one group: a bound on what one failing sync undoes, and on how long the first one waits.
const MOST_TOGETHER: usize = 256;

/// What a work changes; all of it counts, or nothing. Its statements are prepared once for the connection's life.
pub struct Transaction<'c>(Savepoint<'c>);

impl Transaction<'_> {
    /// As [`Connection::execute`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> rusqlite::Result<usize> {
        self.0.prepare_cached(sql)?.execute(params)
    }

    /// As [`Connection::query_row`].
    ///
    /// # Errors
    /// What SQLite says; `QueryReturnedNoRows` when there is none.
    pub fn query_row<T, P: Params, F>(&self, sql: &str, params: P, read: F) -> rusqlite::Result<T>
    where
        F: FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    {
        self.0.prepare_cached(sql)?.query_row(params, read)
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// The writing connection and those who wait for it.
pub struct Writer {
    state: Mutex<State>,
    /// Told when a group has ended.
    ended: Condvar,
    /// Who stands before the lock.
    coming: AtomicUsize,
}

struct State {
    connection: Connection,
    open: Option<Arc<Group>>,
}

/// Works that are committed together.
#[derive(Default)]
struct Group {
    members: AtomicUsize,
    /// Set once, under the lock: committed, or why nothing of it counts.
    end: OnceLock<Result<(), Failure>>,
}

/// A database error that can be told to several.
#[derive(Clone)]
struct Failure(ffi::Error, String);

impl From<&rusqlite::Error> for Failure {
    fn from(error: &rusqlite::Error) -> Failure {
        let code = error.sqlite_error().copied().unwrap_or(ffi::Error::new(ffi::SQLITE_ERROR));
        Failure(code, error.to_string())
    }
}

impl From<Failure> for rusqlite::Error {
    fn from(Failure(code, message): Failure) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(code, Some(message))
    }
}

impl Writer {
    pub fn new(connection: Connection) -> Writer {
        let state = Mutex::new(State { connection, open: None });
        Writer { state, ended: Condvar::new(), coming: AtomicUsize::new(0) }
    }

    /// Does `work`; on the disk when this returns, or nothing of it.
    ///
    /// # Errors
    /// Of the work or of the commit.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.coming.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.coming.fetch_sub(1, Ordering::SeqCst);
        let group = state.join()?;
        // A panic must not leave the others waiting for a commit.
        let done = catch_unwind(AssertUnwindSafe(|| state.attempt(work)));
        self.finish(state, &group);
        match done {
            Err(panic) => resume_unwind(panic),
            Ok(Err(error)) => Err(error),
            Ok(Ok(done)) => match group.end.get() {
                Some(Err(failure)) => Err(failure.clone().into()),
                _ => Ok(done),
            },
        }
    }

    /// Commits for all, or waits for whoever comes behind and will.
    fn finish(&self, mut state: MutexGuard<'_, State>, group: &Group) {
        let is_last = self.coming.load(Ordering::SeqCst) == 0;
        if is_last || group.members.load(Ordering::SeqCst) >= MOST_TOGETHER {
            state.end();
        }
        if state.open.is_none() {
            self.ended.notify_all();
        }
        while group.end.get().is_none() {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// The open group; begins one where none is.
    fn join(&mut self) -> rusqlite::Result<Arc<Group>> {
        let group = match &self.open {
            Some(group) => group.clone(),
            None => {
                self.connection.execute_batch("BEGIN IMMEDIATE")?;
                self.open.insert(Arc::default()).clone()
            }
        };
        group.members.fetch_add(1, Ordering::SeqCst);
        Ok(group)
    }

    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let done = self.connection.savepoint().and_then(|savepoint| {
            let transaction = Transaction(savepoint);
            let done = work(&transaction)?;
            transaction.0.commit()?;
            Ok(done)
        });
        // A full disk or a failing one makes SQLite undo everything, also what the others did.
        if self.connection.is_autocommit()
            && let (Some(group), Err(error)) = (self.open.take(), &done)
        {
            let _ = group.end.set(Err(error.into()));
        }
        done
    }

    fn end(&mut self) {
        let Some(group) = self.open.take() else { return };
        let committed = self.connection.execute_batch("COMMIT");
        if committed.is_err() {
            // Where SQLite has already undone it, there is nothing to undo.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let _ = group.end.set(committed.map_err(|error| Failure::from(&error)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    fn writer(folder: &std::path::Path) -> Writer {
        let connection = Connection::open(folder.join("w.db")).unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT").unwrap();
        Writer::new(connection)
    }

    fn rows(writer: &Writer) -> i64 {
        writer.write(|tx| tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))).unwrap()
    }

    fn insert(tx: &Transaction<'_>, x: i64) -> rusqlite::Result<()> {
        tx.execute("INSERT INTO t VALUES (?1)", [x]).map(|_| ())
    }

    /// Lets `second` come while `first` works; whether each was told that it is done.
    fn together(
        writer: &Writer,
        first: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send,
        second: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send,
    ) -> (bool, bool) {
        let inside = Barrier::new(2);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                writer.write(|tx| {
                    inside.wait();
                    while writer.coming.load(Ordering::SeqCst) == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    first(tx)
                })
            });
            inside.wait();
            let two = scope.spawn(|| writer.write(second));
            (one.join().is_ok_and(|done| done.is_ok()), two.join().is_ok_and(|done| done.is_ok()))
        })
    }

    #[test]
    fn who_comes_meanwhile_joins_and_one_that_fails_takes_nothing_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        assert_eq!(together(&writer, |tx| insert(tx, 1), |tx| insert(tx, 2)), (true, true));
        assert_eq!(rows(&writer), 2);
        let twice = |tx: &Transaction<'_>| insert(tx, 3).and_then(|()| insert(tx, 1));
        assert_eq!(together(&writer, twice, |tx| insert(tx, 4)), (false, true));
        assert_eq!(together(&writer, |tx| insert(tx, 5), twice), (true, false));
        assert_eq!(rows(&writer), 4, "3 was undone both times");
    }

    #[test]
    fn a_panic_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        let broken = |tx: &Transaction<'_>| {
            insert(tx, 1)?;
            std::panic::resume_unwind(Box::new("made up"))
        };
        assert_eq!(together(&writer, broken, |tx| insert(tx, 2)), (false, true));
        assert_eq!(together(&writer, |tx| insert(tx, 3), broken), (true, false));
        assert_eq!(rows(&writer), 2);
    }

    #[test]
    fn when_sqlite_undoes_everything_nobody_is_told_that_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        // What a full disk leads to.
        let undone = |tx: &Transaction<'_>| tx.execute_batch("INSERT OR ROLLBACK INTO t VALUES (1), (1)");
        assert_eq!(together(&writer, |tx| insert(tx, 2), undone), (false, false));
        assert_eq!(rows(&writer), 0);
        assert_eq!(together(&writer, |tx| insert(tx, 2), |tx| insert(tx, 3)), (true, true));
        assert_eq!(rows(&writer), 2);
    }

    #[test]
    fn a_commit_that_fails_is_told_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        let deferred =
            "PRAGMA foreign_keys = ON; CREATE TABLE u (x INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
        writer.state.lock().unwrap().connection.execute_batch(deferred).unwrap();
        let orphan = |tx: &Transaction<'_>| tx.execute("INSERT INTO u VALUES (99)", []).map(|_| ());
        assert_eq!(together(&writer, orphan, |tx| insert(tx, 1)), (false, false));
        assert_eq!(rows(&writer), 0);
        assert_eq!(together(&writer, |tx| insert(tx, 1), |tx| insert(tx, 2)), (true, true));
    }

    #[test]
    fn many_at_once_all_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let writer = &writer;
                scope.spawn(move || {
                    for number in 0..50 {
                        writer.write(|tx| insert(tx, thread * 1000 + number)).unwrap();
                    }
                });
            }
        });
        assert_eq!(rows(&writer), 800);
    }
}
