//! A thousand wards at once against the built platform: real mutual TLS for each, everything signed, every receipt checked.
//! Nothing may be lost, and nobody waits long. `--size` is the number of agents; a full run, best built with `--release`,
//! goes on for ten minutes, in the last of which every agent connects anew; then everyone delivers as fast as it can.
//!
//! Agents keep their chain in memory: a thousand journals on one disk would measure the disk.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use bedcheck::base::clock::{Clock, Mono, Wall};
use bedcheck::base::files::sha256_hex;
use bedcheck::base::ids::{BedId, DeviceId, StayId, WardId};
use bedcheck::domain::Finding;
use bedcheck::domain::verdict::{CheckResult, Verdict};
use bedcheck::net::client::Client;
use bedcheck::net::tls::Identity;
use bedcheck::platform::db::Database;
use bedcheck::platform::devices::{self, Admission};
use bedcheck::platform::keys::Keys;
use bedcheck::uplink::Platform;
use bedcheck::wire::batch::{Head, Item, MOST_ITEMS};
use bedcheck::wire::enrol::{DeviceBundle, DeviceRequest, public_key};
use bedcheck::wire::event::{self, Event, Report};
use bedcheck::wire::statement::{Digests, NO_LINK, Statement};
use ed25519_dalek::SigningKey;
use rusqlite::Connection;

use crate::judge::{self, Complaint};
use crate::{Options, Outcome, world};

/// Events of one agent a second.
const EVENTS: u64 = 2;
const SHORT: Run = Run { agents: 20, steady: Duration::from_secs(4), rest: Duration::from_secs(2) };
const FULL: Run = Run { agents: 1000, steady: Duration::from_secs(540), rest: Duration::from_secs(60) };
/// Each agent's part of a flood: batches of one event, then of fifty.
const FLOOD: [(usize, usize); 2] = [(20, 1), (2, 50)];

#[derive(Clone, Copy)]
struct Run {
    agents: usize,
    steady: Duration,
    /// In which everyone connects anew.
    rest: Duration,
}

pub fn run(options: &Options) -> Outcome {
    let control = match options.control.as_deref() {
        None => false,
        Some("lost") => true,
        Some(other) => panic!("the control is lost, not {other}"),
    };
    let run = options.size.map_or(SHORT, |agents| Run { agents, ..FULL });
    let outcome = measure(run, control);
    if options.size.is_none() && !control && measure(SHORT, true).is_ok() {
        return Outcome::Violated(vec!["the control lost was not noticed".to_owned()]);
    }
    match outcome {
        Ok(said) => Outcome::Holds(said),
        Err(complaint) => Outcome::Violated(vec![complaint]),
    }
}

fn measure(run: Run, control: bool) -> Result<String, Complaint> {
    let folder = disk();
    let at = folder.path();
    world::must(at, "init --dir platform --host localhost --host 127.0.0.1");
    let agents = admitted(at, run.agents);
    let platform = Ended(world::serve(at, 0));
    let url = format!("https://127.0.0.1:{}", world::port(at));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (agents, said) = runtime.block_on(lives(agents, &url, run));
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(platform);
    is_all_there(&at.join("platform/platform.db"), &agents, control)?;
    Ok(said)
}

/// A disk that syncs, if there is one here: memory would flatter.
fn disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        world::kill(&mut self.0);
    }
}

/// One ward: its chain, and its connection.
struct Agent {
    device: DeviceId,
    key: SigningKey,
    bundle: DeviceBundle,
    tls_key_pem: String,
    head: Head,
    said: u64,
    repeated: u64,
}

fn admitted(at: &Path, count: usize) -> Vec<Agent> {
    let dir = at.join("platform");
    let (db, keys) = (Database::open(&dir.join("platform.db")).unwrap(), Keys::read(&dir).unwrap());
    let admission = Admission {
        url: "https://localhost:1".to_owned(),
        institution: "H".to_owned(),
        round_every: Duration::from_secs(4 * 3600),
    };
    let now = Clock::system().now().wall;
    let admit = |number: usize| {
        let device = DeviceId::new(format!("ward-{number}")).unwrap();
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_bytes(&seed);
        let tls_key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&tls_key).unwrap();
        let request = DeviceRequest {
            v: 1,
            device: device.clone(),
            ward: WardId::new("3A").unwrap(),
            csr_pem: csr.pem().unwrap(),
            statement_key: key.verifying_key().to_bytes().to_vec(),
        };
        let bundle = devices::add(&db, &keys, &request.sign(&key).unwrap(), &admission, now).unwrap();
        let head = Head { epoch: format!("e{number}"), seq: 0, link: NO_LINK.to_owned() };
        Agent { device, key, bundle, tls_key_pem: tls_key.serialize_pem(), head, said: 0, repeated: 0 }
    };
    (0..count).map(admit).collect()
}

/// What a phase took: latencies from an event to its receipt.
#[derive(Default)]
struct Waits(Vec<u32>);

impl Waits {
    fn share(&mut self, per_mille: usize) -> u32 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * per_mille / 1000).copied().unwrap_or(0)
    }

    fn said(&mut self) -> String {
        let [half, most, nearly] = [500, 990, 999].map(|per_mille| self.share(per_mille));
        format!(
            "{} events, ack p50 {half} p99 {most} p99.9 {nearly} max {} ms",
            self.0.len(),
            self.share(1000)
        )
    }
}

/// Lives of all agents through every phase; their state, and what was measured.
async fn lives(agents: Vec<Agent>, url: &str, run: Run) -> (Vec<Agent>, String) {
    let clock = Clock::system();
    let begin = clock.now().mono;
    let (agents, mut steady) = all(agents, |number, agent| {
        let (url, clock, from) = (url.to_owned(), clock.clone(), phase(number, run.agents, run.steady / 10));
        async move { paced(agent, &url, &clock, begin + from, begin + run.steady).await }
    })
    .await;
    println!("load: steady, {} agents x {EVENTS}/s: {}", run.agents, steady.said());
    let begin = clock.now().mono;
    let (agents, mut anew) = all(agents, |number, agent| {
        let (url, clock, from) = (url.to_owned(), clock.clone(), phase(number, run.agents, run.rest));
        async move {
            paced(agent, &url, &clock, begin + from, begin + run.rest + Duration::from_millis(500)).await
        }
    })
    .await;
    println!("load: {} new connections in {:?}: {}", run.agents, run.rest, anew.said());
    let mut said = format!("steady {}; connecting anew {}", steady.said(), anew.said());
    let mut agents = agents;
    for (batches, events) in FLOOD {
        let begin = clock.now().mono;
        let flooded = all(agents, |_, agent| {
            let (url, clock) = (url.to_owned(), clock.clone());
            async move { flood(agent, &url, &clock, batches, events).await }
        })
        .await;
        agents = flooded.0;
        let took = clock.now().mono - begin;
        let rate = (run.agents * batches * events) as f64 / took.as_secs_f64();
        println!("load: batches of {events} as fast as they go: {rate:.0} events/s");
        said.push_str(&format!("; batches of {events}: {rate:.0} events/s"));
    }
    let repeated: u64 = agents.iter().map(|agent| agent.repeated).sum();
    (agents, format!("{said}; {repeated} deliveries repeated, 0 lost"))
}

/// So that not all of them speak in the same moment.
fn phase(number: usize, of: usize, over: Duration) -> Duration {
    over.mul_f64(number as f64 / of as f64)
}

async fn all<F>(agents: Vec<Agent>, life: impl Fn(usize, Agent) -> F) -> (Vec<Agent>, Waits)
where
    F: Future<Output = (Agent, Vec<u32>)> + Send + 'static,
{
    let lives: Vec<_> =
        agents.into_iter().enumerate().map(|(number, agent)| tokio::spawn(life(number, agent))).collect();
    let (mut agents, mut waits) = (Vec::new(), Waits::default());
    for life in lives {
        let (agent, waited) = life.await.unwrap();
        agents.push(agent);
        waits.0.extend(waited);
    }
    (agents, waits)
}

/// An event every half second from `from` to `until`; what came due while an answer was awaited goes together.
async fn paced(mut agent: Agent, url: &str, clock: &Clock, from: Mono, until: Mono) -> (Agent, Vec<u32>) {
    let mut waits = Vec::new();
    let every = Duration::from_secs(1) / EVENTS as u32;
    let mut next = from;
    tokio::time::sleep(from - clock.now().mono).await;
    let platform = agent.connect(url);
    while next < until {
        tokio::time::sleep(next - clock.now().mono).await;
        let now = clock.now().mono;
        let mut due = Vec::new();
        while next <= now && next < until && due.len() < MOST_ITEMS {
            due.push(next);
            next = next + every;
        }
        agent.say(&platform, clock, due.len()).await;
        let answered = clock.now().mono;
        waits.extend(due.iter().map(|made| (answered - *made).as_millis() as u32));
    }
    (agent, waits)
}

async fn flood(
    mut agent: Agent,
    url: &str,
    clock: &Clock,
    batches: usize,
    events: usize,
) -> (Agent, Vec<u32>) {
    let platform = agent.connect(url);
    for _ in 0..batches {
        agent.say(&platform, clock, events).await;
    }
    (agent, Vec::new())
}

impl Agent {
    fn connect(&self, url: &str) -> Platform {
        let identity = Identity {
            ca_pem: self.bundle.ca_pem.clone(),
            cert_pem: self.bundle.cert_pem.clone(),
            key_pem: self.tls_key_pem.clone(),
        };
        let client = Client::new(url, &identity).unwrap();
        let receipt_key = public_key(&self.bundle.receipt_key).unwrap();
        Platform { client, device: self.device.clone(), receipt_key }
    }

    /// Delivers the next events, again until they are acknowledged.
    async fn say(&mut self, platform: &Platform, clock: &Clock, events: usize) {
        let mut head = self.head.clone();
        let mut items = Vec::with_capacity(events);
        for _ in 0..events {
            let item = self.item(&head, clock.now().wall);
            head = item.1;
            items.push(item.0);
        }
        loop {
            match platform.deliver(items.clone()).await {
                Ok(acknowledged) => {
                    assert_eq!(acknowledged.receipt.head, head);
                    break;
                }
                Err(_) => self.repeated += 1,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.said += events as u64;
        self.head = head;
    }

    /// The next statement: beats and checks in turn.
    fn item(&self, head: &Head, at: Wall) -> (Item, Head) {
        let seq = head.seq + 1;
        let report = if seq.is_multiple_of(2) { judge::beat().report } else { check(seq, at) };
        let id = uuid::Builder::from_random_bytes(random()).into_uuid();
        let event = Event::new(&self.device, at, event::Chance { id, salt: random() }, report);
        let body = serde_json::to_string(&event).unwrap();
        let statement = Statement {
            v: 1,
            device: self.device.clone(),
            epoch: head.epoch.clone(),
            seq,
            prev: head.link.clone(),
            body_sha256: sha256_hex(body.as_bytes()),
            evidence_sha256: Vec::new(),
            t_wall: at,
            t_boot: 0,
            boot_id: "b".to_owned(),
            anchor: NO_LINK.to_owned(),
            digests: Digests::default(),
        };
        let (envelope, link) = statement.sign(&self.key).unwrap();
        (Item { envelope, body, evidence: None }, Head { epoch: head.epoch.clone(), seq, link })
    }
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn check(seq: u64, at: Wall) -> Report {
    let bed = seq / 2 % 14;
    Report::Finding(Finding::Checked(CheckResult {
        round: seq / 28 + 1,
        bed: BedId::new(bed.to_string()).unwrap(),
        stay: StayId::new(format!("S{bed}")).unwrap(),
        masked_name: "张*".to_owned(),
        due: at,
        done: at,
        verdict: Verdict::Verified,
        similarity: Some(0.7),
        threshold: 0.4,
        fmr: "1e-3".to_owned(),
        looks: 1,
        life: None,
        later: None,
        synthetic: true,
    }))
}

/// Every agent's whole chain, and nobody accused. The control promises one event that was never sent.
fn is_all_there(path: &Path, agents: &[Agent], control: bool) -> Result<(), Complaint> {
    let connection = Connection::open(path).map_err(|error| error.to_string())?;
    judge::accuses_nobody(&connection)?;
    let mut count = connection
        .prepare("SELECT count(*), count(id), max(seq) FROM link WHERE device = ?1")
        .map_err(|error| error.to_string())?;
    for (number, agent) in agents.iter().enumerate() {
        let promised = agent.said + u64::from(control && number == 0);
        let kept = count.query_row([agent.device.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
        });
        let promised = promised as i64;
        let wanted = (promised, promised, Some(promised));
        let kept = kept.map_err(|error| error.to_string())?;
        if kept != wanted {
            return Err(format!("{} was promised {wanted:?}, kept is {kept:?}", agent.device));
        }
    }
    Ok(())
}
