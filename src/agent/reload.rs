//! Follows the configuration while the agent runs.
//!
//! A change makes the agent stop and start inside the process, with everything read anew: that is the way a restart
//! takes anyway (the journal is durable, [`crate::domain::Input::Recall`] brings the rounds back, the secret of the draws
//! stays, so that nobody moves a round by touching a file), and a second way, in which each task takes its new settings
//! while it works, would be one nobody walks often enough to trust. Nets and cameras are away for about a second.
//! A file with mistakes changes nothing: the last good settings stay, and every complaint is said.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::agent::config::{self, Above, ConfigError, Settings};
use crate::agent::health::{ConfigState, Health};
use crate::base::clock::Clock;
use crate::base::picture;
use crate::hospital::roster_file;

/// How often the files are looked at. A file counts when it was the same twice: editors write in several steps.
const LOOK: Duration = Duration::from_secs(1);

/// Watches the files and SIGHUP.
pub struct Follower {
    path: PathBuf,
    above: Above,
    clock: Clock,
    health: Health,
    hang_up: Signal,
    /// What was read last, good or not.
    seen: String,
}

impl Follower {
    /// Begins with the files as they are.
    ///
    /// # Errors
    /// When the system takes no signal handler.
    pub fn new(path: PathBuf, above: Above, clock: Clock, health: Health) -> std::io::Result<Follower> {
        let seen = config::fingerprint(&path);
        Ok(Follower { path, above, clock, health, hang_up: signal(SignalKind::hangup())?, seen })
    }

    /// Resolves with settings that differ from `current`, can be read, and whose files are there.
    pub async fn changed(&mut self, current: &Settings) -> Settings {
        loop {
            self.touched().await;
            match self.read() {
                Err(complaints) => self.refuse(current, complaints),
                Ok(mut fresh) => {
                    let needs_restart = keep_what_needs_a_restart(&mut fresh, current);
                    self.accept(current, &needs_restart);
                    if fresh != *current {
                        info!("The configuration has changed; the agent starts again with it.");
                        return fresh;
                    }
                }
            }
        }
    }

    /// Says that the configuration read at the start is in use.
    pub fn accept(&self, current: &Settings, needs_restart: &[&'static str]) {
        for key in needs_restart {
            warn!(key, "This key changed; it counts after `systemctl restart bedcheck`.");
        }
        let needs_restart = needs_restart.iter().map(|key| (*key).to_owned()).collect();
        let read = self.clock.now().wall;
        let state = ConfigState { read, is_good: true, complaints: Vec::new(), needs_restart };
        self.health.config(&current.state, state);
    }

    /// Says that the new configuration is not used, and why.
    pub fn refuse(&self, current: &Settings, complaints: Vec<String>) {
        for complaint in &complaints {
            warn!(complaint, "The configuration has a mistake.");
        }
        error!(
            complaints = complaints.len(),
            "The new configuration is refused; the last good one stays in use."
        );
        let read = self.clock.now().wall;
        let state = ConfigState { read, is_good: false, complaints, needs_restart: Vec::new() };
        self.health.config(&current.state, state);
    }

    /// Waits for other files than were read last, or for SIGHUP.
    async fn touched(&mut self) {
        let mut before = self.seen.clone();
        loop {
            tokio::select! {
                Some(()) = self.hang_up.recv() => {
                    self.seen = config::fingerprint(&self.path);
                    return;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = config::fingerprint(&self.path);
            if now != self.seen && now == before {
                self.seen = now;
                return;
            }
            before = now;
        }
    }

    /// The settings, and that what they name can be used: found out while the former ones still work.
    fn read(&self) -> Result<Settings, Vec<String>> {
        let settings = config::read_below(&self.path, &self.above).map_err(|error| match error {
            ConfigError::Content(complaints) => complaints.to_string().lines().map(str::to_owned).collect(),
            ConfigError::File(error) => vec![error.to_string()],
        })?;
        let now = self.clock.now().wall;
        let roster = settings.roster.as_deref().and_then(|path| roster_file::read(path, now).err());
        let empties = settings.cameras.iter().filter_map(|camera| camera.empty.as_ref());
        let complaints: Vec<String> = roster
            .map(|error| error.to_string())
            .into_iter()
            .chain(empties.filter_map(|path| picture::read(path).err().map(|error| error.to_string())))
            .collect();
        if complaints.is_empty() { Ok(settings) } else { Err(complaints) }
    }
}

/// The state folder holds the identity and the journal, the local ports outlive a change, and a bundle is on probation by
/// its starts: each is taken once.
fn keep_what_needs_a_restart(fresh: &mut Settings, current: &Settings) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |differs: bool, key| {
        if differs {
            kept.push(key);
        }
    };
    keep(fresh.state != current.state, "state");
    keep(fresh.ward != current.ward, "ward.id");
    keep(fresh.health != current.health, "health.listen");
    keep(fresh.page != current.page, "page.listen");
    keep(fresh.bundle != current.bundle, "update");
    keep(fresh.probation != current.probation, "update.probation");
    fresh.state.clone_from(&current.state);
    fresh.ward.clone_from(&current.ward);
    fresh.health.clone_from(&current.health);
    fresh.page.clone_from(&current.page);
    if fresh.bundle != current.bundle {
        fresh.models.clone_from(&current.models);
    }
    fresh.bundle.clone_from(&current.bundle);
    fresh.probation = current.probation;
    kept
}
