//! The thread that looks: takes requests, waits for a fresh frame, answers with numbers. Between requests every fresh
//! frame goes to the watch of each bed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tracing::{debug, warn};

use crate::base::clock::{Clock, Mono};
use crate::base::frame::{Area, Frame, Head, Picture};
use crate::base::ids::{BedId, CameraId, StayId};
use crate::base::picture::encode_jpeg;
use crate::base::redact::Private;
use crate::base::slot::Slot;
use crate::base::supervise::Stopping;
use crate::domain::liveness::Life;
use crate::domain::patrol::LookId;
use crate::domain::sighting::{FaceQuality, FaceSeen, NoSighting, Occupancy, Reason, Scene, Sighting};
use crate::vision::eyes::{Eyes, Face};
use crate::vision::gallery::Gallery;
use crate::vision::geometry::shrink;
use crate::vision::kept::Kept;
use crate::vision::occupancy::{EmptyBed, mean_luma};
use crate::vision::session::NetError;
use crate::vision::watch::Watch;

/// Longest side and quality of an evidence crop: about 25 kB, readable, no more than the bed.
const CROP_SIDE: u32 = 480;
const CROP_QUALITY: u8 = 78;

/// How long the thread waits for a request before it turns to the watches again, and where there is none.
const IDLE: Duration = Duration::from_millis(40);
const ASLEEP: Duration = Duration::from_millis(500);

/// Where a bed lies in a camera's picture.
#[derive(Clone)]
pub struct View {
    pub camera: CameraId,
    pub zone: Area,
    pub head: Head,
    pub empty: Option<EmptyBed>,
}

/// A look to be taken.
#[derive(Clone, Debug)]
pub struct Request {
    pub look: LookId,
    pub bed: BedId,
    pub stay: StayId,
    pub after: Mono,
    pub until: Mono,
    /// Who is enrolled now.
    pub gallery: Arc<Gallery>,
    /// Whether its crop may be needed.
    pub keep: bool,
}

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    Seen {
        sighting: Sighting,
        /// JPEG of the bed's zone, only where it may be needed.
        crop: Option<Private<Vec<u8>>>,
    },
    NotSeen(NoSighting),
}

/// Everything the thread owns.
pub struct Worker {
    pub eyes: Eyes,
    pub views: BTreeMap<BedId, View>,
    pub slots: BTreeMap<CameraId, Slot>,
    pub dark_below: f32,
    /// How long a bed is watched for signs of life; `None` where liveness is off.
    pub watch: Option<Duration>,
    pub watches: BTreeMap<BedId, Watch>,
    /// What came of the frames worth watching.
    pub kept: Kept,
    pub clock: Clock,
}

/// What one zone shows, and the face it was read from.
pub struct Seen {
    pub scene: Scene,
    pub best: Option<Face>,
}

impl Worker {
    /// Answers requests until shutdown or until nobody asks any more.
    pub fn work(mut self, requests: &Receiver<Request>, stopping: &Stopping, mut answer: impl FnMut(Answer)) {
        loop {
            // A request never waits for more than one frame of one bed.
            let wait = match self.feed() {
                true => Duration::ZERO,
                false if self.is_watching() => IDLE,
                false => ASLEEP,
            };
            match requests.recv_timeout(wait) {
                Ok(request) => answer(self.look(&request)),
                Err(RecvTimeoutError::Timeout) if stopping.has_begun() => return,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self, request: &Request) -> Answer {
        let nothing = |reason| Answer::NotSeen(NoSighting { look: request.look, reason });
        let Some(view) = self.views.get(&request.bed).cloned() else { return nothing(Reason::NoPicture) };
        let Some(slot) = self.slots.get(&view.camera) else { return nothing(Reason::NoPicture) };
        // An IP camera on patrol brings a keyframe now and then; a check needs every frame.
        slot.watch_until(request.until);
        let patience = request.until - self.clock.now().mono;
        let Some(frame) = slot.newer_than(request.after, patience) else { return nothing(Reason::NoPicture) };
        // Everything outside the bed's zone is never looked at.
        let Some(zone) = frame.picture.cut(view.zone) else {
            warn!(camera = %view.camera, bed = %request.bed, "The bed's zone lies outside the picture; check the configuration.");
            return nothing(Reason::NoPicture);
        };
        match self.examine(request, &view, &frame, &zone) {
            Ok(sighting) => {
                debug!(bed = %request.bed, scene = ?sighting.scene, life = ?sighting.life, "Looked.");
                let crop = request.keep.then(|| crop(&zone)).flatten();
                Answer::Seen { sighting, crop }
            }
            Err(error) => {
                warn!(%error, "A look failed.");
                nothing(Reason::NoPicture)
            }
        }
    }

    fn examine(
        &mut self,
        request: &Request,
        view: &View,
        frame: &Frame,
        zone: &Picture,
    ) -> Result<Sighting, NetError> {
        let eyes = &mut self.eyes;
        let seen = see(eyes, zone, view, self.dark_below, &request.gallery, &request.stay)?;
        let (mut scene, mut life) = (seen.scene, Box::<Life>::default());
        if let Some(time) = self.watch {
            let watch = self.watches.entry(request.bed.clone()).or_default();
            watch.ask(frame.taken.mono, millis(time));
            if let Some(slot) = self.slots.get(&view.camera) {
                slot.watch_until(watch.asked_until(millis(time)));
            }
            if let Some(face) = &seen.best {
                watch.follow(eyes, frame.taken.mono, zone, face)?;
            }
            *life = watch.life();
            if let (Scene::Faces { best, .. }, Some(shot)) = (&mut scene, watch.best())
                && shot.quality.worth() > best.quality.worth()
            {
                *best = face_seen(shot.quality, shot.probe.reveal(), &request.gallery, &request.stay);
            }
        }
        let (look, camera) = (request.look, view.camera.clone());
        let Frame { taken, origin, tamper, .. } = *frame;
        Ok(Sighting { look, camera, taken, origin, tamper, scene, life })
    }

    fn is_watching(&self) -> bool {
        let (now, time) = (self.clock.now().mono, self.watch.map_or(0, millis));
        self.watches.values().any(|watch| watch.asked_until(time) >= now)
    }

    /// Gives a fresh frame to the watch of the bed that waited longest; `false` when there is none.
    fn feed(&mut self) -> bool {
        let Some(watch) = self.watch else { return false };
        let mut ready: Option<(Mono, &BedId, &View, &Slot, Frame)> = None;
        for (bed, view) in &self.views {
            let own = self.watches.entry(bed.clone()).or_default();
            let Some(slot) = self.slots.get(&view.camera) else { continue };
            let Some(frame) = slot.newest() else { continue };
            let last = own.last();
            if own.wants(frame.taken.mono, millis(watch))
                && ready.as_ref().is_none_or(|(longest, ..)| last < *longest)
            {
                ready = Some((last, bed, view, slot, frame));
            }
        }
        let Some((_, bed, view, slot, frame)) = ready else { return false };
        let own = self.watches.entry(bed.clone()).or_default();
        let Some(zone) = frame.picture.cut(view.zone) else { return false };
        self.kept.took_one_of(own.worth(frame.taken.mono, slot.count()));
        if let Err(error) = own.take(&mut self.eyes, frame.taken.mono, &zone, millis(watch)) {
            warn!(%error, %bed, "A frame could not be watched.");
        }
        true
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn crop(zone: &Picture) -> Option<Private<Vec<u8>>> {
    encode_jpeg(&shrink(zone, CROP_SIDE), CROP_QUALITY).ok().map(Private::new)
}

fn face_seen(quality: FaceQuality, probe: &[f32], gallery: &Gallery, stay: &StayId) -> FaceSeen {
    let others = gallery.others(probe, stay);
    let claimed = gallery.similarity(probe, stay);
    FaceSeen { quality, claimed, nearest_other: others.nearest, common: others.common }
}

/// What one zone shows with regard to one person.
///
/// # Errors
/// [`NetError`].
pub fn see(
    eyes: &mut Eyes,
    zone: &Picture,
    view: &View,
    dark_below: f32,
    gallery: &Gallery,
    stay: &StayId,
) -> Result<Seen, NetError> {
    let mean_luma = mean_luma(zone);
    if mean_luma < dark_below {
        return Ok(Seen { scene: Scene::Dark { mean_luma }, best: None });
    }
    let faces = eyes.faces_towards(zone, view.head)?;
    let mut seen = Vec::with_capacity(faces.len());
    for face in &faces {
        let probe = eyes.embed(face)?;
        seen.push(face_seen(face.quality, &probe, gallery, stay));
    }
    let count = seen.len();
    let best = seen.into_iter().zip(faces).max_by(|(a, _), (b, _)| {
        let likeness = |face: &FaceSeen| face.claimed.unwrap_or(f32::MIN);
        likeness(a).total_cmp(&likeness(b))
    });
    Ok(match best {
        Some((best, face)) => Seen { scene: Scene::Faces { count, best }, best: Some(face) },
        None => {
            let occupancy = view.empty.as_ref().and_then(|empty| empty.changed(zone));
            let occupancy = occupancy.map_or(Occupancy::Unknown, Occupancy::Changed);
            Seen { scene: Scene::NoFace { occupancy }, best: None }
        }
    })
}
