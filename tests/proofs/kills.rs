//! kill -9 at random moments: of the agent, of the built platform, or of both, with a real connection between them.

use std::time::Duration;

use crate::chance::Chance;
use crate::judge::Complaint;
use crate::world::World;
use crate::{Options, Outcome};

const SHORT: usize = 25;
/// Kills before everything must have arrived and a new world begins.
const OF_A_WORLD: usize = 250;
/// Longest life after the first promise, or from the start.
const LONGEST_MS: usize = 60;

pub fn run(options: &Options) -> Outcome {
    let control = match options.control.as_deref() {
        None => false,
        Some("early") => true,
        Some(other) => panic!("the control is early, not {other}"),
    };
    let found = cycles(options.size.unwrap_or(SHORT), options.seed, control);
    if options.size.is_none() && !control && cycles(SHORT, options.seed, true).complaints.is_empty() {
        return Outcome::Violated(vec!["the control early was not noticed".to_owned()]);
    }
    if found.complaints.is_empty() {
        let Found { kills, events, .. } = found;
        Outcome::Holds(format!("{kills} kills, {events} events, 0 lost, 0 doubled, 0 false forks"))
    } else {
        Outcome::Violated(found.complaints)
    }
}

#[derive(Default)]
struct Found {
    kills: usize,
    events: usize,
    complaints: Vec<Complaint>,
}

fn cycles(wanted: usize, seed: u64, control: bool) -> Found {
    let mut chance = Chance::new(seed);
    let mut found = Found::default();
    while found.kills < wanted {
        let mut world = World::new(if control { "early" } else { "honest" });
        for _ in 0..(wanted - found.kills).min(OF_A_WORLD) {
            cycle(&mut world, &mut chance, &mut found);
        }
        match world.end(world.port) {
            Ok(events) => found.events += events,
            Err(complaint) => found.complaints.push(format!("after {} kills: {complaint}", found.kills)),
        }
        let Found { kills, events, complaints } = &found;
        println!("kills: {kills} kills, {events} events, {} violations", complaints.len());
    }
    found
}

fn cycle(world: &mut World, chance: &mut Chance, found: &mut Found) {
    if world.agent.is_none() {
        world.start_agent(world.port, chance.next());
        // Most are killed at work, some on their way there.
        if chance.percent(75) {
            world.wait_for_a_promise();
        }
    }
    std::thread::sleep(Duration::from_millis(chance.below(LONGEST_MS) as u64));
    let whom = chance.below(10);
    if whom < 7 {
        world.kill_agent();
    }
    if whom > 5 {
        world.kill_platform();
    }
    found.kills += 1;
    // Not always: looking into a journal tidies it up as a start of the agent would.
    if world.agent.is_none()
        && chance.percent(20)
        && let Err(complaint) = world.is_acknowledged_truly()
    {
        found.complaints.push(format!("after {} kills: {complaint}", found.kills));
    }
}
