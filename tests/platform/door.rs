//! The port that asks for no certificate: impostors in its place, and whoever wants something else of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bedcheck::agent::identity;
use bedcheck::base::supervise;
use bedcheck::net::server;
use bedcheck::net::tls::{self, Identity, Shown};
use bedcheck::platform::keys::Keys;
use bedcheck::uplink::{self, UplinkError};
use bedcheck::wire::token::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::enrolment::today;
use crate::world::*;

#[tokio::test]
async fn a_device_speaks_to_nobody_but_the_platform_whose_key_the_token_names() {
    let world = World::today().await;
    let token = world.token("d1", None, today());
    let state = tempfile::tempdir().unwrap();
    let sent = identity::enrolment(state.path(), &token, None).unwrap();
    let wrong_pin = Token { ca_key_sha256: [1; 32], ..token.clone() };
    assert!(matches!(uplink::enrol(&wrong_pin, &sent).await, Err(UplinkError::Client(_))));

    // Impostors: with a CA of their own, with the true CA's certificate (which is public) beside their own, and with the
    // certificate that the true CA gave to another device.
    let foreign = World::today().await;
    let keys = |world: &World| Keys::read(world.folder.path()).unwrap();
    let theirs = keys(&foreign).server_identity();
    let true_ca = keys(&world).ca_pem().to_owned();
    let device = world.device("ward-3a");
    let shown = [
        keys(&foreign).shown(&theirs.cert_pem),
        Identity { cert_pem: format!("{}{true_ca}", theirs.cert_pem), ..theirs.clone() },
        Identity { cert_pem: format!("{}{true_ca}{}", theirs.cert_pem, theirs.ca_pem), ..theirs },
        Identity {
            ca_pem: true_ca.clone(),
            cert_pem: format!("{}{true_ca}", device.bundle.cert_pem),
            key_pem: device.tls_key.clone(),
        },
        keys(&world).server_identity(),
    ];
    for (at, identity) in shown.iter().enumerate() {
        let heard = Arc::new(AtomicUsize::new(0));
        let counts = heard.clone();
        let router = axum::Router::new().fallback(move || async move {
            counts.fetch_add(1, Ordering::SeqCst);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (stop, stopping) = supervise::shutdown();
        let config = tls::open_server(Shown::new(identity).unwrap()).unwrap();
        let served = supervise::task("impostor", server::serve(listener, Some(config), router, stopping));
        let outcome = uplink::enrol(&Token { url, ..token.clone() }, &sent).await;
        assert!(matches!(outcome, Err(UplinkError::Client(_))), "impostor {at} was spoken to");
        assert_eq!(heard.load(Ordering::SeqCst), 0, "impostor {at} heard something");
        stop.fire();
        served.await.unwrap();
    }
    assert_eq!(world.devices().await.1, 0);
    uplink::enrol(&token, &sent).await.unwrap();
    foreign.end().await;
    world.end().await;
}

#[tokio::test]
async fn the_door_takes_enrolments_and_gives_the_list_and_nothing_else() {
    let world = World::today().await;
    let address = world.running().enrol.unwrap();
    let ca = std::fs::read_to_string(world.folder.path().join("ca.pem")).unwrap();
    let ask = async |head: &str, body: Vec<u8>| {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let config = Arc::new(tls::visitor(&ca).unwrap());
        let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let head = format!(
            "{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer[9..12]).into_owned()
    };
    for (head, body, status) in [
        ("POST /v1/batches", vec![], "404"),
        ("POST /v1/certificate", vec![], "404"),
        ("GET /api/v1/rows", vec![], "404"),
        ("GET /v1/enrol", vec![], "405"),
        ("POST /crl", vec![], "405"),
        ("POST /v1/enrol", b"{}".to_vec(), "400"),
        ("POST /v1/enrol", vec![b' '; 40 * 1024], "413"),
        ("GET /crl", vec![], "200"),
    ] {
        assert_eq!(ask(head, body).await, status, "{head}");
    }
    // A hello that offers TLS 1.2 and nothing else.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&0x15), "an alert and nothing else: {answer:02x?}");
    world.end().await;
}
