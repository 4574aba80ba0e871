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

use bedcheck::base::clock::{Now, Wall};
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
