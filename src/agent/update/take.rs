//! Taking a bundle, step by step. A power cut after any step leaves the old bundle in use or the new one, whole.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;

use crate::agent::identity;
use crate::agent::update::place::Place;
use crate::agent::update::signed::Offer;
use crate::agent::update::{Active, UpdateError, folder, folder_of, read};
use crate::base::files::{FileError, make_owner_only_folder, write_owner_only};
use crate::store::bundles::{Bundles, Standing};

const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What is done one after the other. Until [`Step::Activated`] the old bundle is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Signatures, versions and addressee are right; nothing was written.
    Checked,
    /// What an earlier try left behind is gone, and there is an empty folder.
    Emptied,
    /// One file lies there, synced; once for each.
    Unpacked,
    /// The bundle works: its nets give their golden answers, the configuration keeps to its policy.
    Proven,
    /// The folder has its last name, and the folder above is synced.
    Placed,
    /// The one transaction: switch, version, what later bundles are held against.
    Activated,
    /// Folders that nothing points to are gone.
    Swept,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// In use from the next start on.
    Activated(u64),
    /// It was in use already.
    Already(u64),
}

/// Takes the bundle of a place.
///
/// `prove` says whether the agent could work with a bundle; `after` is called after each step, and where it says false
/// the work ends there as a power cut would end it.
///
/// # Errors
/// [`UpdateError`]: the bundle in use stays then.
pub async fn take(
    state: &Path,
    place: &Place,
    prove: &dyn Fn(&Active) -> Result<(), String>,
    after: &mut dyn FnMut(Step) -> bool,
) -> Result<Taken, UpdateError> {
    let mut done = |step| if after(step) { Ok(()) } else { Err(UpdateError::Ended(step)) };
    let mut bundles = Bundles::open_if_there(state)?.ok_or(UpdateError::NoRoot)?;
    let _lock = lock(state)?;
    let here = identity::bundle(state)?.device;
    let standing = bundles.standing()?;
    let offer = Offer::open(place, &bundles.seen()?, &here).await?;
    if let Some(taken) = known(&offer, &standing)? {
        return Ok(taken);
    }
    done(Step::Checked)?;

    let version = offer.version;
    sweep(state, &standing)?;
    let partial = folder(state).join(format!("{version}.partial"));
    make_owner_only_folder(&partial)?;
    done(Step::Emptied)?;

    for name in offer.listed.keys() {
        write_owner_only(&partial.join(name), &offer.read(name).await?)?;
        done(Step::Unpacked)?;
    }

    let tried = read(&partial, version, &offer.listed)?;
    if let Err(why) = prove(&tried) {
        remove(&partial)?;
        return Err(UpdateError::Test(why));
    }
    done(Step::Proven)?;

    let whole = folder_of(state, version);
    fs::rename(&partial, &whole).map_err(|cause| io("put in place", &whole, cause))?;
    sync(&folder(state))?;
    // The folder of bundles may be as new as the bundle.
    sync(state)?;
    done(Step::Placed)?;

    bundles.activate(version, &offer.seen)?;
    info!(version, "A signed bundle is activated; it is on probation from the next start on.");
    done(Step::Activated)?;

    sweep(state, &bundles.standing()?)?;
    done(Step::Swept)?;
    Ok(Taken::Activated(version))
}

/// What is no news. `tough` holds every signed file against those seen before; this also holds when they were lost.
fn known(offer: &Offer, standing: &Standing) -> Result<Option<Taken>, UpdateError> {
    let (offered, highest) = (offer.version, standing.highest);
    if offered < highest {
        return Err(UpdateError::Older { offered, highest });
    }
    if offered > highest {
        return Ok(None);
    }
    match standing.current {
        Some(current) if current == offered => Ok(Some(Taken::Already(offered))),
        Some(_) | None => Err(UpdateError::GivenUp(offered)),
    }
}

/// One at a time; the lock ends with the process. Waits a moment: a process that is being started holds whatever its
/// parent held until it becomes another program.
pub(super) fn lock(state: &Path) -> Result<File, UpdateError> {
    make_owner_only_folder(&folder(state))?;
    let path = folder(state).join(".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|cause| io("open", &path, cause))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(cause)) => return Err(io("lock", &path, cause).into()),
        }
    }
    Err(UpdateError::Busy)
}

/// Removes every folder that is neither in use nor gone back to. Only under the [`lock`].
pub(super) fn sweep(state: &Path, standing: &Standing) -> Result<(), UpdateError> {
    let kept: BTreeSet<PathBuf> = [standing.current, standing.previous]
        .into_iter()
        .flatten()
        .map(|version| folder_of(state, version))
        .collect();
    let above = folder(state);
    let entries = fs::read_dir(&above).map_err(|cause| io("list", &above, cause))?;
    let left = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    for path in left.filter(|path| !kept.contains(path)) {
        remove(&path)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), UpdateError> {
    fs::remove_dir_all(path).map_err(|cause| io("remove", path, cause).into())
}

fn sync(folder: &Path) -> Result<(), UpdateError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|cause| io("sync", folder, cause).into())
}

fn io(doing: &'static str, path: &Path, cause: std::io::Error) -> FileError {
    FileError::Io { doing, path: path.to_owned(), cause }
}
