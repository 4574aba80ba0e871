//! A platform that is down, slow, talks nonsense, or is another one: each is told apart, and the journal keeps
//! everything until a believable receipt comes.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;

use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::ids::DeviceId;
use bedcheck::base::supervise::{self, Stop};
use bedcheck::net::client::{Client, ClientError};
use bedcheck::net::server;
use bedcheck::net::tls;
use bedcheck::store::{Commit, Journal, Signer};
use bedcheck::uplink::{Platform, UplinkError};
use bedcheck::wire::batch::{Answer, Head, RECEIPT_TYPE, Receipt};
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::event::{Beat, Report};
use bedcheck::wire::seal;
use bedcheck::wire::statement::{Digests, NO_LINK};

#[path = "common/authority.rs"]
mod authority;
use authority::Authority;

fn device() -> DeviceId {
    DeviceId::new("d1").unwrap()
}

fn receipt_key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

async fn serve(authority: &Authority, router: Router) -> (String, Stop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = supervise::shutdown();
    let tls = tls::server(&authority.identity()).unwrap();
    supervise::task("server", server::serve(listener, Some(tls), router, stopping));
    (format!("https://{address}"), stop)
}

fn platform(url: &str, authority: &Authority) -> Platform {
    let client = Client::new(url, &authority.identity()).unwrap().patient_for(Duration::from_millis(800));
    Platform { client, device: device(), receipt_key: receipt_key().verifying_key() }
}

fn journal(folder: &std::path::Path) -> Journal {
    let signer = Signer {
        device: device(),
        key: SigningKey::from_bytes(&[6; 32]),
        boot_id: "b".into(),
        digests: Digests::default(),
        evidence_key: seal::key_pair().1,
    };
    let mut journal = Journal::open(&folder.join("journal.db"), signer).unwrap();
    let report = Report::Beat(Beat::default());
    let commit = Commit { at: Now::default(), report, crop: None, remember: vec![] };
    journal.commit(vec![commit]).unwrap();
    journal
}

/// What one fault looks like to the agent; the journal must still hold the event afterwards.
async fn fault(router: Router) -> UplinkError {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let authority = Authority::new();
    let (url, _stop) = serve(&authority, router).await;
    let items = journal.unsent().unwrap().unwrap().items;
    let error = platform(&url, &authority).deliver(items).await.err().expect("this is no receipt");
    assert_eq!(journal.pending().unwrap().rows, 1, "nothing is lost");
    error
}

fn answers(reply: impl IntoResponse + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/v1/batches", post(move || async move { reply.clone() }))
}

fn receipt(device: &str, key: &SigningKey) -> String {
    let receipt = Receipt {
        v: 1,
        device: DeviceId::new(device).unwrap(),
        head: Head { epoch: "e".into(), seq: 1, link: NO_LINK.into() },
        received: Wall(0),
        results: vec![],
        orders: vec![],
        log_head: None,
        evidence_key: None,
    };
    let receipt = Envelope::sign(key, RECEIPT_TYPE, serde_json::to_vec(&receipt).unwrap());
    serde_json::to_string(&Answer { receipt }).unwrap()
}

#[tokio::test]
async fn a_platform_that_is_down_is_unreachable() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = platform(&url, &authority).deliver(vec![]).await.err().unwrap();
    assert!(matches!(error, UplinkError::Client(ClientError::Unreachable { .. })), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_platform_that_does_not_answer_is_slow() {
    let never = Router::new().route("/v1/batches", post(std::future::pending::<StatusCode>));
    let error = fault(never).await;
    assert!(matches!(error, UplinkError::Client(ClientError::Slow { .. })), "{error}");
}

#[tokio::test]
async fn nonsense_and_endless_answers_are_not_believed() {
    let error = fault(answers("<html>Welcome to nginx!</html>")).await;
    assert!(matches!(error, UplinkError::Nonsense(_)), "{error}");
    let error = fault(answers("x".repeat(3 * 1024 * 1024))).await;
    assert!(matches!(error, UplinkError::Client(ClientError::TooMuch { .. })), "{error}");
}

#[tokio::test]
async fn a_busy_platform_says_how_long_to_wait() {
    let error = fault(answers((StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "busy"))).await;
    assert!(
        matches!(error, UplinkError::Busy { status: 503, retry_after: Some(wait) } if wait.as_secs() == 7),
        "{error}"
    );
    let error = fault(answers((
        StatusCode::FORBIDDEN,
        "{\"type\":\"about:blank\",\"title\":\"revoked\",\"status\":403}",
    )))
    .await;
    assert!(matches!(&error, UplinkError::Refused { status: 403, detail } if detail == "revoked"), "{error}");
}

#[tokio::test]
async fn a_receipt_of_another_platform_or_for_another_device_acknowledges_nothing() {
    let error = fault(answers(receipt("d1", &SigningKey::from_bytes(&[9; 32])))).await;
    assert!(matches!(error, UplinkError::Receipt(_)), "{error}");
    let error = fault(answers(receipt("d2", &receipt_key()))).await;
    assert!(matches!(error, UplinkError::OtherDevice(_)), "{error}");
}

#[tokio::test]
async fn a_platform_with_another_ca_is_refused_in_the_handshake() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (url, _stop) = serve(&theirs, answers(receipt("d1", &receipt_key()))).await;
    let error = platform(&url, &ours).deliver(vec![]).await.err().unwrap();
    assert!(matches!(error, UplinkError::Client(ClientError::Unreachable { .. })), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn the_believable_receipt_is_taken() {
    let authority = Authority::new();
    let (url, _stop) = serve(&authority, answers(receipt("d1", &receipt_key()))).await;
    let acknowledged = platform(&url, &authority).deliver(vec![]).await.unwrap();
    assert_eq!(acknowledged.receipt.head.seq, 1);
    assert_eq!(acknowledged.digest.len(), 64);
}

/// What a device says of a platform whose certificate is good from `server.0` to `server.1`, when its own began at `own`
/// and its clock shows `clock`; all in days from now.
async fn believes(server: (i64, i64), own: i64, clock: i64) -> Result<(), String> {
    let now = Clock::system().now();
    let day = |days: i64| {
        let wall = now.wall.0 / 1000 + days * 86_400;
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(wall as u64)
    };
    let authority = Authority::new();
    let shown = authority.identity_with(|params| {
        (params.not_before, params.not_after) = (day(server.0), day(server.1));
    });
    let acceptor: tokio_rustls::TlsAcceptor =
        tls::open_server(tls::Shown::new(&shown).unwrap()).unwrap().into();
    let identity = authority.identity_with(|params| params.not_before = day(own));
    let wall = Wall(now.wall.0 + clock * 86_400_000);
    let config = tls::client_by(&identity, Clock::Fixed(Now { wall, ..now })).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector: tokio_rustls::TlsConnector = std::sync::Arc::new(config).into();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let (found, _) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    found.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_clock_that_is_behind_believes_no_certificate_that_was_over_when_the_own_one_began() {
    let over = believes((-100, -10), -5, -50).await.unwrap_err();
    assert!(over.contains("expired"), "{over}");
    assert_eq!(believes((-100, -10), -50, -50).await, Ok(()), "that clock alone would believe it");
    assert_eq!(believes((-20, 70), -5, -20_000).await, Ok(()), "an empty battery: 1970, and yet it is found");
    let early = believes((10, 70), -5, 0).await.unwrap_err();
    assert!(early.contains("not valid yet"), "{early}");
}
