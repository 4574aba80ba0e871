//! `bedcheck run` and `bedcheck check`.

use std::path::PathBuf;

use tracing::info;

use crate::agent::board::{self, Board};
use crate::agent::cmd::config::Which;
use crate::agent::cmd::zones::serve_page;
use crate::agent::cmd::{interrupted, say, tokio};
use crate::agent::config::{self, Above, Settings};
use crate::agent::enrol_desk::Sittings;
use crate::agent::health::{self, Health};
use crate::agent::lamp::{self, Lamp};
use crate::agent::reload::Follower;
use crate::agent::tasks;
use crate::agent::update::probation;
use crate::agent::zones::ZoneDesk;
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::supervise::{self, Stopping};
use crate::hospital::roster_file;
use crate::net::server;
use crate::vision::runtime;

#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    which: Which,
}

impl Run {
    pub fn run(self) -> anyhow::Result<Code> {
        // Before anything of a bundle is looked at: one that keeps the agent from starting is gone back from.
        let state = config::state_folder(&self.which.config, &self.which.above()).map_err(Ending::config)?;
        if let Some(state) = &state {
            probation::begin(state).map_err(Ending::config)?;
        }
        let settings = self.which.read().map_err(Ending::config)?;
        let board = Board::here();
        runtime::take_threads(board.threads());
        info!(
            board = board.board,
            cores = board::cores(),
            threads = runtime::threads(),
            "The board is known."
        );
        tokio()?.block_on(async { Agent::new(self.which, settings)?.run().await })?;
        if let Some(state) = &state {
            probation::ended_well(state);
        }
        Ok(Code::Fine)
    }
}

/// The agent through all its configurations.
struct Agent {
    clock: Clock,
    health: Health,
    follower: Follower,
    settings: Settings,
    config: PathBuf,
    above: Above,
}

impl Agent {
    fn new(which: Which, settings: Settings) -> anyhow::Result<Agent> {
        let clock = Clock::system();
        let health = Health::new(clock.clone());
        let above = which.above();
        let config = which.config;
        let follower = Follower::new(config.clone(), above.clone(), clock.clone(), health.clone());
        Ok(Agent { clock, health, follower: follower?, settings, config, above })
    }

    async fn run(mut self) -> anyhow::Result<()> {
        // Held until the end: the local ports serve through every change.
        let (_stop, stopping) = supervise::shutdown();
        self.serve(stopping.clone()).await?;
        self.watch_bundle(&stopping);
        self.shine(&stopping);
        self.follower.accept(&self.settings, &[]);
        let interrupted = interrupted();
        ::tokio::pin!(interrupted);
        let mut former: Option<Settings> = None;
        loop {
            let (stop, stopping) = supervise::shutdown();
            let (clock, health) = (self.clock.clone(), self.health.clone());
            let agent = tasks::run(self.settings.clone(), clock, None, health, stopping);
            ::tokio::pin!(agent);
            let next = ::tokio::select! {
                ended = &mut agent => match (ended, former.take()) {
                    (Err(error), Some(good)) if !self.health.is_running() => {
                        self.follower.refuse(&good, vec![format!("{error:#}")]);
                        self.settings = good;
                        continue;
                    }
                    (Err(error), None) if self.gives_up_bundle(&error)? => continue,
                    (ended, _) => return ended,
                },
                () = &mut interrupted => None,
                next = self.follower.changed(&self.settings) => Some(next),
            };
            stop.fire();
            agent.await?;
            let Some(next) = next else { return Ok(()) };
            self.health.pauses();
            former = Some(std::mem::replace(&mut self.settings, next));
        }
    }

    /// The board's lamp, where it has one.
    fn shine(&self, stopping: &Stopping) {
        if let Some(lamp) = Lamp::find(&Board::here().lamps) {
            let shine = lamp::shine(lamp, self.health.clone(), self.clock.clone(), stopping.clone());
            supervise::task("lamp", shine);
        }
    }

    fn watch_bundle(&self, stopping: &Stopping) {
        if let Some(bundle) = &self.settings.bundle {
            let (state, time) = (self.settings.state.clone(), self.settings.probation);
            let (version, health) = (bundle.version, self.health.clone());
            supervise::task("probation", probation::watch(state, version, time, health, stopping.clone()));
        }
    }

    /// A bundle on probation whose nets cannot be loaded is given up at once: systemd starts nobody again that ended with
    /// 78. Whether the agent shall begin again with the one before it.
    fn gives_up_bundle(&mut self, error: &anyhow::Error) -> anyhow::Result<bool> {
        if self.settings.bundle.is_none()
            || self.health.is_running()
            || tasks::open_eyes(&self.settings).is_ok()
        {
            return Ok(false);
        }
        let has_given_up =
            probation::give_up(&self.settings.state, &format!("{error:#}")).map_err(Ending::config)?;
        if has_given_up {
            self.settings = config::read_below(&self.config, &self.above).map_err(Ending::config)?;
        }
        Ok(has_given_up)
    }

    async fn serve(&self, stopping: Stopping) -> anyhow::Result<()> {
        if let Some(address) = &self.settings.health {
            let listener = server::listen(address).await.map_err(Ending::config)?;
            info!(address = %listener.local_addr()?, "Metrics are served here.");
            let router = health::router(self.health.clone());
            supervise::task("health", server::serve(listener, None, router, stopping.clone()));
        }
        if let Some(address) = &self.settings.page {
            let (health, clock) = (self.health.clone(), self.clock.clone());
            let (config, above, sittings) = (self.config.clone(), self.above.clone(), Sittings::default());
            let desk = ZoneDesk { config, above, health, clock, sittings };
            let address = serve_page(desk, &self.settings, address, stopping).await?;
            info!(%address, "The local page is served here; `bedcheck zones` gives a link to it.");
        }
        Ok(())
    }
}

#[derive(clap::Args)]
pub struct Check {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
}

impl Check {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let now = Clock::system().now().wall;
        let roster = settings.roster.as_deref().map(|path| roster_file::read(path, now));
        let roster = roster.transpose().map_err(Ending::config)?;
        let listed = roster.as_ref().map_or(&[][..], |roster| &roster.entries);
        let eyes = tasks::open_eyes(&settings)?;
        let gallery = tasks::faces(&settings, &eyes)?.gallery;
        let site = tasks::operating_point(&settings, &eyes, &gallery)?.realised;
        let beds: Vec<&str> = settings.beds.iter().map(|bed| bed.id.as_str()).collect();
        let unseen: Vec<&str> =
            listed.iter().map(|entry| entry.bed.as_str()).filter(|bed| !beds.contains(bed)).collect();
        if !unseen.is_empty() {
            say(format!(
                "注意：这些床位没有摄像头 · beds of the roster without a camera: {}",
                unseen.join(", ")
            ));
        }
        say(format!(
            "配置正确 · configuration is good: {} 摄像头 cameras, {} 床位 beds, {} 在院 stays, {} {}",
            settings.cameras.len(),
            settings.beds.len(),
            listed.len(),
            eyes.manifest.pack,
            eyes.manifest.version
        ));
        say(format!(
            "阈值 threshold {:.3} (模型卡 card {:.3}, 误识率 FMR {}): 在册 {} 人互比 enrolled people, 误匹配 false matches {} / {}, \
             上限 at most {:.1e} (95 %)",
            site.threshold,
            site.card,
            settings.fmr,
            gallery.people(),
            site.false_matches,
            site.comparisons,
            site.at_most
        ));
        Ok(Code::Fine)
    }
}
