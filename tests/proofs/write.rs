//! A ward's day on two disks: the agent commits, delivers and acknowledges, now and then begins a new chain or starts
//! again; the platform accepts. Each promise is said on standard output after the call that gave it returned.

use std::path::Path;
use std::time::Duration;

use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::files::sha256_hex;
use bedcheck::base::redact::Private;
use bedcheck::domain::Memory;
use bedcheck::platform::{accept, chain, devices, log};
use bedcheck::wire::event::{Beat, Report};
use bedcheck::wire::statement::Digests;
use bedcheck::wire::tree::Logged;

use super::{Commit, Database, Journal, Signer};
use crate::chance::Chance;
use crate::rerun;

type Failed = Box<dyn std::error::Error>;

/// Both ends and what has been said of them.
struct Day<'a> {
    folder: &'a Path,
    journal: Journal,
    platform: Database,
    chance: Chance,
    /// Number of the last event, of whatever epoch.
    last: u64,
    said: usize,
    at: Wall,
}

pub fn day(folder: &Path, events: usize, seed: u64) -> Result<(), Failed> {
    let platform = Database::open(&folder.join("platform/platform.db"))?;
    admit(&platform)?;
    let journal = journal(folder)?;
    let chance = Chance::new(seed);
    let mut day = Day { folder, journal, platform, chance, last: 0, said: 0, at: rerun::BEGAN };
    while day.said < events {
        day.step()?;
    }
    Ok(())
}

impl Day<'_> {
    fn step(&mut self) -> Result<(), Failed> {
        self.at = self.at.plus(Duration::from_secs(60));
        match self.chance.below(100) {
            0..64 => self.commit(),
            64..88 => goes_on(self.deliver()),
            88..93 => goes_on(self.renew()),
            93..95 => {
                // Closing folds the write-ahead log into the database and removes it.
                self.journal = journal(self.folder)?;
                Ok(())
            }
            95..97 => {
                self.platform = Database::open(&self.folder.join("platform/platform.db"))?;
                Ok(())
            }
            _ => self.commit(),
        }
    }

    fn commit(&mut self) -> Result<(), Failed> {
        let commits = (0..1 + self.chance.below(3)).map(|_| self.event()).collect();
        let head = self.journal.commit(commits)?;
        let (said, before) = (self.said, std::mem::replace(&mut self.last, head.seq));
        self.say_from(before)?;
        if self.said == said { Err("what was committed is not there".into()) } else { Ok(()) }
    }

    fn event(&mut self) -> Commit {
        let report = Report::Beat(Beat::default());
        let length = 200 + self.chance.below(6000);
        let crop = self.chance.percent(33).then(|| Private::new(self.chance.bytes(length)));
        let done = (0..self.chance.below(30)).map(|_| format!("order-{}", self.chance.next())).collect();
        let remember = if self.chance.percent(50) { vec![Memory::Orders { done }] } else { vec![] };
        Commit { at: Now { wall: self.at, ..Now::default() }, report, crop, remember }
    }

    /// Says every event after `before` with its place in the chain.
    fn say_from(&mut self, before: u64) -> Result<(), Failed> {
        let mut before = before;
        while let Some(rows) = self.journal.rows_after(before)? {
            before = rows.last.seq;
            for item in rows.items {
                self.said += 1;
                println!("said {}", rerun::place(&item)?);
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Failed> {
        let Some(unsent) = self.journal.unsent()? else { return Ok(()) };
        let (device, at) = (rerun::device(), self.at);
        let registered = self.platform.read(|connection| devices::find(connection, &device))?;
        let registered = registered.ok_or("the device is admitted")?;
        let items = unsent.items.into_iter().map(|item| chain::believe(item, &device, &registered));
        let items: Vec<chain::Believed> = items.collect::<Result<_, _>>()?;
        let receipt = self.platform.write(|tx| {
            let receipt = accept::commit(tx, &device, &items, at)?;
            // As the port does it, in the same transaction.
            receipt.iter().try_for_each(|receipt| accept::sign(tx, receipt, &rerun::key()).map(|_| ()))?;
            Ok(receipt)
        })?;
        let receipt = receipt.ok_or("the device is not revoked")?;
        let head = &receipt.head;
        println!("received {} {} {}", head.epoch, head.seq, head.link);
        // Some receipts are lost on the way.
        if self.chance.percent(20) {
            return Ok(());
        }
        let digest = sha256_hex(&serde_json::to_vec(&receipt)?);
        if self.journal.acknowledge(head, &digest, at)? {
            println!("acked {} {}", head.epoch, head.seq);
        }
        Ok(())
    }

    fn renew(&mut self) -> Result<(), Failed> {
        println!("renewing");
        self.last = self.journal.begin_epoch()?;
        self.say_from(0)?;
        println!("renewed");
        Ok(())
    }
}

/// Delivery and the platform try again later, where a failed commit ends the agent.
fn goes_on(done: Result<(), Failed>) -> Result<(), Failed> {
    if let Err(error) = done {
        println!("failed {error}");
    }
    Ok(())
}

fn journal(folder: &Path) -> Result<Journal, Failed> {
    let signer = Signer {
        device: rerun::device(),
        key: rerun::key(),
        boot_id: "b".into(),
        digests: Digests::default(),
        evidence_key: rerun::evidence_key(),
    };
    Ok(Journal::open(&folder.join("agent/journal.db"), signer)?)
}

/// Enters the device as `bedcheck-platform device add` does, less the certificate: nobody connects here.
fn admit(platform: &Database) -> Result<(), Failed> {
    let (device, key) = (rerun::device(), rerun::key().verifying_key().to_bytes());
    let now = Clock::Fixed(Now { wall: rerun::BEGAN, ..Now::default() }).now().wall;
    platform.write(|tx| {
        if devices::find(tx, &device)?.is_some() {
            return Ok(());
        }
        let statement_key = sha256_hex(&key);
        let logged = log::append(tx, &Logged::Admitted { device: device.clone(), statement_key, at: now })?;
        tx.execute(
            "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms,
                                 round_every_ms, added_ms, expected_ms, logged)
             VALUES (?1, '3A', 'H', ?2, '', ?3, 60000, ?3, ?3, ?4)",
            bedcheck::platform::db::params![device.as_str(), key, now.0, i64::try_from(logged).unwrap_or(0)],
        )?;
        Ok(())
    })?;
    println!("admitted");
    Ok(())
}
