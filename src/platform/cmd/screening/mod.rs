//! `bedcheck-platform screening …`: from a province's files to leads (智慧筛查).

#[cfg(feature = "cluster")]
mod cluster;
mod run;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::base::files::make_owner_only_folder;
use crate::platform::cmd::{say, serve_ending};
use crate::platform::screening::engine::Limits;
use crate::platform::screening::folder::Folder;
use crate::platform::screening::generate::{self, Format};
use crate::platform::screening::rules::{self, Rule, RuleError, cases};
use crate::platform::screening::{known, load, reach, tables};
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
    Run(run::Run),
    /// Write what this platform knows itself as files to load: presence by stay, rosters, faces that resembled another one's.
    Known {
        /// The platform's folder.
        #[arg(long)]
        dir: PathBuf,
        /// The data folder, where it is looked up whose the stays are.
        #[arg(long)]
        data: PathBuf,
        /// The code the insurer has for an institution of this platform, as 示范医院=H62000000001; may be repeated.
        #[arg(long = "institution", value_parser = naming)]
        codes: Vec<(String, String)>,
        #[arg(long)]
        out: PathBuf,
    },
    /// Recall and precision of each rule against what `generate` planted.
    Measure(run::Measure),
    /// Give the work of `run --scheduler` to executors on several machines (Ballista).
    #[cfg(feature = "cluster")]
    Scheduler(cluster::Scheduler),
    /// Work for a scheduler: it must see the data folder at the same path.
    #[cfg(feature = "cluster")]
    Executor(cluster::Work),
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
    /// HOST:PORT of a scheduler whose executors do the work; without it this process does.
    #[cfg(feature = "cluster")]
    #[arg(long, value_parser = cluster::host_and_port)]
    scheduler: Option<(String, u16)>,
}

fn setting(text: &str) -> Result<(String, String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| {
        let (rule, parameter) = name.split_once('.')?;
        Some((rule.to_owned(), parameter.to_owned(), value.parse().ok()?))
    });
    parsed.ok_or_else(|| "write RULE.PARAMETER=NUMBER, as doctor-day.admissions=15".to_owned())
}

fn naming(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, code)| !name.is_empty() && !code.is_empty());
    parts.map(|(name, code)| (name.to_owned(), code.to_owned())).ok_or_else(|| "write NAME=CODE".to_owned())
}

impl Which {
    fn read(&self) -> anyhow::Result<Vec<Rule>> {
        let rules = rules::read(self.rules.as_deref()).map_err(rule_ending)?;
        Ok(rules::choose(rules, &self.names, &self.settings).map_err(rule_ending)?)
    }
}

impl Wanted {
    fn limits(&self) -> Limits {
        #[cfg(feature = "cluster")]
        let scheduler = self.scheduler.as_ref().map(|(host, port)| format!("http://{host}:{port}"));
        #[cfg(not(feature = "cluster"))]
        let scheduler = None;
        Limits { memory_bytes: self.memory * MIB, partitions: self.partitions.max(1), scheduler }
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
        Screening::Run(command) => command.run(now),
        Screening::Known { dir, data, codes, out } => known(&dir, &data, codes, &out),
        Screening::Measure(command) => command.run(),
        #[cfg(feature = "cluster")]
        Screening::Scheduler(command) => command.run(),
        #[cfg(feature = "cluster")]
        Screening::Executor(command) => command.run(),
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
    let _alone = folder.lock()?;
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

fn known(dir: &Path, data: &Path, codes: Vec<(String, String)>, out: &Path) -> anyhow::Result<()> {
    let db = serve::open_database(dir).map_err(serve_ending)?;
    let folder = Folder::open(data)?;
    let known = known::read(&db).map_err(Ending::failed)?;
    let people = runtime()?
        .block_on(reach::people(&folder, &folder.parts()?, &known.wanted(), &Limits::default()))
        .map_err(Ending::failed)?;
    make_owner_only_folder(out)?;
    let written = known.write(&codes.into_iter().collect(), &people, out).map_err(Ending::failed)?;
    say(format_args!(
        "在院核实 presence: {}; 名册 roster: {}; 人脸 faces: {}（身份不明 unknown: {}）; {}",
        written.presence,
        written.roster,
        written.face_link,
        written.unknown_people,
        out.display()
    ));
    Ok(())
}

/// The most memory this process ever had, as the kernel counts it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok())
}
