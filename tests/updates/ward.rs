//! The built programs with real nets: a pack from the supervisor to the running agent, and back where it does not work.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bedcheck::base::files::sha256_hex;
use rusqlite::Connection;
use serde_json::Value;

use crate::common::{changed_pack, root};
use crate::terminal::Terminal;

const RUN: [&str; 3] = ["run", "--config", "config.toml"];

/// Rounds every few seconds, whose looks need nobody enrolled.
const QUICK: &str = "\n[patrol]\nevery = \"4s\"\ncheck_within = \"3s\"\nlooks = 1\nlook_spacing = \"0s\"\nheartbeat = \"1s\"\n\
    [liveness]\nmode = \"off\"\n[update]\nprobation = \"4s\"\n";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn platform(terminal: &Terminal, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
        .args(arguments)
        .current_dir(terminal.folder.path())
        .output()
        .unwrap()
}

/// A terminal that trusts a supervisor, by the programs alone.
fn trusting(more: &str) -> Terminal {
    let terminal = Terminal::new();
    terminal.configure(more);
    let made = platform(&terminal, &["update", "init", "--dir", "keys"]);
    assert!(made.status.success(), "{made:?}");
    let fingerprint = said(&made).lines().last().unwrap().to_owned();
    let trusted = terminal.bedcheck(&["update", "trust", "--config", "config.toml", "keys/root.json"]);
    assert!(trusted.status.success() && said(&trusted).contains(&fingerprint), "{trusted:?}");
    terminal
}

fn publish(terminal: &Terminal, version: u64, pack: &Path, policy: Option<&str>) -> String {
    let (out, version) = (format!("stick-{version}"), version.to_string());
    let pack = pack.display().to_string();
    let mut arguments =
        vec!["update", "publish", "--keys", "keys", "--out", &out, "--pack", &pack, "--version", &version];
    if let Some(policy) = policy {
        fs::write(terminal.folder.path().join("policy.toml"), policy).unwrap();
        arguments.extend(["--policy", "policy.toml"]);
    }
    let made = platform(terminal, &arguments);
    assert!(made.status.success(), "{}", said(&made));
    out
}

fn apply(terminal: &Terminal, stick: &str) -> (Option<i32>, String) {
    let output = terminal.bedcheck(&["update", "apply", "--config", "config.toml", stick]);
    (output.status.code(), said(&output))
}

fn status(terminal: &Terminal) -> Value {
    let output = terminal.bedcheck(&["update", "status", "--config", "config.toml", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

/// The body of the newest heartbeat in the journal, and the signed statement's digests.
fn newest_beat(terminal: &Terminal) -> Option<Value> {
    let journal = Connection::open(terminal.folder.path().join("state/journal.db")).ok()?;
    let query = "SELECT body FROM event WHERE body LIKE '%bedcheck.beat.v1%' ORDER BY seq DESC LIMIT 1";
    let body: String = journal.query_row(query, [], |row| row.get(0)).ok()?;
    Some(serde_json::from_str::<Value>(&body).unwrap()["data"]["bundle"].clone())
}

#[test]
fn a_pack_from_the_supervisor_runs_proves_itself_and_is_told_in_the_heartbeat() {
    let terminal = trusting(QUICK);
    // The shipped pack under another name: its digest says which is in use.
    let pack = changed_pack(|name, bytes| {
        let text = String::from_utf8_lossy(&bytes).replace("2026.11.2", "2026.11.9");
        if name == "manifest.toml" { text.into_bytes() } else { bytes }
    });
    let stick = publish(&terminal, 1, pack.path(), Some("schema = 1\nsample_at_least = 0.5\n"));
    let (code, text) = apply(&terminal, &stick);
    assert_eq!(code, Some(0), "{text}");
    let mut agent = terminal.start(&RUN, &[]);
    agent.until("the bundle proves itself", |said| said.contains("has proven itself"));
    agent.until("the heartbeat says so", |_| {
        newest_beat(&terminal).is_some_and(|beat| beat["version"] == 1 && beat["on_probation"].is_null())
    });
    let beat = newest_beat(&terminal).unwrap();
    assert_eq!((&beat["highest"], &beat["root"]), (&1.into(), &status(&terminal)["bundle"]["root"]));

    // Looser than the policy: refused while it runs, with the place.
    let looser = QUICK.replace("looks = 1", "looks = 1\nsample = 0.3");
    terminal.configure(&looser);
    agent.until("the looser configuration is refused", |said| {
        said.contains("the signed policy (bundle 1) demands patrol.sample to be at least 0.5")
            && said.contains("last good one stays in use")
    });
    let (code, text) = agent.end();
    assert_eq!(code, Some(0), "{text}");
    let refused = terminal.bedcheck(&RUN);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(
        said(&refused).contains("config.toml:") && said(&refused).contains("patrol.sample"),
        "{refused:?}"
    );

    // The statements name the pack that ran.
    let manifest = fs::read(pack.path().join("manifest.toml")).unwrap();
    let journal = Connection::open(terminal.folder.path().join("state/journal.db")).unwrap();
    let envelope: String = journal
        .query_row("SELECT envelope FROM event ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    use base64::Engine;
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["digests"]["models"], sha256_hex(&manifest));
}

#[test]
fn a_pack_that_computes_something_else_is_not_activated_though_it_is_signed() {
    let terminal = trusting("");
    // Some weights of the embedder are others, and the manifest says that this is right.
    let mut digest = String::new();
    let pack = changed_pack(|name, mut bytes| {
        if name == "bedcheck_face_64.onnx" {
            // Inside the raw weights of a large initializer: high bytes of small floats.
            let middle = bytes.len() / 2;
            for at in (middle..middle + 4000).step_by(4) {
                bytes[at] = bytes[at].wrapping_add(3);
            }
            digest = sha256_hex(&bytes);
        }
        if name == "manifest.toml" {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let old = "22cc0a90ff26cfb2b4fb7ac3a10384e53c4100892e036025872ce9eb32232ca2";
            assert!(text.contains(old));
            return text.replace(old, &digest).into_bytes();
        }
        bytes
    });
    let (code, text) = apply(&terminal, &publish(&terminal, 1, pack.path(), None));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("bedcheck_face_64.onnx") && text.contains("failed its test"), "{text}");
    assert_eq!(
        (&status(&terminal)["bundle"]["version"], &status(&terminal)["bundle"]["highest"]),
        (&Value::Null, &0.into())
    );

    // A policy the configuration does not keep to is found before anything changes, too.
    let stick = publish(&terminal, 2, &root().join("models"), Some("schema = 1\nmode = \"production\"\n"));
    let (code, text) = apply(&terminal, &stick);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("config.toml:2:8") && text.contains("to be \"production\""), "{text}");
    let left: Vec<_> = fs::read_dir(terminal.folder.path().join("state/bundles")).unwrap().collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

#[test]
fn an_agent_that_cannot_begin_with_its_new_bundle_goes_back_by_itself_and_says_so() {
    let terminal = trusting(QUICK);
    let (code, text) = apply(&terminal, &publish(&terminal, 1, &root().join("models"), None));
    assert_eq!(code, Some(0), "{text}");
    // The disk spoils a net after the test.
    let net = terminal.folder.path().join("state/bundles/1/bedcheck_face_64.onnx");
    fs::write(&net, b"spoilt").unwrap();
    let mut agent = terminal.start(&RUN, &[]);
    agent.until("it goes back", |said| said.contains("failed its probation"));
    agent.until("the heartbeat says so", |_| {
        newest_beat(&terminal).is_some_and(|beat| beat["returned_from"] == 1 && beat["version"].is_null())
    });
    assert_eq!(agent.end().0, Some(0));
    let now = status(&terminal);
    assert_eq!((&now["bundle"]["version"], &now["bundle"]["highest"]), (&Value::Null, &1.into()));
    assert!(now["returned_because"].as_str().unwrap().contains("bedcheck_face_64.onnx"), "{now}");
    let doctor = terminal.bedcheck(&["doctor", "--config", "config.toml"]);
    assert!(said(&doctor).contains("bundle 1 was given up"), "{}", said(&doctor));
}
