//! The agent less its cameras, in a process of its own to be killed: the real journal on its thread, the real delivery
//! over TLS, and events as fast as they come. It ends when the folder holds `enough` and everything is acknowledged.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bedcheck::agent::deliver::{Deliver, SPACING};
use bedcheck::agent::health::Health;
use bedcheck::base::backoff::Backoff;
use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::redact::Private;
use bedcheck::base::supervise;
use bedcheck::net::client::Client;
use bedcheck::net::tls::Identity;
use bedcheck::store::{Commit, Journal, Keeper, Signer};
use bedcheck::uplink::Platform;
use bedcheck::wire::enrol::{DeviceBundle, public_key};
use bedcheck::wire::statement::Digests;
use tokio::sync::{Notify, mpsc};

use crate::chance::Chance;
use crate::{judge, rerun};

type Failed = Box<dyn std::error::Error>;

/// Longer than a busy machine needs, shorter than the proxy stalls.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// `agent FOLDER URL SEED honest|paced|early`: as fast as it goes, as the product, or as no agent may.
pub fn main(arguments: &[String]) -> Result<(), Failed> {
    let [folder, url, seed, make] = arguments else { panic!("agent FOLDER URL SEED honest|paced|early") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(live(Path::new(folder), url, Chance::new(seed.parse()?), make))
}

async fn live(folder: &Path, url: &str, mut chance: Chance, make: &str) -> Result<(), Failed> {
    let bundle: DeviceBundle = serde_json::from_slice(&fs::read(folder.join("agent/bundle.json"))?)?;
    let keeper = Keeper::start(journal(folder, &bundle)?)?;
    let platform = platform(folder, url, &bundle)?;
    let written = Arc::new(Notify::new());
    let (_stop, stopping) = supervise::shutdown();
    if make == "early" {
        supervise::task("early", early(keeper.clone(), platform));
    } else {
        let deliver = Deliver {
            keeper: keeper.clone(),
            platform,
            written: written.clone(),
            clock: Clock::system(),
            backoff: Backoff::new(Duration::from_millis(2), Duration::from_millis(40)),
            spacing: if make == "paced" { SPACING } else { Duration::ZERO },
            orders: mpsc::channel(4).0,
            health: Health::new(Clock::system()),
        };
        supervise::task("deliver", deliver.run(stopping));
    }
    while !folder.join("enough").exists() {
        let commits = (0..1 + chance.below(3)).map(|_| event(&mut chance)).collect();
        let rows = keeper.ask(move |journal| said(journal, commits)).await??;
        rows.iter().for_each(|row| println!("said {row}"));
        written.notify_one();
        tokio::time::sleep(Duration::from_millis(chance.below(12) as u64)).await;
    }
    while keeper.ask(|journal| journal.pending()).await??.rows > 0 {
        written.notify_one();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Commits, and says where it all stands.
pub fn said(journal: &mut Journal, commits: Vec<Commit>) -> Result<Vec<String>, String> {
    let events = commits.len() as u64;
    let head = journal.commit(commits).map_err(|error| error.to_string())?;
    let rows = journal.rows_after(head.seq - events).map_err(|error| error.to_string())?;
    rows.into_iter()
        .flat_map(|rows| rows.items)
        .map(|item| rerun::place(&item).map_err(|error| error.to_string()))
        .collect()
}

fn event(chance: &mut Chance) -> Commit {
    let length = 200 + chance.below(3000);
    let crop = chance.percent(25).then(|| Private::new(chance.bytes(length)));
    Commit { crop, ..judge::beat() }
}

/// The control: acknowledges before it delivers, as no agent may.
async fn early(keeper: Keeper, platform: Platform) {
    loop {
        let taken = keeper.ask(|journal| {
            let unsent = journal.unsent().ok().flatten()?;
            journal.acknowledge(&unsent.last, "", Wall(0)).ok()?;
            Some(unsent.items)
        });
        if let Ok(Some(items)) = taken.await {
            // What does not arrive now never will.
            let _ = platform.deliver(items).await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn journal(folder: &Path, bundle: &DeviceBundle) -> Result<Journal, Failed> {
    let signer = Signer {
        device: rerun::device(),
        key: rerun::key(),
        boot_id: "b".into(),
        // As long as the real ones.
        digests: Digests {
            program: "0".repeat(64),
            runtime: "0".repeat(64),
            models: "0".repeat(64),
            policy: "0".repeat(64),
            roster: "0".repeat(64),
        },
        evidence_key: bundle.evidence_key.as_slice().try_into()?,
    };
    Ok(Journal::open(&folder.join("agent/journal.db"), signer)?)
}

fn platform(folder: &Path, url: &str, bundle: &DeviceBundle) -> Result<Platform, Failed> {
    let identity = Identity {
        ca_pem: bundle.ca_pem.clone(),
        cert_pem: bundle.cert_pem.clone(),
        key_pem: fs::read_to_string(folder.join("agent/tls.key"))?,
    };
    let client = Client::new(url, &identity)?.patient_for(PATIENCE);
    let receipt_key = public_key(&bundle.receipt_key).ok_or("the bundle has a receipt key")?;
    Ok(Platform { client, device: rerun::device(), receipt_key })
}
