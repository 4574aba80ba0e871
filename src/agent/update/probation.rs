//! Probation: a new bundle has to work here, in this ward, before the one before it is let go.
//!
//! It passes when the agent was well for the configured time without a break and the nets answered at least one look. It
//! fails when the bundle cannot be loaded, or when the agent was started [`STARTS`] times and each time ended by itself
//! before that. Ending it by hand (SIGTERM) costs no start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::agent::health::Health;
use crate::agent::update::{UpdateError, active, take};
use crate::base::supervise::Stopping;
use crate::store::bundles::{Bundles, Standing};

/// Starts a bundle gets.
pub const STARTS: u64 = 3;

/// Called at each start, before anything of the bundle is used: counts it, or goes back.
///
/// # Errors
/// [`UpdateError::Bundles`]; a bundle that cannot be read and is not on probation is the configuration's to complain of.
pub fn begin(state: &Path) -> Result<(), UpdateError> {
    let Some(mut bundles) = Bundles::open_if_there(state)? else { return Ok(()) };
    let Some(starts) = bundles.standing()?.starts else { return Ok(()) };
    match active(state) {
        Err(why) => give_up(state, &why.to_string()).map(drop),
        Ok(_) if starts >= STARTS => {
            give_up(state, &format!("{starts} starts ended before it had proven itself")).map(drop)
        }
        Ok(_) => Ok(bundles.started()?),
    }
}

/// Goes back to the bundle before, if the one in use is on probation. Whether it did.
///
/// # Errors
/// [`UpdateError::Bundles`].
pub fn give_up(state: &Path, why: &str) -> Result<bool, UpdateError> {
    let Some(mut bundles) = Bundles::open_if_there(state)? else { return Ok(false) };
    if bundles.standing()?.starts.is_none() {
        return Ok(false);
    }
    let Standing { current, returned, .. } = bundles.give_up(why)?;
    let from = returned.map(|(version, _)| version);
    error!(?from, to = ?current, why, "The bundle failed its probation; the one before it is in use again.");
    Ok(true)
}

/// The agent was ended by somebody.
pub fn ended_well(state: &Path) {
    let ended = Bundles::open_if_there(state).and_then(|bundles| match bundles {
        Some(mut bundles) => bundles.ended_well(),
        None => Ok(()),
    });
    if let Err(error) = ended {
        warn!(%error, "The end of this start cannot be written down; it counts against the bundle.");
    }
}

/// Watches until the bundle has proven itself.
pub async fn watch(state: PathBuf, version: u64, time: Duration, health: Health, mut stopping: Stopping) {
    let step = (time / 4).min(Duration::from_secs(10));
    let mut well = Duration::ZERO;
    loop {
        if stopping.begun_within(step).await {
            return;
        }
        well = if health.is_well() { well + step } else { Duration::ZERO };
        if well < time || health.looks() == 0 {
            continue;
        }
        let place = state.clone();
        match tokio::task::spawn_blocking(move || settle(&place, version)).await {
            Ok(Ok(has_settled)) => {
                if has_settled {
                    info!(version, "The bundle has proven itself.");
                }
                return;
            }
            Ok(Err(error)) => warn!(%error, "That the bundle has proven itself cannot be written down yet."),
            Err(error) => warn!(%error, "That the bundle has proven itself cannot be written down yet."),
        }
    }
}

fn settle(state: &Path, version: u64) -> Result<bool, UpdateError> {
    let mut bundles = Bundles::open(state)?;
    let has_settled = bundles.settle(version)?;
    if has_settled {
        match take::lock(state) {
            Ok(_lock) => take::sweep(state, &bundles.standing()?)?,
            // Whoever takes the next bundle sweeps too.
            Err(UpdateError::Busy) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(has_settled)
}
