//! A process of its own takes a bundle under strace: killed on its way into each call that changes a disk, and read for
//! what it synced in which order. Skipped by name without strace (`tests/proofs/install`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bedcheck::agent::update::place::Place;
use bedcheck::agent::update::probation::begin;
use bedcheck::agent::update::take::{Taken, take};
use bedcheck::agent::update::{self as updates, Active, UpdateError};
use bedcheck::store::bundles::Bundles;

use crate::world::{World, copy, wait};

const STATE: &str = "UPDATES_STATE";
const STICK: &str = "UPDATES_STICK";

/// What changes files, folders and the database.
const CALLS: [&str; 8] =
    ["mkdir", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "rename", "unlink"];

/// More of one call than this: the taker does something else than it should.
const MOST_CALLS: usize = 400;

/// The life of the process that is traced: takes one bundle and says whether it did.
#[test]
#[ignore = "a life of its own, started by the other tests of this file"]
fn takes_one_bundle() {
    let Some((state, stick)) = std::env::var_os(STATE).zip(std::env::var_os(STICK)) else { return };
    take_from(Path::new(&state), Path::new(&stick)).unwrap();
    // A blocking call of its own, so that the order of "done" and the syncs shows in the trace.
    fs::write(Path::new(&state).join("taken"), b"taken").unwrap();
}

fn take_from(state: &Path, stick: &Path) -> Result<Taken, UpdateError> {
    let place = Place::new(&stick.display().to_string(), "")?;
    wait(take(state, &place, &|_| Ok(()), &mut |_| true))
}

fn traced(state: &Path, stick: &Path, arguments: &[&str]) -> Output {
    Command::new("strace")
        .args(["-f", "-y"])
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "killed::takes_one_bundle", "--ignored", "--test-threads=1"])
        .env(STATE, state)
        .env(STICK, stick)
        .output()
        .unwrap()
}

fn can_trace() -> bool {
    let can = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        println!("SKIPPED: strace is missing or may not trace here");
    }
    can
}

/// A state folder of its own: one where bundle 1 has proven itself.
fn fresh(world: &World) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    copy(&world.state(), &state);
    (folder, state)
}

#[test]
fn killed_on_its_way_into_any_call_the_old_bundle_runs_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let world = World::settled();
    let stick = world.publish(2);
    let mut kills: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for call in CALLS {
        for at in 1..=MOST_CALLS {
            let (_folder, state) = fresh(&world);
            let inject = format!("inject={call}:signal=KILL:when={at}");
            traced(&state, &stick, &["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            let is_done = state.join("taken").exists();
            let how = format!("{call} {at}");

            begin(&state).unwrap();
            let active: Active =
                updates::active(&state).unwrap().unwrap_or_else(|| panic!("{how}: no bundle"));
            let standing = Bundles::open(&state).unwrap().standing().unwrap();
            assert_eq!((standing.current, standing.highest), (Some(active.version), active.version), "{how}");
            assert!(state.join("bundles/1/policy.toml").exists(), "{how}");
            assert!(!is_done || active.version == 2, "{how}: it said it was done");
            // Whatever it left behind, the next try comes to its end.
            take_from(&state, &stick).unwrap_or_else(|error| panic!("{how}: {error}"));
            assert_eq!(updates::active(&state).unwrap().unwrap().version, 2, "{how}");
            if is_done {
                break;
            }
            kills.entry(call).or_default()[usize::from(active.version == 2)] += 1;
        }
    }
    println!("killed at (old bundle runs, new one runs): {kills:?}");
    let [old, new] = kills.values().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    assert!(old > 20 && new > 3, "{kills:?}");
}

#[test]
fn everything_is_synced_before_anything_points_to_it() {
    if !can_trace() {
        return;
    }
    let world = World::new();
    let stick = world.publish(1);
    let (folder, state) = fresh(&world);
    let log = folder.path().join("log");
    let trace = "trace=openat,mkdir,write,pwrite64,fsync,fdatasync,rename";
    let output = traced(&state, &stick, &["-o", log.to_str().unwrap(), "-e", trace]);
    assert!(output.status.success() && state.join("taken").exists(), "{output:?}");
    let lines: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    let state = state.display().to_string();
    // The n-th line, from the last, that holds all of these.
    let last = |words: &[&str]| {
        let found = lines.iter().rposition(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("{words:?} is not in\n{}", lines.join("\n")))
    };
    let partial = format!("{state}/bundles/1.partial");
    let written = last(&["write(", &format!("{partial}/.policy.toml.new>")]);
    let file_synced = last(&["fsync(", &format!("{partial}/.policy.toml.new>")]);
    let named = last(&["rename(", &format!("{partial}/policy.toml\"")]);
    let names_synced = last(&["fsync(", &format!("<{partial}>")]);
    let placed = last(&["rename(", &format!("\"{partial}\", \"{state}/bundles/1\"")]);
    let place_synced = last(&["fsync(", &format!("<{state}/bundles>")]);
    // SQLite happens to sync the folder too, in the middle of its own writing: here it must have been before.
    let after_that = |words: &[&str]| {
        let found =
            lines[place_synced..].iter().position(|line| words.iter().all(|word| line.contains(word)));
        place_synced + found.unwrap_or_else(|| panic!("{words:?} is not in\n{}", lines.join("\n")))
    };
    let above_synced = after_that(&["fsync(", &format!("<{state}>")]);
    let switched = after_that(&["pwrite64(", "/updates.db-wal>"]);
    let switch_synced = last(&["sync(", "/updates.db-wal>"]);
    let done = last(&["openat(", "/state/taken"]);
    let order = [
        written,
        file_synced,
        named,
        names_synced,
        placed,
        place_synced,
        above_synced,
        switched,
        switch_synced,
        done,
    ];
    // Closing the database folds its log in; that is after the switch and before "done".
    assert!(order.is_sorted(), "{order:?}\n{}", lines.join("\n"));
}
