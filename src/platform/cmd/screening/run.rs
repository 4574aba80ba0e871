//! `bedcheck-platform screening run` and `measure`.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::Table;
use jiff::civil::Date;
use serde_json::json;

use crate::base::clock::{Clock, Wall};
use crate::base::exit::Ending;
use crate::base::files::{sha256_hex, write_owner_only};
use crate::platform::association;
use crate::platform::cmd::screening::{Wanted, Which, bar, peak_kib, runtime};
use crate::platform::cmd::{say, serve_ending};
use crate::platform::db::Database;
use crate::platform::leads::{self, NewLead, RunSaid};
use crate::platform::screening::engine::{self, Extent, Limits, Ran};
use crate::platform::screening::folder::{Folder, Part, day_of};
use crate::platform::screening::measure::{self, Measured, Truth};
use crate::platform::screening::reach;
use crate::platform::screening::rules::Rule;
use crate::platform::serve;

#[derive(Args)]
pub struct Run {
    #[arg(long)]
    data: PathBuf,
    /// The platform's folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Only what this day and later ones add, as 2025-12-31.
    #[arg(long, value_parser = day)]
    since: Option<Date>,
    #[command(flatten)]
    limits: Wanted,
    /// Writes the leads as JSON lines.
    #[arg(long)]
    leads: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Measure {
    #[arg(long)]
    data: PathBuf,
    /// The truth.csv that `generate` wrote.
    #[arg(long)]
    truth: PathBuf,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    limits: Wanted,
    #[arg(long)]
    json: bool,
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a day as 2025-12-31".to_owned())
}

struct Done {
    ran: Vec<Ran>,
    leads: Vec<NewLead>,
    rules: Vec<Rule>,
    folder: Folder,
    parts: Vec<Part>,
}

fn every_rule(data: &Path, which: &Which, extent: &Extent, limits: &Limits) -> anyhow::Result<Done> {
    let rules = which.read()?;
    let folder = Folder::open(data)?;
    let parts = folder.parts()?;
    let bar = bar(rules.len() as u64, "筛查 screening {bar:40} {pos}/{len} {msg}");
    let (mut ran, mut leads) = (Vec::new(), Vec::new());
    runtime()?.block_on(async {
        #[cfg(feature = "cluster")]
        if let Some(scheduler) = &limits.scheduler {
            engine::cluster::ready(scheduler).await.map_err(Ending::failed)?;
        }
        for rule in &rules {
            bar.set_message(rule.id.clone());
            let (one, found) =
                engine::run(&folder, &parts, rule, extent, limits).await.map_err(Ending::failed)?;
            ran.push(one);
            leads.extend(found);
            bar.inc(1);
        }
        Ok::<_, Ending>(())
    })?;
    bar.finish_and_clear();
    Ok(Done { ran, leads, rules, folder, parts })
}

impl Run {
    pub fn run(self, began: Wall) -> anyhow::Result<()> {
        let (extent, limits) = (Extent { since: self.since.map(day_of) }, self.limits.limits());
        let done = every_rule(&self.data, &self.which, &extent, &limits)?;
        let took = Clock::system().now().wall.0 - began.0;
        if let Some(file) = &self.leads {
            write_leads(file, &done.leads)?;
        }
        let recorded = self.dir.map(|dir| record(&dir, &done, &extent, &limits, began)).transpose()?;
        if self.json {
            say(json!({
                "rules": done.ran, "leads": done.leads.len(), "recorded": recorded, "ms": took,
                "peak_memory_kib": peak_kib(),
            }));
        } else {
            show(&done, recorded);
        }
        Ok(())
    }
}

fn show(done: &Done, recorded: Option<leads::Recorded>) {
    let mut table = Table::new();
    table.set_header(["规则 rule", "线索 leads", "读取行数 rows read", "毫秒 ms"]);
    for one in &done.ran {
        let leads = match (one.skipped, one.cut) {
            (Some(why), _) => why.to_owned(),
            (None, true) => format!("{} 以上 and more", one.leads),
            (None, false) => one.leads.to_string(),
        };
        table.add_row([one.rule.clone(), leads, one.rows.to_string(), one.ms.to_string()]);
    }
    say(table);
    if let Some(recorded) = recorded {
        say(format_args!("新线索 new leads: {}；已知 known: {}", recorded.fresh, recorded.known));
    }
}

fn write_leads(path: &Path, leads: &[NewLead]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for lead in leads {
        serde_json::to_writer(&mut lines, lead)?;
        lines.push(b'\n');
    }
    Ok(write_owner_only(path, &lines)?)
}

/// Writes run, rules and leads into the platform's database, and after a full run who has to do with whom.
fn record(
    dir: &Path,
    done: &Done,
    extent: &Extent,
    limits: &Limits,
    began: Wall,
) -> anyhow::Result<leads::Recorded> {
    let db: Database = serve::open_database(dir).map_err(serve_ending)?;
    let now = Clock::system().now().wall;
    let id = sha256_hex(format!("run|{}|{}", began.0, std::process::id()).as_bytes())[..16].to_owned();
    // Before anything is written: what fails leaves the leads of the run before with what lies beside them.
    let reached = match extent.since {
        None => {
            Some(runtime()?.block_on(reach::reach(&done.folder, &done.parts, &done.leads, &limits.here())))
        }
        Some(_) => None,
    };
    let reached = reached.transpose().map_err(Ending::failed)?;
    db.write(|tx| done.rules.iter().try_for_each(|rule| leads::record_rule(tx, &rule.said())))?;
    let recorded = leads::record_leads(&db, &id, &done.leads, now)?;
    if let Some(reached) = reached {
        association::replace(&db, &id, &reached.pairs, &reached.names)?;
    }
    let run = RunSaid {
        id,
        started: began,
        ended: Clock::system().now().wall,
        since_day: extent.since.map(i64::from),
        found: done.leads.len() as i64,
        fresh: recorded.fresh,
        rules: serde_json::to_value(&done.ran)?,
    };
    db.write(|tx| leads::record_run(tx, &run))?;
    Ok(recorded)
}

impl Measure {
    pub fn run(self) -> anyhow::Result<()> {
        let (truth, limits, json) = (&self.truth, &self.limits.limits(), self.json);
        let (data, which) = (&self.data, &self.which);
        let truth = Truth::read(truth).map_err(Ending::failed)?;
        let done = every_rule(data, which, &Extent::default(), limits)?;
        let measured: Vec<Measured> = done
            .rules
            .iter()
            .map(|rule| {
                let of_rule: Vec<NewLead> =
                    done.leads.iter().filter(|lead| lead.rule == rule.id).cloned().collect();
                measure::measure(&truth, &rule.id, &of_rule)
            })
            .collect();
        if json {
            say(json!({ "rules": measured, "ran": done.ran, "peak_memory_kib": peak_kib() }));
            return Ok(());
        }
        let mut table = Table::new();
        table.set_header(["规则 rule", "召回 recall", "95 %", "n", "精确 precision", "95 %", "n"]);
        let share = |share: f64| format!("{share:.3}");
        let between = |it: &leads::Interval| format!("{:.3}–{:.3}", it.low, it.high);
        for one in measured {
            table.add_row([
                one.rule,
                share(one.recall.share),
                between(&one.recall),
                one.recall.n.to_string(),
                share(one.precision.share),
                between(&one.precision),
                one.precision.n.to_string(),
            ]);
        }
        say(table);
        Ok(())
    }
}
