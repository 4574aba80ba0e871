//! The local page's desk: pictures come from the cameras that run, zones go into the files of the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent::config::edit::{EditError, put_beds};
use crate::agent::config::{self, Above, BedSettings, ConfigError, Settings};
use crate::agent::enrol_desk::Sittings;
use crate::agent::health::Health;
use crate::base::clock::Clock;
use crate::base::files::{FileError, make_owner_only_folder, read_at_most, write_owner_only};
use crate::base::frame::{Area, Picture};
use crate::base::health::Words;
use crate::base::ids::{BedId, CameraId};
use crate::base::slot::Glance;
use crate::hospital::roster_file;
use crate::kiosk::{Desk, Drawing, Refusal, Zone};

/// How long a page waits for a camera's first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(5);

/// Where the page is served when the configuration does not say.
pub const USUAL_ADDRESS: &str = "127.0.0.1:8470";

/// Folder of the page within the state: links that were not opened yet, and where it is served.
pub fn folder(state: &Path) -> PathBuf {
    state.join("page")
}

/// Notes where the page is served, for `bedcheck zones` beside a running agent.
///
/// # Errors
/// [`FileError`].
pub fn note_address(state: &Path, address: &str) -> Result<(), FileError> {
    make_owner_only_folder(&folder(state))?;
    write_owner_only(&folder(state).join("address"), address.as_bytes())
}

/// Where the page was last served.
pub fn noted_address(state: &Path) -> Option<String> {
    let bytes = read_at_most(&folder(state).join("address"), 256).ok()?;
    String::from_utf8(bytes).ok()
}

/// What somebody is told who asks for what only a running agent knows.
pub fn not_running() -> Words {
    Words::new("终端未运行，请先启动 bedcheck", "no agent runs: start bedcheck first")
}

/// What the page draws from.
pub struct ZoneDesk {
    pub config: PathBuf,
    pub above: Above,
    /// The cameras of whatever runs now.
    pub health: Health,
    pub clock: Clock,
    /// Who is being enrolled.
    pub sittings: Sittings,
}

impl ZoneDesk {
    fn settings(&self) -> Result<Settings, Vec<String>> {
        config::read_below(&self.config, &self.above).map_err(|error| complaints(&error))
    }
}

impl Desk for ZoneDesk {
    fn drawing(&self) -> Result<Drawing, Vec<String>> {
        // First the version: a change in between makes the saving fail, not vanish.
        let version = config::fingerprint(&self.config);
        let settings = self.settings()?;
        let zones: Vec<Zone> = settings.beds.iter().map(zone).collect();
        let drawn: BTreeSet<&str> = settings.beds.iter().map(|bed| bed.id.as_str()).collect();
        let now = self.clock.now().wall;
        let roster = settings.roster.as_deref().and_then(|path| roster_file::read(path, now).ok());
        let beds = roster.map(|roster| roster.entries).unwrap_or_default();
        let beds: BTreeSet<String> = beds.into_iter().map(|entry| entry.bed.to_string()).collect();
        let missing = beds.into_iter().filter(|bed| !drawn.contains(bed.as_str())).collect();
        let cameras = settings.cameras.iter().filter(|camera| camera.mode.sees_beds());
        Ok(Drawing {
            version,
            cameras: cameras.map(|camera| camera.id.to_string()).collect(),
            zones,
            missing,
        })
    }

    fn picture(&self, camera: &str) -> Option<Picture> {
        let slot = self.health.shown().slots.get(&CameraId::new(camera).ok()?)?.clone();
        // Whoever draws wants to see what is there now; between rounds a camera rests.
        let now = self.clock.now().mono;
        slot.watch_until(now + FIRST_PICTURE);
        let fresh = slot.newer_than(now, FIRST_PICTURE).or_else(|| slot.newest());
        Some(fresh?.picture)
    }

    fn save(&self, version: &str, zones: &[Zone]) -> Result<String, Refusal> {
        if config::fingerprint(&self.config) != version {
            return Err(Refusal::Outdated);
        }
        let beds: Vec<BedSettings> = zones
            .iter()
            .map(bed)
            .collect::<Result<_, String>>()
            .map_err(|text| Refusal::Complaints(vec![text]))?;
        self.fits(&beds).map_err(Refusal::Complaints)?;
        match put_beds(&self.config, &self.above, &beds) {
            Ok(_) => Ok(config::fingerprint(&self.config)),
            Err(EditError::Refused(error)) => Err(Refusal::Complaints(complaints(&error))),
            Err(error) => Err(Refusal::Complaints(vec![error.to_string()])),
        }
    }
}

impl ZoneDesk {
    /// Whether the zones lie in the pictures that the cameras show now.
    fn fits(&self, beds: &[BedSettings]) -> Result<(), Vec<String>> {
        let shown = self.health.shown();
        let outside = beds.iter().filter_map(|bed| {
            let Glance { width, height, .. } = shown.slots.get(&bed.camera)?.glance()?;
            let (right, bottom) = (bed.zone.x + bed.zone.width, bed.zone.y + bed.zone.height);
            (right > width || bottom > height).then(|| {
                let id = &bed.id;
                format!("床位 {id}：超出画面 {width} × {height} · bed {id}: beyond the picture of {width} × {height}")
            })
        });
        let outside: Vec<String> = outside.collect();
        if outside.is_empty() { Ok(()) } else { Err(outside) }
    }
}

fn zone(bed: &BedSettings) -> Zone {
    let Area { x, y, width, height } = bed.zone;
    Zone { bed: bed.id.to_string(), camera: bed.camera.to_string(), x, y, width, height, head: bed.head }
}

fn bed(zone: &Zone) -> Result<BedSettings, String> {
    let Zone { x, y, width, height, head, .. } = *zone;
    // Sums of edges must not run over; nothing near that can be seen anyway.
    if [x, y, width, height].iter().any(|pixels| *pixels > crate::base::picture::MOST_SIDE) {
        return Err(format!("床位 {}：坐标过大 · bed {}: out of range", zone.bed, zone.bed));
    }
    Ok(BedSettings {
        id: BedId::new(zone.bed.as_str()).map_err(|error| format!("床号不可用 · {error}"))?,
        camera: CameraId::new(zone.camera.as_str()).map_err(|error| format!("摄像头不可用 · {error}"))?,
        zone: Area { x, y, width, height },
        head,
    })
}

fn complaints(error: &ConfigError) -> Vec<String> {
    error.to_string().lines().map(str::to_owned).collect()
}
