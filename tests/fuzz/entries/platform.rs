//! What devices send to the platform, and who asks to become one.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bedcheck::base::clock::Wall;
use bedcheck::base::files::sha256_hex;
use bedcheck::base::ids::WardId;
use bedcheck::platform::chain::{Believed, believe};
use bedcheck::platform::db::{self, Database};
use bedcheck::platform::devices::{Admission, Registered, named_in};
use bedcheck::platform::keys::{self, Keys};
use bedcheck::platform::tokens::{self, Purpose};
use bedcheck::platform::{accept, checks, ledger, log, queue, view};
use bedcheck::wire::batch::{Batch, Fate, Item};
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::enrol::{DeviceRequest, REQUEST_TYPE};
use bedcheck::wire::event::{Chance, Event, Report};
use bedcheck::wire::statement::{Digests, NO_LINK, Statement};
use bedcheck::wire::token::{Enrolment, Token};
use bedcheck::wire::tree::Logged;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::wire::{device, key};

const NOW: Wall = Wall(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A platform without a device; its files have no name any more and go with the process.
fn platform() -> &'static (Database, Keys) {
    static PLATFORM: OnceLock<(Database, Keys)> = OnceLock::new();
    PLATFORM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        keys::init(folder.path(), &["localhost".to_owned()], NOW).expect("keys");
        let keys = Keys::read(folder.path()).expect("the same keys");
        (Database::open(&folder.path().join("platform.db")).expect("a database"), keys)
    })
}

/// A batch as it stands on the wire: nobody else's statement is believed.
pub fn batch(data: &[u8]) {
    let Ok(batch) = serde_json::from_slice::<Batch>(data) else { return };
    let registered = registered();
    for item in batch.items {
        let body = item.body.clone();
        if let Ok(believed) = believe(item, &device(), &registered) {
            assert_eq!(believed.checked.statement.body_sha256, sha256_hex(body.as_bytes()));
            assert_eq!(believed.checked.statement.device, device());
        }
    }
}

/// Lines, each what a registered device says next: a report, or a body that is none.
pub fn reports(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let items = believed(text.lines().take(20));
    let (db, _) = platform();
    let outcome = db.write(|tx| {
        admit(tx)?;
        let receipt = accept::commit(tx, &device(), &items, NOW)?.expect("it is admitted");
        assert_eq!(receipt.results.len(), items.len());
        assert!(receipt.results.iter().all(|result| result.fate == Fate::Accepted));
        let again = accept::commit(tx, &device(), &items, NOW.plus(HOUR))?.expect("it is admitted still");
        assert!(again.results.iter().all(|result| result.fate == Fate::Duplicate), "a repeat did harm");
        ledger::sweep(tx, NOW.plus(HOUR * 24), NOW, HOUR)?;
        view::beds(tx, None, NOW)?;
        queue::page(tx, &queue::Filter::default(), None, NOW)?;
        view::devices(tx, None)?;
        checks::page(tx, &checks::Wanted::default(), None)?;
        view::rounds(tx, None, None)?;
        // Rolled back: every input meets the same platform.
        Err::<(), _>(db::Error::InvalidQuery)
    });
    let is_rolled_back = |error: &db::Error| matches!(error, db::Error::InvalidQuery);
    assert!(outcome.is_err_and(|error| is_rolled_back(&error.cause)), "a device's words broke the database");
}

fn registered() -> Registered {
    Registered {
        key: Some(key().verifying_key()),
        cert_sha256: String::new(),
        revoked: false,
        round_every: HOUR,
        epoch: None,
    }
}

fn admit(tx: &db::Transaction<'_>) -> db::Result<()> {
    let statement_key = sha256_hex(key().verifying_key().as_bytes());
    let logged = log::append(tx, &Logged::Admitted { device: device(), statement_key, at: NOW })?;
    tx.execute(
        "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms, round_every_ms,
                             added_ms, expected_ms, logged) VALUES (?1, '3A', 'i', ?2, '', 0, 3600000, 0, 0, ?3)",
        db::params![device().as_str(), key().verifying_key().as_bytes(), i64::try_from(logged).unwrap_or(0)],
    )?;
    Ok(())
}

fn believed<'line>(lines: impl Iterator<Item = &'line str>) -> Vec<Believed> {
    let (registered, mut prev, mut items) = (registered(), NO_LINK.to_owned(), Vec::new());
    for (seq, line) in (1..).zip(lines) {
        let chance = Chance { id: uuid::Uuid::from_u128(seq), salt: [0; 16] };
        let body = match serde_json::from_str::<Report>(line) {
            Ok(report) => serde_json::to_string(&Event::new(&device(), NOW, chance, report)).expect("JSON"),
            Err(_) => line.to_owned(),
        };
        let statement = Statement {
            v: 1,
            device: device(),
            epoch: "e1".to_owned(),
            seq: seq as u64,
            prev,
            body_sha256: sha256_hex(body.as_bytes()),
            evidence_sha256: Vec::new(),
            t_wall: NOW,
            t_boot: 0,
            boot_id: String::new(),
            anchor: String::new(),
            digests: Digests::default(),
        };
        let (envelope, link) = statement.sign(&key()).expect("JSON");
        prev = link;
        let item = Item { envelope, body, evidence: None };
        items.push(believe(item, &device(), &registered).expect("our own statement"));
    }
    items
}

/// The payload of a request, signed with the key that it should name.
pub fn device_request(data: &[u8]) {
    let envelope = Envelope::sign(&key(), REQUEST_TYPE, data.to_vec());
    let (_, keys) = platform();
    if let Ok((request, named)) = DeviceRequest::open(&envelope) {
        assert_eq!(named, key().verifying_key(), "somebody registers another's key");
        if let Ok(issued) = keys.issue(&request.csr_pem, &request.device, NOW) {
            let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).expect("our own certificate");
            assert_eq!(named_in(&der), Some(request.device), "the certificate names somebody else");
        }
    }
}

/// What comes through the port that asks for no certificate, with a good signature and the id of a token that waits:
/// nobody guesses its proof.
pub fn enrolment(data: &[u8]) {
    static TOKEN: OnceLock<Token> = OnceLock::new();
    let Ok(mut enrolment) = serde_json::from_slice::<Enrolment>(data) else { return };
    let (db, keys) = platform();
    let token = TOKEN.get_or_init(|| {
        let url = "https://localhost:1".to_owned();
        let admission = Admission { url: url.clone(), institution: "i".to_owned(), round_every: HOUR };
        let ward = WardId::new("3A").expect("plain");
        let purpose = Purpose { device: device(), ward, serial: None, admission, enrol_url: url };
        tokens::make(db, keys, &purpose, NOW).expect("a token")
    });
    enrolment.request = Envelope::sign(&key(), REQUEST_TYPE, enrolment.request.payload);
    enrolment.token = token.name();
    assert!(tokens::redeem(db, keys, &enrolment, NOW).is_err(), "admitted without the token");
}

/// A certificate, and a certificate request, in DER.
pub fn certificate(data: &[u8]) {
    let _ = named_in(&CertificateDer::from(data));
    let pem = |kind: &str| {
        let lines: Vec<String> = STANDARD
            .encode(data)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
    };
    let (_, keys) = platform();
    if let Ok(issued) = keys.issue(&pem("CERTIFICATE REQUEST"), &device(), NOW) {
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).expect("our own certificate");
        assert_eq!(named_in(&der), Some(device()), "a request named somebody else");
    }
    let _ = bedcheck::net::tls::visitor(&pem("CERTIFICATE"));
}
