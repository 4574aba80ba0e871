//! `bedcheck doctor`: everything a terminal needs, looked at one after another, with what to do next. Works without a
//! running agent and beside one; changes nothing.

mod cameras;
mod device;
mod ports;
mod ward;

use std::path::{Path, PathBuf};

use crate::agent::config::{Above, ConfigError, Settings, read_below};
use crate::agent::health::ConfigState;
use crate::base::clock::Now;

pub use cameras::{Snapshot, snapshots};

/// How one thing is. In the order of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    /// Works, and somebody should look at it.
    Attention,
    /// Keeps the agent from working.
    Bad,
}

impl Grade {
    pub fn chinese(self) -> &'static str {
        match self {
            Grade::Good => "好",
            Grade::Attention => "注意",
            Grade::Bad => "坏",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Attention => "attention",
            Grade::Bad => "bad",
        }
    }
}

/// What was found about one thing, and what to do about it.
#[derive(Clone, Debug)]
pub struct Line {
    /// A short name for machines: `camera.cam-1`.
    pub what: String,
    /// Chinese and English.
    pub title: (&'static str, &'static str),
    pub grade: Grade,
    pub found: String,
    /// Empty where nothing has to be done.
    pub next: String,
}

impl Line {
    fn good(what: &str, title: (&'static str, &'static str), found: impl Into<String>) -> Line {
        Line { what: what.to_owned(), title, grade: Grade::Good, found: found.into(), next: String::new() }
    }

    fn attention(self, next: impl Into<String>) -> Line {
        Line { grade: Grade::Attention, next: next.into(), ..self }
    }

    fn bad(self, next: impl Into<String>) -> Line {
        Line { grade: Grade::Bad, next: next.into(), ..self }
    }
}

/// Everything that was looked at.
pub struct Examination {
    pub lines: Vec<Line>,
    /// One for each camera that brought a picture.
    pub snapshots: Vec<Snapshot>,
}

/// Looks at everything. Needs a tokio runtime for the platform.
pub async fn examine(config: &Path, above: &Above, now: Now) -> Examination {
    let mut lines = Vec::new();
    let settings = configuration(config, above, &mut lines);
    lines.push(device::board());
    lines.extend(device::lamp());
    lines.push(device::library());
    let Some(settings) = settings else {
        return Examination { lines, snapshots: Vec::new() };
    };
    lines.extend(running(&settings, config));
    lines.push(device::models(&settings));
    lines.extend(device::updates(&settings));
    let (of_cameras, snapshots) = cameras::look(&settings).await;
    lines.extend(of_cameras);
    lines.push(cameras::beds(&settings));
    lines.push(device::clock(&settings, now));
    lines.push(device::disk(&settings));
    lines.push(device::keys(&settings));
    lines.extend(device::identity(&settings, now).await);
    lines.extend(ward::roster(&settings, now));
    lines.extend(ports::look(&settings, now).await);
    lines.push(ward::outbox(&settings, now));
    Examination { lines, snapshots }
}

const CONFIGURATION: (&str, &str) = ("配置", "configuration");

fn configuration(path: &Path, above: &Above, lines: &mut Vec<Line>) -> Option<Settings> {
    match read_below(path, above) {
        Ok(settings) => {
            let found = format!(
                "{}: {} 摄像头 cameras, {} 床 beds",
                path.display(),
                settings.cameras.len(),
                settings.beds.len()
            );
            lines.push(Line::good("configuration", CONFIGURATION, found));
            Some(settings)
        }
        Err(ConfigError::File(error)) => {
            let next = "新建 write one: bedcheck config init";
            lines.push(Line::good("configuration", CONFIGURATION, error.to_string()).bad(next));
            None
        }
        Err(ConfigError::Content(complaints)) => {
            let next = "改好后再查 correct it, then: bedcheck config check";
            lines.push(Line::good("configuration", CONFIGURATION, complaints.to_string()).bad(next));
            None
        }
    }
}

/// What the running agent last said about the configuration.
fn running(settings: &Settings, config: &Path) -> Option<Line> {
    let state = ConfigState::read(&settings.state)?;
    let line = |found: String| Line::good("running", ("运行中的配置", "configuration in use"), found);
    Some(if !state.is_good {
        line(format!(
            "{} 未采用，仍用上一份 · refused at {}, the last good one is used:\n{}",
            config.display(),
            state.read,
            state.complaints.join("\n")
        ))
        .attention("改正后自动生效 · it is taken by itself once it is right")
    } else if !state.needs_restart.is_empty() {
        line(format!("改动需重启才生效 · changed and not yet in use: {}", state.needs_restart.join(", ")))
            .attention("systemctl restart bedcheck")
    } else {
        line(format!("最近读取 last read {}", state.read))
    })
}

/// The folder beside which something is looked for that may not exist yet.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}
