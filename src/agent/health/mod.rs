//! What the running agent shows of itself: metrics and `/healthz` on loopback, and to systemd that it still decides.
//!
//! The watchdog is fed by the task that decides, each time it turns, and by nothing else: a process that only looks alive
//! (a timer that still ticks, a page that still answers) is restarted. The figures count events and never name a bed or a
//! person.

mod figures;
mod serve;
mod systemd;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

use crate::agent::config::Settings;
use crate::agent::kiosk_thread::Known;
use crate::agent::round_desk::Walk;
use crate::base::clock::{Clock, Wall};
use crate::base::files::{FileError, read_at_most, write_owner_only};
use crate::base::ids::CameraId;
use crate::base::slot::Slot;
use crate::domain::Finding;
use crate::domain::effort::Eased;

use figures::Figures;
pub use serve::router;
use systemd::Systemd;

/// The task that decides turns at least this often, so that its silence means something.
pub const TURN: Duration = Duration::from_secs(5);
/// Without a turn for so long the agent is not well: a slow disk may hold a commit for seconds, not longer.
const STUCK: Duration = Duration::from_secs(30);
const MOST_BYTES: u64 = 256 * 1024;

/// What came of the last reading of the configuration; kept in `<state>/config-state.json` for `bedcheck doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    pub read: Wall,
    /// The file can be used; otherwise the agent runs on with the last good one.
    pub is_good: bool,
    pub complaints: Vec<String>,
    /// Keys that changed and count only after the program was started anew.
    pub needs_restart: Vec<String>,
}

impl ConfigState {
    /// What the running agent wrote; `None` when none ever ran here.
    pub fn read(state: &Path) -> Option<ConfigState> {
        serde_json::from_slice(&read_at_most(&state.join("config-state.json"), MOST_BYTES).ok()?).ok()
    }

    fn write(&self, state: &Path) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        write_owner_only(&state.join("config-state.json"), &text)
    }
}

/// A handle on all of it, for every task.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    clock: Clock,
    figures: Figures,
    systemd: Systemd,
    /// Milliseconds of the monotonic clock at the last turn.
    turned: AtomicU64,
    is_running: AtomicBool,
    looks: AtomicU64,
    shown: Mutex<Shown>,
}

/// What the local page and the metrics look at; replaced whenever the agent starts with new settings.
#[derive(Clone, Default)]
pub struct Shown {
    pub slots: BTreeMap<CameraId, Slot>,
    pub settings: Option<Settings>,
    pub config: ConfigState,
    /// The round on foot.
    pub walk: Option<Walk>,
    /// What is believed of the ward.
    pub known: Option<watch::Receiver<Known>>,
    pub eased: Option<Eased>,
}

impl Health {
    pub fn new(clock: Clock) -> Health {
        Health(Arc::new(Inner {
            clock,
            figures: Figures::new(),
            systemd: Systemd::new(),
            turned: AtomicU64::new(0),
            is_running: AtomicBool::new(false),
            looks: AtomicU64::new(0),
            shown: Mutex::default(),
        }))
    }

    /// The agent is up with these settings and cameras.
    pub fn begun(&self, settings: &Settings, slots: &BTreeMap<CameraId, Slot>) {
        self.with(|shown| {
            shown.slots.clone_from(slots);
            shown.settings = Some(settings.clone());
        });
        self.0.is_running.store(true, Ordering::Relaxed);
        let (cameras, beds) = (settings.cameras.len(), settings.beds.len());
        self.0.systemd.ready(&format!("{cameras} cameras, {beds} beds watched"));
        self.turned();
    }

    /// Whoever decides now takes what nurses say here.
    pub fn walks(&self, walk: Walk) {
        self.with(|shown| shown.walk = Some(walk));
    }

    /// What is believed of the ward can be seen here from now on.
    pub fn knows(&self, known: watch::Receiver<Known>) {
        self.with(|shown| shown.known = Some(known));
    }

    /// When the platform last acknowledged; `None` before.
    pub fn acknowledged(&self) -> Option<Wall> {
        self.0.figures.acknowledged()
    }

    /// The agent stops to start with other settings.
    pub fn pauses(&self) {
        self.0.is_running.store(false, Ordering::Relaxed);
        self.0.systemd.reloading();
    }

    /// Whether the agent came up since it last paused.
    pub fn is_running(&self) -> bool {
        self.0.is_running.load(Ordering::Relaxed)
    }

    /// Whether the agent is up and decides.
    pub fn is_well(&self) -> bool {
        self.is_running() && self.since_turn() < STUCK
    }

    /// The nets answered a look.
    pub fn looked(&self) {
        self.0.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks answered since the process began.
    pub fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    /// The task that decides went once around.
    pub fn turned(&self) {
        let now = self.0.clock.now().mono;
        self.0.turned.store(now.0, Ordering::Relaxed);
        self.0.systemd.alive(now);
    }

    /// Something was found and made durable.
    pub fn found(&self, finding: &Finding) {
        self.0.figures.found(finding);
    }

    /// The vision thread could not take a look.
    pub fn dropped_look(&self) {
        self.0.figures.dropped_look();
    }

    /// How hot the board is (degrees Celsius), and the share of frames worth watching that the nets got through.
    pub fn strained(&self, celsius: Option<f32>, kept: Option<f32>) {
        self.0.figures.strained(celsius, kept);
    }

    /// Fewer beds are watched at once, or all again.
    pub fn eased(&self, eased: Option<Eased>) {
        self.0.figures.eased(eased);
        self.with(|shown| shown.eased = eased);
    }

    /// A beat: statements that wait for the platform, and people whose templates this box holds.
    pub fn beat(&self, unsent: u64, faces: usize) {
        self.0.figures.beat(unsent, faces);
    }

    /// The platform acknowledged, or delivery failed.
    pub fn delivered(&self, is_acknowledged: bool) {
        self.0.figures.delivered(is_acknowledged, self.0.clock.now().wall);
    }

    /// The configuration was read again.
    pub fn config(&self, state_folder: &Path, state: ConfigState) {
        if let Err(error) = state.write(state_folder) {
            warn!(%error, "What came of the configuration cannot be written down.");
        }
        self.0.figures.config(&state);
        if !state.is_good {
            let number = state.complaints.len();
            self.0
                .systemd
                .status(&format!("the configuration has {number} problems; the last good one is used"));
        }
        self.with(|shown| shown.config = state);
    }

    /// Whether the last reading of the configuration was refused.
    pub fn refuses_config(&self) -> bool {
        let config = self.shown().config;
        !config.is_good && config.read != Wall::default()
    }

    /// What can be seen now.
    pub fn shown(&self) -> Shown {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.0.shown.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn since_turn(&self) -> Duration {
        Duration::from_millis(self.0.clock.now().mono.0.saturating_sub(self.0.turned.load(Ordering::Relaxed)))
    }
}
