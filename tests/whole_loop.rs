//! The product doing its job, from pictures to the dashboard, through the built program. Needs `models/fetch-runtime`.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

/// Two demos at once would starve each other on a small machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn demo(home: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(["demo", "--once", "--json", "--keep"])
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn assert_as_expected(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let story = String::from_utf8_lossy(&output.stderr);
    let answer: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}\n{said}\n{story}"));
    let rows = answer["rows"].as_array().unwrap();
    assert!(rows.len() >= 8);
    for row in rows {
        assert_eq!(row["expected"], row["found"], "{row}\n{story}");
        assert_eq!(row["reached_dashboard"], true, "{row}\n{story}");
    }
    assert!(output.status.success(), "{:?}\n{story}", output.status);
}

/// Every event of the journal is on the platform exactly once, and no other.
fn assert_nothing_lost_or_doubled(home: &Path) {
    let ids = |path: &Path, query: &str| -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut query = connection.prepare(query).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let said =
        ids(&home.join("agent/journal.db"), "SELECT id FROM event WHERE acked_ms IS NOT NULL ORDER BY seq");
    let heard = ids(&home.join("platform/platform.db"), "SELECT id FROM link ORDER BY seq");
    assert!(said.len() > 30, "only {} events", said.len());
    assert_eq!(said, heard[..said.len().min(heard.len())], "what was acknowledged is there, once, in order");
    let unique: std::collections::BTreeSet<&String> = heard.iter().collect();
    assert_eq!(unique.len(), heard.len());
}

/// The platform's process of this demo.
fn platform_of(home: &Path) -> Option<u32> {
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.ok()?;
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (line.starts_with("bedcheck-platform serve") && line.contains(home.to_str()?)).then_some(pid)
    })
}

fn events_on_the_platform(home: &Path) -> i64 {
    Connection::open(home.join("platform/platform.db"))
        .and_then(|connection| connection.query_row("SELECT count(*) FROM link", [], |row| row.get(0)))
        .unwrap_or(0)
}

#[test]
fn the_demo_tells_every_story_and_each_reaches_the_dashboard() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let home = tempfile::tempdir().unwrap();
    assert_as_expected(demo(home.path()));
    assert_nothing_lost_or_doubled(home.path());
    for folder in ["agent", "platform"] {
        assert_no_picture_in_the_clear(&home.path().join(folder));
    }
}

#[test]
fn killing_the_platform_in_the_middle_loses_and_doubles_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let home = tempfile::tempdir().unwrap();
    let child = demo(home.path());
    let mut killed = Vec::new();
    // Twice: once when events begin to arrive, once well into the rounds.
    for wanted in [4, 25] {
        for _ in 0..2400 {
            if events_on_the_platform(home.path()) >= wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The shell has its own kill; a minimal system has no other.
        if let Some(pid) = platform_of(home.path()).filter(|pid| !killed.contains(pid)) {
            Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap();
            killed.push(pid);
        }
    }
    assert_as_expected(child);
    assert_eq!(killed.len(), 2, "the platform was to be killed twice");
    assert_nothing_lost_or_doubled(home.path());
}

/// No JPEG lies on either side's disk: crops are sealed on the device and stay sealed on the platform.
fn assert_no_picture_in_the_clear(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_picture_in_the_clear(&path);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(10).any(|w| w[..4] == [0xFF, 0xD8, 0xFF, 0xE0] && &w[6..10] == b"JFIF");
        assert!(!found, "a picture lies in the clear in {}", path.display());
    }
}
