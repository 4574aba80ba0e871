//! Simulated power cuts: the writer runs once under strace, and from its log come as many broken disks as wanted.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::chance::Chance;
use crate::disk::Disk;
use crate::judge::{self, Complaint, Judge};
use crate::promises::{Ever, Promises};
use crate::trace::{self, Step};
use crate::{Options, Outcome, rerun};

/// Of the short version, and how many a full day yields before another day is written.
const SHORT: usize = 300;
const STATES_OF_A_DAY: usize = 1000;
const EVENTS_OF_A_DAY: usize = 120;
const EVENTS_OF_A_SHORT_DAY: usize = 60;

pub fn run(options: &Options) -> Outcome {
    if let Some(why) = rerun::cannot_trace() {
        return Outcome::Skipped(why);
    }
    let (states, events) =
        options.size.map_or((SHORT, EVENTS_OF_A_SHORT_DAY), |size| (size, EVENTS_OF_A_DAY));
    let found = cuts(states, events, options.seed, options.control.as_deref());
    // The short version proves in the same breath that it would have seen something.
    if options.size.is_none() && options.control.is_none() {
        for control in ["normal", "off", "folder"] {
            if cuts(SHORT / 3, events, options.seed, Some(control)).complaints.is_empty() {
                return Outcome::Violated(vec![format!("the control {control} was not noticed")]);
            }
        }
    }
    let Cuts { in_doubt, complaints } = found;
    if complaints.is_empty() {
        Outcome::Holds(format!("{states} power cuts, {in_doubt} of them with unsynced writes"))
    } else {
        Outcome::Violated(complaints)
    }
}

/// What came of some power cuts.
#[derive(Default)]
struct Cuts {
    /// How many found unsynced writes.
    in_doubt: usize,
    complaints: Vec<Complaint>,
}

fn cuts(wanted: usize, events: usize, seed: u64, control: Option<&str>) -> Cuts {
    let mut chance = Chance::new(seed);
    let mut cuts = Cuts::default();
    let mut states = 0;
    while states < wanted {
        let day = Day::written(events, chance.next(), control);
        let of_this_day = (wanted - states).min(STATES_OF_A_DAY);
        day.cut(of_this_day, &mut chance, &mut cuts);
        states += of_this_day;
        let (in_doubt, violations) = (cuts.in_doubt, cuts.complaints.len());
        println!("power-cuts: {states} states, {in_doubt} with unsynced writes, {violations} violations");
    }
    cuts
}

/// One run of the writer, as steps.
struct Day {
    folder: TempDir,
    steps: Vec<Step>,
    ever: Ever,
    seed: u64,
}

impl Day {
    fn written(events: usize, seed: u64, control: Option<&str>) -> Day {
        let folder = rerun::scratch();
        for side in ["agent", "platform"] {
            fs::create_dir(folder.path().join(side)).unwrap();
        }
        let log = folder.path().join("trace");
        // `folder` is a disk that forgets to sync names; the others are levels of SQLite.
        let weak = control.filter(|control| *control != "folder");
        let output = rerun::traced(folder.path(), events, seed, weak, &log).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut steps = trace::read(&fs::read_to_string(&log).unwrap(), folder.path());
        if control == Some("folder") {
            steps.retain(|step| !matches!(step, Step::Sync { path } if path.is_dir()));
        }
        fs::remove_file(&log).unwrap();
        let said = steps.iter().filter_map(|step| match step {
            Step::Said(line) => Some(line.as_str()),
            Step::Write { .. }
            | Step::Truncate { .. }
            | Step::Sync { .. }
            | Step::Create { .. }
            | Step::Remove { .. } => None,
        });
        let ever = Ever::of(said);
        Day { folder, steps, ever, seed }
    }

    /// Cuts the power `times` times, on one side each.
    fn cut(&self, times: usize, chance: &mut Chance, cuts: &mut Cuts) {
        let mut moments: Vec<usize> = (0..times).map(|_| chance.below(self.steps.len() + 1)).collect();
        moments.sort_unstable();
        let (mut agent, mut platform) = (Disk::default(), Disk::default());
        let (mut promised, mut judge, mut done) = (Promises::default(), Judge::default(), 0);
        for moment in moments {
            for step in &self.steps[done..moment] {
                match step {
                    Step::Said(line) => promised.hear(line),
                    Step::Write { path, .. }
                    | Step::Truncate { path, .. }
                    | Step::Sync { path }
                    | Step::Create { path }
                    | Step::Remove { path } => {
                        if path.starts_with(self.folder.path().join("agent")) {
                            agent.apply(step);
                        } else {
                            platform.apply(step);
                        }
                    }
                }
            }
            done = moment;
            let is_agent = chance.percent(50);
            let (hit, spared) = if is_agent { (&agent, &platform) } else { (&platform, &agent) };
            cuts.in_doubt += usize::from(hit.is_in_doubt());
            let after = rerun::scratch();
            hit.cut(self.folder.path(), after.path(), chance);
            spared.lay_down(self.folder.path(), after.path());
            if let Err(complaint) = self.judge(&mut judge, after.path(), &promised, is_agent) {
                let side = if is_agent { "agent" } else { "platform" };
                cuts.complaints.push(format!(
                    "day {:016x}, cut of the {side} after step {moment}: {complaint}",
                    self.seed
                ));
            }
        }
    }

    fn judge(
        &self,
        judge: &mut Judge,
        after: &Path,
        promised: &Promises,
        is_agent: bool,
    ) -> Result<(), Complaint> {
        for side in ["agent", "platform"] {
            fs::create_dir_all(after.join(side)).unwrap();
        }
        if is_agent {
            judge.agent(after, promised, Some(&self.ever))?;
        } else {
            judge.platform(after, promised, Some(&self.ever))?;
        }
        if promised.is_admitted { judge::goes_on(after, promised) } else { Ok(()) }
    }
}
