//! Certificates that follow one another, and what those that ended are still good for: nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bedcheck::agent::identity;
use bedcheck::agent::renew::Renew;
use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::files::write_owner_only;
use bedcheck::base::ids::{DeviceId, WardId};
use bedcheck::net::cert::{self, Validity};
use bedcheck::net::tls;
use bedcheck::platform::devices;
use bedcheck::uplink::{Platform, UplinkError};
use bedcheck::wire::enrol::DeviceRequest;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::enrolment::today;
use crate::world::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A device that joined by token, as its agent runs.
struct Joined {
    state: TempDir,
    renew: Renew,
}

impl Joined {
    async fn new(world: &World) -> Joined {
        let state = world.joined("d1").await;
        let renew = Joined::started(state.path());
        Joined { state, renew }
    }

    /// As after a restart: everything is read from the disk.
    fn started(state: &Path) -> Renew {
        let bundle = identity::bundle(state).unwrap();
        Renew {
            state: state.to_owned(),
            platform: identity::platform(state, &bundle).unwrap(),
            ward: WardId::new("3A").unwrap(),
            clock: Clock::system(),
        }
    }

    fn platform(&self) -> &Platform {
        &self.renew.platform
    }

    fn shown(&self) -> tls::Identity {
        identity::tls(self.state.path(), &identity::bundle(self.state.path()).unwrap()).unwrap()
    }

    fn next_request(&self) -> bedcheck::wire::dsse::Envelope {
        let bundle = identity::bundle(self.state.path()).unwrap();
        identity::next_request(self.state.path(), &bundle, &WardId::new("3A").unwrap()).unwrap()
    }

    async fn is_served(&self) -> bool {
        self.platform().deliver(vec![]).await.is_ok()
    }
}

fn key_of(pem: &str) -> Vec<u8> {
    cert::public_key(&cert::first(pem).unwrap()).unwrap()
}

fn status(result: Result<String, UplinkError>) -> u16 {
    match result {
        Err(UplinkError::Refused { status, .. } | UplinkError::Busy { status, .. }) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a certificate was issued"),
    }
}

fn due() -> Wall {
    today().plus(DAY * 21)
}

#[tokio::test]
async fn at_two_thirds_of_its_life_a_new_key_takes_over_without_a_restart_and_the_old_one_ends() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let before = device.shown();
    let old = Joined::started(device.state.path()).platform;
    assert!(old.deliver(vec![]).await.is_ok());
    assert!(!device.renew.turn(today().plus(DAY * 19)).await.unwrap());
    assert!(!device.renew.turn(Wall(0)).await.unwrap(), "a clock set back asks for nothing");
    assert!(device.renew.turn(due()).await.unwrap());
    let after = device.shown();
    assert_ne!(key_of(&after.cert_pem), key_of(&before.cert_pem));
    assert!(!device.state.path().join("identity/next.key").exists());
    // Until the new one was used, the old one counts; then only the new one does, also on a connection that is open.
    assert!(old.deliver(vec![]).await.is_ok());
    assert!(device.is_served().await, "the same uplink shows the new certificate");
    assert_eq!(refused(old.deliver(vec![]).await), 403);
    assert_eq!(status(old.renew(&device.next_request()).await), 403);
    assert!(Joined::started(device.state.path()).platform.deliver(vec![]).await.is_ok(), "after a restart");
    let until = world.json("/api/v1/devices").await["devices"][0]["certificate_until"].as_i64().unwrap();
    // The certificate has whole seconds.
    assert_eq!(Validity::of_pem(&after.cert_pem).unwrap().until.0, until / 1000 * 1000);
    world.end().await;
}

#[tokio::test]
async fn a_power_cut_or_a_lost_answer_at_any_moment_locks_nobody_out() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let next = device.state.path().join("identity/next.key");
    // After the new key was made.
    device.next_request();
    let made = std::fs::read(&next).unwrap();
    assert!(device.is_served().await);
    // After the platform had answered: the answer is lost, the same key gets the same certificate.
    let lost = device.platform().renew(&device.next_request()).await.unwrap();
    assert_eq!(std::fs::read(&next).unwrap(), made);
    let restarted = Joined::started(device.state.path());
    assert!(restarted.platform.deliver(vec![]).await.is_ok(), "the old certificate");
    assert!(restarted.turn(due()).await.unwrap());
    assert_eq!(device.shown().cert_pem, lost);
    assert!(restarted.platform.deliver(vec![]).await.is_ok(), "the new certificate");
    // After the pair was put in place and before its copy was removed: the next turn makes a key of its own.
    write_owner_only(&next, &made).unwrap();
    let restarted = Joined::started(device.state.path());
    assert!(restarted.platform.deliver(vec![]).await.is_ok());
    assert!(restarted.turn(due()).await.unwrap());
    assert_ne!(key_of(&device.shown().cert_pem), key_of(&lost));
    assert!(restarted.platform.deliver(vec![]).await.is_ok());
    // An answer that is not for our key changes nothing.
    let before = device.shown().cert_pem;
    device.next_request();
    let bundle = identity::bundle(device.state.path()).unwrap();
    assert!(identity::take_next(device.state.path(), &bundle, lost).is_err());
    assert_eq!(device.shown().cert_pem, before);
    world.end().await;
}

#[tokio::test]
async fn no_certificate_for_another_statement_key_another_device_or_the_same_key() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let tls_key = KeyPair::generate().unwrap();
    let csr =
        |key: &KeyPair| rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
    let asked = |name: &str, csr_pem: String, key: &ed25519_dalek::SigningKey| {
        let request = DeviceRequest {
            v: 1,
            device: DeviceId::new(name).unwrap(),
            ward: WardId::new("3A").unwrap(),
            csr_pem,
            statement_key: key.verifying_key().to_bytes().to_vec(),
        };
        request.sign(key).unwrap()
    };
    let (own, other) = (
        identity::statement_key(device.state.path()).unwrap(),
        ed25519_dalek::SigningKey::from_bytes(&[9; 32]),
    );
    let present = KeyPair::from_pem(&device.shown().key_pem).unwrap();
    let platform = device.platform();
    assert_eq!(status(platform.renew(&asked("d1", csr(&tls_key), &other)).await), 403);
    assert_eq!(status(platform.renew(&asked("d2", csr(&tls_key), &own)).await), 403);
    assert_eq!(status(platform.renew(&asked("d1", csr(&present), &own)).await), 400);
    assert_eq!(status(platform.renew(&asked("d1", "nonsense".into(), &own)).await), 400);
    let mut forged = asked("d1", csr(&tls_key), &own);
    forged.payload = asked("d1", csr(&KeyPair::generate().unwrap()), &own).payload;
    assert_eq!(status(platform.renew(&forged).await), 400);
    assert!(device.is_served().await);
    // A month's worth and no more, whatever the device's clock says; the one in use stays good.
    let mut issued = 1;
    while platform.renew(&asked("d1", csr(&KeyPair::generate().unwrap()), &own)).await.is_ok() {
        issued += 1;
        assert!(issued <= 8);
    }
    let last = platform.renew(&asked("d1", csr(&tls_key), &own)).await;
    assert!(matches!(last, Err(UplinkError::Busy { status: 429, .. })) && issued == 8, "{issued}");
    assert!(device.is_served().await);
    devices::revoke(&world.db(), &DeviceId::new("d1").unwrap(), today()).unwrap();
    assert_eq!(status(platform.renew(&asked("d1", csr(&tls_key), &own)).await), 403);
    world.end().await;
}

async fn connect(world: &World, config: rustls::ClientConfig) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(world.running().devices).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

fn server_shows(stream: &TlsStream<TcpStream>) -> Validity {
    let der = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let wall = |time: x509_parser::time::ASN1Time| Wall(time.timestamp() * 1000);
    Validity { from: wall(cert.validity().not_before), until: wall(cert.validity().not_after) }
}

#[tokio::test]
async fn the_platform_renews_its_own_certificate_while_devices_are_connected() {
    let now = today();
    let ago = |days: u32| Wall(now.0 - (DAY * days).as_millis() as i64);
    // Made 61 days ago, started five days ago: not due then, due now.
    let world =
        World::of(ago(61), Clock::Fixed(bedcheck::base::clock::Now { wall: ago(5), ..Default::default() }))
            .await;
    let device = world.device("d1");
    let config = || {
        tls::client(&tls::Identity {
            ca_pem: device.bundle.ca_pem.clone(),
            cert_pem: device.bundle.cert_pem.clone(),
            key_pem: device.tls_key.clone(),
        })
        .unwrap()
    };
    let before = server_shows(&connect(&world, config()).await);
    assert!(before.from < ago(61) && before.is_due(now));
    let uplink = device.uplink();
    uplink.deliver(vec![]).await.unwrap();
    world.running().upkeep.turn(now).unwrap();
    uplink.deliver(vec![]).await.unwrap();
    device.uplink().deliver(vec![]).await.unwrap();
    let after = server_shows(&connect(&world, config()).await);
    assert!(after.from > ago(2) && !after.is_due(now), "{after:?}");
    assert!(after.until.since(after.from) <= DAY * 90);
    world.running().upkeep.turn(now).unwrap();
    assert_eq!(server_shows(&connect(&world, config()).await), after, "nothing is due any more");
    world.end().await;
}

#[tokio::test]
async fn a_platform_that_stood_still_too_long_renews_its_certificate_before_it_listens() {
    let now = today();
    let made = Wall(now.0 - (DAY * 200).as_millis() as i64);
    let world = World::of(made, Clock::Fixed(Clock::system().now())).await;
    let device = world.device("d1");
    device.uplink().deliver(vec![]).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn no_connection_is_resumed_so_a_revoked_device_is_asked_for_its_certificate_anew() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let mut config = tls::client(&device.shown()).unwrap();
    // A device that would like to resume.
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    for _ in 0..3 {
        let mut stream = connect(&world, config.clone()).await;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 404"));
        let connection = stream.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
    devices::revoke(&world.db(), &DeviceId::new("d1").unwrap(), today()).unwrap();
    assert_eq!(refused(device.platform().deliver(vec![]).await), 403);
    world.end().await;
}

async fn list(world: &World) -> Vec<u8> {
    let ca = std::fs::read_to_string(world.folder.path().join("ca.pem")).unwrap();
    let pin = cert::only_key_digest(&ca).unwrap();
    let url = format!("https://{}", world.running().enrol.unwrap());
    let client = bedcheck::net::client::Client::pinned(&url, pin).unwrap();
    let answer = client.send(reqwest::Method::GET, "/crl", Vec::new()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(std::fs::read(world.folder.path().join("crl.der")).unwrap(), answer.body);
    answer.body
}

/// The serial numbers in a list, after its signature, and its number.
fn listed(world: &World, der: &[u8]) -> (Vec<Vec<u8>>, u64, i64) {
    let ca = std::fs::read_to_string(world.folder.path().join("ca.pem")).unwrap();
    let ca = cert::first(&ca).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, list) = CertificateRevocationList::from_der(der).unwrap();
    list.verify_signature(ca.public_key()).unwrap();
    let number = list.crl_number().unwrap().iter_u64_digits().next().unwrap();
    let good_for = list.next_update().unwrap().timestamp() - list.last_update().timestamp();
    (list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()).collect(), number, good_for)
}

fn serial(pem: &str) -> Vec<u8> {
    let der = cert::first(pem).unwrap();
    X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
}

#[tokio::test]
async fn the_list_names_what_was_revoked_or_followed_and_is_made_anew_every_hour() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let (good, first) = (world.device("ward-3a"), device.shown());
    let (serials, number, good_for) = listed(&world, &list(&world).await);
    assert_eq!((serials, good_for), (vec![], 2 * 3600));
    device.renew.turn(due()).await.unwrap();
    assert!(device.is_served().await);
    let upkeep = &world.running().upkeep;
    upkeep.turn(today().plus(Duration::from_secs(60))).unwrap();
    let (serials, next, _) = listed(&world, &list(&world).await);
    assert_eq!(serials, [serial(&first.cert_pem)], "followed by another");
    assert!(next > number);
    devices::revoke(&world.db(), &DeviceId::new("d1").unwrap(), today()).unwrap();
    upkeep.turn(today().plus(Duration::from_secs(120))).unwrap();
    let der = list(&world).await;
    let (serials, ..) = listed(&world, &der);
    let second = device.shown();
    assert_eq!(serials, [serial(&first.cert_pem), serial(&second.cert_pem)]);
    upkeep.turn(today().plus(Duration::from_secs(180))).unwrap();
    assert_eq!(list(&world).await, der, "nothing happened, the hour is not over");
    upkeep.turn(today().plus(Duration::from_secs(2 * 3600))).unwrap();
    assert_ne!(list(&world).await, der);

    // A gateway that goes by the list alone, and refuses to go by an old one.
    let mut roots = RootCertStore::empty();
    roots.add(cert::first(&good.bundle.ca_pem).unwrap()).unwrap();
    let gateway = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(rustls::crypto::ring::default_provider()),
    )
    .with_crls([CertificateRevocationListDer::from(der)])
    .enforce_revocation_expiration()
    .build()
    .unwrap();
    let asked = |pem: &str, at: Wall| {
        let time = UnixTime::since_unix_epoch(Duration::from_millis(at.0 as u64));
        gateway
            .verify_client_cert(&cert::first(pem).unwrap(), &[], time)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let now = today().plus(Duration::from_secs(300));
    assert_eq!(asked(&good.bundle.cert_pem, now), Ok(()));
    for ended in [&first, &second] {
        assert!(asked(&ended.cert_pem, now).unwrap_err().contains("Revoked"));
    }
    let late = asked(&good.bundle.cert_pem, now.plus(Duration::from_secs(3 * 3600))).unwrap_err();
    assert!(late.contains("revocation list expired"), "{late}");
    // What has expired by itself needs no line any more.
    upkeep.turn(today().plus(DAY * 31)).unwrap();
    assert_eq!(listed(&world, &list(&world).await).0.len(), 0);
    world.end().await;
}
