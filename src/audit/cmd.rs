//! The command line of `bedcheck-verify`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use comfy_table::Table;

use crate::audit::{Audit, Grade, Trusted, examine};
use crate::base::exit::{Code, arguments, say};
use crate::base::files::read_at_most;

/// A case of two thousand statements has about 10 MB.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
const MOST_NOTE: u64 = 16 * 1024;

/// 离线核验一份案卷 · checks an exported case without trusting anybody: no network, no database
#[derive(Parser)]
#[command(name = "bedcheck-verify", version)]
struct Arguments {
    /// File of `bedcheck-platform export`.
    case: PathBuf,
    /// Fingerprint of a key that you know from elsewhere; give all three (device, receipts, log).
    #[arg(long = "trust", value_name = "FINGERPRINT")]
    trusted: Vec<String>,
    /// File with a signed head of the log that you keep from earlier.
    #[arg(long = "head", value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the program; `args` begins with its name. Exit code 0 only when the case holds.
pub fn main(args: impl Iterator<Item = OsString>) -> Code {
    let said: Arguments = match arguments(args) {
        Ok(said) => said,
        Err(code) => return code,
    };
    match run(&said) {
        Ok(true) => Code::Fine,
        Ok(false) => Code::Failed,
        Err(complaint) => {
            complain(&complaint);
            Code::Failed
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let file = read_at_most(&arguments.case, MOST_BYTES).map_err(|error| error.to_string())?;
    let note = |path: &PathBuf| {
        let bytes = read_at_most(path, MOST_NOTE).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| format!("{} is no text", path.display()))
    };
    let heads = arguments.heads.iter().map(note).collect::<Result<_, _>>()?;
    let trusted = Trusted { fingerprints: arguments.trusted.clone(), heads };
    let audit = examine(&file, &trusted).map_err(|error| format!("不通过 does not hold: {error}"))?;
    if arguments.json {
        say(serde_json::to_string_pretty(&audit).map_err(|error| error.to_string())?);
    } else {
        show(&audit);
    }
    Ok(audit.holds())
}

fn show(audit: &Audit) {
    let claim = &audit.claim;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "—".to_owned());
    say(format_args!(
        "{} {} · 设备 device {} · 床 bed {} · 就诊 stay {}\n{}: {} — {}",
        claim.institution,
        claim.ward,
        claim.device,
        text(&claim.bed),
        text(&claim.stay),
        claim.kind,
        claim.first,
        claim.last
    ));
    if let Some(article) = &claim.article {
        say(format_args!("可能适用 may fall under: {article}"));
    }
    let mut table = Table::new();
    for answer in &audit.answers {
        let mark = match answer.grade {
            Grade::Good => "✓",
            Grade::Attention => "！",
            Grade::Bad => "✗",
        };
        table.add_row([mark, answer.title, answer.detail.as_str()]);
    }
    say(table);
    let mut times = Table::new();
    times.set_header(["序号 seq", "内容 what", "设备时间 said", "不早于 not before", "不晚于 not after"]);
    for bound in &audit.bounds {
        let time =
            |time: Option<crate::base::clock::Wall>| time.map_or("—".to_owned(), |time| time.to_string());
        times.add_row([
            bound.seq.to_string(),
            bound.kind.clone(),
            bound.said.to_string(),
            time(bound.not_before),
            time(bound.not_after),
        ]);
    }
    say(times);
    say(if audit.holds() { "通过 · the case holds" } else { "不通过 · the case does not hold" });
}

#[expect(clippy::print_stderr, reason = "the one place that says why the program ends")]
fn complain(text: &str) {
    eprintln!("bedcheck-verify: {text}");
}
