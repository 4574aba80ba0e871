//! `bedcheck enrol`: templates for everybody of the roster whose row names reference pictures.

use std::path::PathBuf;

use comfy_table::{Cell, Color, Table, presets};
use indicatif::ProgressBar;

use crate::agent::cmd::say;
use crate::agent::enrol::Reference;
use crate::agent::enrol_roster::{Row, duplicates, enrol_roster};
use crate::agent::{config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::ids::StayId;
use crate::store::keys;

#[derive(clap::Args)]
pub struct Enrol {
    /// Configuration file; its roster's column `enrol` names a folder of pictures for each person.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// Write what the nets see of each person, green where accepted: bed-NN.jpg, readable by you alone.
    #[arg(long, value_name = "DIR")]
    preview: Option<PathBuf>,
    /// 本人要求恢复登记的就诊 · a stay that was erased on request and is to be enrolled again; may be given more than once.
    #[arg(long, value_name = "STAY")]
    again: Vec<StayId>,
}

impl Enrol {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        keys::settle(&settings.state, &settings.keys).map_err(Ending::config)?;
        let mut eyes = tasks::open_eyes(&settings)?;
        if let Some(folder) = &self.preview {
            crate::base::files::make_owner_only_folder(folder).map_err(Ending::failed)?;
        }
        let (progress, clock) = (ProgressBar::new_spinner(), Clock::system());
        let rows = enrol_roster(&settings, &mut eyes, &clock, self.preview.as_deref(), &self.again, |bed| {
            progress.set_message(format!("{bed}"));
            progress.tick();
        })?;
        progress.finish_and_clear();
        table(&rows);
        let twice = duplicates(&settings, &eyes, &clock)?;
        for one in &twice {
            let [a, b] = &one.beds;
            say(format!(
                "疑似同一人两个身份 · {a} 床与 {b} 床相似度 {:.3}（阈值 {:.3}），请核对证件 / beds {a} and {b} look like one person: check both identities",
                one.similarity, one.match_at
            ));
        }
        let enrolled = rows.iter().filter(|row| row.outcome.is_ok()).count();
        say(format!("已登记 {enrolled} 人 · enrolled {enrolled} of {}", rows.len()));
        let failed = rows.iter().any(|row| row.outcome.is_err() && !row.is_held_back);
        Ok(if !failed && twice.is_empty() { Code::Fine } else { Code::Failed })
    }
}

fn table(rows: &[Row]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["床 bed", "照片 pictures", "结果 result"]);
    for row in rows {
        let result = match &row.outcome {
            Ok(Reference::Shots) => Cell::new("已登记 enrolled").fg(Color::Green),
            Ok(Reference::Chip) => {
                Cell::new("已登记，仅证件芯片照，可靠性较低 enrolled from a chip photo: weaker")
                    .fg(Color::Yellow)
            }
            Err(reason) if row.is_held_back => Cell::new(reason).fg(Color::Yellow),
            Err(reason) => Cell::new(reason).fg(Color::Red),
        };
        table.add_row([Cell::new(&row.bed), Cell::new(row.shots), result]);
    }
    say(table);
}
