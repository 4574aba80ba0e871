//! `bedcheck config check | explain | schema | init`.

pub(super) mod init;

use std::io::IsTerminal;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::agent::cmd::{say, say_json};
use crate::agent::config::check::Complaints;
use crate::agent::config::source::SourceKind;
use crate::agent::config::{self, Above, ConfigError, Settings, explain, schema};
use crate::base::exit::{Code, Ending};

#[derive(clap::Args)]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// 检查 · every problem with line, column and remedy.
    Check(Check),
    /// 解释 · what a key means, takes and is without being written.
    Explain(Explain),
    /// JSON Schema, for editors.
    Schema,
    /// 新建 · asks what must be known and writes a commented file.
    Init(init::Init),
}

impl Config {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.command {
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Schema => {
                say_json(&schema::schema())?;
                Ok(Code::Fine)
            }
            Command::Init(init) => init.run(),
        }
    }
}

/// Which configuration: the file, and what lies above it.
#[derive(clap::Args, Clone)]
pub(crate) struct Which {
    /// Configuration file; `conf.d/*.toml` beside it and variables BEDCHECK_… lie above it.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    pub config: PathBuf,
    /// Sets one key for this call: --set patrol.every=2h.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Which {
    /// This file and what the environment lays above it.
    pub fn file(config: PathBuf) -> Which {
        Which { config, set: Vec::new() }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`ConfigError`] with every complaint.
    pub fn read(&self) -> Result<Settings, ConfigError> {
        config::read_below(&self.config, &self.above())
    }

    /// What lies above the file.
    pub fn above(&self) -> Above {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        };
        Above { flags: self.set.iter().map(pair).collect(), ..Above::environment() }
    }
}

#[derive(clap::Args)]
struct Check {
    #[command(flatten)]
    which: Which,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Check {
    fn run(self) -> anyhow::Result<Code> {
        match self.which.read() {
            Ok(settings) => {
                if self.json {
                    say_json(&json!({ "ok": true, "complaints": [] }))?;
                    return Ok(Code::Fine);
                }
                let (cameras, beds) = (settings.cameras.len(), settings.beds.len());
                say(format!(
                    "配置正确：{cameras} 个摄像头，{beds} 张床 · the configuration is good: {cameras} cameras, {beds} beds"
                ));
                say("下一步 next: bedcheck doctor");
                Ok(Code::Fine)
            }
            Err(ConfigError::File(error)) => Err(Ending::config(ConfigError::File(error)).into()),
            Err(ConfigError::Content(complaints)) => {
                if self.json {
                    say_json(&json!({ "ok": false, "complaints": as_json(&complaints) }))?;
                } else {
                    report(&complaints);
                }
                Ok(Code::Config)
            }
        }
    }
}

/// Shows all complaints: pictures at a terminal, lines elsewhere.
pub(crate) fn report(complaints: &Complaints) {
    if std::io::stdout().is_terminal() {
        say(complaints.picture(std::env::var_os("NO_COLOR").is_none()));
    } else {
        say(complaints);
    }
    let number = complaints.len();
    say(format!("共 {number} 处问题 · {number} problems"));
}

/// For machines; values in variables have no line.
pub(crate) fn as_json(complaints: &Complaints) -> Value {
    let one = |complaint: &&config::check::Complaint| {
        let source = &complaints.sources[complaint.place.source];
        let (line, column) = source.line_and_column(complaint.place.start);
        let is_file = matches!(source.kind, SourceKind::File(_));
        json!({
            "source": source.name(), "line": is_file.then_some(line), "column": is_file.then_some(column),
            "chinese": complaint.chinese, "english": complaint.english,
        })
    };
    complaints.in_order().iter().map(one).collect()
}

#[derive(clap::Args)]
struct Explain {
    /// Such as patrol.every, camera.empty or a table (patrol); everything when absent.
    #[arg(value_name = "KEY", default_value = "")]
    key: String,
    /// A JSON list.
    #[arg(long)]
    json: bool,
}

impl Explain {
    fn run(self) -> anyhow::Result<Code> {
        // People copy [patrol] and [[camera]] from the file as they stand there.
        let key = self.key.replace(['[', ']'], "");
        let Some(text) = explain::explain(&key) else {
            let guess = explain::suggestions(&key).join(", ");
            let guess = if guess.is_empty() {
                guess
            } else {
                format!("；是否想写 {guess}？ did you mean {guess}?")
            };
            return Err(Ending::failed(format!("没有配置项 {key:?} · there is no such key{guess}")).into());
        };
        match explain::as_json(&key) {
            Some(value) if self.json => say_json(&value)?,
            _ => say(text),
        }
        Ok(Code::Fine)
    }
}
