//! The demo's agent: its configuration at a pace, and how it begins again with more time on a machine that got busy.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tracing::info;

use crate::agent::cmd::demo::camera::IpCamera;
use crate::agent::cmd::demo::ward::{self, Pace};
use crate::agent::config::Settings;
use crate::agent::health::Health;
use crate::agent::{config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::Ending;
use crate::base::files::write_owner_only;
use crate::base::supervise::{self, Stopping};
use crate::domain::Finding;

/// What its configuration says at any pace.
pub struct Site {
    pub file: PathBuf,
    pub assets: PathBuf,
    pub state: PathBuf,
    pub models: Option<PathBuf>,
    pub hl7: String,
    pub ip_camera: IpCamera,
}

impl Site {
    /// Writes the configuration down and reads it as every agent does.
    ///
    /// # Errors
    /// When it cannot be written, and its complaints.
    pub fn at(&self, pace: Pace) -> anyhow::Result<Settings> {
        let Site { file, assets, state, models, hl7, ip_camera } = self;
        let text = ward::config(assets, state, models.as_deref(), hl7, ip_camera, pace);
        write_owner_only(file, text.as_bytes()).map_err(Ending::failed)?;
        Ok(config::read(file).map_err(Ending::config)?)
    }
}

/// Runs it until shutdown; with other settings it begins again, as `bedcheck run` does.
///
/// # Errors
/// Why it could not begin.
pub async fn run(
    mut settings: watch::Receiver<Settings>,
    clock: Clock,
    tap: mpsc::Sender<Finding>,
    mut stopping: Stopping,
) -> anyhow::Result<()> {
    loop {
        let (stop, until) = supervise::shutdown();
        let current = settings.borrow_and_update().clone();
        let agent = tasks::run(current, clock.clone(), Some(tap.clone()), Health::new(clock.clone()), until);
        tokio::pin!(agent);
        let begins_again = tokio::select! {
            ended = &mut agent => return ended,
            () = stopping.begun() => false,
            changed = settings.changed() => changed.is_ok(),
        };
        stop.fire();
        agent.await?;
        if !begins_again {
            return Ok(());
        }
        info!("This machine is busy: the demo goes on with fewer beds at once.");
    }
}
