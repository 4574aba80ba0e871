//! `sd_notify`: up, reloading, alive. Nothing happens where systemd is not the parent (`NOTIFY_SOCKET` is unset).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::base::clock::Mono;

/// What is said to the supervisor.
pub struct Systemd {
    /// How often it wants to hear at the least; a third of the time after which it kills.
    every: Option<Duration>,
    last: AtomicU64,
}

impl Systemd {
    pub fn new() -> Systemd {
        Systemd { every: sd_notify::watchdog_enabled().map(|limit| limit / 3), last: AtomicU64::new(0) }
    }

    pub fn ready(&self, status: &str) {
        say(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub fn status(&self, status: &str) {
        say(&[NotifyState::Status(status)]);
    }

    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => say(&[NotifyState::Reloading, now]),
            Err(_) => say(&[NotifyState::Reloading]),
        }
    }

    /// Called at every turn of the task that decides; says so no more often than is wanted.
    pub fn alive(&self, now: Mono) {
        let Some(every) = self.every else { return };
        let last = Mono(self.last.load(Ordering::Relaxed));
        if last == Mono(0) || now - last >= every {
            self.last.store(now.0.max(1), Ordering::Relaxed);
            say(&[NotifyState::Watchdog]);
        }
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "The service manager cannot be told.");
    }
}
