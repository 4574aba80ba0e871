//! `bedcheck config init`: a first configuration, by questions or from a file of answers.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::agent::cmd::camera::{first_usb, say_usb};
use crate::agent::cmd::config::report;
use crate::agent::cmd::say;
use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{self, Need};
use crate::agent::config::kinds::Kind;
use crate::agent::config::source::{Place, Source};
use crate::agent::config::tree::{Entry, Node, Table, Value};
use crate::agent::config::write::{Unsaid, commented};
use crate::agent::config::{self, ConfigError, schema, syntax};
use crate::base::exit::{Code, Ending};
use crate::base::files::write_owner_only;

/// What is asked; everything else has a default or is drawn on the page.
const ASKED: [&str; 8] =
    ["mode", "state", "evidence", "ward.id", "ward.roster", "legal.basis", "legal.decided", "legal.by"];
/// Where a camera's pictures may come from (the key of that name), Chinese and English, and what is asked with it.
const SOURCES: [(&str, &str, &str, &[&str]); 4] = [
    ("usb", "USB 摄像头", "a USB camera", &["camera.usb"]),
    (
        "rtsp",
        "网络摄像头码流",
        "an IP camera's stream",
        &["camera.rtsp", "camera.user", "camera.password_file"],
    ),
    (
        "snapshot",
        "网络摄像头抓图",
        "an IP camera's snapshots",
        &["camera.snapshot", "camera.user", "camera.password_file"],
    ),
    ("recorded", "录像", "a recording", &["camera.recorded"]),
];
/// Wrong answers to one question before we give up: a script that answers nonsense must end.
const TRIES: usize = 5;
const MOST_CAMERAS: usize = 64;

#[derive(clap::Args)]
pub struct Init {
    /// Where to write; must not exist.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// TOML with the keys that are known already; nothing is asked.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl Init {
    pub fn run(self) -> anyhow::Result<Code> {
        if self.config.exists() {
            let path = self.config.display();
            return Err(Ending::failed(format!(
                "{path} 已存在，不会覆盖；先移走它，或用 --config 换个名字 · {path} exists and is not overwritten: move it away or name another with --config"
            ))
            .into());
        }
        let said = match &self.answers {
            Some(path) => match answers(path) {
                Ok(said) => said,
                Err(ConfigError::Content(complaints)) => {
                    report(&complaints);
                    return Ok(Code::Config);
                }
                Err(error) => return Err(Ending::config(error).into()),
            },
            None => Questions::new().ask()?,
        };
        write_owner_only(&self.config, commented(&said, Unsaid::Commented).as_bytes())
            .map_err(Ending::failed)?;
        let schema_path = self.config.with_file_name("config.schema.json");
        let schema_text = serde_json::to_string_pretty(&schema::schema())?;
        write_owner_only(&schema_path, format!("{schema_text}\n").as_bytes()).map_err(Ending::failed)?;
        say(format!("已写入 written: {}", self.config.display()));
        if let Err(ConfigError::Content(complaints)) = config::read(&self.config) {
            say("还需要处理 still to do:");
            report(&complaints);
        }
        say("下一步 next: bedcheck doctor");
        Ok(Code::Fine)
    }

    /// Asks and writes it there.
    pub fn at(config: PathBuf, answers: Option<PathBuf>) -> Init {
        Init { config, answers }
    }
}

/// A file of answers must be TOML; what it says is checked after it was written out.
fn answers(path: &Path) -> Result<Table, ConfigError> {
    let mut complaints = Complaints::default();
    let source = Source::file(path, &mut complaints)?;
    let said = syntax::parse(source, &mut complaints);
    if complaints.is_empty() { Ok(said) } else { Err(ConfigError::Content(complaints)) }
}

/// Asks at the terminal, or reads one answer from each line of standard input.
struct Questions {
    lines: std::io::Lines<std::io::StdinLock<'static>>,
    is_terminal: bool,
}

impl Questions {
    fn new() -> Questions {
        Questions { lines: std::io::stdin().lines(), is_terminal: std::io::stdin().is_terminal() }
    }

    fn ask(&mut self) -> anyhow::Result<Table> {
        say("直接回车采用方括号里的值 · Enter takes the value in brackets");
        let mut said = Table::new(Place::head(0));
        for path in ASKED {
            if let Some(node) = self.one(path)? {
                said.put(path, node);
            }
        }
        let mut cameras = Vec::new();
        while cameras.len() < MOST_CAMERAS {
            let mut camera = Table::new(Place::head(0));
            self.all_of(&mut camera, &["camera.id"])?;
            let asked = self.source()?;
            self.all_of(&mut camera, asked)?;
            self.all_of(&mut camera, &["camera.mode", "camera.empty"])?;
            cameras.push(Node { place: Place::head(0), value: Value::Table(camera) });
            if !self.yes("再加一个摄像头？ another camera? [n]")? {
                break;
            }
        }
        let node = Node { place: Place::head(0), value: Value::List(cameras) };
        said.entries.insert("camera".to_owned(), Entry { key: Place::head(0), node });
        say("床位请在本机页面上画：bedcheck zones · beds are drawn on the local page: bedcheck zones");
        Ok(said)
    }

    fn all_of(&mut self, camera: &mut Table, paths: &[&str]) -> anyhow::Result<()> {
        for path in paths {
            if let Some(node) = self.one(path)? {
                camera.put(path.trim_start_matches("camera."), node);
            }
        }
        Ok(())
    }

    /// What must be asked about the pictures of a camera; shows which USB cameras there are.
    fn source(&mut self) -> anyhow::Result<&'static [&'static str]> {
        for _ in 0..TRIES {
            self.prompt("图像来源 · where its pictures come from [usb]");
            for (word, chinese, english, _) in SOURCES {
                say(format!("    {word} {chinese} · {english}"));
            }
            let line = self.line()?;
            let wanted = if line.is_empty() { "usb" } else { line.as_str() };
            match SOURCES.iter().find(|(word, ..)| *word == wanted) {
                Some((word, .., asked)) => {
                    if *word == "usb" {
                        say_usb();
                    }
                    return Ok(asked);
                }
                None => say("  请从上面选一个 · one of those above"),
            }
        }
        Err(Ending::failed(format!("图像来源：多次回答不正确 · no usable answer in {TRIES} tries")).into())
    }

    fn one(&mut self, path: &str) -> anyhow::Result<Option<Node>> {
        let key = keys::all().into_iter().find(|(known, _)| known == path).map(|(_, key)| key);
        let key = key.ok_or_else(|| anyhow::anyhow!("{path} is asked and is no key"))?;
        let is_optional = matches!(key.need, Need::Optional(_));
        let found = (path == "camera.usb").then(first_usb).flatten().map(|name| name.display().to_string());
        let usual = if is_optional { "" } else { found.as_deref().unwrap_or(key.need.text()) };
        for _ in 0..TRIES {
            self.prompt(&format!("{} · {} [{}]", key.chinese, key.english, usual));
            if let Kind::Word(words) = key.kind {
                for (word, chinese, english) in words {
                    say(format!("    {word} {chinese} · {english}"));
                }
            }
            let line = self.line()?;
            let text = if line.is_empty() { usual } else { line.as_str() };
            if text.is_empty() && is_optional {
                return Ok(None);
            }
            let place = Place::head(0);
            let node = Node { value: key.kind.value_of(text, &place), place };
            match key.kind.meaning(&node) {
                Ok(_) => return Ok(Some(node)),
                Err((chinese, english)) => say(format!("  {chinese} · {english}")),
            }
        }
        Err(Ending::failed(format!("{path}: 多次回答不正确 · no usable answer in {TRIES} tries")).into())
    }

    fn yes(&mut self, question: &str) -> anyhow::Result<bool> {
        self.prompt(question);
        let answer = self.lines.next().transpose()?.unwrap_or_default();
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是" | "要"))
    }

    fn prompt(&self, question: &str) {
        say(question);
        if self.is_terminal {
            // A prompt that does not show is only ugly.
            let _ = std::io::stdout().flush();
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let line = self.lines.next().transpose()?.ok_or_else(|| {
            Ending::usage("没有更多输入；无人值守时请用 --answers · no more input; without a terminal use --answers FILE")
        })?;
        Ok(line.trim().to_owned())
    }
}
