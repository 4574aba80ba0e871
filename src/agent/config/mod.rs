//! `config.toml`: the file as hospital IT writes it, and the settings as the agent means them.
//!
//! ```text
//!  files, variables, flags ─► source ─► syntax ─► tree ─► layers ─► walk against keys ─► sections ─► Settings
//!                                └───────────── check: every complaint, with its place ─────────────┘
//! ```
//!
//! Nothing stops at the first mistake: whoever edits the file over a slow line gets the whole list at once.

pub mod bed;
pub mod camera;
pub mod check;
pub mod edit;
pub mod explain;
pub mod floor;
mod general;
pub mod keys;
pub mod kinds;
pub mod layers;
pub mod legal;
mod liveness;
mod local;
mod matching;
mod patrol;
pub mod ports;
pub mod schema;
mod sealing;
pub mod source;
pub mod source_of_pictures;
pub mod syntax;
pub mod tree;
pub mod update;
mod walk;
mod ward;
pub mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use crate::agent::config::bed::BedSettings;
pub use crate::agent::config::camera::{CameraMode, CameraSettings};
use crate::agent::config::check::Complaints;
pub use crate::agent::config::layers::Above;
use crate::agent::config::legal::Legal;
pub use crate::agent::config::local::KioskSettings;
pub use crate::agent::config::ports::{FhirSettings, Port, TlsFiles};
pub use crate::agent::config::source_of_pictures::Source;
use crate::agent::config::tree::{Entry, Table, Value};
use crate::agent::config::walk::{Fields, Walk};
use crate::agent::update::{self as bundles, Active};
use crate::agent::ward_thread::Files;
use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::base::ids::{BedId, CameraId, WardId};
use crate::domain::policy::{Evidence, FaceRule, Policy};
use crate::store::keys::KeyStore;

/// Why a configuration is refused: all reasons at once.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("配置文件读不到，可用 bedcheck config init 新建 · {0}; `bedcheck config init` writes a new one")]
    File(#[from] FileError),
    #[error("{0}")]
    Content(Complaints),
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

/// Everything the agent needs, checked. The thresholds join in [`Settings::policy`] from the pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub mode: Mode,
    pub state: PathBuf,
    pub models: Option<PathBuf>,
    pub evidence: Evidence,
    /// The journal's share of the disk.
    pub outbox_bytes: u64,
    pub ward: WardId,
    /// The whole list, where there is one as a file or a watched folder.
    pub roster: Option<PathBuf>,
    pub fmr: String,
    pub heartbeat: Duration,
    pub cameras: Vec<CameraSettings>,
    pub beds: Vec<BedSettings>,
    /// A list of changes and the insurer's list, each a file or a watched folder.
    pub changes: Option<PathBuf>,
    pub insurer: Option<PathBuf>,
    pub hl7: Option<Port>,
    pub http: Option<Port>,
    pub fhir: Option<FhirSettings>,
    pub legal: Legal,
    /// Where the sealing keys are.
    pub keys: KeyStore,
    /// Where metrics are served.
    pub health: Option<String>,
    /// Where the local page is served.
    pub page: Option<String>,
    /// The kiosk's screen and camera.
    pub kiosk: Option<KioskSettings>,
    /// The signed bundle in use.
    pub bundle: Option<Active>,
    /// How long a new one must run well.
    pub probation: Duration,
    patrol: Policy,
}

/// Reads and checks a configuration: the file, `conf.d/*.toml` beside it and the variables of this process. Paths in it
/// are relative to the file's folder.
///
/// # Errors
/// [`ConfigError`] with every complaint, each with file, line and column.
pub fn read(path: &Path) -> Result<Settings, ConfigError> {
    read_below(path, &Above::environment())
}

/// Tells whether any of the files changed.
pub fn fingerprint(path: &Path) -> String {
    let mut all = Vec::new();
    for file in layers::files(path) {
        all.extend_from_slice(file.as_os_str().as_encoded_bytes());
        // A file that cannot be read now is like one that is not there.
        all.extend(read_at_most(&file, source::MOST_BYTES).unwrap_or_default());
    }
    sha256_hex(&all)
}

/// The same with other variables and flags above the files.
///
/// # Errors
/// [`ConfigError`].
pub fn read_below(path: &Path, above: &Above) -> Result<Settings, ConfigError> {
    let mut complaints = Complaints::default();
    let (tree, is_partial) = layers::load(path, above, &mut complaints)?;
    let fields = Walk { complaints: &mut complaints, is_partial }.table(&tree, keys::ROOT, "");
    let base = path.parent().unwrap_or(Path::new("."));
    if !is_partial {
        has_a_source(&tree, &mut complaints);
    }
    let bundle = bundle(&fields, base, above, &mut complaints);
    let settings = mean(&fields, base, bundle, &mut complaints);
    match settings {
        Some(settings) if complaints.is_empty() => Ok(settings),
        _ => Err(ConfigError::Content(complaints)),
    }
}

/// The folder of keys and journal, found without reading anything in it; `None` where the file does not say it.
///
/// # Errors
/// [`FileError`] when a file cannot be read at all.
pub fn state_folder(path: &Path, above: &Above) -> Result<Option<PathBuf>, FileError> {
    let (tree, _) = layers::load(path, above, &mut Complaints::default())?;
    let Some(Value::Text(state)) = tree.value("state") else { return Ok(None) };
    Ok(Some(path.parent().unwrap_or(Path::new(".")).join(state)))
}

/// The signed bundle in use; one that cannot be read is complained of where the state folder is named.
fn bundle(fields: &Fields, base: &Path, above: &Above, found: &mut Complaints) -> Option<Active> {
    if above.bundle.is_some() {
        return above.bundle.clone();
    }
    bundles::active(&fields.path("state", base)?).unwrap_or_else(|error| {
        found.add(
            fields.place("state"),
            format!("正在使用的更新包有问题：{error}"),
            "the bundle in use is damaged: bedcheck update apply takes it again".to_owned(),
        );
        None
    })
}

/// Puts the sections together and checks what only shows between them. `None` where something is missing that was
/// complained of.
fn mean(fields: &Fields, base: &Path, bundle: Option<Active>, found: &mut Complaints) -> Option<Settings> {
    let fmr = fields.table("match").and_then(|fields| fields.text("fmr")).unwrap_or_default().to_owned();
    let face = FaceRule { fmr: fmr.clone(), match_at: 1.0, differs_below: 0.0, typical: None };
    let mut policy = Policy::ordinary(face);
    let cameras = camera::read(fields.tables("camera"), base, found);
    let names: Vec<&str> = fields.tables("camera").filter_map(|camera| camera.text("id")).collect();
    let beds = bed::read(fields.tables("bed"), &cameras, &names, found);
    if let Some((patrol, liveness)) = fields.table("patrol").zip(fields.table("liveness")) {
        patrol::read(patrol, &mut policy);
        liveness::read(liveness, &cameras, &mut policy);
        patrol::check_together(patrol, liveness, &policy, beds.len(), found);
    }
    if let Some(bundle) = &bundle {
        floor::check(bundle, fields, &policy, found);
    }
    let pack = bundle.as_ref().filter(|bundle| bundle.has_pack).map(|bundle| bundle.folder.clone());
    let health = local::read(fields.table("health"), found);
    let page = local::read(fields.table("page"), found);
    let kiosk = local::kiosk(fields.table("kiosk"), &cameras, found);
    let keys = sealing::read(fields.table("keys"), base, found);
    let ward = fields.table("ward")?;
    Some(Settings {
        mode: fields.read("mode")?,
        state: fields.path("state", base)?,
        models: pack.or_else(|| fields.path("models", base)),
        evidence: fields.read("evidence").unwrap_or_default(),
        outbox_bytes: fields.whole::<u64>("outbox_mb")? * 1024 * 1024,
        ward: ward.read("id")?,
        roster: ward.path("roster", base),
        fmr,
        heartbeat: fields.table("patrol")?.span("heartbeat")?,
        cameras,
        beds,
        changes: ward.path("changes", base),
        insurer: ward.path("insurer", base),
        hl7: fields.table("hl7").and_then(|port| ports::port(port, base, found)),
        http: fields.table("http").and_then(|port| ports::port(port, base, found)),
        fhir: fields.table("fhir").and_then(|fhir| ports::fhir(fhir, base, found)),
        legal: fields.table("legal").and_then(legal::read)?,
        keys,
        health,
        page,
        kiosk,
        bundle,
        probation: fields.table("update")?.span("probation")?,
        patrol: policy,
    })
}

/// Somebody must say who lies where. Counts what is written, right or wrong.
fn has_a_source(tree: &Table, found: &mut Complaints) {
    let Some(Entry { node, .. }) = tree.entries.get("ward") else { return };
    let Value::Table(ward) = &node.value else { return };
    if ward.entries.contains_key("roster")
        || ["hl7", "http", "fhir"].into_iter().any(|name| tree.entries.contains_key(name))
    {
        return;
    }
    found.add(
        ward.place.clone(),
        "没有名册来源：请写 ward.roster，或加 [hl7]、[http]、[fhir] 之一".to_owned(),
        "nobody says who lies where: name ward.roster, or add [hl7], [http] or [fhir]".to_owned(),
    );
}

impl Settings {
    /// The whole policy, with the pack's operating point and what the signed policy raises.
    pub fn policy(&self, face: FaceRule) -> Policy {
        let mut policy = Policy { face, evidence: self.evidence, ..self.patrol.clone() };
        if let Some(bundle) = &self.bundle {
            floor::raise(&bundle.floor, &mut policy);
        }
        policy
    }

    /// How long after a check was due a reason may still arrive.
    pub fn excuse_grace(&self) -> Duration {
        self.patrol.excuse_grace
    }

    /// What hospital systems write.
    pub fn files(&self) -> Files {
        Files { roster: self.roster.clone(), changes: self.changes.clone(), insurer: self.insurer.clone() }
    }

    /// Which camera looks at which bed by itself.
    pub fn views(&self) -> BTreeMap<BedId, CameraId> {
        self.seen_by(CameraMode::Bed)
    }

    /// Which camera a nurse brings to which bed.
    pub fn walks(&self) -> BTreeMap<BedId, CameraId> {
        self.seen_by(CameraMode::Round)
    }

    fn seen_by(&self, mode: CameraMode) -> BTreeMap<BedId, CameraId> {
        let looks = |id: &CameraId| self.cameras.iter().any(|camera| camera.id == *id && camera.mode == mode);
        let beds = self.beds.iter().filter(|bed| looks(&bed.camera));
        beds.map(|bed| (bed.id.clone(), bed.camera.clone())).collect()
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
            "config.toml:8:17: patrol.absent_rounds: 应为整数，2 至 50，写的是 1",
            "config.toml:11:12: recorded",
            "nowhere does not exist",
            "config.toml:14:10: 床位 \"12\"：没有摄像头 \"cam-7\"，现有 cam-1 · bed \"12\": camera \"cam-7\" does not exist",
            "9 × 90",
        ] {
            assert!(error.contains(wanted), "{wanted:?} is not in:\n{error}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_mistakes_is_refused_and_not_pondered_for_hours() {
        let path = Path::new("/nonexistent/config.toml");
        for line in ["a b c\n", "=,[", "k\u{3000}= 1\n"] {
            let text = line.repeat(900_000 / line.len());
            let drafts = BTreeMap::from([(path.to_owned(), text)]);
            let error = read_below(path, &Above { drafts, ..Above::default() }).unwrap_err();
            assert!(matches!(error, ConfigError::Content(complaints) if !complaints.is_empty()));
        }
    }
}
