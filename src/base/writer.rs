//! One writer at a time, one sync for many: who comes while another's work is done joins its transaction.
//!
//! ```text
//!   A  BEGIN  work A ...........  waits for the group's end ........... done
//!   B            (comes meanwhile)  work B  waits ..................... done
//!   C                     (comes meanwhile)  work C  COMMIT, one sync   done
//! ```
//! Whoever finds nobody behind commits for all, so a lone writer waits for nobody. Each work lies behind a mark of its
//! own: one that fails or panics takes nothing else with it, and nobody is told "done" before the sync.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Works of one group: a bound on what one failing sync undoes, and on how long the first one waits.
const MOST_TOGETHER: usize = 256;

/// The writing end of a database.
pub trait Channel {
    type Error;

    /// Begins a transaction that nobody else's writes are in.
    ///
    /// # Errors
    /// What the database says; nothing was begun.
    fn begin(&mut self) -> Result<(), Self::Error>;

    /// Ends it; all of it is on the disk when this returns well.
    ///
    /// # Errors
    /// What the database says; nothing of it counts.
    fn commit(&mut self) -> Result<(), Self::Error>;

    /// Whether what was begun is still open: some failures make a database undo everything.
    fn is_open(&self) -> bool;

    /// Remembers this point.
    ///
    /// # Errors
    /// What the database says.
    fn mark(&mut self) -> Result<(), Self::Error>;

    /// Forgets the point and keeps what came after it.
    ///
    /// # Errors
    /// What the database says.
    fn keep(&mut self) -> Result<(), Self::Error>;

    /// Undoes what came after the point. What cannot be undone is found by [`Channel::is_open`] or at the end.
    fn undo(&mut self);

    /// The same failure, to tell it to another of the group.
    fn again(error: &Self::Error) -> Self::Error;
}

/// The writing connection and those who wait for it.
pub struct Writer<C: Channel> {
    state: Mutex<State<C>>,
    /// Told when a group has ended.
    ended: Condvar,
    /// Who stands before the lock.
    coming: AtomicUsize,
}

struct State<C: Channel> {
    channel: C,
    open: Option<Arc<Group<C::Error>>>,
}

/// Works that are committed together.
struct Group<E> {
    members: AtomicUsize,
    /// Set once, under the lock: committed, or why nothing of it counts.
    end: OnceLock<Result<(), E>>,
}

impl<C: Channel> Writer<C> {
    pub fn new(channel: C) -> Writer<C> {
        let state = Mutex::new(State { channel, open: None });
        Writer { state, ended: Condvar::new(), coming: AtomicUsize::new(0) }
    }

    /// Does `work`; on the disk when this returns, or nothing of it.
    ///
    /// # Errors
    /// Of the work or of the commit.
    pub fn write<T>(&self, work: impl FnOnce(&C) -> Result<T, C::Error>) -> Result<T, C::Error> {
        self.coming.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.coming.fetch_sub(1, Ordering::SeqCst);
        let group = state.join()?;
        let done = state.attempt(work);
        self.finish(state, &group);
        match done {
            Err(panic) => resume_unwind(panic),
            Ok(Err(error)) => Err(error),
            Ok(Ok(done)) => match group.end.get() {
                Some(Err(failure)) => Err(C::again(failure)),
                _ => Ok(done),
            },
        }
    }

    /// Commits for all, or waits for whoever comes behind and will.
    fn finish(&self, mut state: MutexGuard<'_, State<C>>, group: &Group<C::Error>) {
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

impl<C: Channel> State<C> {
    /// The open group; begins one where none is.
    fn join(&mut self) -> Result<Arc<Group<C::Error>>, C::Error> {
        let group = match &self.open {
            Some(group) => group.clone(),
            None => {
                self.channel.begin()?;
                let group = Group { members: AtomicUsize::new(0), end: OnceLock::new() };
                self.open.insert(Arc::new(group)).clone()
            }
        };
        group.members.fetch_add(1, Ordering::SeqCst);
        Ok(group)
    }

    /// Does one work of the group; a panic must not leave the others waiting for a commit.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&C) -> Result<T, C::Error>,
    ) -> std::thread::Result<Result<T, C::Error>> {
        let mut done = match self.channel.mark() {
            Ok(()) => catch_unwind(AssertUnwindSafe(|| work(&self.channel))),
            Err(error) => Ok(Err(error)),
        };
        if matches!(done, Ok(Ok(_)))
            && let Err(error) = self.channel.keep()
        {
            done = Ok(Err(error));
        }
        if !matches!(done, Ok(Ok(_))) && self.channel.is_open() {
            self.channel.undo();
        }
        // A full disk, a failing one or a lost connection undoes everything, also what the others did.
        if let Ok(Err(error)) = &done
            && !self.channel.is_open()
            && let Some(group) = self.open.take()
        {
            let _ = group.end.set(Err(C::again(error)));
        }
        done
    }

    fn end(&mut self) {
        let Some(group) = self.open.take() else { return };
        let _ = group.end.set(self.channel.commit());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    /// SQLite, whose failures are the best known.
    struct Lite(rusqlite::Connection);

    impl Channel for Lite {
        type Error = rusqlite::Error;

        fn begin(&mut self) -> rusqlite::Result<()> {
            self.0.execute_batch("BEGIN IMMEDIATE")
        }

        fn commit(&mut self) -> rusqlite::Result<()> {
            self.0.execute_batch("COMMIT").inspect_err(|_| drop(self.0.execute_batch("ROLLBACK")))
        }

        fn is_open(&self) -> bool {
            !self.0.is_autocommit()
        }

        fn mark(&mut self) -> rusqlite::Result<()> {
            self.0.execute_batch("SAVEPOINT work")
        }

        fn keep(&mut self) -> rusqlite::Result<()> {
            self.0.execute_batch("RELEASE work")
        }

        fn undo(&mut self) {
            self.0.execute_batch("ROLLBACK TO work; RELEASE work").unwrap();
        }

        fn again(error: &rusqlite::Error) -> rusqlite::Error {
            rusqlite::Error::ToSqlConversionFailure(error.to_string().into())
        }
    }

    fn writer(folder: &std::path::Path) -> Writer<Lite> {
        let connection = rusqlite::Connection::open(folder.join("w.db")).unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT").unwrap();
        Writer::new(Lite(connection))
    }

    fn rows(writer: &Writer<Lite>) -> i64 {
        let count = |held: &Lite| held.0.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
        writer.write(count).unwrap()
    }

    fn insert(held: &Lite, x: i64) -> rusqlite::Result<()> {
        held.0.execute("INSERT INTO t VALUES (?1)", [x]).map(|_| ())
    }

    /// Lets `second` come while `first` works; whether each was told that it is done.
    fn together(
        writer: &Writer<Lite>,
        first: impl FnOnce(&Lite) -> rusqlite::Result<()> + Send,
        second: impl FnOnce(&Lite) -> rusqlite::Result<()> + Send,
    ) -> (bool, bool) {
        let inside = Barrier::new(2);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                writer.write(|held| {
                    inside.wait();
                    while writer.coming.load(Ordering::SeqCst) == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    first(held)
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
        assert_eq!(together(&writer, |held| insert(held, 1), |held| insert(held, 2)), (true, true));
        assert_eq!(rows(&writer), 2);
        let twice = |held: &Lite| insert(held, 3).and_then(|()| insert(held, 1));
        assert_eq!(together(&writer, twice, |held| insert(held, 4)), (false, true));
        assert_eq!(together(&writer, |held| insert(held, 5), twice), (true, false));
        assert_eq!(rows(&writer), 4, "3 was undone both times");
    }

    #[test]
    fn a_panic_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        let broken = |held: &Lite| {
            insert(held, 1)?;
            std::panic::resume_unwind(Box::new("made up"))
        };
        assert_eq!(together(&writer, broken, |held| insert(held, 2)), (false, true));
        assert_eq!(together(&writer, |held| insert(held, 3), broken), (true, false));
        assert_eq!(rows(&writer), 2);
    }

    #[test]
    fn when_sqlite_undoes_everything_nobody_is_told_that_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        // What a full disk leads to.
        let undone = |held: &Lite| held.0.execute_batch("INSERT OR ROLLBACK INTO t VALUES (1), (1)");
        assert_eq!(together(&writer, |held| insert(held, 2), undone), (false, false));
        assert_eq!(rows(&writer), 0);
        assert_eq!(together(&writer, |held| insert(held, 2), |held| insert(held, 3)), (true, true));
        assert_eq!(rows(&writer), 2);
    }

    #[test]
    fn a_commit_that_fails_is_told_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path());
        let deferred =
            "PRAGMA foreign_keys = ON; CREATE TABLE u (x INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
        writer.state.lock().unwrap().channel.0.execute_batch(deferred).unwrap();
        let orphan = |held: &Lite| held.0.execute("INSERT INTO u VALUES (99)", []).map(|_| ());
        assert_eq!(together(&writer, orphan, |held| insert(held, 1)), (false, false));
        assert_eq!(rows(&writer), 0);
        assert_eq!(together(&writer, |held| insert(held, 1), |held| insert(held, 2)), (true, true));
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
                        writer.write(|held| insert(held, thread * 1000 + number)).unwrap();
                    }
                });
            }
        });
        assert_eq!(rows(&writer), 800);
    }
}
