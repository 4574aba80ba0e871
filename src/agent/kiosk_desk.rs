//! Starts the kiosk (核查) and stands between its pages and its thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::info;

use crate::agent::config::{CameraMode, CameraSettings, Settings};
use crate::agent::health::Health;
use crate::agent::kiosk_thread::{KioskThread, Known, Letter, Told};
use crate::agent::round_desk::{self, Walking};
use crate::agent::tasks;
use crate::base::clock::{Clock, Mono};
use crate::base::exit::Ending;
use crate::base::frame::{Frame, Tamper};
use crate::base::ids::CameraId;
use crate::base::redact::Private;
use crate::base::slot::Slot;
use crate::base::supervise::{self, Stopping};
use crate::domain::kiosk::screen::{Page, Screen};
use crate::domain::kiosk::{Kiosk, KioskRule, is_expected};
use crate::domain::policy::Policy;
use crate::kiosk::counter::{Counter, Signed, Touch};
use crate::kiosk::counter_pages;
use crate::net::server;
use crate::store::Privacy;
use crate::store::staff::Staff;
use crate::vision::near::Near;

/// Touches that may wait for the thread: people have two hands.
const LETTERS: usize = 8;
const VERIFIED: usize = 4;

/// The pages' way to the thread.
pub struct CounterDesk {
    letters: SyncSender<Letter>,
    screens: watch::Receiver<Screen>,
    staff: Staff,
    slot: Slot,
    clock: Clock,
}

impl Counter for CounterDesk {
    fn screens(&self) -> watch::Receiver<Screen> {
        self.screens.clone()
    }

    fn touch(&self, screen: Option<u64>, touch: Touch) -> Option<Screen> {
        let (answer, answered) = oneshot::channel();
        self.letters.send(Letter { screen, touch, answer }).ok()?;
        answered.blocking_recv().ok()
    }

    fn enter(&self, name: &str, pin: &Private<String>) -> Signed {
        round_desk::enter(&self.staff, name, pin, self.clock.now().wall)
    }

    fn picture(&self, after: Mono, patience: Duration) -> Option<Frame> {
        let is_shown = || matches!(self.screens.borrow().page, Page::Face | Page::Challenge);
        if !is_shown() {
            return None;
        }
        self.slot.newer_than(after, patience).filter(|_| is_shown())
    }
}

/// What people at this device change beside the rounds.
pub struct Front {
    /// What the kiosk verified; nothing where there is none.
    pub verified: mpsc::Receiver<Told>,
    /// Who may be claimed there.
    pub known: watch::Sender<Known>,
    /// What nurses on their round say, and what they see of it.
    pub walking: Walking,
    /// Cameras before which people stand, or which are moved about: their picture changes all the time.
    pub roaming: BTreeSet<CameraId>,
}

impl Front {
    /// A moved or defocused camera means nothing where that is its day's work.
    pub fn counts(&self, camera: &CameraId, tamper: Option<Tamper>) -> Option<Tamper> {
        tamper.filter(|what| !(self.roaming.contains(camera) && is_expected(*what)))
    }
}

/// What the front is made from.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub settings: &'a Settings,
    pub policy: &'a Policy,
    pub slots: &'a BTreeMap<CameraId, Slot>,
    pub clock: &'a Clock,
    pub health: &'a Health,
}

/// Links the round terminal, and starts the kiosk where one is configured; its port is held by a task among `ports`.
///
/// # Errors
/// As [`start`].
pub async fn open(
    place: &Site<'_>,
    known: Known,
    stopping: &Stopping,
    ports: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<Front> {
    let Site { settings, policy, slots, clock, health } = *place;
    let (walk, walking) = round_desk::link(!settings.walks().is_empty());
    health.walks(walk);
    let (told, verified) = mpsc::channel(VERIFIED);
    let (known, claimed) = watch::channel(known);
    health.knows(claimed.clone());
    if let Some(slot) = settings.kiosk.as_ref().and_then(|kiosk| slots.get(&kiosk.camera)) {
        let (slot, clock) = (slot.clone(), clock.clone());
        ports.extend(start(Parts { settings, policy, slot, known: claimed, told, clock }, stopping).await?);
    }
    let is_roaming = |camera: &&CameraSettings| matches!(camera.mode, CameraMode::Kiosk | CameraMode::Round);
    let roaming = settings.cameras.iter().filter(is_roaming).map(|camera| camera.id.clone()).collect();
    Ok(Front { verified, known, walking, roaming })
}

/// What the kiosk's thread is made from.
struct Parts<'a> {
    settings: &'a Settings,
    policy: &'a Policy,
    slot: Slot,
    known: watch::Receiver<Known>,
    told: mpsc::Sender<Told>,
    clock: Clock,
}

/// Loads the kiosk's own nets, starts its thread and serves its pages; `None` where no kiosk is configured.
///
/// # Errors
/// Nets or keys that cannot be used, a port that cannot be had: exit 78.
async fn start(parts: Parts<'_>, stopping: &Stopping) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(kiosk) = &parts.settings.kiosk else { return Ok(None) };
    let listener = server::listen(&kiosk.listen).await.map_err(Ending::config)?;
    let rule = KioskRule::of(parts.policy, kiosk.camera.clone());
    let differs_below = rule.face.differs_below;
    let machine = Kiosk::new(rule);
    let (shown, screens) = watch::channel(machine.screen(parts.clock.now().mono));
    let thread = KioskThread {
        kiosk: machine,
        eyes: tasks::open_eyes(parts.settings)?,
        near: Near::default(),
        slot: parts.slot.clone(),
        known: parts.known,
        privacy: Privacy::open(&parts.settings.state).map_err(Ending::config)?,
        differs_below,
        told: parts.told,
        shown,
        clock: parts.clock.clone(),
    };
    let (letters, waiting): (SyncSender<Letter>, Receiver<Letter>) = sync_channel(LETTERS);
    let over = stopping.clone();
    supervise::thread("kiosk", move || thread.run(&waiting, &over))?;
    let staff = Staff::of(&parts.settings.state);
    let desk = CounterDesk { letters, screens, staff, slot: parts.slot, clock: parts.clock };
    info!(address = %listener.local_addr()?, "The kiosk's screen is served here.");
    let router = counter_pages::router(desk);
    Ok(Some(supervise::task("counter", server::serve(listener, None, router, stopping.clone()))))
}
