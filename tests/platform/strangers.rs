//! Whoever has no business at the device port, one after the other with a batch that would be taken from the right device:
//! none is served.

use std::sync::Arc;

use bedcheck::base::clock::{Clock, Wall};
use bedcheck::net::tls::{self, Identity};
use bedcheck::platform::devices;
use bedcheck::platform::keys::{self, Keys};
use bedcheck::wire::batch::Batch;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::*;

const DAY: i64 = 24 * 3600 * 1000;

/// A world with the right device, its batch, and the platform's own CA in the hands of a forger.
struct Gate {
    world: World,
    device: Device,
    body: Vec<u8>,
    ca_pem: String,
    ca_key: String,
}

impl Gate {
    async fn new() -> Gate {
        let world = World::new().await;
        let device = world.device("ward-3a");
        let batch = Batch { v: 1, device: device.id.clone(), items: story(&mut device.journal()) };
        let body = serde_json::to_vec(&batch).unwrap();
        let read = |name: &str| std::fs::read_to_string(world.folder.path().join(name)).unwrap();
        let (ca_pem, ca_key) = (read("ca.pem"), read("ca.key"));
        Gate { world, device, body, ca_pem, ca_key }
    }

    fn right(&self) -> Identity {
        Identity {
            ca_pem: self.ca_pem.clone(),
            cert_pem: self.device.bundle.cert_pem.clone(),
            key_pem: self.device.tls_key.clone(),
        }
    }

    /// A certificate as `change` wants it, signed by the platform's own CA.
    fn issued(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let ca_key = KeyPair::from_pem(&self.ca_key).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, &ca_key).unwrap();
        self.signed(&issuer, change)
    }

    fn signed(&self, issuer: &Issuer<'_, &KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = ordinary("urn:bedcheck:device:ward-3a");
        change(&mut params);
        let cert_pem = params.signed_by(&key, issuer).unwrap().pem();
        Identity { ca_pem: self.ca_pem.clone(), cert_pem, key_pem: key.serialize_pem() }
    }

    /// What comes back for the batch; `None` where the connection was closed without an answer.
    async fn knock(&self, config: ClientConfig, path: &str) -> Option<u16> {
        let address = self.world.running().devices;
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        // Whoever is refused may find the door closed while still speaking.
        let _ = stream.write_all(&self.body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
    }

    async fn served(&self, identity: &Identity) -> Option<u16> {
        // As rustls makes it: our own client keeps a certificate of the future to itself.
        let roots = CertificateDer::pem_slice_iter(identity.ca_pem.as_bytes()).map(Result::unwrap);
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(roots);
        let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes()).map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(trusted)
            .with_client_auth_cert(chain.collect(), key)
            .unwrap();
        self.knock(config, "/v1/batches").await
    }
}

/// As the platform issues them, for this name.
fn ordinary(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn names(params: &mut CertificateParams, names: &[&str]) {
    params.subject_alt_names = names.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
}

/// Certificates that the platform's own CA might have signed for somebody, had it been careless.
fn misissued(gate: &Gate) -> Vec<(&'static str, Identity)> {
    vec![
        (
            "expired",
            gate.issued(|params| {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2020, 2, 1);
            }),
        ),
        ("not valid yet", gate.issued(|params| params.not_before = rcgen::date_time_ymd(2090, 1, 1))),
        ("another certificate of the same name", gate.issued(|_| {})),
        (
            "of a device nobody admitted",
            gate.issued(|params| names(params, &["urn:bedcheck:device:ward-9z"])),
        ),
        (
            "a DNS name",
            gate.issued(|params| {
                params.subject_alt_names = vec![SanType::DnsName("ward-3a".try_into().unwrap())]
            }),
        ),
        ("no name", gate.issued(|params| params.subject_alt_names.clear())),
        (
            "two names",
            gate.issued(|params| {
                names(params, &["urn:bedcheck:device:ward-3a", "urn:bedcheck:device:ward-3b"])
            }),
        ),
        ("a name in capitals", gate.issued(|params| names(params, &["URN:bedcheck:device:ward-3a"]))),
        ("a name written otherwise", gate.issued(|params| names(params, &["urn:bedcheck:device:ward%2D3a"]))),
        ("a path for a name", gate.issued(|params| names(params, &["urn:bedcheck:device:..%2Fward-3a"]))),
        (
            "a purpose of servers",
            gate.issued(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ),
        (
            "an authority itself",
            gate.issued(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
    ]
}

#[tokio::test]
async fn nobody_else_is_served_and_the_device_is() {
    let gate = Gate::new().await;
    let mut strangers = misissued(&gate);
    let own_ca = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_ca_cert = authority.self_signed(&own_ca).unwrap();
    let own = Issuer::from_ca_cert_pem(&own_ca_cert.pem(), &own_ca).unwrap();
    let device_key = KeyPair::from_pem(&gate.device.tls_key).unwrap();
    let below = Issuer::from_ca_cert_pem(&gate.device.bundle.cert_pem, &device_key);
    let server = Keys::read(gate.world.folder.path()).unwrap().server_identity();
    strangers.push(("of another CA", gate.signed(&own, |_| {})));
    strangers.push(("the platform's own server", server));
    let (cert_pem, key_pem) = (own_ca_cert.pem(), own_ca.serialize_pem());
    strangers.push(("its own authority", Identity { ca_pem: gate.ca_pem.clone(), cert_pem, key_pem }));
    if let Ok(below) = below {
        strangers.push(("issued by a device", gate.signed(&below, |_| {})));
    }
    assert!(strangers.len() >= 15);
    for (who, identity) in strangers {
        let answer = gate.served(&identity).await;
        assert_ne!(answer, Some(200), "{who} was served");
    }
    assert_eq!(gate.world.json("/api/v1/devices").await["devices"][0]["accepted"], 0);
    assert_eq!(gate.served(&gate.right()).await, Some(200), "the device itself");
    gate.world.end().await;
}

#[tokio::test]
async fn whoever_shows_no_certificate_or_speaks_otherwise_is_not_served() {
    let gate = Gate::new().await;
    let nobody = tls::visitor(&gate.ca_pem).unwrap();
    assert_ne!(gate.knock(nobody, "/v1/batches").await, Some(200), "no certificate");
    for path in ["/", "/v1/batches/", "/v2/batches", "/../v1/batches", "/api/v1/rows", "/evidence/ward-3a/x"]
    {
        let answer = gate.knock(tls::client(&gate.right()).unwrap(), path).await;
        assert_eq!(answer, Some(404), "{path}");
    }
    for bytes in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0; 64], &[0x16, 0x03, 0x01, 0xff, 0xff]] {
        let mut tcp = TcpStream::connect(gate.world.running().devices).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "plain bytes were answered as HTTP");
    }
    // A hello that offers TLS 1.2 and nothing else (record 3.1, version 3.3, one suite of 1.2, no extensions).
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut tcp = TcpStream::connect(gate.world.running().devices).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&0x15), "an alert and nothing else: {answer:02x?}");
    gate.world.end().await;
}

#[tokio::test]
async fn a_revoked_device_is_not_served_on_any_connection_nor_one_whose_certificate_was_renewed() {
    let gate = Gate::new().await;
    let db = gate.world.db();
    // The same connection, before and after.
    let config = tls::client(&gate.right()).unwrap();
    let address = gate.world.running().devices;
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let request = format!(
        "POST /v1/batches HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n",
        gate.body.len()
    );
    let request = [request.as_bytes(), gate.body.as_slice()].concat();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        stream.write_all(&request).await.unwrap();
        let mut answer = vec![0; 16 * 1024];
        let read = stream.read(&mut answer).await.unwrap();
        statuses.push(String::from_utf8_lossy(&answer[9..12.min(read)]).into_owned());
        assert!(devices::revoke(&db, &gate.device.id, NOW).unwrap());
    }
    assert_eq!(statuses, ["200", "403"]);
    assert_eq!(gate.served(&gate.right()).await, Some(403), "a new connection");
    // Admitted again with a new certificate, the old one stays out.
    let renewed = Device::admitted(gate.world.folder.path(), "ward-3a", address.port());
    assert_eq!(gate.served(&gate.right()).await, Some(403), "the old certificate");
    assert!(renewed.uplink().deliver(vec![]).await.is_ok());
    gate.world.end().await;
}

#[test]
fn a_certificate_lasts_thirty_days_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    keys::init(folder.path(), &["localhost".into()], NOW).unwrap();
    let keys = Keys::read(folder.path()).unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let device = bedcheck::base::ids::DeviceId::new("ward-3a").unwrap();
    let now = Clock::system().now().wall;
    let issued = keys.issue(&csr, &device, Wall(now.0 - 31 * DAY)).unwrap().pem;
    let (_, pem) = x509_parser::pem::parse_x509_pem(issued.as_bytes()).unwrap();
    assert!(pem.parse_x509().unwrap().validity().not_after.timestamp() * 1000 < now.0);
}
