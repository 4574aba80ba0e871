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

/// What it wrote to its log.
fn assert_as_expected(child: Child) -> String {
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
    story.into_owned()
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
    let story = assert_as_expected(demo(home.path()));
    assert_nothing_lost_or_doubled(home.path());
    let canaries = canaries(home.path());
    // The hospital's own roster is one file where they are; if they were not found there, they would be found nowhere.
    let roster = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/roster/ward-3a.csv")).unwrap();
    assert_eq!(hits(&roster, &canaries).len(), 42);
    let files = assert_no_canary(home.path(), &canaries);
    assert!(files > 12, "only {files} files");
    assert!(hits(story.as_bytes(), &canaries).is_empty(), "the log names somebody");
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

/// What must never lie on a disk in the clear: names and numbers of patients, their faces as pictures or as numbers.
fn canaries(home: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let roster =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/roster/ward-3a.csv")).unwrap();
    let mut found: Vec<(&str, Vec<u8>)> = Vec::new();
    for row in roster.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        for (what, at) in [("a number", 2), ("a name", 3), ("an id number", 4)] {
            found.push((what, cells[at].as_bytes().to_vec()));
        }
    }
    let manifest =
        bedcheck::vision::manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models")).unwrap();
    let store = bedcheck::store::TemplateStore::open(&home.join("agent")).unwrap();
    for (_, template) in store.all(&manifest.embedder.sha256).unwrap() {
        let bytes: Vec<u8> = template.reveal()[..8].iter().flat_map(|value| value.to_le_bytes()).collect();
        found.push(("a face as numbers", bytes));
        found.push(("a face as text", format!("{}", template.reveal()[0]).into_bytes()));
    }
    found.push(("a JPEG", b"\xff\xd8\xff\xe0\x00\x10JFIF".to_vec()));
    found.push(("a PNG", b"\x89PNG\r\n\x1a\n".to_vec()));
    assert!(found.len() > 80, "only {} canaries", found.len());
    found
}

fn hits(bytes: &[u8], canaries: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let is_in = |canary: &Vec<u8>| bytes.windows(canary.len()).any(|window| window == canary.as_slice());
    canaries.iter().filter(|(_, canary)| is_in(canary)).map(|(what, _)| *what).collect()
}

fn assert_no_canary(folder: &Path, canaries: &[(&'static str, Vec<u8>)]) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_no_canary(&path, canaries);
            continue;
        }
        files += 1;
        let found = hits(&fs::read(&path).unwrap(), canaries);
        assert!(found.is_empty(), "{found:?} lies in the clear in {}", path.display());
    }
    files
}
