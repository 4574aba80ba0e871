//! A platform that listens on loopback, a device that is admitted to it, and a short story that the device tells.

use std::path::Path;
use std::time::Duration;

use bedcheck::agent::deliver::Deliver;
use bedcheck::agent::health::Health;
use bedcheck::base::backoff::Backoff;
use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::frame::Picture;
use bedcheck::base::ids::{BedId, DeviceId, StayId, WardId};
use bedcheck::base::picture::encode_jpeg;
use bedcheck::base::redact::Private;
use bedcheck::base::supervise::{self, Stop};
use bedcheck::domain::Finding;
use bedcheck::domain::exception::{ExceptionChange, ExceptionKind, Move};
use bedcheck::domain::role::Role;
use bedcheck::domain::round::{DueCheck, RoundPlan};
use bedcheck::domain::verdict::{CheckResult, Verdict};
use bedcheck::net::client::Client;
use bedcheck::net::tls::Identity;
use bedcheck::platform::db::Database;
use bedcheck::platform::devices::{self, Admission};
use bedcheck::platform::keys::{self, Keys};
use bedcheck::platform::serve::{self, Running, Settings};
use bedcheck::platform::{people, sessions};
use bedcheck::store::{Commit, Journal, Keeper, Signer};
use bedcheck::uplink::{Platform, UplinkError};
use bedcheck::wire::batch::{Fate, Item};
use bedcheck::wire::enrol::{DeviceBundle, DeviceRequest, public_key};
use bedcheck::wire::event::{Report, RosterRow, RosterSeen};
use bedcheck::wire::statement::Digests;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::postgres::{self, Make};

pub const NOW: Wall = Wall(1_790_000_000_000);

/// A crop as a camera gives it, less what it shows.
pub fn crop() -> Vec<u8> {
    let shades = (0..160 * 120 * 3).map(|at| (at % 251) as u8).collect();
    encode_jpeg(&Picture::new(160, 120, shades).unwrap(), 80).unwrap()
}

/// A platform that listens, and the folder it lives in.
pub struct World {
    pub folder: TempDir,
    pub running: Option<Running>,
    pub stop: Stop,
    /// With which the tests speak as a supervisor.
    pub token: String,
}

impl World {
    pub async fn new() -> World {
        World::at(fixed()).await
    }

    /// A platform whose clock stands still at the present, so that what it issues is good today.
    pub async fn today() -> World {
        World::at(Clock::Fixed(Clock::system().now())).await
    }

    async fn at(clock: Clock) -> World {
        World::of(Clock::system().now().wall, clock).await
    }

    /// A platform whose keys were made at `made`.
    pub async fn of(made: Wall, clock: Clock) -> World {
        World::on(postgres::usual(), made, clock).await
    }

    /// ... and whose store is in this database.
    pub async fn on(make: Make, made: Wall, clock: Clock) -> World {
        let folder = tempfile::tempdir().unwrap();
        keys::init(folder.path(), &["localhost".into(), "127.0.0.1".into()], made).unwrap();
        make.store(folder.path());
        let (stop, stopping) = supervise::shutdown();
        let settings = Settings {
            dir: folder.path().to_owned(),
            devices: "127.0.0.1:0".into(),
            enrol: Some("127.0.0.1:0".into()),
            dashboard: "127.0.0.1:0".into(),
            grace: Duration::from_secs(60),
            // The clock of these worlds stands still, and no bucket is ever filled again.
            rate: 100_000,
        };
        let now = clock.now().wall;
        let running = serve::start(&settings, clock, &stopping).await.unwrap();
        let db = serve::open_database(folder.path()).unwrap();
        people::add(&db, "程序", Role::Supervisor, None, now).unwrap();
        let until = now.plus(Duration::from_secs(90 * 24 * 3600));
        let token = sessions::program(&db, "程序", now, until).unwrap();
        World { folder, running: Some(running), stop, token }
    }

    pub fn db(&self) -> Database {
        serve::open_database(self.folder.path()).unwrap()
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn device(&self, name: &str) -> Device {
        Device::admitted(self.folder.path(), name, self.running().devices.port())
    }

    pub async fn ask(&self, path: &str, host: Option<&str>) -> (u16, String, Vec<u8>) {
        let address = self.running().dashboard;
        let host = host.map_or_else(|| address.to_string(), str::to_owned);
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let token = &self.token;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        exchange(&mut stream, &request).await
    }

    /// A form, as a program sends it.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String, Vec<u8>) {
        let authorization = format!("authorization: Bearer {}\r\n", self.token);
        self.send("POST", path, &authorization, fields).await
    }

    /// A request with header lines of one's own.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        lines: &str,
        fields: &[(&str, &str)],
    ) -> (u16, String, Vec<u8>) {
        let address = self.running().dashboard;
        let mut form = reqwest::Url::parse("http://form").unwrap();
        form.query_pairs_mut().extend_pairs(fields);
        let form = form.query().unwrap_or_default();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{lines}connection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        exchange(&mut stream, &request).await
    }

    /// Two people open the evidence of an event; the picture.
    pub async fn open_evidence(&self, path: &str) -> Vec<u8> {
        let db = self.db();
        let add = |name: &str| people::add(&db, name, Role::Reviewer, None, NOW).unwrap();
        let (first, second) = (add("王五"), add("李四"));
        let asked = [("name", "王五"), ("passphrase", &first), ("reason", "核对投诉")];
        assert_eq!(self.post(&format!("{path}/ask"), &asked).await.0, 303);
        let page = String::from_utf8(self.ask(path, None).await.2).unwrap();
        let asked = between(&page, "name=\"asked\" value=\"", "\"");
        let approved = [("name", "李四"), ("passphrase", &second), ("asked", &asked)];
        let (status, _, page) = self.post(&format!("{path}/approve"), &approved).await;
        let page = String::from_utf8(page).unwrap();
        assert_eq!(status, 200, "{page}");
        let (status, head, picture) = self.ask(&between(&page, "<img src=\"", "\""), None).await;
        assert!(status == 200 && head.contains("image/jpeg") && head.contains("no-store"), "{head}");
        picture
    }

    pub async fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.ask(path, None).await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    pub async fn end(mut self) {
        self.stop.fire();
        self.running.take().unwrap().ended().await;
    }
}

pub async fn exchange(stream: &mut tokio::net::TcpStream, request: &str) -> (u16, String, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head[9..12].parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

pub fn between(text: &str, from: &str, to: &str) -> String {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("{from} is not in {text}")).1;
    rest.split_once(to).unwrap().0.to_owned()
}

pub fn fixed() -> Clock {
    Clock::Fixed(Now { wall: NOW, ..Now::default() })
}

pub struct Device {
    pub id: DeviceId,
    pub key: SigningKey,
    pub tls_key: String,
    pub bundle: DeviceBundle,
    pub folder: TempDir,
}

impl Device {
    pub fn admitted(platform: &Path, name: &str, port: u16) -> Device {
        let id = DeviceId::new(name).unwrap();
        let key = SigningKey::from_bytes(&[name.len() as u8; 32]);
        let tls_key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&tls_key).unwrap();
        let request = DeviceRequest {
            v: 1,
            device: id.clone(),
            ward: WardId::new("三病区").unwrap(),
            csr_pem: csr.pem().unwrap(),
            statement_key: key.verifying_key().to_bytes().to_vec(),
        };
        let admission = Admission {
            url: format!("https://127.0.0.1:{port}"),
            institution: "示范医院".into(),
            round_every: Duration::from_secs(4 * 3600),
        };
        let db = serve::open_database(platform).unwrap();
        let keys = Keys::read(platform).unwrap();
        let request = request.sign(&key).unwrap();
        let bundle = devices::add(&db, &keys, &request, &admission, Clock::system().now().wall).unwrap();
        Device { id, key, tls_key: tls_key.serialize_pem(), bundle, folder: tempfile::tempdir().unwrap() }
    }

    pub fn journal(&self) -> Journal {
        self.journal_named("journal.db")
    }

    pub fn journal_named(&self, name: &str) -> Journal {
        let signer = Signer {
            device: self.id.clone(),
            key: self.key.clone(),
            boot_id: "b".into(),
            digests: Digests::default(),
            evidence_key: self.bundle.evidence_key.clone().try_into().unwrap(),
        };
        Journal::open(&self.folder.path().join(name), signer).unwrap()
    }

    pub fn uplink(&self) -> Platform {
        let identity = Identity {
            ca_pem: self.bundle.ca_pem.clone(),
            cert_pem: self.bundle.cert_pem.clone(),
            key_pem: self.tls_key.clone(),
        };
        Platform {
            client: Client::new(&self.bundle.platform_url, &identity).unwrap(),
            device: self.id.clone(),
            receipt_key: public_key(&self.bundle.receipt_key).unwrap(),
        }
    }
}

pub fn commit(report: Report) -> Commit {
    Commit { at: Now { wall: NOW, ..Now::default() }, report, crop: None, remember: vec![] }
}

pub fn roster() -> Commit {
    let row = |bed: &str, stay: &str| RosterRow {
        bed: BedId::new(bed).unwrap(),
        stay: StayId::new(stay).unwrap(),
        masked_name: "张**".into(),
        templates: 1,
    };
    commit(Report::Roster(RosterSeen {
        ward: WardId::new("三病区").unwrap(),
        received: NOW,
        digest: String::new(),
        stays: vec![row("04", "S4"), row("05", "S5")],
    }))
}

pub fn round() -> Commit {
    let due = |bed: &str, stay: &str| DueCheck {
        bed: BedId::new(bed).unwrap(),
        stay: StayId::new(stay).unwrap(),
        masked_name: "张**".into(),
        tickets: 1,
    };
    commit(Report::Finding(Finding::RoundBegun(RoundPlan {
        round: 7,
        began: NOW,
        until: NOW.plus(Duration::from_secs(60)),
        next_by: NOW.plus(Duration::from_secs(600)),
        due: vec![due("04", "S4"), due("05", "S5")],
        spared: vec![],
        slot: None,
        order: None,
        revealed: None,
    })))
}

pub fn check(verdict: Verdict) -> Commit {
    let mut commit = commit(Report::Finding(Finding::Checked(CheckResult {
        round: 7,
        bed: BedId::new("04").unwrap(),
        stay: StayId::new("S4").unwrap(),
        masked_name: "张**".into(),
        due: NOW,
        done: NOW.plus(Duration::from_secs(5)),
        verdict,
        similarity: Some(0.31),
        threshold: 0.5,
        fmr: "1e-3".into(),
        looks: 3,
        life: None,
        later: None,
        synthetic: true,
    })));
    commit.crop = Some(Private::new(crop()));
    commit
}

pub fn impersonation() -> Commit {
    commit(Report::Finding(Finding::Exception(ExceptionChange {
        exception: "S4.04.impersonation.7".into(),
        kind: ExceptionKind::Impersonation,
        moved: Move::Raised,
        bed: BedId::new("04").unwrap(),
        stay: StayId::new("S4").unwrap(),
        masked_name: "张**".into(),
        rounds: 1,
        first: NOW,
        last: NOW,
        round: 7,
        verdict: Verdict::Mismatch,
    })))
}

pub fn story(journal: &mut Journal) -> Vec<Item> {
    for commit in [roster(), round(), check(Verdict::Mismatch), impersonation()] {
        journal.commit(vec![commit]).unwrap();
    }
    journal.unsent().unwrap().unwrap().items
}

pub fn fates(acknowledged: &bedcheck::uplink::Acknowledged) -> Vec<Fate> {
    acknowledged.receipt.results.iter().map(|result| result.fate).collect()
}

pub fn refused(result: Result<bedcheck::uplink::Acknowledged, UplinkError>) -> u16 {
    match result {
        Err(UplinkError::Refused { status, .. }) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the batch was taken"),
    }
}

/// The agent's own delivery, until everything has arrived.
pub async fn deliver(device: &Device, journal: Journal) {
    deliver_until(device, journal, || false).await;
}

/// ... or until enough is known: what is refused is tried for ever.
pub async fn deliver_until(device: &Device, journal: Journal, is_known: impl Fn() -> bool) {
    let keeper = Keeper::start(journal).unwrap();
    let (stop, stopping) = supervise::shutdown();
    let deliver = Deliver {
        keeper: keeper.clone(),
        platform: device.uplink(),
        written: Default::default(),
        clock: fixed(),
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(5)),
        spacing: Duration::ZERO,
        orders: tokio::sync::mpsc::channel(4).0,
        health: Health::new(fixed()),
    };
    let task = supervise::task("deliver", deliver.run(stopping));
    for _ in 0..4000 {
        if keeper.ask(|journal| journal.pending()).await.unwrap().unwrap().rows == 0 || is_known() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.fire();
    task.await.unwrap();
    drop(keeper);
    // Its thread closes the journal after the last handle, and what is done to the box next is done to its files.
    let wal = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with("-wal");
    let is_open =
        || std::fs::read_dir(device.folder.path()).unwrap().any(|file| wal(&file.unwrap().file_name()));
    while is_open() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
