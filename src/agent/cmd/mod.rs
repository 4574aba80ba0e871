//! The command line of `bedcheck`; one file per subcommand.

mod bench;
mod bench_cameras;
mod bench_domain;
mod bench_gallery;
mod calibrate;
mod camera;
mod config;
mod demo;
mod device;
mod doctor;
mod enrol;
mod eval;
mod look;
mod outbox;
mod privacy;
mod roster;
mod run;
mod setup;
mod staff;
mod support;
mod update;
mod verify;
mod zones;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::agent::tasks::default_models;
use crate::base::environment;
pub(crate) use crate::base::exit::say;
use crate::base::exit::{Code, Ending, arguments, code_of};
use crate::base::files::shipped;
use crate::base::logging;
use crate::capture::decoder;
use crate::vision::eyes::Eyes;
use crate::vision::manifest::{self, Manifest};

/// 住院在床核查终端程序 · checks that the patient on the roster is the person in the bed.
#[derive(Parser)]
#[command(name = "bedcheck", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 首次设置 · from an installed package to a running terminal, step by step.
    Setup(setup::Setup),
    /// 演示：在本机跑通整个流程 · plays a whole ward on this machine, nothing configured.
    Demo(demo::Demo),
    /// 运行终端 · runs the agent with a configuration file.
    Run(run::Run),
    /// 配置 · checks, explains and writes configuration files.
    Config(config::Config),
    /// 体检 · looks at everything this terminal needs and says what to do next.
    Doctor(doctor::Doctor),
    /// 检查配置、名册与模型 · configuration, roster and models together.
    Check(run::Check),
    /// 床位区域 · gives a link to the page on which bed zones are drawn on a live picture.
    Zones(zones::Zones),
    /// 名册 · what is believed of the ward and why; takes rosters and HL7 messages.
    Roster(roster::Roster),
    /// 人脸登记 · enrols the people of the roster from their reference pictures.
    Enrol(enrol::Enrol),
    /// 工作人员 · who may sign at the kiosk and open this device's pages.
    Staff(staff::Members),
    /// 个人信息保护 · erases faces, keeps the ledger of grounds, writes the impact assessment.
    Privacy(privacy::Privacy),
    /// 活体阈值标定 · films presentations before a camera and sets its liveness thresholds.
    Calibrate(calibrate::Calibrate),
    /// 摄像头 · lists cameras, takes a picture, says how one is.
    Camera(camera::Camera),
    /// 待发送 · what waits for the platform; proves the journal; carries it on a stick where there is no network.
    Outbox(outbox::Outbox),
    /// 设备身份 · makes this device's keys, and takes the platform's answer.
    Device(device::Device),
    /// 签名更新 · trusts a root, takes signed bundles of models and policy, says which is in use.
    Update(update::Update),
    /// 人证比对 · compares two pictures.
    Verify(verify::Verify),
    /// 查看图片中的人脸 · shows the faces of one picture.
    Look(look::Look),
    /// 算法评测 · measures error rates on a labelled set of pictures.
    Eval(eval::Eval),
    /// 性能测试 · measures speed and memory.
    Bench(bench::Bench),
    /// 视频解码 · decodes H.264 from its input, shut in; the agent starts it for each IP camera.
    #[command(name = decoder::SUBCOMMAND, hide = true)]
    DecodeH264,
}

/// Where the face pack is.
#[derive(clap::Args)]
pub(crate) struct Pack {
    /// Folder of a face pack (default: the pack that came with this program).
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl Pack {
    fn open(&self) -> anyhow::Result<Eyes> {
        Ok(Eyes::open(self.manifest()?).map_err(Ending::config)?)
    }

    /// What the pack says of itself, without loading a net.
    fn manifest(&self) -> anyhow::Result<Manifest> {
        let folder = self.models.clone().map_or_else(default_models, Ok)?;
        Ok(manifest::read(&folder).map_err(Ending::config)?)
    }
}

/// Parses `args`, runs the subcommand, and says how the program should end.
pub fn main(args: impl Iterator<Item = OsString>) -> Code {
    let cli: Cli = match arguments(args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // Before any thread. The process that decodes video is given all of it by its parent.
    if let Err(error) = environment::settle() {
        complain(&anyhow::Error::new(error).context("cannot start again with what the environment lacks"));
    }
    logging::start(if matches!(cli.command, Command::Run(_)) { "info" } else { "warn" });
    let outcome = match cli.command {
        Command::Demo(command) => command.run(),
        Command::Setup(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Zones(command) => command.run(),
        Command::Roster(roster) => roster.run(),
        Command::Enrol(command) => command.run(),
        Command::Staff(command) => command.run(),
        Command::Privacy(command) => command.run(),
        Command::Calibrate(command) => command.run(),
        Command::Camera(command) => command.run(),
        Command::Outbox(command) => command.run(),
        Command::Device(command) => command.run(),
        Command::Update(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Look(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::DecodeH264 => decoder::serve().map(|()| Code::Fine).map_err(Into::into),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            code_of(&error)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word to the person at the terminal")]
fn complain(error: &anyhow::Error) {
    eprintln!("bedcheck: {error:#}");
}

/// Prints a JSON answer.
///
/// # Errors
/// Never in practice.
pub(crate) fn say_json(value: &serde_json::Value) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A runtime for commands that talk to the network.
pub(crate) fn tokio() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Resolves when somebody wants the program to end: Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    use ::tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    ::tokio::select! {
        _ = ::tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The folder with the demo's people and scenes: `--assets`, else installed, else in the checkout.
pub(crate) fn assets(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    shipped("assets", "roster").ok_or_else(|| {
        Ending::config("the demo's pictures were not found; name their folder with --assets DIR").into()
    })
}
