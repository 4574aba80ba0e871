//! Tells receivers, each by a task of its own, so that a slow one keeps nobody waiting.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::base::clock::{Clock, Wall};
use crate::base::supervise::{self, Stopping};
use crate::net::post::Poster;
use crate::platform::db::{Database, DatabaseError};
use crate::platform::webhooks::outbox::{self, Address, Message};
use crate::platform::webhooks::sign;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Until a receiver has answered.
const WAIT: Duration = Duration::from_secs(10);
/// Messages to one receiver in a row, before the next look at what is due.
const MOST_IN_A_ROW: usize = 50;

/// Sends what waits in the outbox.
pub struct Sender {
    db: Database,
    wait: Duration,
    /// Receivers that are being told right now: each by one task at a time.
    busy: Mutex<BTreeSet<String>>,
}

/// What came of one try.
enum Outcome {
    Taken,
    Gone,
    Failed(String, Option<Duration>),
}

impl Sender {
    pub fn new(db: Database) -> Arc<Sender> {
        Sender::patient_for(db, WAIT)
    }

    /// ... that waits so long for each answer.
    pub fn patient_for(db: Database, wait: Duration) -> Arc<Sender> {
        Arc::new(Sender { db, wait, busy: Mutex::default() })
    }

    /// Sends until shutdown.
    pub async fn run(self: Arc<Self>, clock: Clock, mut stopping: Stopping) {
        while !stopping.begun_within(LOOK_EVERY).await {
            if let Err(error) = self.clone().turn(clock.now().wall).await {
                error!(%error, "Webhooks could not be looked at; will try again.");
            }
        }
    }

    /// Begins to tell everybody for whom something is due and who is not being told already.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn turn(self: Arc<Self>, now: Wall) -> Result<Vec<JoinHandle<()>>, DatabaseError> {
        let db = self.db.clone();
        let due = tokio::task::spawn_blocking(move || outbox::take_up(&db, now)).await;
        // A panic in it was told by the runtime; the next turn tries again.
        let due = due.unwrap_or(Ok(Vec::new()))?;
        let tasks = due.into_iter().filter(|to| self.busy().insert(to.id.clone()));
        let tell = |to: Address| {
            let sender = self.clone();
            supervise::task("webhook", async move {
                if let Err(error) = sender.tell(&to, now).await {
                    error!(%error, receiver = to.id, "A webhook's outbox failed; will try again.");
                }
                sender.busy().remove(&to.id);
            })
        };
        Ok(tasks.map(tell).collect())
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, to: &Address, now: Wall) -> Result<(), DatabaseError> {
        let poster = Poster::new(to.certificate.as_deref());
        let url = Url::parse(&to.url);
        for _ in 0..MOST_IN_A_ROW {
            let receiver = to.id.clone();
            let Some(message) = self.blocking(move |db| outbox::next(db, &receiver, now)).await? else {
                break;
            };
            let outcome = match (&poster, &url) {
                (Ok(poster), Ok(url)) => self.send(poster, url, to, &message, now).await,
                (Err(error), _) => Outcome::Failed(error.to_string(), None),
                (_, Err(error)) => Outcome::Failed(error.to_string(), None),
            };
            let receiver = to.id.clone();
            match outcome {
                Outcome::Taken => self.blocking(move |db| outbox::sent(db, &receiver, &message.id)).await?,
                Outcome::Gone => {
                    info!(receiver, "A webhook's receiver is gone (410); it is told nothing any more.");
                    self.blocking(move |db| db.write(|tx| outbox::end(tx, &receiver, "gone", now))).await?;
                    break;
                }
                Outcome::Failed(why, asked) => {
                    warn!(receiver, why, "A webhook was not taken; will try again.");
                    let keep =
                        move |db: &Database| outbox::failed(db, &receiver, &message, (&why, asked), now);
                    self.blocking(keep).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    async fn send(&self, to: &Poster, url: &Url, whom: &Address, message: &Message, now: Wall) -> Outcome {
        let Message { id, body, .. } = message;
        let seconds = now.0 / 1000;
        let headers = [
            ("webhook-id", id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", sign(&whom.secret, id, seconds, body)),
        ];
        match to.post(url, &headers, body.clone(), self.wait).await {
            Ok(answer) if (200..300).contains(&answer.status) => Outcome::Taken,
            Ok(answer) if answer.status == 410 => Outcome::Gone,
            Ok(answer) => Outcome::Failed(format!("HTTP {}", answer.status), answer.retry_after),
            Err(error) => Outcome::Failed(error.to_string(), None),
        }
    }

    async fn blocking<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let db = self.db.clone();
        // A panic in it was told by the runtime.
        tokio::task::spawn_blocking(move || work(&db)).await.unwrap_or(Ok(T::default()))
    }
}
