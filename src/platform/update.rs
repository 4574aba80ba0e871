//! Signed updates of models, policy and calibration, made here: keys that different people keep, and a bundle as a plain
//! folder (a TUF repository) that goes onto a stick or behind any web server.
//!
//! | key | how many must sign | who should keep it |
//! |---|---|---|
//! | `root-1`, `root-2`, `root-3` | 2 | three people, offline: they say who the others are |
//! | `targets-1`, `targets-2`, `targets-3` | 2 | three people: nobody alone changes what a ward runs |
//! | `snapshot`, `timestamp` | 1 each | whoever publishes: they only say which files belong together, and until when |
//!
//! `tough` writes and signs; what a bundle means is in [`crate::wire::bundle`].

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use tough::editor::RepositoryEditor;
use tough::editor::signed::PathExists;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::{Ed25519Key, Ed25519Scheme, Key};
use tough::schema::{Role, RoleKeys, RoleType, Root, Signature, Signed, Target};
use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::files::{FileError, make_owner_only_folder, read_at_most, sha256_hex, write_owner_only};
use crate::base::ids::DeviceId;
use crate::wire::bundle::{
    ADDRESSEE, CALIBRATION, MANIFEST, MOST_METADATA, MOST_TEXT, POLICY, is_plain, most,
};
use crate::wire::floor::{BadFloor, Floor};

/// Devices are enrolled once and rarely visited: their root must not run out under them.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What PKCS#8 (version 1, RFC 8410) says before the 32 bytes of an Ed25519 key.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
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

/// Makes the keys in `dir`, of root and targets `keys` each with the given threshold, and `root.json`. The fingerprint of
/// the root, as devices say it.
///
/// # Errors
/// [`PublishError`].
pub fn init(dir: &Path, threshold: u64, keys: u64, now: Wall) -> Result<String, PublishError> {
    if dir.join("root.json").exists() || dir.join("root-1.key").exists() {
        return Err(PublishError::Exists(dir.to_owned()));
    }
    let wanted = NonZeroU64::new(threshold).filter(|_| threshold <= keys && keys <= 16);
    let threshold = wanted.ok_or(PublishError::Threshold { threshold, keys })?;
    make_owner_only_folder(dir)?;
    let (mut known, mut roles, mut signers) = (HashMap::new(), HashMap::new(), Vec::new());
    for (role, name, number, threshold) in [
        (RoleType::Root, "root", keys, threshold),
        (RoleType::Targets, "targets", keys, threshold),
        (RoleType::Snapshot, "snapshot", 1, NonZeroU64::MIN),
        (RoleType::Timestamp, "timestamp", 1, NonZeroU64::MIN),
    ] {
        let mut keyids = Vec::new();
        for at in 1..=number {
            let file = if number == 1 { format!("{name}.key") } else { format!("{name}-{at}.key") };
            let key = new_key(&dir.join(file))?;
            let public = public(&key);
            let id = public.key_id().map_err(|error| PublishError::Root(error.to_string()))?;
            if role == RoleType::Root {
                signers.push((id.clone(), key));
            }
            known.insert(id.clone(), public);
            keyids.push(id);
        }
        roles.insert(role, RoleKeys { keyids, threshold, _extra: HashMap::new() });
    }
    let root = Root {
        spec_version: "1.0.0".to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires: time(now.plus(ROOT_LIFE))?,
        keys: known,
        roles,
        _extra: HashMap::new(),
    };
    let said = root.canonical_form().map_err(|error| PublishError::Root(error.to_string()))?;
    let sign = |(keyid, key): (Decoded<Hex>, SigningKey)| Signature {
        keyid,
        sig: key.sign(&said).to_bytes().to_vec().into(),
    };
    let signed = Signed { signed: root, signatures: signers.into_iter().map(sign).collect() };
    let text = serde_json::to_vec_pretty(&signed).map_err(|error| PublishError::Root(error.to_string()))?;
    write_owner_only(&dir.join("root.json"), &text)?;
    Ok(sha256_hex(&said))
}

fn new_key(path: &Path) -> Result<SigningKey, PublishError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(PublishError::Random)?;
    let whole = Zeroizing::new([PKCS8.as_slice(), seed.as_slice()].concat());
    write_owner_only(path, &whole)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn public(key: &SigningKey) -> Key {
    let public = key.verifying_key().to_bytes().to_vec().into();
    let keyval = Ed25519Key { public, _extra: HashMap::new() };
    Key::Ed25519 { keyval, scheme: Ed25519Scheme::Ed25519, _extra: HashMap::new() }
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

/// Each `*.key` of a folder, or the file itself; what is no key of this root is left aside by `tough`.
fn keys(paths: &[PathBuf]) -> Result<Vec<Box<dyn KeySource>>, PublishError> {
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
fn time(at: Wall) -> Result<jiff::Timestamp, PublishError> {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map_err(|_| PublishError::Time(at))
}
