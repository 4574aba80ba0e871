//! Signed updates of models, policy and calibration, made here: a bundle as a plain folder (a TUF repository) that goes onto
//! a stick or behind any web server. [`crate::platform::update_keys`] makes the keys.
//!
//! `tough` writes and signs; what a bundle means is in [`crate::wire::bundle`].

use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tough::editor::RepositoryEditor;
use tough::editor::signed::PathExists;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::Target;
use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::base::ids::DeviceId;
use crate::wire::bundle::{
    ADDRESSEE, CALIBRATION, MANIFEST, MOST_METADATA, MOST_TEXT, POLICY, is_plain, most,
};
use crate::wire::floor::{BadFloor, Floor};

/// More files than this in a folder of keys are somebody's home.
const MOST_KEYS: usize = 64;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0} already holds update keys: choose another folder; other keys would lock out every device")]
    Exists(PathBuf),
    #[error("of {keys} keys {threshold} cannot sign: name 1 to {keys}")]
    Threshold { threshold: u64, keys: u64 },
    #[error("{0}: {1}")]
    Content(PathBuf, String),
    #[error("{0}: {1}")]
    Policy(PathBuf, BadFloor),
    #[error("there is nothing to publish: name --pack, --policy or --calibration")]
    Empty,
    #[error("{0} already holds version {1}: a version is published once; take a higher one")]
    Published(PathBuf, u64),
    #[error("{0}; each role needs as many of its keys as its threshold says, name them all with --keys")]
    Sign(Box<tough::error::Error>),
    #[error("the repository cannot be written: {0}")]
    Write(Box<tough::error::Error>),
    #[error("the new root is not signed by enough keys of the old one ({0}): name them with --keys")]
    NotFollowing(String),
    #[error("the root cannot be made: {0}")]
    Root(String),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("the time {0} cannot be written down")]
    Time(Wall),
}

/// What is published.
pub struct Bundle<'a> {
    /// Folders of keys, or single keys.
    pub keys: &'a [PathBuf],
    pub root: &'a Path,
    pub out: &'a Path,
    pub pack: Option<&'a Path>,
    pub policy: Option<&'a Path>,
    pub calibration: Option<&'a Path>,
    /// Of the bundle, and of all its metadata.
    pub version: NonZeroU64,
    /// The only device that may take it.
    pub device: Option<&'a DeviceId>,
    /// How long a device may still take it: a stick travels.
    pub valid: Duration,
}

/// Signs a bundle and writes its repository into `out`, synced, so that the stick may be pulled.
///
/// # Errors
/// [`PublishError`]; what was written until then is no whole repository and no device takes it.
pub async fn publish(bundle: &Bundle<'_>, now: Wall) -> Result<(), PublishError> {
    let version = bundle.version;
    let metadata = bundle.out.join("metadata");
    if metadata.join(format!("{version}.targets.json")).exists() {
        return Err(PublishError::Published(bundle.out.to_owned(), version.get()));
    }
    let files = files(bundle)?;
    let failed = |error| PublishError::Sign(Box::new(error));
    let mut editor = RepositoryEditor::new(bundle.root).await.map_err(failed)?;
    for (name, path) in &files {
        let mut target =
            Target::from_path(path).await.map_err(|error| PublishError::Root(error.to_string()))?;
        if let Some(device) = bundle.device {
            target.custom.insert(ADDRESSEE.to_owned(), device.as_str().into());
        }
        editor.add_target(name.as_str(), target).map_err(failed)?;
    }
    let expires = time(now.plus(bundle.valid))?;
    editor.targets_version(version).map_err(failed)?.targets_expires(expires).map_err(failed)?;
    editor.snapshot_version(version).snapshot_expires(expires);
    editor.timestamp_version(version).timestamp_expires(expires);
    let signed = editor.sign(&keys(bundle.keys)?).await.map_err(failed)?;
    let targets = bundle.out.join("targets");
    for folder in [&targets, &metadata] {
        std::fs::create_dir_all(folder).map_err(|cause| io("create the folder", folder, cause))?;
    }
    // A device follows from the root it trusts to the newest, one after the other.
    for (name, path) in roots(bundle.root)? {
        std::fs::copy(&path, metadata.join(name)).map_err(|cause| io("copy", &path, cause))?;
    }
    // Targets first, the timestamp last: who looks while it is written sees the old bundle or the new one.
    let failed = |error| PublishError::Write(Box::new(error));
    for (name, path) in &files {
        let name = tough::TargetName::new(name).map_err(failed)?;
        signed.copy_target(path, &targets, PathExists::Skip, Some(&name)).await.map_err(failed)?;
    }
    signed.write(&metadata).await.map_err(failed)?;
    for folder in [&targets, &metadata] {
        sync(folder)?;
    }
    Ok(())
}

/// Every target by its name. What no device could take is found out here.
fn files(bundle: &Bundle<'_>) -> Result<Vec<(String, PathBuf)>, PublishError> {
    let mut files = Vec::new();
    if let Some(pack) = bundle.pack {
        files.push((MANIFEST.to_owned(), pack.join(MANIFEST)));
        files.extend(nets(pack)?);
    }
    if let Some(policy) = bundle.policy {
        Floor::parse(&read_at_most(policy, MOST_TEXT)?)
            .map_err(|error| PublishError::Policy(policy.to_owned(), error))?;
        files.push((POLICY.to_owned(), policy.to_owned()));
    }
    if let Some(calibration) = bundle.calibration {
        toml_of(calibration)?;
        files.push((CALIBRATION.to_owned(), calibration.to_owned()));
    }
    if files.is_empty() { Err(PublishError::Empty) } else { Ok(files) }
}

/// The earlier roots that lie beside the newest one, by name.
pub(super) fn roots(newest: &Path) -> Result<Vec<(String, PathBuf)>, PublishError> {
    let folder = newest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|cause| io("list", folder, cause))?;
    let found = entries.filter_map(|entry| Some(entry.ok()?.path())).filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.strip_suffix(".root.json")?.parse::<u64>().ok()?;
        Some((name, path))
    });
    Ok(found.take(MOST_KEYS).collect())
}

/// The nets that a manifest names, each the one it means. More of the manifest is the device's to judge.
fn nets(pack: &Path) -> Result<Vec<(String, PathBuf)>, PublishError> {
    let path = pack.join(MANIFEST);
    let manifest = toml_of(&path)?;
    let mut nets = Vec::new();
    for table in manifest.values().filter_map(toml::Value::as_table) {
        let text = |key| table.get(key).and_then(toml::Value::as_str);
        let Some((name, digest)) = text("file").zip(text("sha256")) else { continue };
        if !is_plain(name) || [POLICY, CALIBRATION, MANIFEST].contains(&name) {
            return Err(PublishError::Content(path, format!("{name:?} is no name for a net")));
        }
        let net = pack.join(name);
        if sha256_hex(&read_at_most(&net, most(name))?) != digest {
            return Err(PublishError::Content(net, "is not the net the manifest means".to_owned()));
        }
        nets.push((name.to_owned(), net));
    }
    Ok(nets)
}

fn toml_of(path: &Path) -> Result<toml::Table, PublishError> {
    let bytes = read_at_most(path, MOST_TEXT)?;
    String::from_utf8_lossy(&bytes)
        .parse()
        .map_err(|error: toml::de::Error| PublishError::Content(path.to_owned(), error.to_string()))
}

/// Each `*.key` of a folder, or the file itself. What is no key of this root is left aside by `tough`.
pub(super) fn key_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PublishError> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|cause| io("list", path, cause))?;
        let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "key")).take(MOST_KEYS));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn keys(paths: &[PathBuf]) -> Result<Vec<Box<dyn KeySource>>, PublishError> {
    let found = key_files(paths)?;
    for path in &found {
        // A key has 48 bytes, one of another tool hardly more.
        read_at_most(path, MOST_METADATA).map(Zeroizing::new)?;
    }
    Ok(found.into_iter().map(|path| Box::new(LocalKeySource { path }) as Box<dyn KeySource>).collect())
}

fn sync(folder: &Path) -> Result<(), PublishError> {
    let entries = std::fs::read_dir(folder).map_err(|cause| io("list", folder, cause))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for path in files.chain([folder.to_owned()]) {
        File::open(&path).and_then(|file| file.sync_all()).map_err(|cause| io("sync", &path, cause))?;
    }
    Ok(())
}

fn io(doing: &'static str, path: &Path, cause: std::io::Error) -> FileError {
    FileError::Io { doing, path: path.to_owned(), cause }
}

/// Whole seconds, as TUF writes them.
pub(super) fn time(at: Wall) -> Result<jiff::Timestamp, PublishError> {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map_err(|_| PublishError::Time(at))
}
