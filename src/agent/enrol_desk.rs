//! Enrolment at the device: pictures of one person are taken with its own camera, each is judged at once, and three good
//! ones of one face become templates.
//!
//! Of a picture only the face is kept, until it is enrolled, taken back, or nobody touched it for five minutes. The nets
//! are its own: a round never waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::agent::config::{CameraMode, Settings};
use crate::agent::enrol::{MIN_SHOTS, gate, strangers};
use crate::agent::enrol_roster::{contact_sheet, held_back};
use crate::agent::tasks;
use crate::agent::zones::{ZoneDesk, not_running};
use crate::base::clock::Mono;
use crate::base::frame::Picture;
use crate::base::health::Words;
use crate::base::ids::{BedId, StayId};
use crate::base::redact::Private;
use crate::base::supervise;
use crate::domain::policy::QualityRule;
use crate::domain::roster::Stay;
use crate::kiosk::Desk;
use crate::kiosk::enrol_view::{Enrolling, ShotNow, SittingNow};
use crate::store::{Privacy, TemplateStore};
use crate::vision::eyes::Eyes;

/// Pictures of one person; who needs more has a bad camera.
const MOST_SHOTS: usize = 9;
/// Untouched for so long, everything is forgotten.
const LASTS: Duration = Duration::from_secs(300);

/// The one person who sits before the camera, if anybody does.
#[derive(Clone, Default)]
pub struct Sittings(Arc<Mutex<Option<Sitting>>>);

struct Sitting {
    stay: StayId,
    eyes: Eyes,
    shots: Vec<Taken>,
    touched: Mono,
}

/// One picture: its face as a tile, and the template of a good one.
struct Taken {
    tile: Option<Picture>,
    template: Result<Private<Vec<f32>>, (&'static str, &'static str)>,
}

impl Sittings {
    fn lock(&self) -> MutexGuard<'_, Option<Sitting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: impl std::fmt::Display) -> Words {
    warn!(%error, "Nobody could be enrolled at the page.");
    Words::new(format!("无法登记：{error}"), format!("cannot be enrolled: {error}"))
}

impl ZoneDesk {
    /// Who lies in that bed, and what is configured.
    fn person(&self, bed: &str) -> Result<(Settings, Stay), Words> {
        let shown = self.health.shown();
        let (Some(settings), Some(known)) = (shown.settings, shown.known) else {
            return Err(not_running());
        };
        let nobody = || {
            Words::new(format!("名册上 {bed} 床没有患者"), format!("nobody is in bed {bed} on the roster"))
        };
        let bed = BedId::new(bed).map_err(|_| nobody())?;
        let stay = known.borrow().roster.stay_in(&bed).cloned();
        Ok((settings, stay.ok_or_else(nobody)?))
    }

    fn barred(settings: &Settings, stay: &StayId) -> Result<Option<Words>, Words> {
        let privacy = Privacy::open(&settings.state).map_err(failed)?;
        let why = held_back(&privacy, stay, &[]).map_err(failed)?;
        Ok(why.map(|text| match text.split_once(" · ") {
            Some((zh, en)) => Words::new(zh, en),
            None => Words::new(text.as_str(), text.as_str()),
        }))
    }

    /// Forgets the sitting once nobody touches it any more.
    fn forget_later(&self) {
        let (sittings, clock) = (self.sittings.clone(), self.clock.clone());
        supervise::task("enrolment", async move {
            loop {
                let left = match sittings.lock().as_ref() {
                    Some(sitting) => LASTS.saturating_sub(clock.now().mono - sitting.touched),
                    None => return,
                };
                if left.is_zero() {
                    *sittings.lock() = None;
                    return;
                }
                tokio::time::sleep(left).await;
            }
        });
    }
}

impl Enrolling for ZoneDesk {
    fn sitting(&self, bed: &str) -> Result<SittingNow, Words> {
        let (settings, stay) = self.person(bed)?;
        let mut cameras: Vec<_> =
            settings.cameras.iter().filter(|camera| camera.mode != CameraMode::Door).collect();
        cameras.sort_by_key(|camera| camera.mode == CameraMode::Bed);
        let sittings = self.sittings.lock();
        let shots = sittings.as_ref().filter(|sitting| sitting.stay == stay.id).map(|sitting| &sitting.shots);
        let shot = |(number, taken): (usize, &Taken)| {
            let fault = taken.template.as_ref().err().map(|(zh, en)| Words::new(*zh, *en));
            ShotNow { number, fault }
        };
        Ok(SittingNow {
            bed: bed.to_owned(),
            masked_name: stay.masked_name(),
            templates: stay.templates,
            cameras: cameras.into_iter().map(|camera| camera.id.to_string()).collect(),
            held_back: ZoneDesk::barred(&settings, &stay.id)?,
            shots: shots.map_or_else(Vec::new, |shots| shots.iter().enumerate().map(shot).collect()),
            needed: MIN_SHOTS,
        })
    }

    fn take(&self, bed: &str, camera: &str) -> Result<(), Words> {
        let (settings, stay) = self.person(bed)?;
        if let Some(why) = ZoneDesk::barred(&settings, &stay.id)? {
            return Err(why);
        }
        let no_picture = || Words::new("没有画面，请检查摄像头", "no picture: check the camera");
        let picture = self.picture(camera).ok_or_else(no_picture)?;
        let now = self.clock.now().mono;
        let mut sittings = self.sittings.lock();
        let is_new = sittings.as_ref().is_none_or(|sitting| sitting.stay != stay.id);
        if is_new {
            // What was taken of somebody else goes with it.
            let was_empty = sittings.is_none();
            let eyes = tasks::open_eyes(&settings).map_err(failed)?;
            *sittings = Some(Sitting { stay: stay.id, eyes, shots: Vec::new(), touched: now });
            if was_empty {
                self.forget_later();
            }
        }
        let Some(sitting) = sittings.as_mut() else { return Ok(()) };
        if sitting.shots.len() >= MOST_SHOTS {
            return Err(Words::new(
                "照片已满，请先删去不合格的",
                "enough pictures: delete those that are not good",
            ));
        }
        sitting.touched = now;
        let found = gate(&mut sitting.eyes, &picture, &QualityRule::default()).map_err(failed)?;
        let tile = contact_sheet(&[(&picture, found.as_ref().ok())]);
        let template = match found {
            Ok(face) => Ok(Private::new(sitting.eyes.embed(&face).map_err(failed)?)),
            Err(reason) => Err(reason),
        };
        sitting.shots.push(Taken { tile, template });
        Ok(())
    }

    fn forget(&self, bed: &str, number: Option<usize>) {
        let Ok((_, stay)) = self.person(bed) else { return };
        let mut sittings = self.sittings.lock();
        let Some(sitting) = sittings.as_mut().filter(|sitting| sitting.stay == stay.id) else { return };
        match number {
            Some(number) if number < sitting.shots.len() => drop(sitting.shots.remove(number)),
            Some(_) => {}
            None => *sittings = None,
        }
    }

    fn finish(&self, bed: &str) -> Result<Words, Words> {
        let (settings, stay) = self.person(bed)?;
        if let Some(why) = ZoneDesk::barred(&settings, &stay.id)? {
            return Err(why);
        }
        let mut sittings = self.sittings.lock();
        let too_few = || {
            let (zh, en) = (
                format!("至少需要 {MIN_SHOTS} 张合格照片"),
                format!("at least {MIN_SHOTS} good pictures are needed"),
            );
            Words::new(zh, en)
        };
        let sitting = sittings.as_mut().filter(|sitting| sitting.stay == stay.id).ok_or_else(too_few)?;
        let good: Vec<Private<Vec<f32>>> =
            sitting.shots.iter().filter_map(|taken| taken.template.as_ref().ok().cloned()).collect();
        if good.len() < MIN_SHOTS {
            return Err(too_few());
        }
        let rule = sitting.eyes.rule(&settings.fmr).map_err(failed)?;
        let embedder = &sitting.eyes.manifest.embedder;
        let faces = good.iter().map(|template| template.reveal().as_slice());
        if strangers(embedder.metric, faces, rule.differs_below).is_some() {
            return Err(Words::new(
                "照片中不是同一个人，请删去错的一张",
                "the pictures show two different people: delete the wrong one",
            ));
        }
        let mut store = TemplateStore::open(&settings.state).map_err(failed)?;
        store.replace(&stay.id, &embedder.sha256, &good).map_err(failed)?;
        info!(shots = good.len(), "Somebody was enrolled at the page.");
        let said = self.said(&settings, &sitting.eyes, &stay, rule.match_at);
        *sittings = None;
        said
    }

    fn shot(&self, number: usize) -> Option<Picture> {
        self.sittings.lock().as_ref()?.shots.get(number)?.tile.clone()
    }
}

impl ZoneDesk {
    /// What is said of an enrolment: whose face is another patient's, too, is told at once.
    fn said(&self, settings: &Settings, eyes: &Eyes, stay: &Stay, match_at: f32) -> Result<Words, Words> {
        let gallery = tasks::faces(settings, eyes).map_err(failed)?.gallery;
        let twins = gallery
            .duplicates(match_at)
            .into_iter()
            .filter_map(|(a, b, _)| if a == stay.id { Some(b) } else { (b == stay.id).then_some(a) });
        let known = self.health.shown().known;
        let beds = twins.map(|twin| {
            let bed = known.as_ref().and_then(|known| {
                known.borrow().roster.stays().find(|stay| stay.id == twin).map(|stay| stay.bed.clone())
            });
            bed.map_or_else(|| "?".to_owned(), |bed| bed.to_string())
        });
        let beds: Vec<String> = beds.collect();
        let bed = &stay.bed;
        if beds.is_empty() {
            return Ok(Words::new(format!("已登记 {bed} 床"), format!("bed {bed} is enrolled")));
        }
        let beds = beds.join(", ");
        Ok(Words::new(
            format!("已登记 {bed} 床；但与 {beds} 床疑似同一人，请核对两人证件"),
            format!("bed {bed} is enrolled, but looks like the person in bed {beds}: check both identities"),
        ))
    }
}
