//! A network that misbehaves between the agent and the built platform. It can not look into TLS, but it can cut, stall,
//! spoil and delay; a reply that was cut off makes the agent deliver twice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use crate::agent::PATIENCE;
use crate::chance::Chance;
use crate::judge::Complaint;
use crate::world::World;
use crate::{Options, Outcome};

/// Connections of the short version, and of one world.
const SHORT: usize = 25;
const OF_A_WORLD: usize = 250;
/// Bytes after which something happens: within the handshake, a message, or one much later on a kept connection. Answers
/// are short.
const REACH_UP: usize = 12_000;
const REACH_DOWN: usize = 5_000;

pub fn run(options: &Options) -> Outcome {
    let control = match options.control.as_deref() {
        None => false,
        Some("early") => true,
        Some(other) => panic!("the control is early, not {other}"),
    };
    let found = worlds(options.size.unwrap_or(SHORT), options.seed, control);
    if options.size.is_none() && !control && worlds(SHORT, options.seed, true).complaints.is_empty() {
        return Outcome::Violated(vec!["the control early was not noticed".to_owned()]);
    }
    if found.complaints.is_empty() {
        let Found { connections, events, repeated, .. } = found;
        Outcome::Holds(format!(
            "{connections} connections, {events} events, {repeated} delivered again, 0 lost, 0 doubled, order kept"
        ))
    } else {
        Outcome::Violated(found.complaints)
    }
}

#[derive(Default)]
struct Found {
    connections: usize,
    events: usize,
    /// Items that the platform knew already.
    repeated: i64,
    complaints: Vec<Complaint>,
}

fn worlds(wanted: usize, seed: u64, control: bool) -> Found {
    let mut chance = Chance::new(seed);
    let mut found = Found::default();
    while found.connections < wanted {
        let connections = (wanted - found.connections).min(OF_A_WORLD);
        let mut world = World::new(if control { "early" } else { "honest" });
        let proxy = Proxy::start(world.port, connections, chance.next());
        world.start_agent(proxy.port, chance.next());
        while proxy.taken.load(Ordering::Relaxed) < connections && world.agent_lives() {
            std::thread::sleep(Duration::from_millis(20));
        }
        found.connections += connections;
        match world.end(proxy.port) {
            Ok(events) => found.events += events,
            Err(complaint) => found.complaints.push(complaint),
        }
        found.repeated += Connection::open(world.folder.path().join("platform/platform.db"))
            .and_then(|connection| {
                connection.query_row("SELECT duplicates FROM device", [], |row| row.get(0))
            })
            .unwrap_or(0);
        let Found { connections, events, repeated, complaints } = &found;
        let violations = complaints.len();
        println!(
            "chaos: {connections} connections, {events} events, {repeated} again, {violations} violations"
        );
    }
    found
}

/// What happens to one direction of a connection, after some bytes.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    /// Both directions end; the peers see a reset where something was unread.
    Cut(usize),
    /// Nothing more comes until the agent's patience is over.
    Stall(usize),
    /// One bit is another.
    Spoil(usize),
    /// Small pieces, each late, and then the end.
    Drip(usize),
}

impl Trouble {
    fn draw(chance: &mut Chance, reach: usize) -> Trouble {
        let after = chance.below(reach);
        match chance.below(100) {
            0..40 => Trouble::Cut(after),
            40..43 => Trouble::Stall(after),
            43..60 => Trouble::Spoil(after),
            60..65 => Trouble::Drip(after),
            // A connection that lasts for ever would be the last one.
            _ => Trouble::Cut(after * 10),
        }
    }
}

struct Proxy {
    port: u16,
    /// Connections so far.
    taken: Arc<AtomicUsize>,
}

impl Proxy {
    /// Troubles the first `troubled` connections; peace comes after them.
    fn start(platform: u16, troubled: usize, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let mut chance = Chance::new(seed);
        std::thread::spawn(move || {
            for agent in listener.incoming() {
                let (Ok(agent), Ok(platform)) = (agent, TcpStream::connect(("127.0.0.1", platform))) else {
                    return;
                };
                let is_troubled = count.fetch_add(1, Ordering::Relaxed) < troubled;
                let (up, down) = match (is_troubled, chance.percent(50)) {
                    (false, _) => (Trouble::None, Trouble::None),
                    (true, false) => (Trouble::draw(&mut chance, REACH_UP), Trouble::Cut(REACH_UP * 10)),
                    (true, true) => (Trouble::Cut(REACH_UP * 10), Trouble::draw(&mut chance, REACH_DOWN)),
                };
                pump(&agent, &platform, up);
                pump(&platform, &agent, down);
            }
        });
        Proxy { port, taken }
    }
}

/// Carries one direction on a thread of its own until either side is done.
fn pump(from: &TcpStream, to: &TcpStream, trouble: Trouble) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = carry(&mut from, &mut to, trouble);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, trouble: Trouble) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut carried = 0;
    loop {
        let most = if matches!(trouble, Trouble::Drip(_)) { 97 } else { buffer.len() };
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Ok(());
        }
        let piece = &mut buffer[..read];
        let reached = |after: usize| (carried..carried + read).contains(&after).then(|| after - carried);
        match trouble {
            Trouble::Cut(after) | Trouble::Drip(after) => {
                if matches!(trouble, Trouble::Drip(_)) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if let Some(at) = reached(after) {
                    return to.write_all(&piece[..at]);
                }
            }
            Trouble::Stall(after) => {
                if reached(after).is_some() {
                    std::thread::sleep(PATIENCE * 2);
                }
            }
            Trouble::Spoil(after) => {
                if let Some(at) = reached(after) {
                    piece[at] ^= 1 << (after % 8);
                }
            }
            Trouble::None => {}
        }
        to.write_all(piece)?;
        carried += read;
    }
}
