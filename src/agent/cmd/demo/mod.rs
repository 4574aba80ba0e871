//! `bedcheck demo`: the whole loop on one machine, with nothing configured.
//!
//! Everything is the real thing (keys, certificates, TLS, database, nets, dashboard); only the people are made up and
//! the hours are shortened to seconds.

mod agent;
mod camera;
mod hospital;
mod platform;
mod show;
mod ward;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

use crate::agent::cmd::{assets, interrupted, tokio};
use crate::agent::config::Source;
use crate::agent::enrol_roster::enrol_roster;
use crate::agent::{config, identity, tasks};
use crate::base::clock::{Clock, Mono, Wall};
use crate::base::exit::{Code, Ending};
use crate::base::files::write_owner_only;
use crate::base::ids::{DeviceId, WardId};
use crate::base::supervise::{self, Stopping};
use crate::capture::Attention;
use crate::domain::Finding;
use crate::vision::eyes::Eyes;
use crate::vision::watch::Watch;

use agent::Site;
use camera::IpCamera;
use hospital::Hospital;
use platform::PlatformProcess;
use show::Show;
use ward::{Found, Pace};

#[derive(clap::Args)]
pub struct Demo {
    /// End when the table is printed: exit code 0 only if every row is as expected and reached the dashboard.
    #[arg(long)]
    once: bool,
    /// One JSON object with `rows`, for machines.
    #[arg(long)]
    json: bool,
    /// Port of the dashboard (0: any free one).
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Folder of the demo's people and scenes.
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// Folder of a face pack.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Keep keys, databases and configuration here instead of in a temporary folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Rounds after which every story of the ward is told.
const ROUNDS: u64 = 3;
/// Further rounds for beds whose last check was cut short, each at half the pace of the one before: this machine may
/// have been busy with something else.
const MORE_ROUNDS: u64 = 4;
/// Beyond the rounds themselves.
const PATIENCE: Duration = Duration::from_secs(60);

impl Demo {
    pub fn run(self) -> anyhow::Result<Code> {
        tokio()?.block_on(self.play())
    }

    async fn play(self) -> anyhow::Result<Code> {
        let show = Show::new(self.json);
        let temporary = tempfile::Builder::new()
            .prefix("bedcheck-demo-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let home = self.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
        let (stop, stopping) = supervise::shutdown();
        let (mut hospital, clock) = (Hospital::new().await?, Clock::system());
        let home = std::path::absolute(home)?;
        let (mut platform, site, pace) = self.prepare(&home, &hospital.address, &show, &stopping).await?;
        let beds = ward::BEDS.len();
        show.step(5, &format!("巡查 {beds} 张床，三轮（小时缩为秒）· three rounds over {beds} beds, hours shortened to seconds"));
        let (tap, findings) = mpsc::channel(1024);
        let (settings, in_use) = watch::channel(site.at(pace)?);
        let agent = agent::run(in_use, clock.clone(), tap, stopping);
        tokio::pin!(agent);
        let (dashboard, people) = (platform.addresses.dashboard.clone(), platform.people.clone());
        let token = platform.token.clone();
        let limit = pace.longest(ROUNDS + 2, MORE_ROUNDS) + PATIENCE;
        let mut pace = pace;
        let mut take_time = || {
            pace = pace.slower();
            settings.send_replace(site.at(pace)?);
            anyhow::Ok(())
        };
        let story = async {
            hospital.leave(ward::ON_LEAVE, clock.now().wall, None).await?;
            let watched =
                tokio::time::timeout(limit, told(findings, &show, &mut hospital, &clock, &mut take_time))
                    .await;
            let mut found = watched.context("the rounds took too long on this machine")??;
            show.step(6, "核对监管平台 · comparing with the dashboard");
            let rows = platform::rows_like(&dashboard, &token, &found).await;
            let good = show.table(&mut found, &rows)?;
            if self.once {
                return Ok(good);
            }
            let links = platform::sign_in_links(&home.join("platform")).await?;
            show.serving(&dashboard, &links, &people);
            Ok(std::future::pending().await)
        };
        let ended: anyhow::Result<bool> = tokio::select! {
            ended = &mut agent => {
                return Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the agent ended by itself")));
            }
            () = platform.keep_alive(&show) => Err(anyhow::anyhow!("the platform cannot be kept running")),
            told = story => told,
            () = interrupted() => Ok(!self.once),
        };
        stop.fire();
        let _ = tokio::time::timeout(Duration::from_secs(5), agent).await;
        platform.stop().await;
        Ok(if ended? { Code::Fine } else { Code::Failed })
    }

    /// Keys, platform, configuration, templates.
    async fn prepare(
        &self,
        home: &Path,
        hl7: &str,
        show: &Show,
        stopping: &Stopping,
    ) -> anyhow::Result<(PlatformProcess, Site, Pace)> {
        let assets = assets(self.assets.as_deref())?;
        show.step(1, "密钥与证书 · keys and certificates");
        let (state, bundle) = (home.join("agent"), home.join("bundle.json"));
        let device = DeviceId::new("terminal-3a")?;
        let request = identity::request(&state, &device, &WardId::new("3A")?).map_err(Ending::config)?;
        let request_file = home.join("request.json");
        write_owner_only(&request_file, &serde_json::to_vec(&request)?).map_err(Ending::failed)?;

        show.step(2, "启动监管平台 · starting the supervision platform");
        let platform = PlatformProcess::start(&home.join("platform"), self.port).await?;
        platform.add_device(&request_file, &bundle).await?;
        identity::accept(&state, &bundle).map_err(Ending::config)?;

        show.step(3, "加载模型并自检 · loading and proving the face pack");
        let models = self.models.as_deref().map(std::path::absolute).transpose()?;
        let ip_camera = IpCamera::start(&assets, home, stopping.clone()).await?;
        let (file, hl7) = (home.join("config.toml"), hl7.to_owned());
        let site = Site { file, assets, state, models, hl7, ip_camera };
        let settings = site.at(Pace::of(Duration::ZERO, Duration::ZERO))?;
        let mut eyes = tasks::open_eyes(&settings)?;

        show.step(4, "登记病人 · enrolling the demo patients");
        let clock = Clock::system();
        let rows = enrol_roster(&settings, &mut eyes, &clock, None, &[], |_| show.tick())?;
        let enrolled = rows.iter().filter(|row| row.outcome.is_ok()).count();
        // Three pictures were worked on for each person: that is how fast this machine looks.
        let one_look = (clock.now().mono - Mono::default()) / (3 * enrolled.max(1) as u32);
        let pace = Pace::of(one_look, one_frame(&settings, &mut eyes, &clock)?);
        Ok((platform, site, pace))
    }
}

/// How long this machine works on one frame of a watched bed.
fn one_frame(settings: &config::Settings, eyes: &mut Eyes, clock: &Clock) -> anyhow::Result<Duration> {
    const FRAMES: u32 = 6;
    // A recording: an IP camera waits on a runtime of its own, and this is inside another.
    let is_recorded = |camera: &&config::CameraSettings| matches!(camera.source, Source::Recorded { .. });
    let camera = settings.cameras.iter().find(is_recorded).context("no camera is a recording")?;
    let bed = settings.beds.iter().find(|bed| bed.camera == camera.id).context("no bed before it")?;
    let picture = tasks::open_camera(camera)?.next_picture(&Attention::full(clock))?;
    let zone =
        picture.cut(bed.zone).ok_or_else(|| anyhow::anyhow!("the first bed lies outside its picture"))?;
    let mut watch = Watch::default();
    if let Some(face) = eyes.faces(&zone)?.first() {
        watch.follow(eyes, Mono(1), &zone, face)?;
    }
    let start = clock.now().mono;
    for number in 0..FRAMES {
        watch.take(eyes, Mono(250 * u64::from(number)), &zone, 6_000)?;
    }
    Ok((clock.now().mono - start) / FRAMES)
}

/// Collects findings until every bed was checked in `ROUNDS` rounds, the last time without haste.
async fn told(
    mut findings: mpsc::Receiver<Finding>,
    show: &Show,
    hospital: &mut Hospital,
    clock: &Clock,
    take_time: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Found>> {
    let (mut is_said, mut enough) = (false, ROUNDS);
    let mut found = ward::BEDS.iter().map(Found::nothing_yet).collect::<Vec<_>>();
    while let Some(finding) = findings.recv().await {
        for bed in &mut found {
            bed.take(&finding);
        }
        // Two rounds found the bed empty; now somebody writes a leave that began before them and ends before the third.
        if !is_said && found.iter().any(|bed| bed.story.bed == ward::TOO_LATE.0 && bed.rounds == 2) {
            let now = clock.now().wall;
            hospital.leave(ward::TOO_LATE.1, Wall(now.0 - 3_600_000), Some(now)).await?;
            is_said = true;
        }
        let rounds = found.iter().map(|bed| bed.rounds).min().unwrap_or(0);
        show.progress(found.iter().map(|bed| bed.rounds.min(ROUNDS)).sum(), ROUNDS * found.len() as u64);
        let has_more = rounds < ROUNDS + MORE_ROUNDS && found.iter().any(Found::is_cut_short);
        if rounds >= ROUNDS && !has_more {
            // The exceptions of the last check follow it in the same commit.
            while let Ok(finding) = findings.try_recv() {
                for bed in &mut found {
                    bed.take(&finding);
                }
            }
            return Ok(found);
        }
        if rounds >= enough {
            take_time()?;
            enough = rounds + 1;
        }
    }
    anyhow::bail!("the agent ended before the rounds did")
}
