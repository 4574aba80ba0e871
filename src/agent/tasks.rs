//! Everything that runs in the agent, and what its death means.
//!
//! | name | kind | bound | its death |
//! |---|---|---|---|
//! | camera | thread each | newest frame only | noted in the heartbeat; restarts with backoff inside |
//! | usb | thread each USB camera | newest frame only | its camera opens another |
//! | vision | thread | 8 looks | ends the process |
//! | journal | thread | 64 requests | ends the process |
//! | ward | thread | 64 letters | ends the process |
//! | hl7 | task for each sender | one message, 16 senders | the sender connects again |
//! | national | task for each connection | 4 messages | the sender connects again |
//! | fhir | task | one list | cannot: failures wait and try again |
//! | kiosk | thread where there is one | 8 touches, newest frame only | its screen stands still; results wait for nobody |
//! | decide | task | 64 answers | ends the process |
//! | lamp | task where the board has one | nothing | the lamp stands still, which means that nothing runs |
//! | health, page | task each | 2048 connections | metrics or page stay away; the agent goes on |
//! | deliver | task | one batch | cannot: failures wait and try again |
//! | certificate | task | one request | cannot: failures wait and try again |
//! | probation | task | nothing | a new bundle stays on probation |
//!
//! systemd restarts an agent that ended; the journal brings back what it knew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use crate::agent::board::Board;
use crate::agent::config::{CameraSettings, Mode, Settings, Source};
use crate::agent::decide::Decide;
use crate::agent::deliver::{Deliver, SPACING};
use crate::agent::health::Health;
use crate::agent::kiosk_desk::{self, Site};
use crate::agent::kiosk_thread::Known;
use crate::agent::renew::Renew;
use crate::agent::retention::Retention;
use crate::agent::strain;
use crate::agent::ward::{self, Ward};
use crate::agent::ward_ports;
use crate::agent::ward_thread::{Faces, WardThread};
use crate::agent::{calibrate, identity};
use crate::base::backoff::Backoff;
use crate::base::clock::{Clock, boot_id};
use crate::base::exit::Ending;
use crate::base::files::{read_at_most, sha256_hex, shipped};
use crate::base::frame::Origin;
use crate::base::ids::{BedId, CameraId};
use crate::base::picture;
use crate::base::slot::Slot;
use crate::base::supervise::{self, Stopping};
use crate::capture::decoder::Program;
use crate::capture::recorded::Recorded;
use crate::capture::rtsp::Rtsp;
use crate::capture::snapshot::Snapshot;
#[cfg(feature = "usb")]
use crate::capture::usb::Usb;
use crate::capture::{Camera, CameraError, Filming, film};
use crate::domain::operating::{AtSite, at_site};
use crate::domain::policy::{FaceRule, Policy};
use crate::domain::roster::Roster;
use crate::domain::{Domain, Finding, Input, Memory};
use crate::hospital::roster_file::{self, RosterFile};
use crate::hospital::watched::Watched;
use crate::store::keys;
use crate::store::{Commit, FactLog, Journal, Keeper, TemplateStore};
use crate::vision::eyes::Eyes;
use crate::vision::gallery::Gallery;
use crate::vision::kept::Kept;
use crate::vision::manifest::Manifest;
use crate::vision::occupancy::EmptyBed;
use crate::vision::worker::{Answer, Request, View, Worker};
use crate::vision::{manifest, runtime};
use crate::wire::event::{Hello, Report};
use crate::wire::statement::Digests;

const LOOKS: usize = 8;
const ANSWERS: usize = 64;
const MOST_CERTIFICATE: u64 = 64 * 1024;
const ORDERS: usize = 16;
const END_WAIT: Duration = Duration::from_secs(10);

/// Runs one agent until shutdown.
///
/// # Errors
/// Configuration, models or keys that cannot be used (exit 78), or the death of a part that must not die.
pub async fn run(
    settings: Settings,
    clock: Clock,
    tap: Option<mpsc::Sender<Finding>>,
    health: Health,
    stopping: Stopping,
) -> anyhow::Result<()> {
    keys::settle(&settings.state, &settings.keys).map_err(Ending::config)?;
    let eyes = open_eyes(&settings)?;
    let roster_file = read_roster(&settings, &clock)?;
    let faces = faces(&settings, &eyes)?;
    let gallery = faces.gallery.clone();
    let site = operating_point(&settings, &eyes, &gallery)?;
    let policy = calibrated(settings.policy(site.rule), &settings, &eyes)?;
    let ward = open_ward(&settings, roster_file.as_ref())?;
    let thread = ward_thread(ward, &settings, faces, roster_file.as_ref(), &clock)?;
    let roster = thread.belief().roster;
    let (journal, platform) = open_journal(&settings, &eyes, &policy, roster_file.as_ref())?;
    let (memories, keeper) = start_keeper(journal)?;

    let slots = start_cameras(&settings, &clock, &stopping)?;
    let worker = worker(&settings, eyes, &policy, slots.clone(), clock.clone())?;
    let (ordered, orders) = mpsc::channel(ORDERS);
    start_strain(worker.kept.clone(), ordered.clone(), &health, &stopping);
    let (vision, looks, answers) = start_vision(worker, &stopping)?;

    let (beliefs, mut ports) = ward_ports::start(thread, &settings, &stopping).await?;
    let written = Arc::new(Notify::new());
    start_renewal(&settings, &platform, &clock, &stopping);
    let place = Site { settings: &settings, policy: &policy, slots: &slots, clock: &clock, health: &health };
    let front = kiosk_desk::open(&place, Known::of(&roster, &gallery), &stopping, &mut ports).await?;
    start_delivery(keeper.clone(), platform, &written, ordered, &clock, &health, &stopping);

    let now = clock.now();
    let said = hello(&settings, &roster, now);
    let unsent = keeper.ask(move |journal| journal.commit(said).and_then(|_| journal.pending())).await??;
    written.notify_one();
    health.beat(unsent.rows, gallery.people());
    let mut decide = Decide {
        domain: Domain::new(policy, settings.views(), drawn_seed()?, now).walking(settings.walks()),
        keeper,
        looks,
        answers,
        beliefs,
        orders,
        front,
        ward: settings.ward.clone(),
        state: settings.state.clone(),
        gallery,
        operating: site.realised,
        stays: roster.stays().map(|stay| (stay.bed.clone(), stay.id.clone())).collect(),
        written,
        heartbeat: settings.heartbeat,
        slots,
        tap,
        crops: BTreeMap::new(),
        next_beat: now.mono + settings.heartbeat,
        last_counts: BTreeMap::new(),
        health: health.clone(),
        eased: None,
        clock,
    };
    decide.apply(now, Input::Recall(memories)).await?;
    decide.apply(now, Input::Roster(roster)).await?;
    health.begun(&settings, &decide.slots);
    let ended = decide.run(stopping).await;
    wind_down(ports, vision).await;
    Ok(ended?)
}

/// Waits for what the next start, or the end of the process, would stumble over; for all of it at the same time, because
/// whoever stops us is not patient.
async fn wind_down(ports: Vec<tokio::task::JoinHandle<()>>, vision: JoinHandle<()>) {
    // Whoever starts next wants the ports.
    let ports = async {
        for port in ports {
            if tokio::time::timeout(END_WAIT, port).await.is_err() {
                warn!("A port was not given back in time.");
            }
        }
    };
    // The nets must not be running when the process tears the runtime down.
    let joined = tokio::task::spawn_blocking(move || vision.join());
    let (joined, ()) = tokio::join!(tokio::time::timeout(END_WAIT, joined), ports);
    if joined.is_err() {
        warn!("The vision thread did not end in time.");
    }
}

/// New certificates, for the connections that delivery makes.
fn start_renewal(
    settings: &Settings,
    platform: &crate::uplink::Platform,
    clock: &Clock,
    stopping: &Stopping,
) {
    let (state, ward) = (settings.state.clone(), settings.ward.clone());
    let renew = Renew { state, platform: platform.clone(), ward, clock: clock.clone() };
    supervise::task("certificate", renew.run(stopping.clone()));
}

/// What a former life remembered, and the journal in its thread.
fn start_keeper(journal: Journal) -> anyhow::Result<(Vec<Memory>, Keeper)> {
    let memories = journal.memories()?;
    Ok((memories, Keeper::start(journal).context("cannot start the journal's thread")?))
}

/// What the device feels, for the task that decides.
fn start_strain(kept: Kept, told: mpsc::Sender<Input>, health: &Health, stopping: &Stopping) {
    let feel = strain::feel(Board::here(), kept, health.clone(), told, stopping.clone());
    supervise::task("strain", feel);
}

/// Delivery to the platform; what it orders goes into `orders`.
fn start_delivery(
    keeper: Keeper,
    platform: crate::uplink::Platform,
    written: &Arc<Notify>,
    orders: mpsc::Sender<Input>,
    clock: &Clock,
    health: &Health,
    stopping: &Stopping,
) {
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
    let (written, clock, health) = (written.clone(), clock.clone(), health.clone());
    let deliver = Deliver { keeper, platform, written, clock, backoff, spacing: SPACING, orders, health };
    supervise::task("deliver", deliver.run(stopping.clone()));
}

fn worker(
    settings: &Settings,
    eyes: Eyes,
    policy: &Policy,
    slots: BTreeMap<CameraId, Slot>,
    clock: Clock,
) -> anyhow::Result<Worker> {
    Ok(Worker {
        eyes,
        views: views(settings)?,
        slots,
        dark_below: policy.dark_below,
        watch: policy.life.as_ref().map(|life| life.watch.max(life.blink_within)),
        watches: BTreeMap::new(),
        kept: Kept::default(),
        clock,
    })
}

fn drawn_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("no random numbers for the rounds: {error}"))?;
    Ok(seed)
}

/// The vision thread, where to send looks, and where the answers come from.
type Vision = (JoinHandle<()>, SyncSender<Request>, mpsc::Receiver<Answer>);

fn start_vision(worker: Worker, stopping: &Stopping) -> anyhow::Result<Vision> {
    let (looks, requests) = sync_channel(LOOKS);
    let (answered, answers) = mpsc::channel(ANSWERS);
    let stopping = stopping.clone();
    let thread = supervise::thread("vision", move || {
        worker.work(&requests, &stopping, |answer| {
            // Nobody listens any more: shutdown.
            let _ = answered.blocking_send(answer);
        });
    })?;
    Ok((thread, looks, answers))
}

/// Loads the pack the settings ask for; production refuses what is only on trial.
///
/// # Errors
/// Exit 78 with the remedy.
pub fn open_eyes(settings: &Settings) -> anyhow::Result<Eyes> {
    let manifest = read_manifest(settings)?;
    let runtime = runtime::load().map_err(Ending::config)?;
    if settings.mode == Mode::Production {
        manifest.demand_production().map_err(Ending::config)?;
        if runtime.known.is_none() {
            return Err(Ending::config(format!(
                "ONNX Runtime at {} has the unknown SHA-256 {}; production accepts only the bundled library",
                runtime.path.display(),
                runtime.sha256
            ))
            .into());
        }
    }
    Ok(Eyes::open(manifest).map_err(Ending::config)?)
}

/// What the configured pack says of itself.
///
/// # Errors
/// Exit 78 where there is none or it is not understood.
pub fn read_manifest(settings: &Settings) -> anyhow::Result<Manifest> {
    let folder = settings.models.clone().map_or_else(default_models, Ok)?;
    Ok(manifest::read(&folder).map_err(Ending::config)?)
}

/// The pack beside the program (installed) or in its checkout.
///
/// # Errors
/// Exit 78 when there is none.
pub fn default_models() -> anyhow::Result<PathBuf> {
    shipped("models", "manifest.toml").ok_or_else(|| {
        Ending::config("no face pack was found beside this program; name one with --models DIR").into()
    })
}

/// The policy with the liveness thresholds that were measured on each camera, or come signed where none were; those of
/// the configuration win.
fn calibrated(mut policy: Policy, settings: &Settings, eyes: &Eyes) -> anyhow::Result<Policy> {
    let Some((life, pad)) = policy.life.as_mut().zip(eyes.manifest.pad.as_ref()) else { return Ok(policy) };
    let signed = settings.bundle.as_ref().and_then(|bundle| bundle.calibration.as_ref());
    for camera in &settings.cameras {
        if let Some(found) = calibrate::read(&settings.state, &camera.id, &pad.sha256)? {
            life.cameras.entry(camera.id.clone()).or_insert(found.passive);
        }
        if let Some(passive) = signed.and_then(|signed| signed.of(&pad.sha256)) {
            life.cameras.entry(camera.id.clone()).or_insert(passive);
        }
    }
    Ok(policy)
}

/// The pack's operating point, raised to what the signed policy demands and calibrated with the people enrolled here.
///
/// # Errors
/// When the pack was not measured at the wanted false match rate.
pub fn operating_point(settings: &Settings, eyes: &Eyes, gallery: &Gallery) -> anyhow::Result<AtSite> {
    let card = eyes.rule(&settings.fmr).map_err(Ending::config)?;
    let measured = eyes.manifest.embedder.impostors;
    let floor = settings.bundle.as_ref().and_then(|bundle| bundle.floor.match_at_least);
    let raised =
        FaceRule { match_at: floor.map_or(card.match_at, |floor| floor.max(card.match_at)), ..card.clone() };
    let mut site = at_site(&raised, measured, gallery.impostors(), gallery.people());
    site.realised.card = card.match_at;
    info!(
        threshold = site.realised.threshold,
        card = site.realised.card,
        fmr = card.fmr,
        false_matches = site.realised.false_matches,
        comparisons = site.realised.comparisons,
        "The operating point is set."
    );
    Ok(site)
}

/// The roster file, where there is one.
fn read_roster(settings: &Settings, clock: &Clock) -> anyhow::Result<Option<RosterFile>> {
    let read = settings.roster.as_deref().map(|path| roster_file::read(path, clock.now().wall));
    Ok(read.transpose().map_err(Ending::config)?)
}

/// Everybody enrolled with the models in use.
///
/// # Errors
/// A template store that cannot be read.
pub fn faces(settings: &Settings, eyes: &Eyes) -> anyhow::Result<Faces> {
    let store = TemplateStore::open(&settings.state).map_err(Ending::config)?;
    let embedder = &eyes.manifest.embedder;
    let outdated = store.outdated(&embedder.sha256).map_err(Ending::config)?;
    if outdated > 0 {
        warn!(
            people = outdated,
            "These people were enrolled with other models and cannot be compared; run `bedcheck enrol` again."
        );
    }
    Ok(Faces::open(store, embedder.sha256.clone(), embedder.metric).map_err(Ending::config)?)
}

/// The ward as the facts have it, the roster file among them.
fn open_ward(settings: &Settings, file: Option<&RosterFile>) -> anyhow::Result<Ward> {
    let log = FactLog::open(&settings.state).map_err(Ending::config)?;
    let mut ward = Ward::open(settings.ward.clone(), log).map_err(Ending::config)?;
    if let Some(file) = file {
        ward.import(file).map_err(Ending::failed)?;
    }
    Ok(ward)
}

/// What the ward's thread owns.
fn ward_thread(
    ward: Ward,
    settings: &Settings,
    faces: Faces,
    roster: Option<&RosterFile>,
    clock: &Clock,
) -> anyhow::Result<WardThread> {
    let retention = Retention::open(&settings.state, &faces.models, boot_id()).map_err(Ending::config)?;
    let mut seen_files = Watched::default();
    if let Some((path, file)) = settings.roster.as_deref().zip(roster) {
        seen_files.knows(&roster_file::newest(path), file.digest.clone());
    }
    Ok(WardThread { ward, files: settings.files(), faces, seen: seen_files, retention, clock: clock.clone() })
}

fn open_journal(
    settings: &Settings,
    eyes: &Eyes,
    policy: &Policy,
    roster: Option<&RosterFile>,
) -> anyhow::Result<(Journal, crate::uplink::Platform)> {
    let bundle = identity::bundle(&settings.state).map_err(Ending::config)?;
    let platform = identity::platform(&settings.state, &bundle).map_err(Ending::config)?;
    let runtime = runtime::load().map_err(Ending::config)?;
    let program = std::env::current_exe().and_then(std::fs::read).map(|bytes| sha256_hex(&bytes));
    let digests = Digests {
        program: program.unwrap_or_else(|_| "unreadable".to_owned()),
        runtime: runtime.sha256.clone(),
        models: eyes.manifest.digest.clone(),
        policy: sha256_hex(&serde_json::to_vec(policy)?),
        roster: roster.map_or_else(|| "none".to_owned(), |roster| roster.digest.clone()),
    };
    let signer = identity::signer(&settings.state, &bundle, boot_id(), digests).map_err(Ending::config)?;
    let journal = Journal::open(&settings.state.join("journal.db"), signer)?.within(settings.outbox_bytes);
    Ok((journal, platform))
}

/// Opens a camera as configured.
///
/// # Errors
/// Exit 78 with the camera's name.
pub fn open_camera(camera: &CameraSettings) -> anyhow::Result<Box<dyn Camera>> {
    let failed = |error: CameraError| Ending::config(format!("camera {}: {error}", camera.id));
    Ok(match &camera.source {
        Source::Recorded { path, fps } => Box::new(Recorded::open(path, *fps).map_err(failed)?),
        Source::Rtsp { address, is_synthetic } => {
            let origin = if *is_synthetic { Origin::Synthetic } else { Origin::Live };
            Box::new(Rtsp::new(address.clone(), origin, Program::own()).map_err(failed)?)
        }
        Source::Snapshot { address, every, certificate } => {
            let certificate = certificate.as_deref().map(|path| read_at_most(path, MOST_CERTIFICATE));
            let certificate = certificate.transpose().map_err(|error| failed(error.into()))?;
            Box::new(Snapshot::new(address.clone(), *every, certificate.as_deref()).map_err(failed)?)
        }
        #[cfg(feature = "usb")]
        Source::Usb { name } => Box::new(Usb::new(name.clone())),
        #[cfg(not(feature = "usb"))]
        Source::Usb { .. } => {
            let complaint = "this program was built without USB cameras (feature usb)";
            return Err(Ending::config(format!("camera {}: {complaint}", camera.id)).into());
        }
    })
}

/// Starts the thread of each camera; where their newest pictures are.
///
/// # Errors
/// Exit 78 with the camera's name.
pub fn start_cameras(
    settings: &Settings,
    clock: &Clock,
    stopping: &Stopping,
) -> anyhow::Result<BTreeMap<CameraId, Slot>> {
    let mut slots = BTreeMap::new();
    for camera in &settings.cameras {
        let mut source = open_camera(camera)?;
        let slot = Slot::default();
        slots.insert(camera.id.clone(), slot.clone());
        let identities = Some(settings.state.join("cameras"));
        let filming = Filming { id: camera.id.clone(), slot, clock: clock.clone(), identities };
        let stopping = stopping.clone();
        supervise::thread("camera", move || film(source.as_mut(), &filming, &stopping))?;
    }
    Ok(slots)
}

fn views(settings: &Settings) -> anyhow::Result<BTreeMap<BedId, View>> {
    let mut empties = BTreeMap::new();
    for camera in &settings.cameras {
        match &camera.empty {
            Some(path) => {
                empties.insert(camera.id.clone(), picture::read(path).map_err(Ending::config)?);
            }
            None => {
                warn!(camera = %camera.id, "There is no picture of the empty ward; absence cannot be proven here.")
            }
        }
    }
    Ok(settings
        .beds
        .iter()
        .map(|bed| {
            let empty = empties.get(&bed.camera).and_then(|picture| EmptyBed::new(&picture.cut(bed.zone)?));
            (bed.id.clone(), View { camera: bed.camera.clone(), zone: bed.zone, head: bed.head, empty })
        })
        .collect())
}

fn hello(settings: &Settings, roster: &Roster, now: crate::base::clock::Now) -> Vec<Commit> {
    let hello = Report::Hello(Hello {
        ward: settings.ward.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: settings.mode.name().to_owned(),
        cameras: settings.cameras.iter().map(|camera| camera.id.to_string()).collect(),
        legal_basis: Some(settings.legal.basis.clone()),
    });
    let roster = ward::report(&settings.ward, roster);
    let commit = |report| Commit { at: now, report, crop: None, remember: Vec::new() };
    vec![commit(hello), commit(roster)]
}
