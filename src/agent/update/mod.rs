//! Signed updates of models, policy and calibration: taken from a stick or a web server, proven, put on probation.
//!
//! ```text
//!  stick ─► signed (tough: thresholds, expiry, versions, digests) ─► bundles/N.partial ─► self-test ─► bundles/N
//!                                                                                                        │
//!  start ◄── probation: 3 starts, 10 well minutes ◄── one transaction of updates.db: the switch ◄────────┘
//! ```
//!
//! A program that ends anywhere on this way, by a power cut too, runs the old bundle or the new one as a whole: until the
//! transaction nothing points to the new files, after it all of them are on the disk and were proven. What is in use is
//! found anew at each start, from the signed list of files: a changed policy or manifest is refused, and the nets are
//! held against the manifest when they are loaded.

pub mod place;
pub mod probation;
pub mod signed;
pub mod take;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agent::identity::IdentityError;
use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::domain::liveness::PassiveRule;
use crate::store::bundles::{Bundles, BundlesError, ROOT};
use crate::wire::bundle::{BundleBeat, CALIBRATION, MANIFEST, POLICY, most};
use crate::wire::floor::{BadFloor, Floor};

use signed::Listed;

/// Why an update is not taken, or the one in use cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("尚未信任任何更新来源 · no root is trusted yet: bedcheck update trust ROOT.json")]
    NoRoot,
    #[error("已信任另一个根（{0}）· another root is trusted already ({0}); a new one comes signed by it")]
    OtherRoot(String),
    #[error("更新包被拒绝 · the bundle is refused: {0}")]
    Refused(String),
    #[error(
        "更新包 {offered} 比已接受的 {highest} 旧 · bundle {offered} is older than {highest}, which was accepted here"
    )]
    Older { offered: u64, highest: u64 },
    #[error("更新包 {0} 试用失败，已退回 · bundle {0} failed its probation here; publish a higher version")]
    GivenUp(u64),
    #[error("更新包只给设备 {wanted}，本机是 {here} · the bundle is for device {wanted}, this is {here}")]
    Foreign { wanted: String, here: String },
    #[error("更新包中的文件名 {0:?} 不可用 · the bundle holds a file called {0:?}, which is no plain name")]
    Name(String),
    #[error(
        "更新包中的 {name} 有 {length} 字节，上限 {most} · {name} in the bundle has {length} bytes, {most} are allowed"
    )]
    Size { name: String, length: u64, most: u64 },
    #[error("更新包中文件太多 · the bundle holds {0} files, which is too many")]
    TooMany(usize),
    #[error("更新包不完整 · the bundle is not whole: {0} is missing")]
    Missing(String),
    #[error("更新包未通过自检，仍用原来的 · the bundle failed its test and is not used: {0}")]
    Test(String),
    #[error("{0} 与签名不符，请重新安装更新包 · {0} is not what was signed: take the bundle again")]
    Changed(PathBuf),
    #[error("{path}: {cause}")]
    Policy { path: PathBuf, cause: BadFloor },
    #[error("{path}: {cause}")]
    Calibration { path: PathBuf, cause: String },
    #[error("另一个更新正在进行 · another update is under way")]
    Busy,
    #[error("在第 {0:?} 步之后中断 · ended after the step {0:?}")]
    Ended(take::Step),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Bundles(#[from] BundlesError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A bundle in use, or one that is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    pub version: u64,
    pub folder: PathBuf,
    /// The folder is a face pack.
    pub has_pack: bool,
    /// What local configuration must not be looser than; demands nothing where there is no policy.
    pub floor: Floor,
    pub calibration: Option<Calibration>,
}

/// `calibration.toml`: thresholds for cameras that have neither their own in the configuration nor measured ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// SHA-256 of the PAD net they were measured with.
    pub net: String,
    pub live_at: f32,
    pub attack_below: f32,
}

impl Calibration {
    fn parse(bytes: &[u8], path: PathBuf) -> Result<Calibration, UpdateError> {
        let found: Result<Calibration, _> = toml::from_str(&String::from_utf8_lossy(bytes));
        let found = match found {
            Ok(found) => found,
            Err(cause) => return Err(UpdateError::Calibration { path, cause: cause.to_string() }),
        };
        // NaN lies in no range.
        let is_in_range =
            (0.0..=1.0).contains(&found.live_at) && (0.0..=found.live_at).contains(&found.attack_below);
        if is_in_range {
            return Ok(found);
        }
        let cause = "0 <= attack_below <= live_at <= 1 must hold".to_owned();
        Err(UpdateError::Calibration { path, cause })
    }

    /// The thresholds, where they belong to this net.
    pub fn of(&self, net: &str) -> Option<PassiveRule> {
        let (live_at, attack_below) = (self.live_at, self.attack_below);
        (self.net == net).then_some(PassiveRule { live_at, attack_below })
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("bundles")
}

fn folder_of(state: &Path, version: u64) -> PathBuf {
    folder(state).join(version.to_string())
}

/// The bundle in use; `None` where the pack that came with the program is.
///
/// # Errors
/// [`UpdateError`] when it is damaged.
pub fn active(state: &Path) -> Result<Option<Active>, UpdateError> {
    let Some(bundles) = Bundles::open_if_there(state)? else { return Ok(None) };
    let Some(version) = bundles.standing()?.current else { return Ok(None) };
    let folder = folder_of(state, version);
    let signed = bundles.signed(version)?.ok_or_else(|| UpdateError::Changed(folder.clone()))?;
    read(&folder, version, &signed::listed(&signed)?).map(Some)
}

/// Reads the parts of a bundle that lie in `folder` and are as listed.
///
/// # Errors
/// [`UpdateError::Changed`] and what is wrong in them.
fn read(folder: &Path, version: u64, listed: &Listed) -> Result<Active, UpdateError> {
    let part = |name: &str| -> Result<Option<(PathBuf, Vec<u8>)>, UpdateError> {
        let Some(file) = listed.get(name) else { return Ok(None) };
        let path = folder.join(name);
        let bytes = read_at_most(&path, most(name))?;
        if sha256_hex(&bytes) != file.sha256 {
            return Err(UpdateError::Changed(path));
        }
        Ok(Some((path, bytes)))
    };
    let floor = part(POLICY)?
        .map(|(path, bytes)| Floor::parse(&bytes).map_err(|cause| UpdateError::Policy { path, cause }));
    let calibration = part(CALIBRATION)?.map(|(path, bytes)| Calibration::parse(&bytes, path));
    let has_pack = part(MANIFEST)?.is_some();
    let (floor, calibration) = (floor.transpose()?.unwrap_or_default(), calibration.transpose()?);
    Ok(Active { version, folder: folder.to_owned(), has_pack, floor, calibration })
}

/// Trusts the updates of whoever holds the keys of this root. Its fingerprint.
///
/// # Errors
/// [`UpdateError::OtherRoot`], [`UpdateError::Refused`] when it is no root signed by its own keys.
pub fn trust(state: &Path, root: &[u8]) -> Result<String, UpdateError> {
    let fingerprint = signed::fingerprint(root)?;
    let mut bundles = Bundles::open(state)?;
    if !bundles.trust(root)? {
        let trusted = bundles.seen()?.remove(ROOT).map(|root| signed::fingerprint(&root)).transpose()?;
        let trusted = trusted.unwrap_or_default();
        if trusted != fingerprint {
            return Err(UpdateError::OtherRoot(trusted));
        }
    }
    Ok(fingerprint)
}

/// What the heartbeat says; `None` where no root is trusted.
///
/// # Errors
/// [`UpdateError`].
pub fn beat(state: &Path) -> Result<Option<BundleBeat>, UpdateError> {
    let Some(bundles) = Bundles::open_if_there(state)? else { return Ok(None) };
    let standing = bundles.standing()?;
    let Some(root) = bundles.seen()?.remove(ROOT) else { return Ok(None) };
    Ok(Some(BundleBeat {
        version: standing.current,
        highest: standing.highest,
        root: signed::fingerprint(&root)?,
        on_probation: standing.starts.is_some(),
        returned_from: standing.returned.map(|(version, _)| version),
    }))
}
