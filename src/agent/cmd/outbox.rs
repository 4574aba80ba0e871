//! `bedcheck outbox show | verify | export | accept`.

use std::path::{Path, PathBuf};

use comfy_table::Table;
use serde_json::json;

use crate::agent::cmd::{say, say_json};
use crate::agent::identity;
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::files::{read_at_most, write_owner_only};
use crate::store::{Journal, Outbox as Rows};
use crate::uplink::{self, Acknowledged, UplinkError};
use crate::wire::dsse::Envelope;
use crate::wire::parcel;
use crate::wire::statement::Digests;

#[derive(clap::Args)]
pub struct Outbox {
    #[command(subcommand)]
    command: OutboxCommand,
}

#[derive(clap::Args)]
struct State {
    /// State directory of the agent.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
    state: PathBuf,
}

#[derive(clap::Subcommand)]
enum OutboxCommand {
    /// 最近的记录，哪些平台已确认 · the newest rows, and which of them the platform has.
    Show {
        #[command(flatten)]
        at: State,
        /// Rows to show.
        #[arg(long, default_value_t = 20)]
        rows: usize,
        #[arg(long)]
        json: bool,
    },
    /// 逐条核验签名与数据链 · proves every row: signature, number, link, body, evidence.
    Verify {
        #[command(flatten)]
        at: State,
        #[arg(long)]
        json: bool,
    },
    /// 断网时导出到文件 · writes what waits into a signed file for `bedcheck-platform ingest`; it keeps waiting here.
    Export {
        #[command(flatten)]
        at: State,
        /// Where to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// 接收平台的回执文件 · takes the receipts that `bedcheck-platform ingest` wrote: what they cover waits no longer.
    Accept {
        #[command(flatten)]
        at: State,
        #[arg(value_name = "FILE")]
        receipts: PathBuf,
    },
}

impl Outbox {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.command {
            OutboxCommand::Show { at, rows, json } => show(&at.state, rows, json),
            OutboxCommand::Verify { at, json } => verify(&at.state, json),
            OutboxCommand::Export { at, out } => export(&at.state, &out),
            OutboxCommand::Accept { at, receipts } => accept(&at.state, &receipts),
        }
    }
}

fn open(state: &Path) -> anyhow::Result<Rows> {
    Ok(Rows::open(state).map_err(Ending::config)?)
}

fn show(state: &Path, most: usize, as_json: bool) -> anyhow::Result<Code> {
    let outbox = open(state)?;
    let (all, waiting) = outbox.count()?;
    let rows = outbox.newest(most)?;
    if as_json {
        let row = |row: &crate::store::Said| {
            json!({ "epoch": row.epoch, "seq": row.seq, "type": row.kind, "made": row.made,
                    "acknowledged": row.acknowledged, "bytes": row.bytes, "evidence": row.has_evidence })
        };
        say_json(
            &json!({ "rows": all, "waiting": waiting, "newest": rows.iter().map(row).collect::<Vec<_>>() }),
        )?;
        return Ok(Code::Fine);
    }
    let mut table = Table::new();
    table.set_header([
        "序号 seq",
        "内容 what",
        "时间 made",
        "确认 acknowledged",
        "证据 evidence",
        "字节 bytes",
    ]);
    for row in rows {
        let acknowledged = row.acknowledged.map_or("等待 waits".to_owned(), |at| at.to_string());
        table.add_row([
            row.seq.to_string(),
            row.kind,
            row.made.to_string(),
            acknowledged,
            if row.has_evidence { "✓" } else { "" }.to_owned(),
            row.bytes.to_string(),
        ]);
    }
    say(table);
    say(format_args!("{all} 条，{waiting} 条等待平台确认 · {all} rows, {waiting} wait for the platform"));
    Ok(Code::Fine)
}

fn verify(state: &Path, as_json: bool) -> anyhow::Result<Code> {
    let key = identity::statement_key(state).map_err(Ending::config)?.verifying_key();
    let found = open(state)?.verify(&key)?;
    if as_json {
        let chain = |chain: &crate::store::ChainFound| json!({ "epoch": chain.epoch, "first": chain.first, "last": chain.last, "acknowledged": chain.acknowledged });
        say_json(
            &json!({ "chains": found.chains.iter().map(chain).collect::<Vec<_>>(), "pruned": found.pruned, "faults": found.faults }),
        )?;
    } else {
        let mut table = Table::new();
        table.set_header(["数据链 chain", "从 from", "到 to", "已确认 acknowledged"]);
        for chain in &found.chains {
            let numbers = [chain.first, chain.last, chain.acknowledged].map(|number| number.to_string());
            table.add_row(std::iter::once(chain.epoch.clone()).chain(numbers));
        }
        say(table);
        if found.pruned > 0 {
            say(format_args!(
                "{} 条因空间不足只留摘要 · {0} rows gave up body or evidence for want of room; the platform is told",
                found.pruned
            ));
        }
        found.faults.iter().for_each(say);
        say(match found.faults.len() {
            0 => {
                "通过：每条都由本机签名且相接 · every row is signed by this device and follows the one before"
                    .to_owned()
            }
            faults => format!(
                "不通过：{faults} 处 · {faults} faults: somebody wrote into the journal, or the disk fails"
            ),
        });
    }
    Ok(if found.faults.is_empty() { Code::Fine } else { Code::Failed })
}

fn export(state: &Path, out: &Path) -> anyhow::Result<Code> {
    let key = identity::statement_key(state).map_err(Ending::config)?;
    let device = identity::bundle(state).map_err(Ending::config)?.device;
    let items = open(state)?.waiting()?;
    if items.is_empty() {
        say("没有等待发送的记录 · nothing waits");
        return Ok(Code::Fine);
    }
    let file = parcel::write(&device, Clock::system().now().wall, &items, &key)?;
    write_owner_only(out, &file).map_err(Ending::failed)?;
    say(format_args!(
        "{} 条已写入 · {0} rows are in {}; 平台端 on the platform: bedcheck-platform ingest",
        items.len(),
        out.display()
    ));
    Ok(Code::Fine)
}

fn accept(state: &Path, path: &Path) -> anyhow::Result<Code> {
    let bundle = identity::bundle(state).map_err(Ending::config)?;
    let platform = identity::platform(state, &bundle).map_err(Ending::config)?;
    let signer =
        identity::signer(state, &bundle, String::new(), Digests::default()).map_err(Ending::config)?;
    let before = open(state)?.count()?.1;
    let mut journal = Journal::open(&state.join("journal.db"), signer)?;
    let file = read_at_most(path, parcel::MOST_BYTES).map_err(Ending::failed)?;
    for (at, line) in file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let refused = |why: String| Ending::failed(format!("{}:{}: {why}", path.display(), at + 1));
        let envelope: Envelope = serde_json::from_slice(line).map_err(|error| refused(error.to_string()))?;
        let believed = uplink::believed(&envelope, &platform.receipt_key, &bundle.device);
        let Acknowledged { receipt, digest } = believed.map_err(|error| {
            refused(match error {
                UplinkError::Receipt(why) => format!("不是本平台的回执 · no receipt of our platform: {why}"),
                UplinkError::OtherDevice(device) => format!("是给设备 {device} 的 · is for device {device}"),
                other @ (UplinkError::Client(_)
                | UplinkError::Encode(_)
                | UplinkError::Busy { .. }
                | UplinkError::Refused { .. }
                | UplinkError::OtherPlatform
                | UplinkError::Nonsense(_)) => other.to_string(),
            })
        })?;
        if !journal.acknowledge(&receipt.head, &digest, Clock::system().now().wall)? {
            return Err(refused(
                "所确认的不是本机记录 · acknowledges what this journal does not hold".to_owned(),
            )
            .into());
        }
    }
    let waiting = open(state)?.count()?.1;
    say(format_args!(
        "{} 条已确认，{waiting} 条等待 · {0} rows acknowledged, {waiting} wait",
        before - waiting
    ));
    Ok(Code::Fine)
}
