//! The platform through its ports: real TLS on loopback, a real journal on the other side.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of a test fail by panicking, and the attacks tried are a table to read"
)]

use std::time::Duration;

use bedcheck::base::clock::Clock;
use bedcheck::base::files::sha256_hex;
use bedcheck::base::supervise::{self};
use bedcheck::domain::verdict::Verdict;
use bedcheck::platform::devices::{self};
use bedcheck::platform::keys::{self};
use bedcheck::platform::serve::{self, Settings};
use bedcheck::uplink::{Platform, UplinkError};
use bedcheck::wire::batch::{Fate, Item};
use bedcheck::wire::statement::{Digests, NO_LINK, Statement};

mod api;
mod beside;
mod browser;
mod case;
mod decisions;
mod door;
mod doors;
mod enrolment;
mod kiosk;
mod leads;
mod migrate;
mod papers;
mod parcel;
#[path = "../common/postgres.rs"]
mod postgres;
mod renewal;
mod speed;
mod spot_checks;
mod store;
mod strangers;
mod tamper;
mod webhooks;
mod world;

use world::*;

#[tokio::test]
async fn a_batch_becomes_rows_and_its_repeat_changes_nothing() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let (mut journal, uplink) = (device.journal(), device.uplink());
    let items = story(&mut journal);

    let first = uplink.deliver(items.clone()).await.unwrap();
    assert_eq!(fates(&first), [Fate::Accepted; 4]);
    assert_eq!(first.receipt.head, journal.unsent().unwrap().unwrap().last);
    let before = (world.json("/api/v1/rows").await, world.json("/api/v1/exceptions").await);
    let again = uplink.deliver(items).await.unwrap();
    assert_eq!(fates(&again), [Fate::Duplicate; 4]);
    assert_eq!(again.receipt.head, first.receipt.head);
    assert_eq!(before, (world.json("/api/v1/rows").await, world.json("/api/v1/exceptions").await));

    let rows = before.0["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let row = &rows[0];
    assert_eq!((row["bed"].as_str(), row["verdict"].as_str()), (Some("04"), Some("Mismatch")));
    assert_eq!((row["round"].as_i64(), row["rounds_seen"].as_i64()), (Some(7), Some(1)));
    assert_eq!((row["institution"].as_str(), row["synthetic"].as_bool()), (Some("示范医院"), Some(true)));
    assert_eq!(row["exceptions"][0]["kind"], "impersonation");
    assert_eq!(row["chain"]["state"], "ok");
    assert_eq!((rows[1]["verdict"].is_null(), rows[1]["is_due"].as_bool()), (true, Some(true)));
    let known = world.json("/api/v1/devices").await;
    assert_eq!(
        (known["devices"][0]["accepted"].as_i64(), known["devices"][0]["duplicates"].as_i64()),
        (Some(4), Some(4))
    );
    let ledger = world.json("/api/v1/ledger").await;
    let states: Vec<&str> =
        ledger["ledger"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["open", "settled"]);
    world.end().await;
}

#[tokio::test]
async fn a_box_restored_from_a_snapshot_goes_on_in_a_new_chain_under_a_case() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.journal_named("a.db").commit(vec![roster()]).unwrap();
    std::fs::copy(device.folder.path().join("a.db"), device.folder.path().join("b.db")).unwrap();
    for (name, said) in [("a.db", round()), ("b.db", check(Verdict::Verified))] {
        device.journal_named(name).commit(vec![said]).unwrap();
        deliver(&device, device.journal_named(name)).await;
    }
    assert_eq!(open_kinds(&world).await, ["chain_fork", "chain_new_epoch"]);
    let rows = world.json("/api/v1/rows").await;
    assert_eq!(rows["rows"][0]["verdict"], "Verified", "what the restored box said arrived");
    world.end().await;
}

#[tokio::test]
async fn another_story_under_the_same_number_is_a_fork_and_a_gap_must_persist() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let uplink = device.uplink();
    // A snapshot of the box is taken, and both lives go on.
    let mut journal = device.journal_named("a.db");
    journal.commit(vec![roster()]).unwrap();
    drop(journal);
    std::fs::copy(device.folder.path().join("a.db"), device.folder.path().join("b.db")).unwrap();
    let (mut one, mut two) = (device.journal_named("a.db"), device.journal_named("b.db"));
    one.commit(vec![round()]).unwrap();
    let forked = two.commit(vec![check(Verdict::Verified)]).unwrap();

    let first = uplink.deliver(one.unsent().unwrap().unwrap().items).await.unwrap();
    assert_eq!(fates(&first), [Fate::Accepted, Fate::Accepted]);
    let second = uplink.deliver(two.unsent().unwrap().unwrap().items).await.unwrap();
    assert_eq!(fates(&second), [Fate::Duplicate, Fate::Fork]);
    assert_ne!(second.receipt.head.link, forked.link);
    let kinds = open_kinds(&world).await;
    assert_eq!(kinds, ["chain_fork"]);

    for commit in [check(Verdict::Mismatch), impersonation()] {
        one.commit(vec![commit]).unwrap();
    }
    let ahead = one.rows_after(3).unwrap().unwrap().items;
    assert_eq!(fates(&uplink.deliver(ahead.clone()).await.unwrap()), [Fate::OutOfOrder]);
    assert_eq!(open_kinds(&world).await, ["chain_fork"]);
    let head = uplink.deliver(ahead).await.unwrap().receipt.head;
    assert_eq!(
        (head.seq, open_kinds(&world).await),
        (2, vec!["chain_fork".to_owned(), "chain_gap".to_owned()])
    );
    // It goes on from the head of the receipt, and the gap is over.
    let rest = one.rows_after(head.seq).unwrap().unwrap().items;
    assert_eq!(fates(&uplink.deliver(rest).await.unwrap()), [Fate::Accepted, Fate::Accepted]);
    assert!(!open_kinds(&world).await.contains(&"chain_gap".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn a_device_that_lost_its_state_goes_on_under_a_case() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let uplink = device.uplink();
    uplink.deliver(story(&mut device.journal_named("a.db"))).await.unwrap();
    let mut journal = device.journal_named("b.db");
    journal.commit(vec![roster()]).unwrap();
    let answer = uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap();
    assert_eq!((fates(&answer), answer.receipt.head.seq), (vec![Fate::Accepted], 1));
    assert!(open_kinds(&world).await.contains(&"chain_new_epoch".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn what_was_changed_on_the_box_is_refused_and_becomes_a_case() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let uplink = device.uplink();
    let items = story(&mut device.journal());
    let mut body = items.clone();
    body[2].body = body[2].body.replace("mismatch", "verified");
    assert_ne!(body[2].body, items[2].body);
    assert_eq!(refused(uplink.deliver(body).await), 400);
    let mut evidence = items.clone();
    evidence[2].evidence = Some("AAAA".to_owned());
    assert_eq!(refused(uplink.deliver(evidence).await), 400);
    let mut payload = items.clone();
    payload[0].envelope.payload[20] ^= 1;
    assert_eq!(refused(uplink.deliver(payload).await), 400);
    assert_eq!(open_kinds(&world).await, ["tampered"]);
    assert_eq!(world.json("/api/v1/rows").await["rows"].as_array().unwrap().len(), 0);
    // Nothing is jammed: the true batch still arrives.
    assert_eq!(fates(&uplink.deliver(items).await.unwrap()), [Fate::Accepted; 4]);
    world.end().await;
}

#[tokio::test]
async fn only_admitted_devices_speak_and_only_for_themselves() {
    let world = World::new().await;
    let (a, b) = (world.device("ward-a"), world.device("ward-bb"));
    let items = story(&mut b.journal());
    // A shows its own certificate and sends what B signed.
    assert_eq!(refused(a.uplink().deliver(items.clone()).await), 400);
    let as_b = Platform { device: b.id.clone(), ..a.uplink() };
    assert_eq!(refused(as_b.deliver(items.clone()).await), 403);

    // Another platform's device does not get past the handshake.
    let foreign = tempfile::tempdir().unwrap();
    keys::init(foreign.path(), &["localhost".into()], Clock::system().now().wall).unwrap();
    postgres::usual().store(foreign.path());
    let mut stranger = Device::admitted(foreign.path(), "ward-bb", world.running().devices.port());
    stranger.bundle.ca_pem = b.bundle.ca_pem.clone();
    assert!(matches!(stranger.uplink().deliver(items.clone()).await, Err(UplinkError::Client(_))));

    // Revoked: refused on the connection that is already open.
    let uplink = b.uplink();
    uplink.deliver(items.clone()).await.unwrap();
    assert!(devices::revoke(&world.db(), &b.id, NOW).unwrap());
    assert_eq!(refused(uplink.deliver(items).await), 403);
    world.end().await;
}

#[tokio::test]
async fn evidence_opens_only_through_the_dashboard_and_every_opening_is_written_down() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    let rows = world.json("/api/v1/rows").await;
    let path = rows["rows"][0]["evidence"].as_str().unwrap().to_owned();
    let count = |what: &'static str| {
        world
            .db()
            .read(|db| db.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get::<_, i64>(0)))
    };
    let wrong = [("name", "王五"), ("passphrase", "guessed"), ("reason", "核对投诉")];
    assert_eq!(world.post(&format!("{path}/ask"), &wrong).await.0, 403);
    assert_eq!((count("viewing").unwrap(), count("opened").unwrap()), (0, 0));
    let picture = bedcheck::base::picture::decode(&world.open_evidence(&path).await).unwrap();
    let sent = bedcheck::base::picture::decode(&crop()).unwrap();
    assert_eq!((picture.width(), picture.height()), (sent.width(), sent.height()));
    let off = picture.rgb().iter().zip(sent.rgb()).filter(|(a, b)| a.abs_diff(**b) > 30).count();
    assert!(off > 500, "the picture carries no mark: {off} values differ");
    assert_eq!(world.ask("/evidence/ward-3a/none", None).await.0, 404);
    assert_eq!(world.ask(&path, Some("evil.example")).await.0, 421);
    assert_eq!(count("opened WHERE opened = 1").unwrap(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_dashboard_refuses_foreign_names_and_public_addresses() {
    let world = World::new().await;
    assert_eq!(world.ask("/api/v1/rows", Some("evil.example")).await.0, 421);
    let settings = Settings {
        dir: world.folder.path().to_owned(),
        devices: "127.0.0.1:0".into(),
        enrol: None,
        dashboard: "0.0.0.0:0".into(),
        grace: Duration::ZERO,
        rate: 1,
    };
    let (_stop, stopping) = supervise::shutdown();
    let error = serve::start(&settings, fixed(), &stopping).await.err().unwrap().to_string();
    assert!(error.contains("no loopback address"), "{error}");
    world.end().await;
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_stays_in_the_chain_under_a_case() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let body = r#"{"hello":"future"}"#.to_owned();
    let statement = Statement {
        v: 1,
        device: device.id.clone(),
        epoch: "e1".into(),
        seq: 1,
        prev: NO_LINK.into(),
        body_sha256: sha256_hex(body.as_bytes()),
        evidence_sha256: vec![],
        t_wall: NOW,
        t_boot: 0,
        boot_id: "b".into(),
        anchor: NO_LINK.into(),
        digests: Digests::default(),
    };
    let (envelope, link) = statement.sign(&device.key).unwrap();
    let answer = device.uplink().deliver(vec![Item { envelope, body, evidence: None }]).await.unwrap();
    assert_eq!((fates(&answer), answer.receipt.head.link), (vec![Fate::Accepted], link));
    assert_eq!(open_kinds(&world).await, ["unreadable"]);
    world.end().await;
}

#[tokio::test]
async fn the_page_reads_without_script_in_both_languages() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    let (status, head, body) = world.ask("/", None).await;
    let page = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(head.contains("default-src 'none'"), "{head}");
    assert!(page.len() < 150_000);
    assert!(!page.contains(" style=") && !page.contains("<script>"));
    for expected in [
        "智慧巡查",
        "04床",
        "人证不符",
        "疑似冒名住院",
        "误识率 1/1,000",
        "演示",
        "张**",
        "http-equiv=\"refresh\"",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    let (_, head, body) = world.ask("/?lang=en", None).await;
    assert!(head.contains("set-cookie: lang=en"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("Bed 04: another face, 1 round"));
    for path in ["/style.css", "/live.js", "/icon.svg", "/rows"] {
        assert_eq!(world.ask(path, None).await.0, 200, "{path}");
    }
    world.end().await;
}

#[test]
fn the_program_says_what_is_wrong_and_ends_with_a_code_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
            .args(arguments)
            .arg("--dir")
            .arg(&dir)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = run(&["serve"]);
    assert_eq!((code, message.lines().count()), (78, 1));
    assert!(message.contains("bedcheck-platform init"), "{message}");
    assert_eq!(run(&["init"]).0, 0);
    assert_eq!(run(&["init"]).0, 78);
    assert_eq!(run(&["device", "revoke", "--device", "nobody"]).0, 1);
    assert_eq!(run(&["serve", "--dashboard", "0.0.0.0:0"]).0, 78);
    assert_eq!(run(&["serve", "--grace", "soon"]).0, 64);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, message) = run(&["serve", "--devices", &address, "--dashboard", "127.0.0.1:0"]);
    assert_eq!(code, 1);
    assert!(message.contains("another program uses this port"), "{message}");
    std::fs::remove_file(dir.join("platform.db")).unwrap();
    let (code, message) = run(&["serve"]);
    assert!(code == 78 && message.contains("no platform.db"), "{code} {message}");
}

async fn open_kinds(world: &World) -> Vec<String> {
    let exceptions = world.json("/api/v1/exceptions").await;
    let mut kinds: Vec<String> = exceptions["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["state"] != "ended")
        .map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}
