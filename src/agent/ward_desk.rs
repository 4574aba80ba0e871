//! What the page `/ward` shows of this device now: the running cameras, and what the task that decides believes.

use std::collections::BTreeSet;

use crate::agent::config::{CameraMode, CameraSettings, Settings};
use crate::agent::health::Shown;
use crate::agent::kiosk_thread::Known;
use crate::agent::round_desk::is_offline;
use crate::agent::zones::ZoneDesk;
use crate::base::clock::{Now, Wall};
use crate::base::ids::BedId;
use crate::domain::facts::Away;
use crate::kiosk::ward_view::{BedNow, CameraNow, WardNow, WardView};

impl WardView for ZoneDesk {
    fn ward(&self) -> Option<WardNow> {
        let (now, shown) = (self.clock.now(), self.health.shown());
        let settings = shown.settings.as_ref()?;
        Some(WardNow {
            ward: settings.ward.to_string(),
            // Where only the page is served, nobody delivers.
            is_offline: shown.known.is_some() && is_offline(&self.health, now.wall),
            eased: shown.eased,
            cameras: settings.cameras.iter().map(|camera| camera_now(camera, &shown, now)).collect(),
            beds: shown
                .known
                .as_ref()
                .map_or_else(Vec::new, |known| beds(&known.borrow(), settings, now.wall)),
        })
    }
}

fn camera_now(camera: &CameraSettings, shown: &Shown, now: Now) -> CameraNow {
    let slot = shown.slots.get(&camera.id);
    let newest = slot.and_then(|slot| slot.glance()).map(|newest| {
        let age = u64::try_from((now.mono - newest.taken).as_millis()).unwrap_or(u64::MAX);
        (age, newest.width, newest.height)
    });
    let health = slot.map(|slot| slot.health()).unwrap_or_default();
    let mode = match camera.mode {
        CameraMode::Bed => ("固定看床", "beds"),
        CameraMode::Round => ("床旁巡查", "rounds"),
        CameraMode::Door => ("病区门", "door"),
        CameraMode::Kiosk => ("核查窗口", "kiosk"),
    };
    CameraNow {
        id: camera.id.to_string(),
        mode,
        frames: slot.map_or(0, |slot| slot.count()),
        newest,
        trouble: health.trouble,
        remarks: health.remarks,
        tamper: health.tamper,
    }
}

/// Beds somebody is admitted to, and beds with a zone, in order.
fn beds(known: &Known, settings: &Settings, now: Wall) -> Vec<BedNow> {
    let drawn = settings.beds.iter().map(|bed| &bed.id);
    let all: BTreeSet<&BedId> = drawn.chain(known.roster.stays().map(|stay| &stay.bed)).collect();
    let row = |bed: &BedId| {
        let stay = known.roster.stay_in(bed);
        BedNow {
            bed: bed.to_string(),
            masked_name: stay.map(|stay| stay.masked_name()),
            templates: stay.map_or(0, |stay| stay.templates),
            camera: settings.beds.iter().find(|drawn| drawn.id == *bed).map(|drawn| drawn.camera.to_string()),
            away: stay
                .and_then(|stay| stay.away.iter().find(|away| away.covers(now)))
                .map(|away: &Away| away.excuse),
        }
    };
    all.into_iter().map(row).collect()
}
