//! The one task that owns the domain: `next` waits and changes nothing, `apply` changes and never waits on the world.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tracing::{debug, info, warn};

use crate::agent::health::{Health, TURN};
use crate::agent::kiosk_desk::Front;
use crate::agent::kiosk_thread::{Known, Told};
use crate::agent::update;
use crate::agent::ward;
use crate::agent::ward_thread::Belief;
use crate::base::backoff::draw;
use crate::base::clock::{Clock, Mono, Now};
use crate::base::ids::{BedId, CameraId, StayId, WardId};
use crate::base::redact::Private;
use crate::base::slot::Slot;
use crate::base::supervise::Stopping;
use crate::capture::REST_SPACING;
use crate::domain::effort::Eased;
use crate::domain::operating::Realised;
use crate::domain::patrol::LookId;
use crate::domain::sighting::{NoSighting, Reason};
use crate::domain::{Domain, Effect, Finding, Input};
use crate::store::room::Room;
use crate::store::{Commit, Gone, JournalError, Keeper};
use crate::vision::gallery::Gallery;
use crate::vision::worker::{Answer, Request};
use crate::wire::bundle::BundleBeat;
use crate::wire::event::{Beat, CameraBeat, Report};

/// Crops kept until their check is concluded; more would only be looks nobody reports.
const MOST_CROPS: usize = 256;

/// The tamper watch sees every picture for so long before a round begins: as long as the loops it can find.
const BEFORE_ROUND: Duration = Duration::from_secs(300);

/// A camera whose newest picture is no older works, unless it says otherwise.
const RECENT: Duration = Duration::from_secs(3 * REST_SPACING.as_secs());

/// Why deciding ended before shutdown; the process must end with it.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error(transparent)]
    Gone(#[from] Gone),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the vision thread ended")]
    Blind,
    #[error("the ward's thread ended")]
    Deaf,
}

/// What the task owns.
pub struct Decide {
    pub domain: Domain,
    pub clock: Clock,
    pub keeper: Keeper,
    pub looks: SyncSender<Request>,
    pub answers: mpsc::Receiver<Answer>,
    /// New beliefs about who lies where and who can be compared.
    pub beliefs: mpsc::Receiver<Belief>,
    /// What the platform wants looked at.
    pub orders: mpsc::Receiver<Input>,
    pub front: Front,
    pub ward: WardId,
    /// The folder of keys, journal and bundles.
    pub state: PathBuf,
    pub gallery: Arc<Gallery>,
    /// What the operating point does to the people enrolled here.
    pub operating: Realised,
    /// The stay in each bed, for the vision thread.
    pub stays: BTreeMap<BedId, StayId>,
    /// Wakes delivery.
    pub written: Arc<Notify>,
    pub heartbeat: Duration,
    pub slots: BTreeMap<CameraId, Slot>,
    /// A copy of each finding for whoever watches (the demo); slow watchers miss some.
    pub tap: Option<mpsc::Sender<Finding>>,
    pub crops: BTreeMap<LookId, Private<Vec<u8>>>,
    pub next_beat: Mono,
    pub last_counts: BTreeMap<CameraId, u64>,
    pub health: Health,
    pub eased: Option<Eased>,
}

enum Event {
    Answer(Box<Answer>),
    Belief(Belief),
    Order(Input),
    Verified(Told),
    Deadline,
    /// Nothing was due: the watchdog hears that this task still turns.
    Turn,
    Beat,
    Stop,
}

impl Decide {
    /// Turns until shutdown.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn run(mut self, mut stopping: Stopping) -> Result<(), DecideError> {
        loop {
            let event = self.next(&mut stopping).await?;
            self.health.turned();
            let now = self.clock.now();
            self.pace_cameras(now.mono);
            match event {
                Event::Stop => {
                    // Whoever is asleep until the next picture comes and sees that it is over.
                    self.slots.values().for_each(|slot| slot.watch_until(Mono(u64::MAX)));
                    return Ok(());
                }
                Event::Beat => self.beat(now).await?,
                Event::Turn => {}
                Event::Deadline => self.apply(now, Input::Tick).await?,
                Event::Answer(answer) => self.take(now, *answer).await?,
                Event::Belief(belief) => self.believe(now, belief).await?,
                Event::Order(input) => self.apply(now, input).await?,
                Event::Verified(told) => self.verified(told).await?,
            }
        }
    }

    /// Lets the cameras rest until shortly before the next round.
    fn pace_cameras(&self, now: Mono) {
        let rest = match self.domain.next_round() {
            Some(at) if at - now > BEFORE_ROUND => Mono(at.0 - BEFORE_ROUND.as_millis() as u64),
            Some(_) | None => Mono::default(),
        };
        self.slots.values().for_each(|slot| slot.rest_until(rest));
    }

    async fn take(&mut self, now: Now, answer: Answer) -> Result<(), DecideError> {
        match answer {
            Answer::NotSeen(failure) => self.apply(now, Input::NotSeen(failure)).await,
            Answer::Seen { mut sighting, crop } => {
                sighting.tamper = self.front.counts(&sighting.camera, sighting.tamper);
                self.health.looked();
                if let Some(crop) = crop {
                    self.keep(sighting.look, crop);
                }
                self.apply(now, Input::Seen(sighting)).await
            }
        }
    }

    /// Says what is believed now before acting on it.
    async fn believe(&mut self, now: Now, belief: Belief) -> Result<(), DecideError> {
        let Belief { roster, gallery } = belief;
        self.gallery = gallery;
        self.front.known.send_replace(Known::of(&roster, &self.gallery));
        self.stays = roster.stays().map(|stay| (stay.bed.clone(), stay.id.clone())).collect();
        let report = ward::report(&self.ward, &roster);
        let commit = Commit { at: now, report, crop: None, remember: Vec::new() };
        let said = self.keeper.ask(move |journal| {
            journal.commit(vec![commit])?;
            // Erased faces and withdrawn grounds are what changes a belief, too.
            journal.tell(now)
        });
        said.await??;
        self.apply(now, Input::Roster(roster)).await
    }

    /// A result of the kiosk becomes durable, and the screen may show it.
    async fn verified(&mut self, (at, verification, done): Told) -> Result<(), DecideError> {
        let report = Report::Verification(verification);
        let commit = Commit { at, report, crop: None, remember: Vec::new() };
        self.keeper.ask(move |journal| journal.commit(vec![commit])).await??;
        self.written.notify_one();
        // The kiosk may have stopped meanwhile; the result counts all the same.
        let _ = done.send(());
        Ok(())
    }

    async fn next(&mut self, stopping: &mut Stopping) -> Result<Event, DecideError> {
        let now = self.clock.now().mono;
        let deadline = self.domain.next_deadline().map_or(self.next_beat, |(at, _)| at);
        // A deadline that just passed still yields once, so that answers are never starved.
        let wait = (deadline.min(self.next_beat) - now).max(Duration::from_millis(1));
        let due = match self.next_beat <= deadline {
            _ if wait > TURN => Event::Turn,
            true => Event::Beat,
            false => Event::Deadline,
        };
        tokio::select! {
            biased;
            () = stopping.begun() => Ok(Event::Stop),
            answer = self.answers.recv() => answer.map(|answer| Event::Answer(Box::new(answer))).ok_or(DecideError::Blind),
            // Delivery may end first when the agent shuts down; then there are no more orders.
            Some(order) = self.orders.recv() => Ok(Event::Order(order)),
            Some(said) = self.front.walking.said.recv() => Ok(Event::Order(said)),
            // Where there is no kiosk, nobody ever says anything here.
            Some(told) = self.front.verified.recv() => Ok(Event::Verified(told)),
            belief = self.beliefs.recv() => belief.map(Event::Belief).ok_or(DecideError::Deaf),
            () = tokio::time::sleep(wait.min(TURN)) => Ok(due),
        }
    }

    /// Feeds the domain and carries out what it wants; one commit for everything one input caused.
    pub async fn apply(&mut self, now: Now, input: Input) -> Result<(), DecideError> {
        self.domain.handle(now, input);
        let mut commits = Vec::new();
        let mut refused = Vec::new();
        while let Some(effect) = self.domain.poll_effect() {
            match effect {
                Effect::Look { look, bed, after, until, camera, keep } => {
                    if !self.ask(look, &bed, after..until, keep) {
                        warn!(%bed, %camera, "A look was dropped; the vision thread is behind.");
                        self.health.dropped_look();
                        refused.push(NoSighting { look, reason: Reason::NoPicture });
                    }
                }
                Effect::Report { finding, keep, remember } => {
                    log(&finding);
                    self.health.found(&finding);
                    if let Some(tap) = &self.tap {
                        // Watching is best effort.
                        let _ = tap.try_send(finding.clone());
                    }
                    let crop = keep.and_then(|look| self.crops.remove(&look));
                    commits.push(Commit { at: now, report: Report::Finding(finding), crop, remember });
                }
            }
        }
        if !commits.is_empty() {
            self.keeper.ask(move |journal| journal.commit(commits)).await??;
            self.written.notify_one();
        }
        for refusal in refused {
            Box::pin(self.apply(now, Input::NotSeen(refusal))).await?;
        }
        self.show_round();
        self.show_effort();
        Ok(())
    }

    /// What nurses see of their round; nothing is drawn anew that did not change.
    fn show_round(&self) {
        let sheet = self.domain.sheet();
        self.front.walking.sheet.send_if_modified(|shown| {
            let is_new = *shown != sheet;
            *shown = sheet;
            is_new
        });
    }

    /// Whoever wonders why a round takes longer finds the reason.
    fn show_effort(&mut self) {
        let eased = self.domain.eased();
        if std::mem::replace(&mut self.eased, eased) == eased {
            return;
        }
        self.health.eased(eased);
        match eased {
            Some(eased) => {
                warn!(beds_at_once = eased.beds_at_once, of = eased.of, by = ?eased.by, "Fewer beds are watched at once.")
            }
            None => info!("As many beds as configured are watched at once again."),
        }
    }

    fn ask(&self, look: LookId, bed: &BedId, time: Range<Mono>, keep: bool) -> bool {
        let Some(stay) = self.stays.get(bed) else { return false };
        let (bed, stay, gallery) = (bed.clone(), stay.clone(), self.gallery.clone());
        let (after, until) = (time.start, time.end);
        self.looks.try_send(Request { look, bed, stay, after, until, gallery, keep }).is_ok()
    }

    fn keep(&mut self, look: LookId, crop: Private<Vec<u8>>) {
        self.crops.insert(look, crop);
        while self.crops.len() > MOST_CROPS {
            self.crops.pop_first();
        }
    }

    /// Which signed updates were taken, looked up where blocking work belongs.
    async fn bundle(&self) -> Result<Option<BundleBeat>, DecideError> {
        let state = self.state.clone();
        let said = self.keeper.ask(move |_| update::beat(&state)).await?;
        Ok(said.unwrap_or_else(|error| {
            warn!(%error, "The heartbeat cannot say which bundle is in use.");
            None
        }))
    }

    async fn beat(&mut self, now: Now) -> Result<(), DecideError> {
        // ± 10 %, so that a ward full of devices does not report in the same second.
        let jitter = 0.9 + 0.2 * f64::from(draw()) / f64::from(u32::MAX);
        self.next_beat = now.mono + self.heartbeat.mul_f64(jitter);
        let unsent = self.keeper.ask(|journal| journal.pending()).await??.rows;
        self.health.beat(unsent, self.gallery.people());
        let cameras = self
            .slots
            .iter()
            .map(|(camera, slot)| {
                let (frames, health) = (slot.count(), slot.health());
                let has_new = self.last_counts.insert(camera.clone(), frames) != Some(frames);
                // A camera at rest brings no picture between two quick beats.
                let is_recent = slot.glance().is_some_and(|newest| now.mono - newest.taken < RECENT);
                let working = has_new || (is_recent && health.trouble.is_none());
                let tamper = self.front.counts(camera, health.tamper);
                CameraBeat { camera: camera.to_string(), frames, working, tamper }
            })
            .collect();
        let beat = Beat {
            rounds_done: self.domain.rounds_done(),
            unsent,
            cameras,
            stored_faces: self.gallery.people(),
            operating: Some(self.operating.clone()),
            commitment: Some(self.domain.commitment()),
            refuses_config: self.health.refuses_config(),
            bundle: self.bundle().await?,
            eased: self.eased,
        };
        let commit = Commit { at: now, report: Report::Beat(beat), crop: None, remember: Vec::new() };
        let said = self.keeper.ask(move |journal| {
            journal.tell(now)?;
            journal.commit(vec![commit]).map(|_| journal.room())
        });
        let room = said.await??;
        self.written.notify_one();
        self.apply(now, Input::Store { is_full: room == Room::Full }).await?;
        self.look_at_cameras(now).await
    }

    /// A camera that was covered between two rounds is noticed with the next beat.
    async fn look_at_cameras(&mut self, now: Now) -> Result<(), DecideError> {
        let seen = self.slots.iter();
        let seen = seen.map(|(id, slot)| (id.clone(), self.front.counts(id, slot.health().tamper)));
        for (camera, tamper) in seen.collect::<Vec<_>>() {
            self.apply(now, Input::Camera { camera, tamper }).await?;
        }
        Ok(())
    }
}

fn log(finding: &Finding) {
    match finding {
        Finding::Irregular(change) => {
            info!(kind = change.what.name(), moved = ?change.moved, "An irregularity moved.");
        }
        Finding::Committed(commitment) => info!(round = commitment.round, "The draws are committed to."),
        Finding::RoundBegun(plan) => info!(round = plan.round, beds = plan.due.len(), "A round begins."),
        Finding::Checked(result) => {
            debug!(bed = %result.bed, verdict = result.verdict.name(), looks = result.looks, "A check is concluded.");
        }
        Finding::Exception(change) => {
            info!(bed = %change.bed, kind = change.kind.name(), moved = ?change.moved, rounds = change.rounds, "An exception moved.");
        }
    }
}
