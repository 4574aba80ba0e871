//! `bedcheck doctor`: what is good, what is not, and what to do next.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::agent::cmd::config::Which;
use crate::agent::cmd::{say, say_json, support, tokio};
use crate::agent::doctor::{Examination, Grade, Line, Snapshot, examine};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::files::{make_owner_only_folder, write_owner_only};
use crate::base::frame::Picture;
use crate::base::picture::encode_png;

#[derive(clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    which: Which,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Saves one picture of each camera here, owner-only; everything outside the bed zones is dark.
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Writes a file (.zip) for whoever helps from afar: findings, log and configuration, nobody's data.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

/// Width of a picture in the terminal, in characters.
const COLUMNS: u32 = 64;

impl Doctor {
    /// Of this configuration, with pictures into that folder.
    pub fn at(which: Which, png: Option<PathBuf>) -> Doctor {
        Doctor { which, json: false, png, bundle: None }
    }

    pub fn run(self) -> anyhow::Result<Code> {
        let now = Clock::system().now();
        let found = tokio()?.block_on(examine(&self.which.config, &self.which.above(), now));
        if let Some(folder) = &self.png {
            save(folder, &found.snapshots)?;
        }
        let worst = found.lines.iter().map(|line| line.grade).max().unwrap_or(Grade::Good);
        if let Some(bundle) = &self.bundle {
            support::write(bundle, &self.which.config, &as_json(&found, worst), now)?;
        }
        if self.json {
            say_json(&as_json(&found, worst))?;
        } else {
            show(&found, self.png.is_none() && std::io::stdout().is_terminal());
        }
        Ok(if worst == Grade::Bad || is_refused(&found) { Code::Failed } else { Code::Fine })
    }
}

/// The running agent goes on, and not with what is written: a script should notice.
fn is_refused(found: &Examination) -> bool {
    found.lines.iter().any(|line| line.what == "running" && line.grade != Grade::Good)
}

fn save(folder: &Path, snapshots: &[Snapshot]) -> anyhow::Result<()> {
    make_owner_only_folder(folder).map_err(Ending::failed)?;
    for Snapshot { camera, picture } in snapshots {
        let bytes = encode_png(picture).map_err(Ending::failed)?;
        write_owner_only(&folder.join(format!("{camera}.png")), &bytes).map_err(Ending::failed)?;
    }
    Ok(())
}

fn as_json(found: &Examination, worst: Grade) -> Value {
    let line = |line: &Line| {
        json!({ "what": line.what, "chinese": line.title.0, "grade": line.grade.name(), "found": line.found,
                "next": (!line.next.is_empty()).then_some(&line.next) })
    };
    json!({ "grade": worst.name(), "lines": found.lines.iter().map(line).collect::<Vec<_>>() })
}

fn show(found: &Examination, with_pictures: bool) {
    for line in &found.lines {
        let (chinese, english) = line.title;
        let text = line.found.replace('\n', "\n        ");
        say(format!("{} {}  {chinese} {english}: {text}", mark(line.grade), line.grade.chinese()));
        if !line.next.is_empty() {
            say(format!("        → {}", line.next));
        }
        let camera = line.what.strip_prefix("camera.");
        let picture = found.snapshots.iter().find(|snapshot| Some(snapshot.camera.as_str()) == camera);
        if let Some(snapshot) = picture.filter(|_| with_pictures) {
            say(blocks(&snapshot.picture));
        }
    }
    let count = |grade| found.lines.iter().filter(|line| line.grade == grade).count();
    let (bad, attention) = (count(Grade::Bad), count(Grade::Attention));
    say(format!("\n{bad} 坏 bad, {attention} 注意 attention, {} 好 good", count(Grade::Good)));
    let first = [Grade::Bad, Grade::Attention]
        .into_iter()
        .find_map(|grade| found.lines.iter().find(|line| line.grade == grade));
    match first {
        Some(line) => say(format!("下一步 next: {}: {}", line.title.0, line.next)),
        None => say("下一步 next: systemctl enable --now bedcheck"),
    }
}

fn mark(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "✓",
        Grade::Attention => "!",
        Grade::Bad => "✗",
    }
}

/// The picture in half blocks, two pixels on each other in one character, 24-bit colour.
fn blocks(picture: &Picture) -> String {
    let (width, height) = (picture.width(), picture.height());
    let columns = COLUMNS.min(width);
    let rows = (columns * height / width / 2).max(1);
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x * width / columns, (y * height / (rows * 2)).min(height - 1));
        let at = (y as usize * width as usize + x as usize) * 3;
        let rgb = &picture.rgb()[at..at + 3];
        format!("{};{};{}", rgb[0], rgb[1], rgb[2])
    };
    let mut text = String::new();
    for row in 0..rows {
        text.push_str("        ");
        for column in 0..columns {
            let (upper, lower) = (pixel(column, 2 * row), pixel(column, 2 * row + 1));
            let _ = write!(text, "\x1b[38;2;{upper};48;2;{lower}m▀");
        }
        text.push_str("\x1b[0m\n");
    }
    text.pop();
    text
}
