//! `bedcheck privacy`: erasure on request, the ledger of grounds, and the impact assessment.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::agent::cmd::{say, say_json, tokio};
use crate::agent::config::{self, Above, Settings};
use crate::agent::impact;
use crate::base::clock::{Clock, Wall};
use crate::base::exit::{Code, Ending};
use crate::base::files::{make_owner_only_folder, write_owner_only};
use crate::base::ids::StayId;
use crate::store::keys;
use crate::store::ledger::{Entry, Written, notice_digest};
use crate::store::{Asked, Privacy as Store};
use crate::wire::privacy::{Basis, Step, Why};

#[derive(clap::Args)]
pub struct Privacy {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// 删除人脸 · erases a stay's templates at once; it is not enrolled again before somebody wants it.
    Erase {
        /// The stay (mdtrt_id).
        #[arg(long)]
        stay: StayId,
        /// 理由，只加密保存在本机 · why; stays on this box, sealed.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// 影响评估报告 · writes the impact assessment (个人信息保护影响评估) from what is configured and stored now.
    Report {
        /// Where impact.md and impact.html are written, owner-only.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// 依据台账 · on which ground a stay's face is compared.
    Consent {
        #[command(subcommand)]
        what: Consent,
    },
}

#[derive(Subcommand)]
enum Consent {
    /// 记录依据 · writes down a ground.
    Add {
        #[arg(long)]
        stay: StayId,
        #[arg(long, value_enum)]
        basis: Ground,
        #[command(flatten)]
        writer: Writer,
    },
    /// 撤回同意 · withdraws it: templates are erased, the stay counts as not enrolled.
    Withdraw {
        #[arg(long)]
        stay: StayId,
        #[command(flatten)]
        writer: Writer,
    },
    /// 查看并核验台账 · shows the ledger and proves that nothing in it was changed.
    List {
        /// Only this stay.
        #[arg(long)]
        stay: Option<StayId>,
        #[arg(long)]
        json: bool,
    },
}

/// Who writes into the ledger, and what was shown.
#[derive(clap::Args)]
struct Writer {
    /// 科室或工号，不写姓名 · office or staff number, not a name.
    #[arg(long, value_name = "OFFICE")]
    by: String,
    /// 告知书版本，默认取配置 · version of the notice; the configuration's where it is absent.
    #[arg(long, value_name = "VERSION")]
    notice: Option<String>,
    /// 告知书或签字件，只记录摘要 · the notice or the signed form: only its digest is kept.
    #[arg(long, value_name = "FILE")]
    notice_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ground {
    /// 单独同意
    Consent,
    /// 法定职责
    Statute,
    /// 合同必需
    Contract,
}

impl Privacy {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        keys::settle(&settings.state, &settings.keys).map_err(Ending::config)?;
        let mut store = Store::open(&settings.state).map_err(Ending::config)?;
        let now = Clock::system().now().wall;
        match self.what {
            What::Erase { stay, reason } => {
                let asked = Asked { reason: Some(&reason), ..Asked::all(Why::Request, now) };
                erase(&mut store, &stay, &asked)
            }
            What::Report { out } => report(&self.config, settings, &out),
            What::Consent { what: Consent::Add { stay, basis, writer } } => {
                let basis = match basis {
                    Ground::Consent => Basis::Consent,
                    Ground::Statute => Basis::Statute,
                    Ground::Contract => Basis::Contract,
                };
                let entry = writer.write(&mut store, &settings, &stay, Step::Recorded { basis }, now)?;
                say(format!("台账第 {} 条：{} · entry {0} of the ledger", entry.number, basis.chinese()));
                Ok(Code::Fine)
            }
            What::Consent { what: Consent::Withdraw { stay, writer } } => {
                let entry = writer.write(&mut store, &settings, &stay, Step::Withdrawn, now)?;
                say(format!("台账第 {} 条：撤回 · entry {0} of the ledger: withdrawn", entry.number));
                erase(&mut store, &stay, &Asked::all(Why::Withdrawn, now))
            }
            What::Consent { what: Consent::List { stay, json } } => list(&store, stay.as_ref(), json),
        }
    }
}

impl Writer {
    fn write(
        self,
        store: &mut Store,
        settings: &Settings,
        stay: &StayId,
        step: Step,
        at: Wall,
    ) -> anyhow::Result<Entry> {
        let notice_sha256 =
            self.notice_file.as_deref().map(notice_digest).transpose().map_err(Ending::failed)?;
        let notice = self.notice.or_else(|| settings.legal.notice.clone());
        let written = Written { notice, notice_sha256, by: self.by, at };
        Ok(store.write_down(stay, step, written).map_err(Ending::failed)?)
    }
}

fn erase(store: &mut Store, stay: &StayId, asked: &Asked<'_>) -> anyhow::Result<Code> {
    let erased = store.erase(stay, asked).map_err(Ending::failed)?;
    let is_gone = store.scrub().map_err(Ending::failed)?;
    say(format!(
        "已删除 {} 个人脸模板，此后按未登记处理：以腕带或工作人员核实 · erased {0} templates; from now on this stay counts as not enrolled",
        erased.templates
    ));
    if !is_gone {
        say(
            "数据库正被读取，旧数据块由运行中的程序在一分钟内清除 · the database is being read: the running agent clears what is left within a minute",
        );
    }
    Ok(Code::Fine)
}

fn report(config: &Path, settings: Settings, out: &Path) -> anyhow::Result<Code> {
    let now = Clock::system().now();
    let above = Above::environment();
    let live = tokio()?.block_on(impact::look(config, &above, settings, now)).map_err(Ending::failed)?;
    let document = impact::write(&live);
    make_owner_only_folder(out).map_err(Ending::failed)?;
    for (name, text) in [("impact.md", document.markdown()?), ("impact.html", document.html()?)] {
        let path = out.join(name);
        write_owner_only(&path, text.as_bytes()).map_err(Ending::failed)?;
        say(path.display());
    }
    say(format!("{} 处待填写 · {0} places are left for the hospital to fill in", document.open_places()));
    Ok(Code::Fine)
}

fn list(store: &Store, stay: Option<&StayId>, as_json: bool) -> anyhow::Result<Code> {
    let wanted = stay.map(|stay| store.subject(stay));
    let ledger = store.ledger().map_err(Ending::failed)?;
    let head = ledger.last().map(|(_, link)| link.clone());
    let rows: Vec<_> = ledger
        .into_iter()
        .filter(|(entry, _)| wanted.as_ref().is_none_or(|subject| entry.subject == *subject))
        .collect();
    if as_json {
        let rows: Vec<_> = rows.iter().map(|(entry, link)| json!({ "entry": entry, "link": link })).collect();
        say_json(&json!({ "entries": rows, "head": head }))?;
        return Ok(Code::Fine);
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["序号 no.", "时间 at", "就诊摘要 subject", "依据 ground", "告知书 notice", "记录 by"]);
    for (entry, _) in &rows {
        let ground = match entry.step {
            Step::Recorded { basis } => format!("{} {}", basis.chinese(), basis.name()),
            Step::Withdrawn => "撤回 withdrawn".to_owned(),
        };
        table.add_row([
            entry.number.to_string(),
            entry.written.at.to_string(),
            entry.subject.chars().take(12).collect(),
            ground,
            entry.written.notice.clone().unwrap_or_default(),
            entry.written.by.clone(),
        ]);
    }
    say(table);
    say(format!("{} 条，前后相接 · {0} entries, each follows the one before", rows.len()));
    if let Some(head) = head {
        say(format!("末条摘要 link of the last: {head}"));
    }
    Ok(Code::Fine)
}
