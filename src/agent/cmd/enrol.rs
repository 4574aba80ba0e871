//! `bedcheck enrol`: templates for everybody of the roster whose row names reference pictures.

use std::path::PathBuf;

use indicatif::ProgressBar;

use crate::agent::cmd::say;
use crate::agent::{config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};

#[derive(clap::Args)]
pub struct Enrol {
    /// Configuration file; its roster's column `enrol` names a folder of pictures for each person.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
}

impl Enrol {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let mut eyes = tasks::open_eyes(&settings)?;
        let progress = ProgressBar::new_spinner();
        let enrolled = tasks::enrol_roster(&settings, &mut eyes, &Clock::system(), |bed| {
            progress.set_message(format!("{bed}"));
            progress.tick();
        })?;
        progress.finish_and_clear();
        say(format!("已登记 {enrolled} 人 · enrolled {enrolled} people"));
        Ok(Code::Fine)
    }
}
