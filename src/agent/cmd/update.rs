//! `bedcheck update trust | apply | status`.

use std::path::PathBuf;

use serde_json::json;

use crate::agent::cmd::config::Which;
use crate::agent::cmd::{say, say_json, tokio};
use crate::agent::config::{self, Above};
use crate::agent::update::place::Place;
use crate::agent::update::take::{Taken, take};
use crate::agent::update::{self, Active, UpdateError};
use crate::agent::{identity, tasks};
use crate::base::exit::{Code, Ending};
use crate::base::files::read_at_most;
use crate::store::bundles::Bundles;
use crate::wire::bundle::MOST_METADATA;

#[derive(clap::Args)]
pub struct Update {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// 信任更新来源 · trusts the root of `bedcheck-platform update init`; once, at enrolment.
    Trust {
        #[command(flatten)]
        which: Which,
        /// root.json; compare its fingerprint with the supervisor's.
        #[arg(value_name = "ROOT.json")]
        root: PathBuf,
    },
    /// 应用更新包 · checks, proves and takes a bundle from a stick or a web server.
    Apply {
        #[command(flatten)]
        which: Which,
        /// The folder that `bedcheck-platform update publish` wrote, or the https address where it is served.
        #[arg(value_name = "FOLDER|URL")]
        place: String,
        /// PEM of who may vouch for that server; the platform's authority where this is absent.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// 更新状态 · which bundle is in use, and the highest ever accepted.
    Status {
        #[command(flatten)]
        which: Which,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

impl Update {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.command {
            Command::Trust { which, root } => {
                let root = read_at_most(&root, MOST_METADATA).map_err(Ending::failed)?;
                let fingerprint = update::trust(&state(&which)?, &root).map_err(ending)?;
                say(format!(
                    "已信任更新来源，请与监管方核对指纹 · trusted; compare the fingerprint:\n{fingerprint}"
                ));
            }
            Command::Apply { which, place, certificate } => {
                let prove = |tried: &Active| prove(&which, tried).map_err(|error| format!("{error:#}"));
                let state = state(&which)?;
                let ca_pem = match certificate {
                    Some(path) => String::from_utf8(read_at_most(&path, MOST_METADATA)?)?,
                    None => identity::bundle(&state).map_err(Ending::config)?.ca_pem,
                };
                let place = Place::new(&place, &ca_pem).map_err(ending)?;
                let taken = tokio()?.block_on(take(&state, &place, &prove, &mut |_| true));
                match taken.map_err(ending)? {
                    Taken::Already(version) => {
                        say(format!("更新包 {version} 已在使用 · bundle {version} is in use already"));
                    }
                    Taken::Activated(version) => say(format!(
                        "更新包 {version} 已启用，重启后试用 · bundle {version} is taken; on probation after: systemctl restart bedcheck"
                    )),
                }
            }
            Command::Status { which, json } => status(&which, json)?,
        }
        Ok(Code::Fine)
    }
}

fn state(which: &Which) -> anyhow::Result<PathBuf> {
    let state = config::state_folder(&which.config, &which.above()).map_err(Ending::config)?;
    Ok(state.ok_or_else(|| Ending::config("配置缺少 state · the configuration names no state folder"))?)
}

/// Whether the agent could start with it: configuration within its policy, nets with their golden answers, the
/// configured operating point among the pack's.
fn prove(which: &Which, tried: &Active) -> anyhow::Result<()> {
    let above = Above { bundle: Some(tried.clone()), ..which.above() };
    let settings = config::read_below(&which.config, &above).map_err(Ending::config)?;
    let eyes = tasks::open_eyes(&settings)?;
    eyes.rule(&settings.fmr).map_err(Ending::config)?;
    Ok(())
}

fn status(which: &Which, is_json: bool) -> anyhow::Result<()> {
    let state = state(which)?;
    let beat = update::beat(&state).map_err(ending)?;
    let bundles = Bundles::open_if_there(&state).map_err(Ending::config)?;
    let standing = bundles.map(|bundles| bundles.standing()).transpose().map_err(Ending::config)?;
    if is_json {
        let why = standing.and_then(|standing| standing.returned).map(|(_, why)| why);
        return say_json(&json!({ "bundle": beat, "returned_because": why }));
    }
    let Some(beat) = beat else { return Err(ending(UpdateError::NoRoot).into()) };
    let version = beat.version.map_or_else(|| "随程序附带 shipped".to_owned(), |version| version.to_string());
    let probation = if beat.on_probation { "（试用中 on probation）" } else { "" };
    say(format!("使用中 in use: {version}{probation}；最高 highest: {}", beat.highest));
    say(format!("根 root: {}", beat.root));
    if let Some((version, why)) = standing.and_then(|standing| standing.returned) {
        say(format!("曾退回 given up: {version}: {why}"));
    }
    Ok(())
}

fn ending(error: UpdateError) -> Ending {
    match error {
        UpdateError::NoRoot
        | UpdateError::OtherRoot(_)
        | UpdateError::Changed(_)
        | UpdateError::Bundles(_)
        | UpdateError::Identity(_) => Ending::config(error),
        UpdateError::Refused(_)
        | UpdateError::Older { .. }
        | UpdateError::GivenUp(_)
        | UpdateError::Foreign { .. }
        | UpdateError::Name(_)
        | UpdateError::Size { .. }
        | UpdateError::TooMany(_)
        | UpdateError::Missing(_)
        | UpdateError::Test(_)
        | UpdateError::Policy { .. }
        | UpdateError::Calibration { .. }
        | UpdateError::Busy
        | UpdateError::Ended(_)
        | UpdateError::File(_) => Ending::failed(error),
    }
}
