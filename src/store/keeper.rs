//! The journal on a thread of its own: syncing blocks, and only one may write.

use std::io;

use tokio::sync::{mpsc, oneshot};

use crate::base::supervise;
use crate::store::Journal;

type Work = Box<dyn FnOnce(&mut Journal) + Send>;

/// Requests that may wait for the disk; more make the asker wait.
const WAITING: usize = 64;

/// The journal's thread is gone: the process must end, because findings would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal's thread ended")]
pub struct Gone;

/// A handle on the journal, for several tasks.
#[derive(Clone)]
pub struct Keeper(mpsc::Sender<Work>);

impl Keeper {
    /// Moves `journal` to its thread, which ends with the last handle.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(mut journal: Journal) -> io::Result<Keeper> {
        let (send, mut receive) = mpsc::channel::<Work>(WAITING);
        supervise::thread("journal", move || {
            while let Some(work) = receive.blocking_recv() {
                work(&mut journal);
            }
        })?;
        Ok(Keeper(send))
    }

    /// Runs `work` on the journal and waits for its answer.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (send, receive) = oneshot::channel();
        let work: Work = Box::new(move |journal| {
            // The asker may have been stopped meanwhile; the work counts all the same.
            let _ = send.send(work(journal));
        });
        self.0.send(work).await.map_err(|_| Gone)?;
        receive.await.map_err(|_| Gone)
    }
}
