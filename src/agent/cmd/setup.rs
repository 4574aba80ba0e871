//! `bedcheck setup`: from an installed package to a terminal that runs, in one sitting and in the order in which things
//! depend on each other. What is done already is passed over, so that it can be broken off and called again.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agent::cmd::config::Which;
use crate::agent::cmd::config::init::Init;
use crate::agent::cmd::doctor::Doctor;
use crate::agent::cmd::{device, say};
use crate::agent::config::{self, Above, ConfigError};
use crate::agent::identity;
use crate::base::exit::{Code, Ending};
use crate::base::files::make_owner_only_folder;

/// Who the package's unit runs as.
const USER: &str = "bedcheck";
const PASSWD: &str = "/etc/passwd";
const SYSTEMD: &str = "/run/systemd/system";
const STEPS: u8 = 4;

#[derive(clap::Args)]
pub struct Setup {
    /// Where the configuration is or shall be.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// TOML with the keys that are known already; nothing is asked about the configuration.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// A file with the token from the platform's administrator; asked for where there is none.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Leaves the service alone: for images that are made on another machine.
    #[arg(long)]
    no_start: bool,
}

impl Setup {
    pub fn run(self) -> anyhow::Result<Code> {
        if rustix::process::geteuid().is_root() && has_user() {
            return self.as_root();
        }
        self.configuration()?;
        let settings = match config::read_below(&self.config, &Above::environment()) {
            Ok(settings) => settings,
            Err(ConfigError::Content(complaints)) => {
                say(complaints.to_string());
                say("改好后再运行 bedcheck setup · correct it and call bedcheck setup again");
                return Ok(Code::Config);
            }
            Err(error) => return Err(Ending::config(error).into()),
        };
        self.identity(&settings.state)?;
        step(3, "体检，各摄像头各存一张照片 · examination, with one picture of each camera");
        let pictures = settings.state.join("setup-pictures");
        let examined = Doctor::at(Which::file(self.config.clone()), Some(pictures.clone())).run()?;
        say(format!(
            "照片 pictures: {}（看后请删除 delete them when you have seen them）",
            pictures.display()
        ));
        step(4, "接下来 · what comes next");
        say("    bedcheck zones     画床位 · draw the beds on the picture");
        say("    bedcheck enrol     登记病人 · enrol the patients");
        Ok(examined)
    }

    /// Everything as the service's own user, who then owns what is made; the service itself by root.
    fn as_root(&self) -> anyhow::Result<Code> {
        let program = std::env::current_exe().map_err(Ending::failed)?;
        let mut inner = Command::new("runuser");
        inner.args(["-u", USER, "--"]).arg(program).arg("setup").args(std::env::args_os().skip(2));
        // The home of the user does not exist.
        inner.current_dir("/");
        let status = inner
            .status()
            .map_err(|error| Ending::failed(format!("runuser: {error}; sudo -u {USER} bedcheck setup")))?;
        if !status.success() || self.no_start || !Path::new(SYSTEMD).exists() {
            return Ok(match status.code() {
                Some(0) => Code::Fine,
                Some(78) => Code::Config,
                _ => Code::Failed,
            });
        }
        say("启动服务 · starting: systemctl enable --now bedcheck");
        Err(Ending::failed(Command::new("systemctl").args(["enable", "--now", "bedcheck"]).exec()).into())
    }

    fn configuration(&self) -> anyhow::Result<()> {
        step(1, "配置 · configuration");
        if self.config.exists() {
            say(format!("已有 already there: {}", self.config.display()));
            return Ok(());
        }
        Init::at(self.config.clone(), self.answers.clone()).run().map(drop)
    }

    fn identity(&self, state: &Path) -> anyhow::Result<()> {
        step(2, "接入监管平台 · joining the supervision platform");
        if let Ok(bundle) = identity::bundle(state) {
            say(format!("已接入 already joined: {} → {}", bundle.device, bundle.platform_url));
            return Ok(());
        }
        make_owner_only_folder(state).map_err(Ending::config)?;
        let token = device::line(None, self.token_file.as_deref())?;
        if token.trim().is_empty() {
            say("没有令牌，稍后再接入 · no token; join later: bedcheck device enrol");
            return Ok(());
        }
        device::join(state, token.trim(), None)
    }
}

fn step(number: u8, what: &str) {
    say(format!("\n[{number}/{STEPS}] {what}"));
}

fn has_user() -> bool {
    let users = std::fs::read_to_string(PASSWD).unwrap_or_default();
    users.lines().any(|line| line.split(':').next() == Some(USER))
}
