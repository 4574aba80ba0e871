//! The platform's own papers while it runs: its certificate, and the list of certificates that ended.

use std::sync::Arc;
use std::time::Duration;

use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::ids::DeviceId;
use bedcheck::net::cert::{self, Validity};
use bedcheck::net::tls;
use bedcheck::platform::devices;
use rustls::pki_types::{CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::enrolment::today;
use crate::renewal::{DAY, Joined, due};
use crate::world::*;

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
    let world = World::of(ago(61), Clock::Fixed(Now { wall: ago(5), ..Now::default() })).await;
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
