//! `bedcheck run` and `bedcheck check`.

use std::path::PathBuf;

use crate::agent::cmd::{interrupted, say, tokio};
use crate::agent::{config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::supervise;
use crate::hospital::roster_file;

#[derive(clap::Args)]
pub struct Run {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
}

impl Run {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let (stop, stopping) = supervise::shutdown();
        tokio()?.block_on(async {
            let agent = tasks::run(settings, Clock::system(), None, stopping);
            tokio::pin!(agent);
            ::tokio::select! {
                ended = &mut agent => return ended,
                () = interrupted() => {}
            }
            stop.fire();
            agent.await
        })?;
        Ok(Code::Fine)
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
        let roster =
            roster_file::read(&settings.roster, Clock::system().now().wall).map_err(Ending::config)?;
        let eyes = tasks::open_eyes(&settings)?;
        let gallery = tasks::gallery(&settings, &eyes)?;
        let site = tasks::operating_point(&settings, &eyes, &gallery)?.realised;
        let beds: Vec<&str> = settings.beds.iter().map(|bed| bed.id.as_str()).collect();
        let unseen: Vec<&str> =
            roster.entries.iter().map(|entry| entry.bed.as_str()).filter(|bed| !beds.contains(bed)).collect();
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
            roster.entries.len(),
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
