//! What is signed: a repository held against the trusted root and against everything accepted before, with `tough`.
//!
//! `tough` keeps what it saw in files that it does not sync. They live in a folder of their own for each look, filled from
//! the database of updates, and only what comes of an accepted bundle goes back there: a stick for another device cannot
//! push this one's versions up, and a power cut cannot make it forget any.

use std::collections::BTreeMap;

use reqwest::Url;
use tempfile::TempDir;
use tough::schema::{Role, Root, Signed, Targets};
use tough::{IntoVec, Limits, Repository, RepositoryLoader, TargetName};

use crate::agent::update::UpdateError;
use crate::agent::update::place::{self, Place};
use crate::base::files::{read_at_most, sha256_hex, write_owner_only};
use crate::base::ids::DeviceId;
use crate::store::bundles::{ROOT, Seen, SignedFiles, TARGETS};
use crate::wire::bundle::{ADDRESSEE, MOST_METADATA, MOST_TARGETS, is_plain, most};

/// What `tough` keeps of a repository.
const KEPT: [&str; 5] = [ROOT, "timestamp.json", "snapshot.json", TARGETS, "latest_known_time.json"];
/// Roots that may follow each other at once; each takes a ceremony of people.
const MOST_ROOTS: u64 = 64;

/// A file as signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub length: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Every file of a bundle by its name.
pub type Listed = BTreeMap<String, File>;

/// A repository whose signatures, expiry and versions are right, and which is meant for this device.
pub struct Offer {
    pub version: u64,
    pub listed: Listed,
    /// What later ones are held against once this is accepted.
    pub seen: Seen,
    repository: Repository,
    /// `tough` looks at the clock there whenever a file is read.
    _store: TempDir,
}

impl Offer {
    /// Looks at the repository of a place.
    ///
    /// # Errors
    /// [`UpdateError`] with what is not right; nothing was written anywhere.
    pub async fn open(place: &Place, seen: &Seen, here: &DeviceId) -> Result<Offer, UpdateError> {
        let root = seen.get(ROOT).ok_or(UpdateError::NoRoot)?;
        let store = tempfile::tempdir().map_err(refused)?;
        for (name, bytes) in seen {
            write_owner_only(&store.path().join(name), bytes)?;
        }
        let url = |text: &str| Url::parse(text).map_err(refused);
        let limits = Limits {
            max_root_size: MOST_METADATA,
            max_targets_size: MOST_METADATA,
            max_timestamp_size: MOST_METADATA,
            max_snapshot_size: MOST_METADATA,
            max_root_updates: MOST_ROOTS,
        };
        let repository = RepositoryLoader::new(root, url(place::METADATA)?, url(place::TARGETS)?)
            .transport(place.clone())
            .limits(limits)
            .datastore(store.path())
            .load()
            .await
            .map_err(told)?;
        let targets = &repository.targets().signed;
        let (version, listed) = (targets.version.get(), list(targets)?);
        for target in targets.targets.values() {
            match target.custom.get(ADDRESSEE) {
                Some(wanted) if wanted.as_str() != Some(here.as_str()) => {
                    let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                    return Err(UpdateError::Foreign { wanted, here: here.to_string() });
                }
                Some(_) | None => {}
            }
        }
        let mut after = Seen::new();
        for name in KEPT {
            after.insert(name.to_owned(), read_at_most(&store.path().join(name), 2 * MOST_METADATA)?);
        }
        Ok(Offer { version, listed, seen: after, repository, _store: store })
    }

    /// The bytes of a listed file, if they are those that were signed.
    ///
    /// # Errors
    /// [`UpdateError::Refused`] for other bytes, [`UpdateError::Missing`] for none.
    pub async fn read(&self, name: &str) -> Result<Vec<u8>, UpdateError> {
        let target = TargetName::new(name).map_err(told)?;
        let missing = || UpdateError::Missing(name.to_owned());
        let stream = self.repository.read_target(&target).await.map_err(told)?.ok_or_else(missing)?;
        let bytes = stream.into_vec().await.map_err(told)?;
        if self.listed.get(name).is_none_or(|file| file.length != bytes.len() as u64) {
            return Err(missing());
        }
        Ok(bytes)
    }
}

/// The files of a list that this root signed. When it was to be taken does not matter any more.
///
/// # Errors
/// [`UpdateError::Refused`].
pub fn listed(signed: &SignedFiles) -> Result<Listed, UpdateError> {
    let root: Signed<Root> = serde_json::from_slice(&signed.root).map_err(refused)?;
    let targets: Signed<Targets> = serde_json::from_slice(&signed.targets).map_err(refused)?;
    root.signed.verify_role(&targets).map_err(refused)?;
    list(&targets.signed)
}

fn list(targets: &Targets) -> Result<Listed, UpdateError> {
    if targets.targets.len() > MOST_TARGETS {
        return Err(UpdateError::TooMany(targets.targets.len()));
    }
    let mut listed = Listed::new();
    for (name, target) in &targets.targets {
        if !is_plain(name.raw()) {
            return Err(UpdateError::Name(name.raw().to_owned()));
        }
        let (name, length, most) = (name.raw().to_owned(), target.length, most(name.raw()));
        if length > most {
            return Err(UpdateError::Size { name, length, most });
        }
        listed.insert(name, File { length, sha256: hex::encode(target.hashes.sha256.clone().into_vec()) });
    }
    Ok(listed)
}

/// SHA-256 of the signed part of a root: what two people compare over the telephone.
///
/// # Errors
/// [`UpdateError::Refused`] when it is not signed by enough of its own keys.
pub fn fingerprint(root: &[u8]) -> Result<String, UpdateError> {
    let root: Signed<Root> = serde_json::from_slice(root).map_err(refused)?;
    root.signed.verify_role(&root).map_err(refused)?;
    Ok(sha256_hex(&root.signed.canonical_form().map_err(refused)?))
}

fn refused(error: impl std::fmt::Display) -> UpdateError {
    UpdateError::Refused(error.to_string())
}

/// What `tough` says, with the causes it does not repeat itself.
fn told(error: tough::error::Error) -> UpdateError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    UpdateError::Refused(text)
}
