//! The house, enforced: who may import whom, what the pure part may not touch, and how long a file may be.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module → what it may import besides itself. The order is the layering; siblings are strangers.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("domain", &["base"]),
    ("wire", &["base", "domain"]),
    ("net", &["base"]),
    ("capture", &["base"]),
    ("vision", &["base", "domain"]),
    ("store", &["base", "domain", "wire"]),
    ("uplink", &["base", "wire", "net"]),
    ("kiosk", &["base", "domain", "net"]),
    ("hospital", &["base", "domain", "net"]),
    (
        "agent",
        &["base", "domain", "wire", "net", "capture", "vision", "store", "uplink", "kiosk", "hospital"],
    ),
    ("platform", &["base", "domain", "wire", "net", "hospital"]),
    ("audit", &["base", "domain", "wire"]),
    ("bin", &["agent", "platform", "audit"]),
];

/// What the pure part may not touch: clock, disk, network, tasks, chance and hash order.
const BANNED_IN_DOMAIN: [(&str, &str); 16] = [
    ("std::fs", "disk"),
    ("std::net", "network"),
    ("std::io", "input and output"),
    ("std::thread", "threads"),
    ("std::env", "environment"),
    ("std::process", "processes"),
    ("std::sync", "shared state"),
    ("SystemTime", "clock"),
    ("time::Instant", "clock"),
    ("Clock::", "clock"),
    ("jiff", "clock"),
    ("tokio", "tasks"),
    ("getrandom", "chance"),
    ("rand::", "chance"),
    ("HashMap", "hash order"),
    ("HashSet", "hash order"),
];

const MOST_LINES: usize = 500;
const MOST_LINES_OF_A_PROGRAM: usize = 120;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Lines with comments and string contents taken out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(at, line)| {
        let line = line.split("//").next().unwrap_or_default();
        let mut outside = true;
        let kept: String = line
            .chars()
            .filter(|c| {
                if *c == '"' {
                    outside = !outside;
                }
                outside
            })
            .collect();
        (at + 1, kept)
    })
}

fn module_of(path: &Path) -> String {
    path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The top modules named in one line: after `crate::`, after `bedcheck::`, and in `use crate::{...}` groups.
fn named_modules(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "bedcheck::"] {
        for part in line.split(root).skip(1) {
            let names = part.strip_prefix('{').map_or(part, |group| group.split('}').next().unwrap_or(group));
            let group = part.starts_with('{');
            for name in names.split(',').take(if group { usize::MAX } else { 1 }) {
                let name: String =
                    name.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_the_map_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut complaints = Vec::new();
    let mut imports = 0;
    for (path, text) in all_sources() {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let Some(may) = allowed.get(module.as_str()) else {
            complaints.push(format!("src/{}: module {module} is not on the map", path.display()));
            continue;
        };
        for (line, code) in code_lines(&text) {
            for name in named_modules(&code) {
                if allowed.contains_key(name.as_str()) {
                    imports += 1;
                    if name != module && !may.contains(&name.as_str()) {
                        complaints
                            .push(format!("src/{}:{line}: {module} must not import {name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(imports > 100, "only {imports} imports were seen: the reader is broken");
}

#[test]
fn the_domain_is_pure() {
    let mut complaints = Vec::new();
    let mut files = 0;
    for (path, text) in all_sources() {
        if module_of(&path) != "domain" {
            continue;
        }
        files += 1;
        for (line, code) in code_lines(&text) {
            for (banned, what) in BANNED_IN_DOMAIN {
                if code.contains(banned) {
                    complaints
                        .push(format!("src/{}:{line}: {banned} ({what}) in the pure domain", path.display()));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(files >= 8);
}

/// What an auditor runs must not speak to anybody or keep anything.
#[test]
fn the_verifier_has_no_network_and_no_database() {
    let mut files = 0;
    for (path, text) in all_sources() {
        if !["audit", "wire"].contains(&module_of(&path).as_str()) {
            continue;
        }
        files += 1;
        for (line, code) in code_lines(&text) {
            for banned in ["tokio", "reqwest", "hyper", "rusqlite", "sqlite", "std::net", "std::process"] {
                assert!(!code.contains(banned), "src/{}:{line}: {banned}", path.display());
            }
        }
    }
    assert!(files >= 12);
}

#[test]
fn files_fit_a_readers_head() {
    let mut complaints = Vec::new();
    for (path, text) in all_sources() {
        let limit = if module_of(&path) == "bin" { MOST_LINES_OF_A_PROGRAM } else { MOST_LINES };
        let lines = text.lines().count();
        if lines > limit {
            complaints.push(format!("src/{}: {lines} lines, at most {limit}", path.display()));
        }
        if !text.starts_with("//!") {
            complaints.push(format!("src/{}: does not begin by saying what it is (//!)", path.display()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_module_of_the_map_is_declared_and_nothing_else_is_at_the_top() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "cross.toml"];
    let folders = ["src", "models", "firmware-config", "tests", "assets", "target"];
    for entry in fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || kept.contains(&name.as_str()) || folders.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
    let map = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    for (path, _) in all_sources() {
        let module = module_of(&path);
        assert!(
            module == "lib" || module == "bin" || map.contains(&format!("pub mod {module};")),
            "{module} is not on the map in src/lib.rs"
        );
    }
}

#[test]
fn the_reader_of_this_test_sees_what_it_should() {
    assert_eq!(named_modules("use crate::wire::batch::Item;"), ["wire"]);
    assert_eq!(named_modules("use crate::{agent, store::Journal};"), ["agent", "store"]);
    let seen: Vec<(usize, String)> = code_lines("a // crate::x\nlet b = \"crate::y\";").collect();
    assert_eq!(seen[0].1.trim(), "a");
    assert!(!seen[1].1.contains("crate"));
}
