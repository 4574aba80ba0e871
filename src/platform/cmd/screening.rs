//! `bedcheck-platform screening …`: from a province's files to leads (智慧筛查).

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use serde_json::json;

use crate::base::clock::{Clock, Wall};
use crate::base::exit::Ending;
use crate::base::files::sha256_hex;
use crate::platform::association;
use crate::platform::cmd::{say, serve_ending};
use crate::platform::db::Database;
use crate::platform::leads::{self, NewLead, RunSaid};
use crate::platform::screening::engine::{self, Extent, Limits, Ran};
use crate::platform::screening::folder::{Folder, Part, day_of};
use crate::platform::screening::generate::{self, Format};
use crate::platform::screening::measure::{self, Measured, Truth};
use crate::platform::screening::rules::{self, Rule, RuleError, cases};
use crate::platform::screening::{load, reach, tables};
use crate::platform::serve;

const MIB: usize = 1024 * 1024;

#[derive(Subcommand)]
pub enum Screening {
    /// Make up a province: a year of settlements with planted frauds and their truth.
    Generate {
        /// Where the files go.
        #[arg(long)]
        out: PathBuf,
        /// Settlements, exactly.
        #[arg(long)]
        rows: u64,
        /// The same seed makes the same province.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, value_enum, default_value_t = Format::Parquet)]
        format: Format,
    },
    /// Take files into the data folder: CSV (UTF-8, GB18030), XLSX, Parquet, JSON lines, with the national field names.
    Load {
        /// The data folder.
        #[arg(long)]
        data: PathBuf,
        /// What the files are, where their names do not begin with it (settlement, admission, …).
        #[arg(long)]
        table: Option<String>,
        #[arg(long)]
        json: bool,
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the rules, show the SQL that runs, or run the test cases in their files.
    Rules {
        #[command(flatten)]
        which: Which,
        /// Prints each rule's SQL with its parameters.
        #[arg(long)]
        sql: bool,
        /// Runs the rules' own test cases.
        #[arg(long)]
        test: bool,
        #[arg(long)]
        json: bool,
    },
    /// Run the rules over the data folder; leads go into the platform's database with --dir.
    Run {
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
    },
    /// Recall and precision of each rule against what `generate` planted.
    Measure {
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
    },
}

/// Which rules run, and how they are set.
#[derive(Args)]
pub struct Which {
    /// A folder of rules instead of those that come with the program.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Only this rule; may be repeated.
    #[arg(long = "rule")]
    names: Vec<String>,
    /// Another value of a parameter, as doctor-day.admissions=15; may be repeated.
    #[arg(long = "set", value_parser = setting)]
    settings: Vec<(String, String, f64)>,
}

/// What the engine may take.
#[derive(Args)]
pub struct Wanted {
    /// MiB the engine may account for; it spills beyond them.
    #[arg(long, default_value_t = 2560)]
    memory: usize,
    /// Cores.
    #[arg(long, default_value_t = 2)]
    partitions: usize,
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a day as 2025-12-31".to_owned())
}

fn setting(text: &str) -> Result<(String, String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| {
        let (rule, parameter) = name.split_once('.')?;
        Some((rule.to_owned(), parameter.to_owned(), value.parse().ok()?))
    });
    parsed.ok_or_else(|| "write RULE.PARAMETER=NUMBER, as doctor-day.admissions=15".to_owned())
}

impl Which {
    fn read(&self) -> anyhow::Result<Vec<Rule>> {
        let rules = rules::read(self.rules.as_deref()).map_err(rule_ending)?;
        Ok(rules::choose(rules, &self.names, &self.settings).map_err(rule_ending)?)
    }
}

impl Wanted {
    fn limits(&self) -> Limits {
        Limits { memory_bytes: self.memory * MIB, partitions: self.partitions.max(1) }
    }
}

fn rule_ending(error: RuleError) -> Ending {
    Ending::config(error)
}

pub fn run(command: Screening, now: Wall) -> anyhow::Result<()> {
    match command {
        Screening::Generate { out, rows, seed, format } => generate(&out, rows, seed, format),
        Screening::Load { data, table, json, files } => load(&data, table.as_deref(), json, &files),
        Screening::Rules { which, sql, test, json } => show_rules(&which, sql, test, json),
        Screening::Run { data, dir, which, since, limits, leads, json } => {
            let extent = Extent { since: since.map(day_of) };
            run_rules(&data, dir.as_deref(), &which, &extent, &limits.limits(), leads.as_deref(), json, now)
        }
        Screening::Measure { data, truth, which, limits, json } => {
            measure_rules(&data, &truth, &which, &limits.limits(), json)
        }
    }
}

/// A bar that is drawn on a terminal only.
fn bar(total: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar
}

fn generate(out: &Path, rows: u64, seed: u64, format: Format) -> anyhow::Result<()> {
    let bar = bar(rows, "生成 generating {bar:40} {human_pos}/{human_len} {eta}");
    let made = generate::generate(out, rows, seed, format, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let made = made.map_err(Ending::failed)?;
    say(format_args!(
        "已生成 made: {} 条结算 settlements, {} 次住院 stays, {} 人 people, {} 家机构 institutions, {} 起舞弊 planted cases; {}",
        made.settlements,
        made.stays,
        made.people,
        made.institutions,
        made.cases,
        out.display()
    ));
    Ok(())
}

fn load(data: &Path, table: Option<&str>, json: bool, files: &[PathBuf]) -> anyhow::Result<()> {
    let table = table
        .map(|name| {
            tables::named(name)
                .ok_or_else(|| Ending::usage(format_args!("没有此表 · there is no table {name}")))
        })
        .transpose()?;
    let folder = Folder::open(data)?;
    folder.sweep()?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    let bar = bar(files.iter().map(size).sum(), "载入 loading {bar:40} {bytes}/{total_bytes} {eta} {msg}");
    let (mut behind, mut refused, mut outcomes) = (0, 0, Vec::new());
    for path in files {
        bar.set_message(path.display().to_string());
        match load::load(&folder, path, table, &mut |read| bar.set_position(behind + read)) {
            Ok(outcome) => outcomes.push(outcome),
            // The other files may be good.
            Err(error) => {
                refused += 1;
                bar.suspend(|| say(format_args!("未载入 not taken: {error}")));
            }
        }
        behind += size(path);
        bar.set_position(behind);
    }
    bar.finish_and_clear();
    if json {
        say(json!({ "files": outcomes, "not_taken": refused, "peak_memory_kib": peak_kib() }));
    } else {
        let mut table = Table::new();
        table.set_header(["文件 file", "表 table", "已载入 rows", "已拒绝 refused", "拒绝清单 rejects"]);
        for one in outcomes {
            let rejects = one.rejects.map_or_else(String::new, |path| path.display().to_string());
            let rows = if one.known { "已有 known".to_owned() } else { one.rows.to_string() };
            table.add_row([one.name, one.table, rows, one.refused.to_string(), rejects]);
        }
        say(table);
    }
    if refused > 0 {
        return Err(Ending::failed(format_args!("{refused} 个文件未载入 · files were not taken")).into());
    }
    Ok(())
}

fn show_rules(which: &Which, sql: bool, test: bool, json: bool) -> anyhow::Result<()> {
    let rules = which.read()?;
    if test {
        return test_rules(&rules);
    }
    if json {
        let said = rules.iter().map(|rule| {
            json!({ "rule": rule.said(), "sql": rule.sql(), "tables": rule.tables, "subject": rule.subject,
                    "slice": rule.slice.is_some() })
        });
        say(serde_json::Value::Array(said.collect()));
        return Ok(());
    }
    let mut table = Table::new();
    table.set_header(["规则 rule", "版本 version", "级别 severity", "名称 title", "参数 parameters"]);
    for rule in &rules {
        if sql {
            say(format_args!("-- {} {}\n{};\n", rule.id, rule.version, rule.sql().trim()));
            continue;
        }
        let parameters: Vec<String> = rule
            .parameters
            .iter()
            .map(|(name, it)| {
                format!("{name} = {} ({}–{} {})", it.value.unwrap_or(it.default), it.min, it.max, it.unit)
            })
            .collect();
        let title = format!("{}\n{}", rule.title.0, rule.title.1);
        table.add_row([
            rule.id.clone(),
            rule.version.to_string(),
            rule.severity.to_string(),
            title,
            parameters.join("\n"),
        ]);
    }
    if !sql {
        say(table);
    }
    Ok(())
}

fn test_rules(rules: &[Rule]) -> anyhow::Result<()> {
    let (mut run, mut wrong) = (0, Vec::new());
    runtime()?.block_on(async {
        for rule in rules {
            for case in &rule.tests {
                run += 1;
                if let Err(error) = cases::run(rule, case).await {
                    wrong.push(error);
                }
            }
        }
    });
    for error in &wrong {
        say(error);
    }
    say(format_args!("{run} 个用例，{} 个不符 · {run} cases, {} wrong", wrong.len(), wrong.len()));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Ending::failed("规则用例不符 · a rule does not find what its file says").into())
    }
}

/// The engine plans deeply nested; unoptimised that needs more stack than a thread has.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(16 * MIB)
        .enable_all()
        .build()?)
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

#[expect(clippy::too_many_arguments, reason = "they are the command line's")]
fn run_rules(
    data: &Path,
    dir: Option<&Path>,
    which: &Which,
    extent: &Extent,
    limits: &Limits,
    file: Option<&Path>,
    json: bool,
    began: Wall,
) -> anyhow::Result<()> {
    let done = every_rule(data, which, extent, limits)?;
    let took = Clock::system().now().wall.0 - began.0;
    if let Some(file) = file {
        write_leads(file, &done.leads)?;
    }
    let recorded = dir.map(|dir| record(dir, &done, extent, limits, began)).transpose()?;
    if json {
        say(json!({
            "rules": done.ran, "leads": done.leads.len(), "recorded": recorded, "ms": took,
            "peak_memory_kib": peak_kib(),
        }));
        return Ok(());
    }
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
    Ok(())
}

fn write_leads(path: &Path, leads: &[NewLead]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for lead in leads {
        serde_json::to_writer(&mut lines, lead)?;
        lines.push(b'\n');
    }
    Ok(crate::base::files::write_owner_only(path, &lines)?)
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
    db.write(|tx| done.rules.iter().try_for_each(|rule| leads::record_rule(tx, &rule.said())))?;
    let recorded = leads::record_leads(&db, &id, &done.leads, now)?;
    if extent.since.is_none() {
        let found = runtime()?
            .block_on(reach::reach(&done.folder, &done.parts, &done.leads, limits))
            .map_err(Ending::failed)?;
        association::replace(&db, &id, &found.pairs, &found.names)?;
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

fn measure_rules(
    data: &Path,
    truth: &Path,
    which: &Which,
    limits: &Limits,
    json: bool,
) -> anyhow::Result<()> {
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

/// The most memory this process ever had, as the kernel counts it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok())
}
