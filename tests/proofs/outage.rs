//! A ward cut off for a month: `--size` is the number of days. Every day has three hundred events, every tenth with a
//! crop, and a beat each minute. Everything must lie in the journal's share of the disk, and arrive in order in a few
//! minutes once the network is back, at the usual pace. The control has too little room: that must be told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::redact::Private;
use bedcheck::store::room::USUAL_BYTES;
use bedcheck::store::{Commit, Journal};
use bedcheck::wire::enrol::DeviceBundle;
use bedcheck::wire::event::{Beat, CameraBeat, Report};
use rusqlite::Connection;

use crate::chance::Chance;
use crate::judge::Complaint;
use crate::world::World;
use crate::{Options, Outcome, agent, rerun};

const SHORT_DAYS: usize = 1;
const EVENTS_A_DAY: usize = 300;
const MINUTES_A_DAY: usize = 24 * 60;
/// The largest crop the agent makes.
const CROP_BYTES: usize = 60_000;
/// The control's share: less than a day's worth.
const SMALL: u64 = 5 * 1024 * 1024;
/// Those of a ward with a terminal and seven IP cameras.
const CAMERAS: usize = 8;
/// A month's backlog must be through by then.
const LONGEST_DRAIN: Duration = Duration::from_secs(300);

pub fn run(options: &Options) -> Outcome {
    let share = match options.control.as_deref() {
        None => USUAL_BYTES,
        Some("small") => SMALL,
        Some(other) => panic!("the control is small, not {other}"),
    };
    let outcome = outage(options.size.unwrap_or(SHORT_DAYS), options.seed, share);
    if options.size.is_none() && share != SMALL && outage(SHORT_DAYS, options.seed, SMALL).is_ok() {
        return Outcome::Violated(vec!["the control small was not noticed".to_owned()]);
    }
    match outcome {
        Ok(said) => Outcome::Holds(said),
        Err(complaint) => Outcome::Violated(vec![complaint]),
    }
}

fn outage(days: usize, seed: u64, share: u64) -> Result<String, Complaint> {
    let mut world = World::new("paced");
    let folder = world.folder.path().to_owned();
    let bundle: DeviceBundle =
        serde_json::from_slice(&fs::read(folder.join("agent/bundle.json")).unwrap()).unwrap();
    let mut journal = agent::journal(&folder, &bundle).map_err(|error| error.to_string())?.within(share);
    let (mut chance, mut said, mut most_bytes) = (Chance::new(seed), String::new(), 0);
    for day in 0..days {
        said.push_str(&cut_off(&mut journal, &mut chance, day));
        most_bytes = most_bytes.max(bytes(&folder));
        println!("outage: day {}, {:.1} MiB", day + 1, mib(most_bytes));
    }
    drop(journal);
    world.has_lived(&said);
    if most_bytes > USUAL_BYTES {
        return Err(format!("the journal takes {:.0} MiB", mib(most_bytes)));
    }
    let clock = Clock::system();
    let begun = clock.now().mono;
    fs::write(folder.join("enough"), "").unwrap();
    world.start_agent(world.port, seed);
    while world.agent_lives() && clock.now().mono - begun < LONGEST_DRAIN {
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = clock.now().mono - begun;
    if took >= LONGEST_DRAIN {
        return Err(format!("not everything arrived within {LONGEST_DRAIN:?}"));
    }
    let events = world.end(world.port)?;
    is_in_order(&folder.join("platform/platform.db"))?;
    Ok(format!(
        "{days} days, {events} events in {:.0} MiB, drained in order in {:.0} s",
        mib(most_bytes),
        took.as_secs_f64()
    ))
}

/// A day without network, minute by minute.
fn cut_off(journal: &mut Journal, chance: &mut Chance, day: usize) -> String {
    let mut said = String::new();
    for minute in 0..MINUTES_A_DAY {
        let at = rerun::BEGAN.plus(Duration::from_secs(60 * (day * MINUTES_A_DAY + minute) as u64));
        let mut commits = vec![commit(at, None)];
        // Three hundred spread over the day's minutes.
        let event = (minute + 1) * EVENTS_A_DAY / MINUTES_A_DAY;
        if event > minute * EVENTS_A_DAY / MINUTES_A_DAY {
            let crop = event.is_multiple_of(10).then(|| Private::new(chance.bytes(CROP_BYTES)));
            commits.push(commit(at, crop));
        }
        said.push_str(
            &agent::said(journal, commits)
                .unwrap()
                .iter()
                .map(|row| format!("said {row}\n"))
                .collect::<String>(),
        );
    }
    said
}

fn commit(at: Wall, crop: Option<Private<Vec<u8>>>) -> Commit {
    let camera = |number| CameraBeat {
        camera: format!("camera-{number}"),
        frames: 100_000,
        working: true,
        tamper: None,
    };
    let beat = Beat { cameras: (0..CAMERAS).map(camera).collect(), stored_faces: 40, ..Beat::default() };
    let at = Now { wall: at, ..Now::default() };
    Commit { at, report: Report::Beat(beat), crop, remember: Vec::new() }
}

fn bytes(folder: &Path) -> u64 {
    let length = |name: &str| fs::metadata(folder.join("agent").join(name)).map_or(0, |data| data.len());
    length("journal.db") + length("journal.db-wal")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// Each number came after the one before.
fn is_in_order(path: &Path) -> Result<(), Complaint> {
    let late: i64 = Connection::open(path)
        .and_then(|connection| {
            connection.query_row(
                "SELECT count(*) FROM (SELECT logged < lag(logged) OVER (ORDER BY seq) AS late FROM link) WHERE late",
                [],
                |row| row.get(0),
            )
        })
        .map_err(|error| error.to_string())?;
    if late > 0 { Err(format!("{late} events overtook others")) } else { Ok(()) }
}
