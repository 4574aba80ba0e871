//! Outbox to platform, for ever: the oldest rows, a signed receipt, the next ones. Nothing is dropped while waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tracing::{debug, error, info, warn};

use crate::agent::health::Health;
use crate::base::backoff::{Backoff, draw};
use crate::base::clock::Clock;
use crate::base::supervise::Stopping;
use crate::domain::Input;
use crate::store::{Gone, JournalError, Keeper};
use crate::uplink::{Acknowledged, Platform, UplinkError};
use crate::wire::batch::Fate;

/// Looked at even without a wake-up, in case one was missed.
const IDLE: Duration = Duration::from_secs(5);

/// Usual time between two batches: what is written meanwhile goes together, a long outage is drained without a flood, and the platform
/// has room for five a second (`platform::turns`).
pub const SPACING: Duration = Duration::from_millis(250);

/// What delivery needs.
pub struct Deliver {
    pub keeper: Keeper,
    pub platform: Platform,
    pub written: Arc<Notify>,
    pub clock: Clock,
    pub backoff: Backoff,
    /// At least so long between two batches; [`SPACING`] but for proofs in a hurry.
    pub spacing: Duration,
    /// Where the platform's orders and its time go.
    pub orders: mpsc::Sender<Input>,
    pub health: Health,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl Deliver {
    /// Delivers until shutdown or until the journal is gone.
    pub async fn run(mut self, mut stopping: Stopping) {
        let mut resend_after = None;
        let mut failing = false;
        loop {
            let step = tokio::select! {
                step = self.step(resend_after) => step,
                () = stopping.begun() => return,
            };
            let wait = match step {
                Ok(Step::Idle) => {
                    tokio::select! {
                        () = self.written.notified() => {}
                        () = tokio::time::sleep(IDLE) => {}
                        () = stopping.begun() => return,
                    }
                    continue;
                }
                Ok(Step::Delivered { next }) => {
                    self.health.delivered(true);
                    resend_after = next;
                    self.backoff.reset();
                    if failing {
                        info!("The platform acknowledges again.");
                        failing = false;
                    }
                    self.spacing
                }
                Ok(Step::NewEpoch) => {
                    resend_after = None;
                    self.backoff.next(draw())
                }
                Err(Failure::Gone(_)) => return,
                Err(failure) => {
                    let asked = match &failure {
                        Failure::Uplink(UplinkError::Busy { retry_after, .. }) => *retry_after,
                        Failure::Uplink(_) | Failure::Journal(_) | Failure::Gone(_) => None,
                    };
                    let wait = self.backoff.next(draw()).max(asked.unwrap_or_default());
                    failing = true;
                    self.health.delivered(false);
                    warn!(error = %failure, wait_ms = wait.as_millis() as u64, "Delivery failed; everything is kept and sent again.");
                    wait
                }
            };
            if stopping.begun_within(wait).await {
                return;
            }
        }
    }

    async fn step(&mut self, resend_after: Option<u64>) -> Result<Step, Failure> {
        let rows = self
            .keeper
            .ask(move |journal| match resend_after {
                Some(seq) => journal.rows_after(seq),
                None => journal.unsent(),
            })
            .await??;
        let Some(rows) = rows else { return Ok(Step::Idle) };
        let sent = rows.last.seq;
        let Acknowledged { receipt, digest } = self.platform.deliver(rows.items).await?;
        let head = receipt.head.clone();
        let at = self.clock.now().wall;
        let ours = self.keeper.ask(move |journal| journal.acknowledge(&head, &digest, at)).await??;
        let key =
            receipt.evidence_key.as_ref().and_then(|key| <[u8; 32]>::try_from(hex::decode(key).ok()?).ok());
        if let Some(key) = key {
            self.keeper.ask(move |journal| journal.seal_to(key)).await??;
        }
        let head = receipt.head;
        let has = |fate| receipt.results.iter().any(|result| result.fate == fate);
        let is_behind = has(Fate::OutOfOrder);
        let is_stuck = is_behind && !has(Fate::Accepted) && resend_after == Some(head.seq);
        if has(Fate::Fork) || (!ours && head.seq > 0) || is_stuck {
            let rows = self.keeper.ask(|journal| journal.begin_epoch()).await??;
            error!(
                seq = head.seq,
                rows,
                "The platform holds another history of this device; a new chain begins and it will ask why."
            );
            return Ok(Step::NewEpoch);
        }
        debug!(head = head.seq, "The platform acknowledged.");
        let ahead_ms = at.0.saturating_sub(receipt.received.0);
        let orders = receipt.orders.into_iter().map(Input::Order);
        for input in orders.chain([Input::PlatformTime { ahead_ms }]) {
            // What finds no room comes again with the next receipt.
            let _ = self.orders.try_send(input);
        }
        // A platform behind what it once acknowledged (restored from a backup) is fed again from its own head.
        let next = (is_behind || (resend_after.is_some() && head.seq >= sent)).then_some(head.seq);
        Ok(Step::Delivered { next })
    }
}

enum Step {
    Idle,
    /// `next`: where to go on when the platform is behind.
    Delivered {
        next: Option<u64>,
    },
    /// The platform believed something else; wait before the new chain is tried, it might be the platform's fault.
    NewEpoch,
}
