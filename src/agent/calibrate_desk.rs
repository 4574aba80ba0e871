//! The commissioning kit on the local page: each presentation is filmed by the running camera and scored at once. Its
//! pictures are forgotten; kind and score are kept in `<state>/calibration/CAMERA.filmed.csv` until they are discarded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use crate::agent::calibrate::{self, ATTACKS_WANTED, Calibration, LIVE_WANTED};
use crate::agent::config::{CameraSettings, Settings};
use crate::agent::evaluate::pad::{Presentation, score_pictures};
use crate::agent::tasks;
use crate::agent::zones::{ZoneDesk, not_running};
use crate::base::files::{make_owner_only_folder, read_at_most, write_owner_only};
use crate::base::frame::Picture;
use crate::base::health::Words;
use crate::base::ids::CameraId;
use crate::base::slot::Slot;
use crate::kiosk::calibrate_view::{Calibrating, CalibrationNow, FilmedNow, FitNow, SPECIES};

/// Pictures of one presentation, as `bedcheck calibrate film` takes.
const FRAMES: usize = 15;
/// How long one picture may take to come, and all of them.
const PATIENCE: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(15);
/// Presentations of one camera.
const MOST_FILMED: usize = 500;
const MOST_BYTES: u64 = 64 * 1024;

fn failed(error: impl std::fmt::Display) -> Words {
    warn!(%error, "Calibration at the page failed.");
    Words::new(format!("未能完成：{error}"), format!("not done: {error}"))
}

impl ZoneDesk {
    /// The settings and one of their cameras; of an unknown name the first.
    fn of_camera(&self, camera: &str) -> Result<(Settings, CameraSettings), Words> {
        let settings = self.health.shown().settings.ok_or_else(not_running)?;
        let found = settings.cameras.iter().find(|known| known.id.as_str() == camera);
        let found = found.or(settings.cameras.first()).cloned();
        let none = || Words::new("没有配置摄像头", "no camera is configured");
        Ok((settings, found.ok_or_else(none)?))
    }

    /// Frames of one presentation, spread over what the camera brings.
    fn film_frames(&self, slot: &Slot) -> Vec<Picture> {
        let begun = self.clock.now().mono;
        slot.watch_until(begun + LASTS);
        let (mut last, mut pictures) = (begun, Vec::new());
        while pictures.len() < FRAMES && self.clock.now().mono - begun < LASTS {
            let Some(frame) = slot.newer_than(last, PATIENCE) else { break };
            last = frame.taken.mono;
            pictures.push(frame.picture);
        }
        pictures
    }
}

/// SHA-256 of the PAD net in use.
fn net(settings: &Settings) -> Result<String, Words> {
    let pad = tasks::read_manifest(settings).map_err(failed)?.pad.map(|pad| pad.sha256);
    pad.ok_or_else(|| Words::new("模型包没有活体检测网络", "this pack has no PAD net"))
}

fn path_of(state: &Path, camera: &CameraId) -> PathBuf {
    state.join("calibration").join(format!("{camera}.filmed.csv"))
}

/// What was filmed with this net before.
fn filmed(state: &Path, camera: &CameraId, net: &str) -> Result<Vec<Presentation>, Words> {
    let path = path_of(state, camera);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = read_at_most(&path, MOST_BYTES).map_err(failed)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
    let mut set = Vec::new();
    for row in reader.deserialize::<(String, String, Option<f32>)>() {
        let (of, species, score) = row.map_err(failed)?;
        if of == net {
            set.push(presentation(&species, score));
        }
    }
    Ok(set)
}

fn presentation(species: &str, score: Option<f32>) -> Presentation {
    let is_live = species == "live";
    let species = if is_live { String::new() } else { species.to_owned() };
    Presentation { path: PathBuf::new(), is_live, species, score }
}

fn name(presentation: &Presentation) -> &str {
    if presentation.is_live { "live" } else { &presentation.species }
}

fn keep(state: &Path, camera: &CameraId, net: &str, set: &[Presentation]) -> Result<(), Words> {
    make_owner_only_folder(&state.join("calibration")).map_err(failed)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    for one in set {
        writer.serialize((net, name(one), one.score)).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(failed)?;
    write_owner_only(&path_of(state, camera), &bytes).map_err(failed)
}

/// The thresholds of what was filmed, where both groups are there.
fn fitted(set: &[Presentation], net: &str) -> Option<Calibration> {
    calibrate::fit(set, net).ok()
}

fn fit_now(found: &Calibration) -> FitNow {
    let rate = |value: f64, [low, high]: [f64; 2]| (100.0 * value, 100.0 * low, 100.0 * high);
    let is_enough = found.live >= LIVE_WANTED && found.attacks >= ATTACKS_WANTED;
    FitNow {
        live_at: found.passive.live_at,
        attack_below: found.passive.attack_below,
        live: found.live,
        attacks: found.attacks,
        bpcer: rate(found.bpcer, found.bpcer_interval),
        apcer_max: rate(found.apcer_max, found.apcer_interval),
        wanted: (!is_enough).then_some((LIVE_WANTED, ATTACKS_WANTED)),
    }
}

impl Calibrating for ZoneDesk {
    fn calibration(&self, camera: &str) -> Result<CalibrationNow, Words> {
        let (settings, camera) = self.of_camera(camera)?;
        let net = net(&settings)?;
        let set = filmed(&settings.state, &camera.id, &net)?;
        let row = |one: &Presentation| FilmedNow { species: name(one).to_owned(), score: one.score };
        let written = calibrate::read(&settings.state, &camera.id, &net).map_err(failed)?;
        Ok(CalibrationNow {
            camera: camera.id.to_string(),
            cameras: settings.cameras.iter().map(|camera| camera.id.to_string()).collect(),
            filmed: set.iter().map(row).collect(),
            fit: fitted(&set, &net).as_ref().map(fit_now),
            written: written.map(|found| (found.passive.live_at, found.passive.attack_below)),
        })
    }

    fn film(&self, camera: &str, species: &str) -> Result<Words, Words> {
        let (settings, camera) = self.of_camera(camera)?;
        let unknown = || Words::new("请选择呈现类别", "choose what stands before the camera");
        let kind = SPECIES.iter().find(|kind| kind.0 == species).ok_or_else(unknown)?;
        let net = net(&settings)?;
        let mut set = filmed(&settings.state, &camera.id, &net)?;
        if set.len() >= MOST_FILMED {
            return Err(Words::new(
                "已录满，请先计算并清空",
                "enough was filmed: settle and discard it first",
            ));
        }
        let slot = self.health.shown().slots.get(&camera.id).cloned();
        let pictures = slot.map_or_else(Vec::new, |slot| self.film_frames(&slot));
        if pictures.is_empty() {
            return Err(Words::new("没有画面，请检查摄像头", "no picture: check the camera"));
        }
        let mut eyes = tasks::open_eyes(&settings).map_err(failed)?;
        let score = score_pictures(&mut eyes, &pictures).map_err(failed)?;
        set.push(presentation(kind.0, score));
        keep(&settings.state, &camera.id, &net, &set)?;
        info!(camera = %camera.id, species, "A presentation was filmed at the page.");
        let count = pictures.len();
        Ok(match score {
            Some(score) => Words::new(
                format!("{}：{count} 张画面，P(live) {score:.3}", kind.1),
                format!("{}: {count} pictures, P(live) {score:.3}", kind.2),
            ),
            None => Words::new(
                format!("{}：{count} 张画面中没有人脸", kind.1),
                format!("{}: no face in {count} pictures", kind.2),
            ),
        })
    }

    fn settle(&self, camera: &str) -> Result<Words, Words> {
        let (settings, camera) = self.of_camera(camera)?;
        let net = net(&settings)?;
        let set = filmed(&settings.state, &camera.id, &net)?;
        let found = fitted(&set, &net).ok_or_else(|| {
            Words::new(
                "真人与攻击都要录到人脸",
                "both living people and attacks are needed, with a face that is found",
            )
        })?;
        calibrate::write(&settings.state, &camera.id, &found).map_err(failed)?;
        info!(camera = %camera.id, "A camera was calibrated at the page.");
        Ok(Words::new("已写入，重启 bedcheck 后生效", "written; it counts when bedcheck is restarted"))
    }

    fn discard(&self, camera: &str) -> Result<Words, Words> {
        let (settings, camera) = self.of_camera(camera)?;
        keep(&settings.state, &camera.id, "", &[])?;
        Ok(Words::new("已清空", "discarded"))
    }
}
