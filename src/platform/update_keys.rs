//! The keys of signed updates, made for different people, and the root that names them.
//!
//! | key | how many must sign | who should keep it |
//! |---|---|---|
//! | `root-1`, `root-2`, `root-3` | 2 | three people, offline: they say who the others are |
//! | `targets-1`, `targets-2`, `targets-3` | 2 | three people: nobody alone changes what a ward runs |
//! | `snapshot`, `timestamp` | 1 each | whoever publishes: they only say which files belong together, and until when |
//!
//! A lost or stolen key is replaced by new keys and a root that enough of the old root's keys sign: devices follow it with
//! the next bundle.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::{Ed25519Key, Ed25519Scheme, Key};
use tough::schema::{Role, RoleKeys, RoleType, Root, Signature, Signed};
use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::files::{make_owner_only_folder, read_at_most, sha256_hex, write_owner_only};
use crate::platform::update::{PublishError, key_files, roots, time};
use crate::wire::bundle::MOST_METADATA;

/// Devices are enrolled once and rarely visited: their root must not run out under them.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What PKCS#8 (version 1, RFC 8410) says before the 32 bytes of an Ed25519 key.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A key and its name in the root.
type Named = (Decoded<Hex>, SigningKey);

/// The root that a new one follows, and keys that sign for it.
pub struct Before<'a> {
    pub root: &'a Path,
    /// Folders of keys, or single keys.
    pub keys: &'a [PathBuf],
}

/// Makes the keys in `dir`, of root and targets `keys` each with the given threshold, and `root.json`. The fingerprint of
/// the root, as devices say it.
///
/// # Errors
/// [`PublishError`]; [`PublishError::NotFollowing`] when too few keys of the root before sign.
pub fn init(
    dir: &Path,
    threshold: u64,
    keys: u64,
    before: Option<&Before<'_>>,
    now: Wall,
) -> Result<String, PublishError> {
    if dir.join("root.json").exists() || dir.join("root-1.key").exists() {
        return Err(PublishError::Exists(dir.to_owned()));
    }
    let wanted = NonZeroU64::new(threshold).filter(|_| threshold <= keys && keys <= 16);
    let threshold = wanted.ok_or(PublishError::Threshold { threshold, keys })?;
    let old = before.map(|before| read(before.root)).transpose()?;
    make_owner_only_folder(dir)?;
    let (mut root, mut signers) = new_root(dir, keys, threshold, now)?;
    if let Some((before, old)) = before.zip(old.as_ref()) {
        root.version = old.signed.version.saturating_add(1);
        signers.extend(keys_of(old, before.keys)?);
    }
    let said = root.canonical_form().map_err(failed)?;
    let sign = |(keyid, key): Named| Signature { keyid, sig: key.sign(&said).to_bytes().to_vec().into() };
    let signed = Signed { signed: root, signatures: signers.into_iter().map(sign).collect() };
    if let Some((before, old)) = before.zip(old) {
        old.signed.verify_role(&signed).map_err(|error| PublishError::NotFollowing(error.to_string()))?;
        for (name, path) in roots(before.root)? {
            write_owner_only(&dir.join(name), &read_at_most(&path, MOST_METADATA)?)?;
        }
        let name = format!("{}.root.json", old.signed.version);
        write_owner_only(&dir.join(name), &read_at_most(before.root, MOST_METADATA)?)?;
    }
    write_owner_only(&dir.join("root.json"), &serde_json::to_vec_pretty(&signed).map_err(failed)?)?;
    Ok(sha256_hex(&said))
}

/// Fresh keys for every role, and who signs the root with them.
fn new_root(
    dir: &Path,
    keys: u64,
    threshold: NonZeroU64,
    now: Wall,
) -> Result<(Root, Vec<Named>), PublishError> {
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
            let id = public.key_id().map_err(failed)?;
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
    Ok((root, signers))
}

fn read(path: &Path) -> Result<Signed<Root>, PublishError> {
    let bytes = read_at_most(path, MOST_METADATA)?;
    serde_json::from_slice(&bytes).map_err(|error| PublishError::Content(path.to_owned(), error.to_string()))
}

/// Those of the named keys that are the old root's.
fn keys_of(old: &Signed<Root>, paths: &[PathBuf]) -> Result<Vec<Named>, PublishError> {
    let ids = old.signed.roles.get(&RoleType::Root).map(|role| role.keyids.clone()).unwrap_or_default();
    let mut found = Vec::new();
    for path in key_files(paths)? {
        let bytes = Zeroizing::new(read_at_most(&path, MOST_METADATA)?);
        let seed = bytes.strip_prefix(&PKCS8).and_then(|seed| <&[u8; 32]>::try_from(seed).ok());
        let Some(key) = seed.map(SigningKey::from_bytes) else { continue };
        let id = public(&key).key_id().map_err(failed)?;
        if ids.contains(&id) {
            found.push((id, key));
        }
    }
    Ok(found)
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

fn failed(error: impl std::fmt::Display) -> PublishError {
    PublishError::Root(error.to_string())
}
