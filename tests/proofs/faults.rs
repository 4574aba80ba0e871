//! The n-th system call of the writer fails, or the process is killed when it reaches it: strace injects both. Every
//! step of a commit, a checkpoint, a start or a new chain is the n-th call for some n.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::chance::Chance;
use crate::judge::{self, Complaint, Judge};
use crate::promises::Promises;
use crate::{Options, Outcome, rerun};

/// Runs of each kind of fault in the short version.
const SHORT: usize = 3;
const EVENTS: usize = 40;

/// What is injected into one kind of call.
#[derive(Clone, Copy)]
struct Fault {
    call: &'static str,
    what: &'static str,
    /// From the n-th call on, and not only there: a disk that stays broken.
    stays: bool,
    /// About how many such calls the writer makes; the short version draws its n below.
    calls: usize,
}

const fn once(call: &'static str, what: &'static str, calls: usize) -> Fault {
    Fault { call, what, stays: false, calls }
}

const fn for_good(call: &'static str, what: &'static str, calls: usize) -> Fault {
    Fault { call, what, stays: true, calls }
}

const FAILING: &[Fault] = &[
    once("pwrite64", "error=EIO", 500),
    once("pwrite64", "error=ENOSPC", 500),
    for_good("pwrite64", "error=ENOSPC", 500),
    once("fsync", "error=EIO", 50),
    once("fsync", "error=ENOSPC", 50),
    for_good("fsync", "error=EIO", 50),
    // SQLite built for other systems syncs with this one.
    once("fdatasync", "error=EIO", 50),
    once("ftruncate", "error=EIO", 4),
    for_good("ftruncate", "error=ENOSPC", 4),
    once("unlink", "error=EIO", 5),
    once("openat", "error=ENOSPC", 70),
];

/// The disk says yes and writes nothing: nobody can survive that, so it must be noticed here.
const LYING: &[Fault] = &[once("pwrite64", "retval=4096", 500)];

const KILLED: &[Fault] = &[
    once("pwrite64", "signal=KILL", 500),
    once("fsync", "signal=KILL", 50),
    once("ftruncate", "signal=KILL", 4),
    once("unlink", "signal=KILL", 5),
    once("openat", "signal=KILL", 70),
];

/// Killed in the middle of a transaction whose way back is in memory only: half of it is on the disk.
const WRITING: &[Fault] = &[once("pwrite64", "signal=KILL", 500)];

pub fn failing_calls(options: &Options) -> Outcome {
    match options.control.as_deref() {
        None => all(options, FAILING, &Control { faults: LYING, weak: None }),
        Some("lying") => control(options, &Control { faults: LYING, weak: None }),
        Some(other) => panic!("the control is lying, not {other}"),
    }
}

pub fn crash_points(options: &Options) -> Outcome {
    match options.control.as_deref() {
        None => all(options, KILLED, &Control { faults: WRITING, weak: Some("memory") }),
        Some("memory") => control(options, &Control { faults: WRITING, weak: Some("memory") }),
        Some(other) => panic!("the control is memory, not {other}"),
    }
}

/// What must be noticed.
struct Control {
    faults: &'static [Fault],
    weak: Option<&'static str>,
}

fn all(options: &Options, faults: &[Fault], blind: &Control) -> Outcome {
    if let Some(why) = rerun::cannot_trace() {
        return Outcome::Skipped(why);
    }
    let mut found = Found::default();
    for fault in faults {
        found.inject(*fault, options.size, options.seed, None);
    }
    if options.size.is_none() && matches!(control(options, blind), Outcome::Holds(_)) {
        return Outcome::Violated(vec!["the control was not noticed".to_owned()]);
    }
    for (point, times) in &found.points {
        println!("  {times:5} x {point}");
    }
    found.outcome()
}

/// The control by itself; in the short version until it is noticed or has had every chance.
fn control(options: &Options, control: &Control) -> Outcome {
    let mut found = Found::default();
    for more in 0..20 {
        for fault in control.faults {
            found.inject(*fault, options.size, options.seed + more, control.weak);
        }
        if options.size.is_some() || !found.complaints.is_empty() {
            break;
        }
    }
    found.outcome()
}

#[derive(Default)]
struct Found {
    runs: usize,
    /// How many writers ended early.
    ended: usize,
    /// Call, fault and file → how often.
    points: BTreeMap<String, usize>,
    complaints: Vec<Complaint>,
}

impl Found {
    /// One kind of fault at every n, or at a few in the short version.
    fn inject(&mut self, fault: Fault, size: Option<usize>, seed: u64, weak: Option<&str>) {
        let mut chance = Chance::new(seed);
        let numbers: Vec<usize> = match size {
            Some(most) => (1..=most).collect(),
            None => (0..SHORT).map(|_| 1 + chance.below(fault.calls)).collect(),
        };
        for number in numbers {
            let was_reached = self.strike(fault, number, seed, weak);
            // A writer that never gets there has no higher call either.
            if !was_reached && size.is_some() {
                break;
            }
        }
        let (runs, complaints) = (self.runs, self.complaints.len());
        println!("{} {}: {runs} faults so far, {complaints} violations", fault.call, fault.what);
    }

    fn outcome(self) -> Outcome {
        let Found { runs, ended, points, complaints } = self;
        if complaints.is_empty() {
            Outcome::Holds(format!(
                "{runs} faults at {} named points, {ended} ended the writer",
                points.len()
            ))
        } else {
            Outcome::Violated(complaints)
        }
    }

    /// Whether the writer got as far as the n-th call.
    fn strike(&mut self, fault: Fault, number: usize, seed: u64, weak: Option<&str>) -> bool {
        let folder = rerun::scratch();
        for side in ["agent", "platform"] {
            fs::create_dir(folder.path().join(side)).unwrap();
        }
        let log = folder.path().join("trace");
        let more = if fault.stays { "+" } else { "" };
        let inject = format!("inject={}:{}:when={number}{more}", fault.call, fault.what);
        let output =
            rerun::injected(folder.path(), EVENTS, seed, weak, &log, fault.call, &inject).output().unwrap();
        let Some(point) = hit(&fs::read_to_string(&log).unwrap_or_default(), fault, folder.path()) else {
            return false;
        };
        if point.ends_with(ELSEWHERE) {
            return true;
        }
        self.runs += 1;
        self.ended += usize::from(!output.status.success());
        *self.points.entry(point.clone()).or_default() += 1;
        let judged = ended_well(&output, fault).and_then(|()| judged(&output, folder.path()));
        if let Err(complaint) = judged {
            self.complaints.push(format!("{point} n={number}: {complaint}"));
        }
        true
    }
}

/// The writer went on, or said what failed and ended with a code.
fn ended_well(output: &Output, fault: Fault) -> Result<(), Complaint> {
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) if said.contains("journal.db failed") || said.contains("platform.db failed") => Ok(()),
        None | Some(137) if fault.what.contains("KILL") => Ok(()),
        code => Err(format!("it ended with {code:?} and said {said:?}")),
    }
}

/// The healthy disk afterwards, with what was promised before.
fn judged(output: &Output, folder: &Path) -> Result<(), Complaint> {
    let mut promised = Promises::default();
    let said = String::from_utf8_lossy(&output.stdout);
    // Killed in the middle of a line, it had not said it.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().for_each(|line| promised.hear(line));
    let mut judge = Judge::default();
    judge.agent(folder, &promised, None)?;
    judge.platform(folder, &promised, None)?;
    if promised.is_admitted { judge::goes_on(folder, &promised) } else { Ok(()) }
}

/// Libraries and devices, which are none of ours.
const ELSEWHERE: &str = "another file";

/// Call, fault and file where it struck; `None` where it did not.
fn hit(log: &str, fault: Fault, folder: &Path) -> Option<String> {
    let is_killing = fault.what.contains("KILL");
    let mut lines = log.lines();
    let line = if is_killing {
        // Killed on the way into the call: its line is the last, without a result.
        lines.rfind(|line| line.contains(&format!("{}(", fault.call)) && line.contains("= ?"))
    } else {
        lines.find(|line| line.contains("(INJECTED)"))
    }?;
    let folder = folder.to_string_lossy().into_owned();
    let file = line.split(['<', '>', '"']).rev().find_map(|part| part.strip_prefix(&folder));
    let file = file.unwrap_or(ELSEWHERE);
    Some(format!("{} {}{} {file}", fault.call, fault.what, if fault.stays { " for good" } else { "" }))
}
