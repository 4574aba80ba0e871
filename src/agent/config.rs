//! `config.toml`: the file as hospital IT writes it, and the settings as the agent means them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::base::files::{FileError, read_at_most};
use crate::base::frame::{Area, Head};
use crate::base::ids::{BedId, CameraId, WardId};
use crate::domain::liveness::{LifeRule, PassiveRule};
use crate::domain::policy::{FaceRule, Policy};

const MOST_BYTES: u64 = 1024 * 1024;

/// Why a configuration is refused: all reasons at once.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}: {cause}")]
    Format { path: PathBuf, cause: Box<toml::de::Error> },
    #[error("{}", .complaints.join("\n"))]
    Content { complaints: Vec<String> },
}

/// How seriously results are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Findings may accuse: pilot packs and foreign runtimes are refused.
    Production,
    /// On trial: everything is marked as such.
    Pilot,
    Demo,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Production => "production",
            Mode::Pilot => "pilot",
            Mode::Demo => "demo",
        }
    }
}

/// Whether crops may leave the device, sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidencePolicy {
    #[default]
    None,
    Exception,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    mode: Mode,
    state: PathBuf,
    models: Option<PathBuf>,
    #[serde(default)]
    evidence: EvidencePolicy,
    ward: RawWard,
    #[serde(default, rename = "match")]
    matching: RawMatch,
    #[serde(default)]
    patrol: RawPatrol,
    #[serde(default)]
    liveness: RawLiveness,
    hl7: Option<Hl7Settings>,
    #[serde(default, rename = "camera")]
    cameras: Vec<RawCamera>,
    #[serde(default, rename = "bed")]
    beds: Vec<RawBed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWard {
    id: WardId,
    roster: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatch {
    fmr: String,
}

impl Default for RawMatch {
    fn default() -> RawMatch {
        RawMatch { fmr: "1e-3".to_owned() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPatrol {
    every: Option<Spanned<String>>,
    jitter: Option<f32>,
    check_within: Option<Spanned<String>>,
    looks: Option<u8>,
    look_spacing: Option<Spanned<String>>,
    look_timeout: Option<Spanned<String>>,
    beds_at_once: Option<u8>,
    absent_rounds: Option<u8>,
    absent_spacing: Option<Spanned<String>>,
    unproven_rounds: Option<u8>,
    excuse_grace: Option<Spanned<String>>,
    heartbeat: Option<Spanned<String>>,
}

/// Whether a face must belong to a living person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LivenessMode {
    #[default]
    Required,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLiveness {
    #[serde(default)]
    mode: LivenessMode,
    watch: Option<Spanned<String>>,
    blink_within: Option<Spanned<String>>,
    lifeless_rounds: Option<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCamera {
    id: Spanned<CameraId>,
    recorded: PathBuf,
    #[serde(default = "default_fps")]
    fps: f32,
    /// Picture of the empty ward, taken at installation.
    empty: Option<PathBuf>,
    /// What `bedcheck calibrate` measured on this camera.
    passive: Option<PassiveRule>,
}

fn default_fps() -> f32 {
    5.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBed {
    id: Spanned<BedId>,
    camera: Spanned<CameraId>,
    zone: Spanned<Area>,
    #[serde(default)]
    head: Head,
}

/// Where HL7 v2 messages are taken, and from whom besides this machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hl7Settings {
    /// `127.0.0.1:2575`, or the address of the hospital's network.
    pub listen: String,
    #[serde(default)]
    pub allow: Vec<IpAddr>,
}

/// A camera as it is opened.
#[derive(Clone, Debug)]
pub struct CameraSettings {
    pub id: CameraId,
    pub recorded: PathBuf,
    pub fps: f32,
    pub empty: Option<PathBuf>,
    pub passive: Option<PassiveRule>,
}

/// A bed in a camera's picture.
#[derive(Clone, Debug)]
pub struct BedSettings {
    pub id: BedId,
    pub camera: CameraId,
    pub zone: Area,
    pub head: Head,
}

/// Everything the agent needs, checked. The thresholds join in [`Settings::policy`] from the pack.
#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode,
    pub state: PathBuf,
    pub models: Option<PathBuf>,
    pub evidence: EvidencePolicy,
    pub ward: WardId,
    pub roster: PathBuf,
    pub fmr: String,
    pub heartbeat: Duration,
    pub cameras: Vec<CameraSettings>,
    pub beds: Vec<BedSettings>,
    pub hl7: Option<Hl7Settings>,
    patrol: Policy,
}

/// Reads and checks a configuration. Paths in it are relative to its folder.
///
/// # Errors
/// [`ConfigError`] with line and column.
pub fn read(path: &Path) -> Result<Settings, ConfigError> {
    let bytes = read_at_most(path, MOST_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let raw: RawConfig = toml::from_str(&text)
        .map_err(|cause| ConfigError::Format { path: path.to_owned(), cause: Box::new(cause) })?;
    let mut check = Check { path, text: &text, complaints: Vec::new() };
    let settings = mean(raw, path.parent().unwrap_or(Path::new(".")), &mut check);
    if check.complaints.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigError::Content { complaints: check.complaints })
    }
}

struct Check<'text> {
    path: &'text Path,
    text: &'text str,
    complaints: Vec<String>,
}

impl Check<'_> {
    fn complain(&mut self, at: Option<usize>, text: &str) {
        let place = at.map_or(String::new(), |at| {
            let before = &self.text[..at.min(self.text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            format!(":{line}:{column}")
        });
        self.complaints.push(format!("{}{place}: {text}", self.path.display()));
    }

    fn duration(&mut self, value: Option<Spanned<String>>, key: &str, default: Duration) -> Duration {
        let Some(value) = value else { return default };
        let parsed = value.as_ref().parse::<jiff::SignedDuration>().ok();
        match parsed.and_then(|duration| Duration::try_from(duration).ok()) {
            Some(duration) => duration,
            None => {
                let text = format!(
                    "{key} = {:?} is not a time; write for instance \"90s\", \"20m\" or \"4h\"",
                    value.as_ref()
                );
                self.complain(Some(value.span().start), &text);
                default
            }
        }
    }
}

fn mean(raw: RawConfig, base: &Path, check: &mut Check<'_>) -> Settings {
    let heartbeat_default = Duration::from_secs(60);
    let mut patrol = Policy::ordinary(FaceRule {
        fmr: raw.matching.fmr.clone(),
        match_at: 1.0,
        differs_below: 0.0,
        typical: None,
    });
    let RawPatrol { every, jitter, check_within, looks, look_spacing, look_timeout, .. } = raw.patrol;
    let RawPatrol { absent_rounds, absent_spacing, unproven_rounds, excuse_grace, .. } = raw.patrol;
    let RawPatrol { beds_at_once, heartbeat, .. } = raw.patrol;
    patrol.round_every = check.duration(every, "patrol.every", patrol.round_every);
    patrol.round_jitter = jitter.unwrap_or(patrol.round_jitter);
    patrol.check_within = check.duration(check_within, "patrol.check_within", patrol.check_within);
    patrol.looks_per_check = looks.unwrap_or(patrol.looks_per_check);
    patrol.look_spacing = check.duration(look_spacing, "patrol.look_spacing", patrol.look_spacing);
    patrol.look_timeout = check.duration(look_timeout, "patrol.look_timeout", patrol.look_timeout);
    patrol.absent_rounds = absent_rounds.unwrap_or(patrol.absent_rounds);
    patrol.absent_spacing = check.duration(absent_spacing, "patrol.absent_spacing", patrol.absent_spacing);
    patrol.excuse_grace = check.duration(excuse_grace, "patrol.excuse_grace", patrol.excuse_grace);
    patrol.beds_at_once = beds_at_once.unwrap_or(patrol.beds_at_once);
    patrol.unproven_rounds = unproven_rounds.unwrap_or(patrol.unproven_rounds);
    let heartbeat = check.duration(heartbeat, "patrol.heartbeat", heartbeat_default);
    let cameras = cameras(raw.cameras, base, check);
    liveness(raw.liveness, &cameras, &mut patrol, check);
    for (key, text) in patrol.complaints() {
        check.complain(None, &format!("[patrol] {key} {text}"));
    }
    let beds = beds(raw.beds, &cameras, check);
    let longest = patrol.longest_round(beds.len());
    if longest > patrol.check_within {
        let text = format!(
            "[patrol] {} beds may take {} s, check_within allows {} s: raise check_within or beds_at_once",
            beds.len(),
            longest.as_secs(),
            patrol.check_within.as_secs()
        );
        check.complain(None, &text);
    }
    Settings {
        mode: raw.mode,
        state: base.join(raw.state),
        models: raw.models.map(|models| base.join(models)),
        evidence: raw.evidence,
        ward: raw.ward.id,
        roster: base.join(raw.ward.roster),
        fmr: raw.matching.fmr,
        heartbeat,
        cameras,
        beds,
        hl7: raw.hl7,
        patrol,
    }
}

fn liveness(raw: RawLiveness, cameras: &[CameraSettings], policy: &mut Policy, check: &mut Check<'_>) {
    if raw.mode == LivenessMode::Off {
        policy.life = None;
        return;
    }
    let mut rule = LifeRule::default();
    rule.watch = check.duration(raw.watch, "liveness.watch", rule.watch);
    rule.blink_within = check.duration(raw.blink_within, "liveness.blink_within", rule.watch);
    let calibrated = cameras.iter().filter_map(|camera| Some((camera.id.clone(), camera.passive?)));
    rule.cameras = calibrated.collect();
    policy.lifeless_rounds = raw.lifeless_rounds.unwrap_or(policy.lifeless_rounds);
    policy.life = Some(rule);
}

fn cameras(raw: Vec<RawCamera>, base: &Path, check: &mut Check<'_>) -> Vec<CameraSettings> {
    let mut cameras: Vec<CameraSettings> = Vec::new();
    if raw.is_empty() {
        check.complain(None, "there is no [[camera]]; add one with id and recorded = \"folder\"");
    }
    for camera in raw {
        let at = camera.id.span().start;
        let id = camera.id.into_inner();
        if cameras.iter().any(|known| known.id == id) {
            check.complain(Some(at), &format!("camera {id:?} stands here twice", id = id.as_str()));
            continue;
        }
        if !(0.01..=120.0).contains(&camera.fps) {
            check.complain(
                Some(at),
                &format!("camera {id}: fps = {} must lie between 0.01 and 120", camera.fps),
            );
        }
        let recorded = base.join(camera.recorded);
        if !recorded.exists() {
            check.complain(Some(at), &format!("camera {id}: {} does not exist", recorded.display()));
        }
        let empty = camera.empty.map(|empty| base.join(empty));
        if camera
            .passive
            .is_some_and(|rule| !(0.0..=rule.live_at).contains(&rule.attack_below) || rule.live_at > 1.0)
        {
            let text = format!(
                "camera {id}: passive needs 0 <= attack_below <= live_at <= 1; `bedcheck calibrate` writes it"
            );
            check.complain(Some(at), &text);
        }
        cameras.push(CameraSettings { id, recorded, fps: camera.fps, empty, passive: camera.passive });
    }
    cameras
}

fn beds(raw: Vec<RawBed>, cameras: &[CameraSettings], check: &mut Check<'_>) -> Vec<BedSettings> {
    let mut beds: Vec<BedSettings> = Vec::new();
    let known: Vec<&str> = cameras.iter().map(|camera| camera.id.as_str()).collect();
    for bed in raw {
        let (at, camera_at, zone_at) = (bed.id.span().start, bed.camera.span().start, bed.zone.span().start);
        let (id, camera, zone) = (bed.id.into_inner(), bed.camera.into_inner(), bed.zone.into_inner());
        if beds.iter().any(|known| known.id == id) {
            check.complain(Some(at), &format!("bed {:?} stands here twice", id.as_str()));
        }
        if !known.contains(&camera.as_str()) {
            let text = format!(
                "bed {:?}: camera {:?} does not exist; cameras are {}",
                id.as_str(),
                camera.as_str(),
                known.join(", ")
            );
            check.complain(Some(camera_at), &text);
        }
        if zone.width < 64 || zone.height < 64 {
            let text = format!(
                "bed {:?}: a zone of {} × {} pixels is too small for a face; draw at least 64 × 64",
                id.as_str(),
                zone.width,
                zone.height
            );
            check.complain(Some(zone_at), &text);
        }
        beds.push(BedSettings { id, camera, zone, head: bed.head });
    }
    beds
}

impl Settings {
    /// The whole policy, with the pack's operating point.
    pub fn policy(&self, face: FaceRule) -> Policy {
        Policy { face, ..self.patrol.clone() }
    }

    /// How long after a check was due a reason may still arrive.
    pub fn excuse_grace(&self) -> Duration {
        self.patrol.excuse_grace
    }

    /// Which camera sees which bed.
    pub fn views(&self) -> BTreeMap<BedId, CameraId> {
        self.beds.iter().map(|bed| (bed.id.clone(), bed.camera.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_complaints_come_at_once_with_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let text = "mode = \"pilot\"\nstate = \"s\"\n[ward]\nid = \"3A\"\nroster = \"r.csv\"\n[patrol]\nevery = \"often\"\n\
            absent_rounds = 1\n[[camera]]\nid = \"cam-1\"\nrecorded = \"nowhere\"\n[[bed]]\nid = \"12\"\ncamera = \"cam-7\"\n\
            zone = { x = 0, y = 0, width = 9, height = 90 }\n";
        crate::base::files::write_owner_only(&path, text.as_bytes()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        for wanted in [
            "config.toml:7:9: patrol.every",
            "absent_rounds must lie",
            "cam-1: ",
            "nowhere does not exist",
            "config.toml:14:10: bed \"12\": camera \"cam-7\" does not exist; cameras are cam-1",
            "9 × 90",
        ] {
            assert!(error.contains(wanted), "{wanted:?} is not in:\n{error}");
        }
    }
}
