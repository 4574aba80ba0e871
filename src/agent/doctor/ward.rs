//! What comes from the hospital and what waits for the platform.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::agent::config::Settings;
use crate::agent::doctor::Line;
use crate::base::clock::{Now, Wall};
use crate::hospital::roster_file::{self, RosterFile};
use crate::store::TemplateStore;
use crate::vision::manifest;

/// A ward admits somebody nearly every day: an older file is probably not written any more.
const OLD: Duration = Duration::from_secs(36 * 3600);
/// Unacknowledged for so long, somebody should look at the line.
const WAITING: Duration = Duration::from_secs(24 * 3600);

/// The roster file, and the people of it who are enrolled.
pub fn roster(settings: &Settings, now: Now) -> Vec<Line> {
    let title = ("名册", "roster");
    let Some(path) = &settings.roster else {
        let text = "由接口提供 · comes over the network: HL7, HTTP, FHIR";
        return vec![Line::good("roster", title, text.to_owned())];
    };
    let roster = match roster_file::read(path, now.wall) {
        Ok(roster) => roster,
        Err(error) => {
            let next = "请按提示改正名册文件 · correct the file as it says";
            return vec![Line::good("roster", title, error.to_string()).bad(next)];
        }
    };
    let (age, path) = (age_of(path, now), path.display());
    let hours =
        age.map_or_else(String::new, |age| format!("，{} 小时前更新 hours old", age.as_secs() / 3600));
    let line = Line::good("roster", title, format!("{path}: {} 人在院 stays{hours}", roster.entries.len()));
    let watched: BTreeSet<&str> = settings.beds.iter().map(|bed| bed.id.as_str()).collect();
    let unseen: Vec<&str> =
        roster.entries.iter().map(|entry| entry.bed.as_str()).filter(|bed| !watched.contains(bed)).collect();
    let line = if age.is_some_and(|age| age > OLD) {
        line.attention("名册很久没有更新，请检查导出任务 · not updated for long: check the export")
    } else if unseen.is_empty() {
        line
    } else {
        line.attention(format!(
            "这些床没有画区域 beds of the roster without a zone: {}；bedcheck zones",
            unseen.join(", ")
        ))
    };
    vec![line, enrolled(settings, &roster)]
}

fn age_of(path: &Path, now: Now) -> Option<Duration> {
    let changed = std::fs::metadata(roster_file::newest(path)).ok()?.modified().ok()?;
    let changed = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(now.wall.since(Wall(i64::try_from(changed.as_millis()).ok()?)))
}

fn enrolled(settings: &Settings, roster: &RosterFile) -> Line {
    let title = ("人脸登记", "enrolment");
    let next = "bedcheck enrol";
    let counted = || -> Result<(usize, usize), String> {
        // Opening would make them, and looking must change nothing.
        if ["template.key", "journal.db"].iter().any(|file| !settings.state.join(file).exists()) {
            return Ok((0, 0));
        }
        let folder = settings.models.clone().map_or_else(crate::agent::tasks::default_models, Ok);
        let manifest =
            manifest::read(&folder.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        let store = TemplateStore::open(&settings.state).map_err(|error| error.to_string())?;
        let models = &manifest.embedder.sha256;
        let outdated = store.outdated(models).map_err(|error| error.to_string())?;
        let all = store.all(models).map_err(|error| error.to_string())?;
        let known: BTreeSet<_> = all.iter().map(|(stay, _)| stay).collect();
        Ok((roster.entries.iter().filter(|entry| known.contains(&entry.stay)).count(), outdated))
    };
    let stays = roster.entries.len();
    match counted() {
        Err(error) => Line::good("enrolment", title, error).bad(next),
        Ok((people, outdated)) => {
            let line = Line::good("enrolment", title, format!("{people} / {stays} 人已登记 enrolled"));
            if outdated > 0 {
                line.attention(format!("{outdated} 人用旧模型登记 enrolled with other models: {next}"))
            } else if people < stays {
                line.attention(format!("{} 人未登记，无法比对 cannot be compared: {next}", stays - people))
            } else {
                line
            }
        }
    }
}

/// What the platform has not acknowledged.
pub fn outbox(settings: &Settings, now: Now) -> Line {
    let title = ("待发送", "outbox");
    let path = settings.state.join("journal.db");
    if !path.exists() {
        return Line::good("outbox", title, "尚未运行过 · no agent ran here yet");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let asked = Connection::open_with_flags(&path, flags).and_then(|connection| {
        connection.query_row("SELECT count(*), min(made_ms) FROM event WHERE acked_ms IS NULL", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })
    });
    match asked {
        Err(error) => Line::good("outbox", title, format!("{}: {error}", path.display()))
            .bad("检查磁盘和权限 · check disk and permissions"),
        Ok((0, _)) => Line::good("outbox", title, "平台已全部确认 · everything is acknowledged"),
        Ok((rows, oldest)) => {
            let age = oldest.map_or(Duration::ZERO, |made| now.wall.since(Wall(made)));
            let hours = age.as_secs() / 3600;
            let line = Line::good("outbox", title, format!("{rows} 条待确认 wait, 最早 oldest {hours} h"));
            if age > WAITING {
                line.attention(
                    "平台久未确认，请检查网络 · the platform has not acknowledged for long: check the line",
                )
            } else {
                line
            }
        }
    }
}
