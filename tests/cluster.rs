//! Every rule by a scheduler and two executors on loopback finds what this machine finds alone, lead for lead, also after
//! one of the executors is gone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TRIES: u32 = 1200;
const BETWEEN: Duration = Duration::from_millis(50);

/// A part of the cluster; it ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"));
    command.arg("screening");
    command
}

fn platform(words: &[&str]) -> String {
    let run = program().args(words).output().unwrap();
    assert!(run.status.success(), "{words:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Starts a part and waits until it listens.
fn start(words: &[&str], address: &str, log: &Path) -> Running {
    let log = fs::File::create(log).unwrap();
    let child = program().args(words).args(["--listen", address]).stdout(Stdio::null()).stderr(log).spawn();
    let running = Running(child.unwrap());
    let listens = (0..TRIES).any(|_| {
        std::thread::sleep(BETWEEN);
        TcpStream::connect(address).is_ok()
    });
    assert!(listens, "{words:?} does not listen at {address}");
    running
}

fn leads(file: &Path) -> BTreeSet<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_scheduler_and_two_executors_find_the_same_leads() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let (data, here, there) = (at("data"), at("here.jsonl"), at("there.jsonl"));
    platform(&["generate", "--out", &at("in"), "--rows", "60000", "--seed", "3"]);
    let files: Vec<String> = fs::read_dir(at("in"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".parquet"))
        .collect();
    let mut load = vec!["load", "--data", &data];
    load.extend(files.iter().map(String::as_str));
    platform(&load);
    platform(&["run", "--data", &data, "--leads", &here]);
    let alone = leads(here.as_ref());
    assert!(alone.len() > 100, "{}", alone.len());

    let scheduler = free_address();
    let _scheduler = start(&["scheduler"], &scheduler, at("scheduler.log").as_ref());
    let executor = |name: &str| {
        let (work, log) = (at(name), at(&format!("{name}.log")));
        let words = ["executor", "--scheduler", &scheduler, "--work", &work, "--cores", "1"];
        start(&words, &free_address(), log.as_ref())
    };
    let executors = [executor("first"), executor("second")];
    let together = |rules: &[&str]| {
        let mut words = vec!["run", "--data", &data, "--scheduler", &scheduler, "--leads", &there];
        words.extend(rules.iter().flat_map(|rule| ["--rule", rule]));
        platform(&words);
        leads(there.as_ref())
    };
    assert_eq!(together(&[]), alone);
    let worked = |name: &str| fs::read_dir(at(name)).unwrap().count() > 0;
    assert!(worked("first") && worked("second"), "one of the executors was given nothing");

    let [first, second] = executors;
    drop(first);
    let rule = "doctor-day";
    let of_rule: BTreeSet<String> =
        alone.iter().filter(|lead| lead.contains(&format!("\"rule\":\"{rule}\""))).cloned().collect();
    assert!(!of_rule.is_empty());
    assert_eq!(together(&[rule]), of_rule);
    drop(second);
}

#[test]
fn a_scheduler_that_has_nobody_is_said_to_have_nobody() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let (data, scheduler) = (at("data"), free_address());
    let _scheduler = start(&["scheduler"], &scheduler, at("scheduler.log").as_ref());
    for scheduler in [&scheduler, &free_address()] {
        let run = program().args(["run", "--data", &data, "--scheduler", scheduler]).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code() == Some(1) && said.contains("has an executor"), "{said}");
    }
}
