//! `bedcheck roster`: what the agent believes about the ward, and why.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use comfy_table::presets;
use serde_json::{Value, json};

use crate::agent::cmd::{say, say_json};
use crate::agent::config;
use crate::agent::ward::Ward;
use crate::base::clock::{Clock, Wall};
use crate::base::exit::{Code, Ending};
use crate::base::files::read_at_most;
use crate::base::ids::{BedId, StayId};
use crate::base::redact::mask_name;
use crate::domain::facts::{Account, Change, Fact, Person, account};
use crate::hospital::adt::{self, Adt};
use crate::hospital::roster_file;
use crate::store::{FactLog, keys};

const MOST_BYTES: u64 = 64 * 1024 * 1024;

#[derive(clap::Args)]
pub struct Roster {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml", global = true)]
    config: PathBuf,
    /// JSON for machines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// 当前名册 · who should lie where now, and who is away for a reason.
    Show,
    /// 名册来源 · every fact as it came, with the time it was received.
    Facts {
        /// Only this stay (mdtrt_id).
        #[arg(long)]
        stay: Option<StayId>,
    },
    /// 比较名册文件 · what a roster file would change; nothing is kept.
    Diff { file: PathBuf },
    /// 导入 · takes a roster file, a list of changes, the insurer's list, or HL7 messages now.
    Import {
        file: PathBuf,
        /// What a table is; HL7 messages are known by themselves.
        #[arg(long = "as", value_enum, default_value_t = Table::Roster)]
        table: Table,
    },
}

/// What the rows of a table are.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Table {
    /// Everybody who is there.
    Roster,
    /// What happened.
    Changes,
    /// The insurer's own list (5303).
    Insurer,
}

impl Roster {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let now = Clock::system().now().wall;
        keys::settle(&settings.state, &settings.keys).map_err(Ending::config)?;
        let log = FactLog::open(&settings.state).map_err(Ending::failed)?;
        let mut ward = Ward::open(settings.ward.clone(), log).map_err(Ending::failed)?;
        match &self.what {
            What::Show => self.show(&ward, now, settings.excuse_grace()),
            What::Facts { stay } => {
                let is_wanted = |fact: &&Fact| stay.is_none() || fact.stay == *stay;
                self.facts(ward.facts().iter().filter(is_wanted))
            }
            What::Diff { file } => {
                let file = roster_file::read(file, now).map_err(Ending::failed)?;
                self.facts(ward.differences(&file).iter())
            }
            What::Import { file, table } => self.import(&mut ward, file, *table, now),
        }
    }

    fn show(&self, ward: &Ward, now: Wall, grace: Duration) -> anyhow::Result<Code> {
        let mut rows = Vec::new();
        for (stay, history) in ward.believed() {
            let Some(person) = history.person.as_ref().filter(|_| history.is_in(now)) else { continue };
            let away = match account(&history.away, now, grace) {
                Account::Excused(excuse) | Account::Retroactive(excuse) => Some(excuse),
                Account::None => None,
            };
            let since = history.beds.last().map(|(since, _)| since.at);
            rows.push((history.bed_at(now).cloned(), stay, mask_name(person.psn_name.reveal()), since, away));
        }
        rows.sort();
        if self.json {
            let rows: Vec<Value> = rows
                .iter()
                .map(|(bed, stay, name, since, away)| {
                    json!({ "bed": bed, "stay": stay, "masked_name": name,
                            "since": since.map(|at| at.to_string()), "away": away.map(|excuse| excuse.name()) })
                })
                .collect();
            say_json(&json!({ "ward": ward.id, "facts": ward.facts().len(), "stays": rows }))?;
            return Ok(Code::Fine);
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header(["床 bed", "就诊 stay", "姓名 name", "入床 since", "离床原因 away"]);
        for (bed, stay, name, since, away) in &rows {
            table.add_row([
                bed.as_ref().map_or("外科室 elsewhere".to_owned(), ToString::to_string),
                stay.to_string(),
                name.clone(),
                since.map_or(String::new(), |at| at.to_string()),
                away.map_or(String::new(), |excuse| format!("{} {}", excuse.chinese(), excuse.name())),
            ]);
        }
        say(table);
        say(format!("{} 人在院 · {} stays, from {} facts", rows.len(), rows.len(), ward.facts().len()));
        Ok(Code::Fine)
    }

    fn facts<'fact>(&self, facts: impl Iterator<Item = &'fact Fact>) -> anyhow::Result<Code> {
        let facts: Vec<&Fact> = facts.collect();
        if self.json {
            let rows: Vec<Value> = facts
                .iter()
                .map(|fact| {
                    json!({ "id": fact.id, "stay": fact.stay, "at": fact.at.to_string(),
                            "received": fact.received.to_string(), "change": summary(&fact.change) })
                })
                .collect();
            say_json(&json!({ "facts": rows }))?;
            return Ok(Code::Fine);
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header(["收到 received", "发生 happened", "就诊 stay", "内容 change", "来源 id"]);
        for fact in &facts {
            table.add_row([
                fact.received.to_string(),
                fact.at.to_string(),
                fact.stay.as_ref().map_or(String::new(), ToString::to_string),
                summary(&fact.change),
                fact.id.clone(),
            ]);
        }
        say(table);
        say(format!("{} 条 · {} facts", facts.len(), facts.len()));
        Ok(Code::Fine)
    }

    fn import(&self, ward: &mut Ward, file: &Path, table: Table, now: Wall) -> anyhow::Result<Code> {
        let bytes = read_at_most(file, MOST_BYTES).map_err(Ending::failed)?;
        if !bytes.starts_with(b"MSH|") {
            let new = match table {
                Table::Roster => {
                    let read = roster_file::read(file, now).map_err(Ending::failed)?;
                    ward.import(&read).map_err(Ending::failed)?
                }
                Table::Changes => ward.import_changes(file, now).map_err(Ending::failed)?,
                Table::Insurer => ward.import_insured(file, now).map_err(Ending::failed)?,
            };
            say(format!("新增 {new} 条 · {new} new facts"));
            return Ok(Code::Fine);
        }
        let (mut new, mut refused) = (0, 0);
        for (number, message) in adt::messages(&bytes).enumerate() {
            let (_, read) = adt::read(message, now, &ward.id);
            if let Ok(adt) = &read {
                new += usize::from(ward.take(adt).map_err(Ending::failed)?);
            }
            match read {
                Err(reason) => {
                    refused += 1;
                    say(format!("第 {} 条被拒绝 · message {} refused: {reason}", number + 1, number + 1));
                }
                Ok(Adt::Ignored(reason)) => {
                    say(format!("第 {} 条忽略 · message {} ignored: {reason}", number + 1, number + 1));
                }
                Ok(Adt::Facts(_)) => {}
            }
        }
        say(format!("新增 {new} 条，拒绝 {refused} 条 · {new} new messages, {refused} refused"));
        Ok(if refused == 0 { Code::Fine } else { Code::Failed })
    }
}

/// A change without a name or number of a person.
fn summary(change: &Change) -> String {
    let name = |person: &Person| mask_name(person.psn_name.reveal());
    let place = |bed: &Option<BedId>| bed.as_ref().map_or("elsewhere".to_owned(), ToString::to_string);
    match change {
        Change::Admitted { person, bed } => {
            format!("入院 admitted: {} → {}", name(person), place(bed))
        }
        Change::Moved { bed } => format!("转床 moved → {}", place(bed)),
        Change::Corrected { person } => format!("更正 corrected: {}", name(person)),
        Change::Merged { .. } => "人员编号合并 numbers merged".to_owned(),
        Change::Left { excuse, until } => {
            let until = until.map_or(String::new(), |until| format!(" until {until}"));
            format!("{} away: {}{until}", excuse.chinese(), excuse.name())
        }
        Change::Returned => "返回 returned".to_owned(),
        Change::Discharged => "出院 discharged".to_owned(),
        Change::Insured { person, listed: true } => format!("医保在院 insured: {}", name(person)),
        Change::Insured { person, listed: false } => {
            format!("不在医保名单 no longer insured: {}", name(person))
        }
        Change::Cancelled { what } => format!("撤销 cancelled: {what:?}").to_lowercase(),
    }
}
