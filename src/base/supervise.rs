//! Tasks and threads with a name, and the signal that ends them all.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{debug, error};

/// The firing end of shutdown; dropping it fires too, so that nothing outlives its owner.
pub struct Stop(watch::Sender<bool>);

/// The waiting end of shutdown; every wait watches it.
#[derive(Clone)]
pub struct Stopping(watch::Receiver<bool>);

/// A fresh pair.
pub fn shutdown() -> (Stop, Stopping) {
    let (send, receive) = watch::channel(false);
    (Stop(send), Stopping(receive))
}

impl Stop {
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Whether shutdown has begun: for threads, which poll.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Resolves when shutdown begins: for tasks, which select.
    pub async fn begun(&mut self) {
        // An error means that the owner is gone, which is shutdown as well.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }

    /// Waits `time` or until shutdown; true when it is time to stop.
    pub async fn begun_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.begun()).await.is_ok()
    }
}

/// Starts an async task under a name; its end is logged, a panic as an error.
#[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
pub fn task<F>(name: &'static str, work: F) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        match tokio::spawn(work).await {
            Ok(()) => debug!(task = name, "Task ended."),
            Err(end) if end.is_panic() => error!(task = name, error = %end, "Task panicked."),
            Err(_) => debug!(task = name, "Task was cancelled."),
        }
    })
}

/// Starts a thread for blocking work under a name of at most 15 bytes (the kernel cuts longer ones).
///
/// # Errors
/// When the system has no thread left.
pub fn thread<F, T>(name: &'static str, work: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
