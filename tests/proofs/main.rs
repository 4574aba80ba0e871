//! The durability proofs: nothing promised is lost, doubled or rewritten when the power fails, a system call fails, a
//! process is killed or the network misbehaves. Real parts only: the agent's journal and delivery, the platform's
//! database, ingest and program.
//!
//! ```text
//!   cargo test --test proofs                                    the short version of every proof
//!   tests/proofs/run power-cuts --size 50000 --seed 1           one of them, in full
//!   tests/proofs/run power-cuts --control normal                must find violations, and says so
//! ```
//! A program of its own and no test harness: it is also the writer that is traced, failed and killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "the helpers of a test fail by panicking, and its lines are the result"
)]

mod agent;
mod chance;
mod chaos;
mod disk;
mod faults;
mod judge;
mod kills;
mod load;
mod outage;
mod power_cuts;
mod promises;
mod real;
mod rerun;
mod trace;
mod weak;
mod world;

// What `journal.rs` of the weakened writer imports by these names.
use weak::{base, domain, store, wire};

use std::collections::BTreeMap;
use std::process::ExitCode;

/// A proof by its name on the command line.
type Proof = (&'static str, fn(&Options) -> Outcome);

const PROOFS: &[Proof] = &[
    ("power-cuts", power_cuts::run),
    ("failing-calls", faults::failing_calls),
    ("crash-points", faults::crash_points),
    ("kills", kills::run),
    ("chaos", chaos::run),
    ("outage", outage::run),
    ("load", load::run),
];

/// What one proof is told.
pub struct Options {
    /// How many states, calls or cycles; `None` is the short version.
    size: Option<usize>,
    seed: u64,
    /// The weakness that must be found.
    control: Option<String>,
}

/// How it went.
pub enum Outcome {
    Holds(String),
    Violated(Vec<String>),
    /// Something of the machine is missing; what.
    Skipped(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let life = match arguments.first().map(String::as_str) {
        Some("write") => Some(real::main(&arguments[1..])),
        Some("agent") => Some(agent::main(&arguments[1..])),
        _ => None,
    };
    if let Some(ended) = life {
        return ended.map_or_else(
            |error| {
                eprintln!("the writer failed: {error}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let options = Options {
        size: after(&arguments, "--size").map(|size| size.parse().unwrap()),
        seed: after(&arguments, "--seed").map_or(1, |seed| seed.parse().unwrap()),
        control: after(&arguments, "--control").map(str::to_owned),
    };
    // Cargo hands the words of `cargo test WORD` to every test program.
    let wanted: Vec<&String> = arguments.iter().take_while(|word| !word.starts_with("--")).collect();
    let mut is_good = true;
    for (name, prove) in PROOFS {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            is_good &= report(name, &options, prove(&options));
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn after<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// Whether the proof came out as it must: a control is there to fail.
fn report(name: &str, options: &Options, outcome: Outcome) -> bool {
    let seed = options.seed;
    match (outcome, &options.control) {
        (Outcome::Skipped(why), _) => {
            println!("proof {name}: SKIPPED, {why}");
            true
        }
        (Outcome::Holds(what), None) => {
            println!("proof {name}: holds, {what} (seed {seed})");
            true
        }
        (Outcome::Holds(what), Some(control)) => {
            println!(
                "proof {name}: control {control} found NOTHING in {what} (seed {seed}): this proof is blind"
            );
            false
        }
        (Outcome::Violated(complaints), control) => {
            let verdict = if control.is_some() { "as the control must" } else { "VIOLATED" };
            let by = control.as_deref().unwrap_or("no control");
            println!("proof {name}: {verdict}, {} violations (seed {seed}, {by})", complaints.len());
            for (kind, (count, first)) in kinds(&complaints).into_iter().take(12) {
                println!("  {count:6} x {kind}\n           first: {first}");
            }
            control.is_some()
        }
    }
}

/// Complaints that differ in numbers only, counted, with the first of each.
fn kinds(complaints: &[String]) -> BTreeMap<String, (usize, &str)> {
    let mut kinds = BTreeMap::new();
    for complaint in complaints {
        let is_number_or_path =
            |word: &&str| word.contains('/') || word.contains(|c: char| c.is_ascii_digit());
        let words = complaint.split_whitespace().filter(|word| !is_number_or_path(word));
        let kind = words.collect::<Vec<_>>().join(" ");
        kinds.entry(kind).or_insert((0, complaint.as_str())).0 += 1;
    }
    kinds
}
