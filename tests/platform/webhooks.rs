//! Receivers of webhooks over real sockets: a good one, one that is down, slow, broken, gone, and one that sends us elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bedcheck::base::clock::Wall;
use bedcheck::base::ids::DeviceId;
use bedcheck::base::supervise;
use bedcheck::platform::cases::{self, Own};
use bedcheck::platform::db::Database;
use bedcheck::platform::webhooks::sender::Sender;
use bedcheck::platform::webhooks::{self, Receiver};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::world::{NOW, World, story};

/// What a receiver was sent, and how it answers.
#[derive(Clone, Default)]
struct Desk {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    /// The answers to come, the last for ever; 200 where there is none.
    answers: Arc<Mutex<Vec<u16>>>,
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    desk.got.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
    let status = {
        let mut answers = desk.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers.first().copied().unwrap_or(200) }
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, "/elsewhere")]).into_response()
}

impl Desk {
    /// A receiver on a port of its own; its address.
    async fn open(answers: &[u16]) -> (Desk, String) {
        let desk = Desk::default();
        desk.answers.lock().unwrap().extend(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let router =
            Router::new().route("/hook", post(take)).route("/elsewhere", post(take)).with_state(desk.clone());
        supervise::task("receiver", async move { axum::serve(listener, router).await.unwrap() });
        (desk, address)
    }

    fn got(&self) -> Vec<(HeaderMap, String)> {
        self.got.lock().unwrap().clone()
    }
}

/// A receiver that was told the secret checks as the specification says.
fn verify(secret: &str, headers: &HeaderMap, body: &str) -> String {
    let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let (id, timestamp) = (text("webhook-id"), text("webhook-timestamp"));
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let signature = text("webhook-signature");
    let bytes = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&bytes).unwrap();
    id
}

/// A platform's database with a device, and a receiver that is to be told of an exception.
fn outbox(urls: &[&str]) -> (tempfile::TempDir, Database, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let db = crate::postgres::usual().store(folder.path());
    let secrets = urls.iter().map(|url| webhooks::add(&db, url, &[], None, NOW).unwrap().1).collect();
    (folder, db, secrets)
}

/// Something happens in a database that no platform serves.
fn happens(db: &Database, kind: Own) {
    let device = DeviceId::new("d").unwrap();
    db.write(|tx| {
        tx.execute("INSERT OR IGNORE INTO log_entry VALUES (0, '')", [])?;
        tx.execute(
            "INSERT OR IGNORE INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms,
                 round_every_ms, added_ms, logged, expected_ms) VALUES ('d', 'w', 'i', x'', '', 0, 1, 0, 0, 0)",
            [],
        )?;
        cases::raise(tx, &device, kind, NOW)
    })
    .unwrap();
}

async fn turn(sender: &Arc<Sender>, now: Wall) {
    for task in sender.clone().turn(now).await.unwrap() {
        task.await.unwrap();
    }
}

fn later(seconds: i64) -> Wall {
    Wall(NOW.0 + seconds * 1000)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} never was so");
}

#[tokio::test]
async fn a_running_platform_tells_a_receiver_what_happens_signed_and_without_a_patient() {
    let world = World::new().await;
    let (desk, url) = Desk::open(&[]).await;
    let (_, secret) = webhooks::add(&world.db(), &url, &[], None, NOW).unwrap();
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    until("the exception", || !desk.got().is_empty()).await;
    let form = [("step", "confirm"), ("version", "0")];
    assert_eq!(world.post("/exceptions/ward-3a/S4.04.impersonation.7/step", &form).await.0, 303);
    until("the step", || desk.got().len() >= 2).await;
    let got = desk.got();
    let ids: Vec<String> = got.iter().map(|(headers, body)| verify(&secret, headers, body)).collect();
    assert_ne!(ids[0], ids[1]);
    let bodies: Vec<Value> = got.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(
        (bodies[0]["type"].as_str(), bodies[1]["type"].as_str()),
        (Some("exception.raised"), Some("case.moved"))
    );
    let data = &bodies[1]["data"];
    assert_eq!(
        (data["kind"].as_str(), data["case_state"].as_str()),
        (Some("impersonation"), Some("confirmed"))
    );
    // The receiver reads the rest where the message says.
    let case = world.json(data["href"].as_str().unwrap()).await;
    assert_eq!((case["masked_name"].as_str(), case["case"]["version"].as_i64()), (Some("张**"), Some(1)));
    assert!(got.iter().all(|(_, body)| !body.contains("张")), "a name in {got:?}");
    let shown = &webhooks::list(&world.db()).unwrap()[0];
    assert_eq!((shown.sent, shown.waiting, shown.trouble.as_deref()), (2, 0, None));
    world.end().await;
}

fn shown(db: &Database) -> Receiver {
    webhooks::list(db).unwrap().remove(0)
}

#[tokio::test]
async fn a_receiver_that_was_down_or_broken_is_told_later_under_the_same_id() {
    let (desk, url) = Desk::open(&[500, 503, 200]).await;
    let (_folder, db, secrets) = outbox(&[&url]);
    happens(&db, Own::Silence);
    let sender = Sender::new(db.clone());
    turn(&sender, NOW).await;
    assert_eq!((desk.got().len(), shown(&db).trouble.as_deref()), (1, Some("HTTP 500")));
    turn(&sender, NOW).await;
    assert_eq!(desk.got().len(), 1, "it is left alone for a while");
    turn(&sender, later(3600)).await;
    assert_eq!(shown(&db).trouble.as_deref(), Some("HTTP 503"));
    turn(&sender, later(2 * 3600)).await;
    let got = desk.got();
    let ids: std::collections::BTreeSet<String> =
        got.iter().map(|(headers, body)| verify(&secrets[0], headers, body)).collect();
    assert_eq!((got.len(), ids.len()), (3, 1), "one message, three times");
    let shown = shown(&db);
    assert_eq!((shown.sent, shown.waiting, shown.trouble), (1, 0, None));
}

#[tokio::test]
async fn a_slow_receiver_keeps_nobody_waiting_and_a_dead_one_is_told_nothing_more_than_it_can_take() {
    let (slow, slow_url) = Desk::open(&[0]).await;
    let (good, good_url) = Desk::open(&[]).await;
    // A port where nobody listens.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_url = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let (_folder, db, _) = outbox(&[&slow_url, &good_url, &dead_url]);
    happens(&db, Own::Silence);
    let sender = Sender::patient_for(db.clone(), Duration::from_millis(300));
    let tasks = sender.clone().turn(NOW).await.unwrap();
    assert_eq!(tasks.len(), 3);
    until("the good one", || good.got().len() == 1).await;
    // Told anew while the slow one still thinks: nobody is told twice at a time.
    happens(&db, Own::NoRound);
    let more = sender.clone().turn(NOW).await.unwrap();
    for task in tasks.into_iter().chain(more) {
        task.await.unwrap();
    }
    until("the second message", || good.got().len() == 2).await;
    assert_eq!(slow.got().len(), 1);
    let list = webhooks::list(&db).unwrap();
    let of = |url: &str| list.iter().find(|one| one.url == url).unwrap();
    assert!(of(&slow_url).trouble.as_deref().unwrap().contains("did not answer"), "{list:?}");
    assert!(of(&dead_url).trouble.as_deref().unwrap().contains("cannot be reached"), "{list:?}");
    assert_eq!((of(&slow_url).waiting, of(&good_url).waiting, of(&good_url).sent), (2, 0, 2));
}

#[tokio::test]
async fn gone_ends_a_receiver_and_a_redirect_leads_nowhere() {
    let (gone, gone_url) = Desk::open(&[410]).await;
    let (moved, moved_url) = Desk::open(&[307]).await;
    let (_folder, db, _) = outbox(&[&gone_url, &moved_url]);
    happens(&db, Own::Silence);
    happens(&db, Own::NoRound);
    let sender = Sender::new(db.clone());
    turn(&sender, NOW).await;
    turn(&sender, later(3600)).await;
    assert_eq!(gone.got().len(), 1, "what was gone is told nothing more");
    assert_eq!(moved.got().len(), 2, "tried again, and never followed");
    let list = webhooks::list(&db).unwrap();
    let of = |url: &str| list.iter().find(|one| one.url == url).unwrap();
    assert_eq!(of(&gone_url).ended.as_ref().map(|(_, why)| why.as_str()), Some("gone"));
    assert_eq!((of(&gone_url).waiting, of(&moved_url).waiting), (0, 2));
    assert_eq!(of(&moved_url).trouble.as_deref(), Some("HTTP 307"));
}

#[test]
fn without_a_receiver_nothing_is_kept() {
    let (_folder, db, _) = outbox(&[]);
    happens(&db, Own::Silence);
    let kept: i64 =
        db.read(|db| db.query_row("SELECT count(*) FROM happening", [], |row| row.get(0))).unwrap();
    assert_eq!(kept, 0);
}
