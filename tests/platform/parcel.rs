//! A hospital without network: what waits goes to the platform on a stick, the receipts come back the same way.

use std::path::Path;
use std::process::{Command, Output};

use bedcheck::agent::identity;
use bedcheck::base::ids::DeviceId;
use bedcheck::domain::verdict::Verdict;
use bedcheck::store::{Journal, Outbox, Signer};
use bedcheck::wire::statement::Digests;
use rusqlite::Connection;

use crate::world::*;

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Keys made and admitted with the programs, and a journal with four rows of which nobody has heard.
fn cut_off(folder: &Path, platform: &Path) -> Journal {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (state, request, bundle) = (path("state"), path("request.json"), path("bundle.json"));
    let device =
        ["device", "request", "--state", &state, "--device", "ward-3a", "--ward", "3A", "--out", &request];
    let made = run(env!("CARGO_BIN_EXE_bedcheck"), &device);
    assert!(made.status.success(), "{}", said(&made));
    let dir = platform.to_str().unwrap();
    let add = [
        "device",
        "add",
        "--dir",
        dir,
        "--request",
        &request,
        "--url",
        "https://127.0.0.1:1",
        "--institution",
        "示范医院",
        "--out",
        &bundle,
    ];
    let added = run(env!("CARGO_BIN_EXE_bedcheck-platform"), &add);
    assert!(added.status.success(), "{}", said(&added));
    let accepted = run(env!("CARGO_BIN_EXE_bedcheck"), &["device", "accept", "--state", &state, &bundle]);
    assert!(accepted.status.success(), "{}", said(&accepted));
    let state = folder.join("state");
    let signer = Signer {
        device: DeviceId::new("ward-3a").unwrap(),
        key: identity::statement_key(&state).unwrap(),
        boot_id: "b".into(),
        digests: Digests::default(),
        evidence_key: identity::bundle(&state).unwrap().evidence_key.try_into().unwrap(),
    };
    let mut journal = Journal::open(&state.join("journal.db"), signer).unwrap();
    story(&mut journal);
    journal
}

fn outbox(folder: &Path, args: &[&str]) -> Output {
    let state = folder.join("state");
    let args = [&["outbox", args[0], "--state", state.to_str().unwrap()], &args[1..]].concat();
    run(env!("CARGO_BIN_EXE_bedcheck"), &args)
}

#[tokio::test]
async fn what_waits_goes_to_the_platform_on_a_stick_and_the_receipts_come_back() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (at, dir) = (folder.path(), world.folder.path().to_str().unwrap());
    let mut journal = cut_off(at, world.folder.path());
    let path = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let (file, receipts) = (path("parcel"), path("receipts"));
    assert!(said(&outbox(at, &["show"])).contains("4 条，4 条等待"), "{}", said(&outbox(at, &["show"])));
    assert!(outbox(at, &["export", "--out", &file]).status.success());
    let ingest = ["ingest", "--dir", dir, &file, "--receipts", &receipts];
    // Twice: whoever forgets whether the stick was read reads it again.
    for _ in 0..2 {
        let taken = run(env!("CARGO_BIN_EXE_bedcheck-platform"), &ingest);
        assert!(taken.status.success(), "{}", said(&taken));
    }
    let rows = world.json("/api/v1/rows").await;
    assert_eq!(rows["rows"][0]["exceptions"][0]["kind"], "impersonation");
    // The agent went on meanwhile; what it said since still waits.
    journal.commit(vec![check(Verdict::Verified)]).unwrap();
    let accepted = said(&outbox(at, &["accept", &receipts]));
    assert!(accepted.contains("4 条已确认，1 条等待"), "{accepted}");
    let proved = outbox(at, &["verify"]);
    assert!(proved.status.success() && said(&proved).contains("通过"), "{}", said(&proved));
    // The next statement is anchored in the receipt from the stick.
    assert!(outbox(at, &["export", "--out", &file]).status.success());
    let taken = run(env!("CARGO_BIN_EXE_bedcheck-platform"), &ingest);
    assert!(taken.status.success(), "{}", said(&taken));
    assert_eq!(world.json("/api/v1/devices").await["devices"][0]["accepted"], 5);
    world.end().await;
}

#[tokio::test]
async fn a_stick_that_was_tampered_with_is_refused() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (at, dir) = (folder.path(), world.folder.path().to_str().unwrap());
    cut_off(at, world.folder.path());
    let path = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let (file, receipts) = (path("parcel"), path("receipts"));
    outbox(at, &["export", "--out", &file]);
    let whole = std::fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut otherwise_signed = whole.clone();
    let sig = whole.windows(7).position(|text| text == b"\"sig\":\"").unwrap() + 7;
    otherwise_signed[sig] = if whole[sig] == b'A' { b'B' } else { b'A' };
    let cases = [
        (flipped, "changed or cut"),
        (lines[..4].concat(), "changed or cut"),
        (lines[1..].concat(), "no parcel"),
        ([lines[0], lines[2], lines[1], lines[3], lines[4]].concat(), "changed or cut"),
        (otherwise_signed, "not believed"),
    ];
    for (bytes, wanted) in cases {
        bedcheck::base::files::write_owner_only(Path::new(&file), &bytes).unwrap();
        let refused = run(
            env!("CARGO_BIN_EXE_bedcheck-platform"),
            &["ingest", "--dir", dir, &file, "--receipts", &receipts],
        );
        assert!(!refused.status.success() && said(&refused).contains(wanted), "{wanted}: {}", said(&refused));
    }
    assert_eq!(world.json("/api/v1/devices").await["devices"][0]["accepted"], 0);
    // Receipts of another platform acknowledge nothing here.
    let other = World::new().await;
    let device = other.device("ward-3a");
    let answer = device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    let foreign =
        bedcheck::wire::dsse::Envelope::sign(&device.key, "t", serde_json::to_vec(&answer.receipt).unwrap());
    bedcheck::base::files::write_owner_only(Path::new(&receipts), &serde_json::to_vec(&foreign).unwrap())
        .unwrap();
    let refused = outbox(at, &["accept", &receipts]);
    assert!(
        !refused.status.success() && said(&refused).contains("no receipt of our platform"),
        "{}",
        said(&refused)
    );
    other.end().await;
    world.end().await;
}

#[tokio::test]
async fn whoever_writes_into_the_journal_is_found_out_and_the_row_named() {
    let world = World::new().await;
    let tampers = [
        ("UPDATE event SET body = replace(body, 'mismatch', 'verified') WHERE seq = 3", " 3: "),
        ("UPDATE event SET evidence = zeroblob(40) WHERE seq = 3", " 3: "),
        ("UPDATE event SET evidence = NULL WHERE seq = 3", " 3: "),
        ("DELETE FROM event WHERE seq = 2", "rows after 1 are missing"),
        ("DELETE FROM event WHERE seq = 4", "not all here"),
        ("DELETE FROM event WHERE seq = 4; UPDATE chain SET seq = 3", "not all here"),
        ("UPDATE event SET seq = seq + 10 WHERE seq > 2", "number or link was changed"),
        ("UPDATE event SET link = hex(zeroblob(32)) WHERE seq = 2", " 2: "),
        ("UPDATE event SET envelope = (SELECT envelope FROM event WHERE seq = 2) WHERE seq = 3", " 3: "),
        ("UPDATE event SET envelope = replace(envelope, 'sig\":\"', 'sig\":\"A') WHERE seq = 1", " 1: "),
        ("UPDATE event SET envelope = '{' WHERE seq = 1", "envelope cannot be read"),
    ];
    let folder = tempfile::tempdir().unwrap();
    drop(cut_off(folder.path(), world.folder.path()));
    let path = folder.path().join("state/journal.db");
    let key = identity::statement_key(&folder.path().join("state")).unwrap().verifying_key();
    let whole = std::fs::read(&path).unwrap();
    for (tamper, wanted) in tampers {
        bedcheck::base::files::write_owner_only(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(tamper).unwrap();
        let found = Outbox::open(&folder.path().join("state")).unwrap().verify(&key).unwrap();
        assert!(found.faults.iter().any(|fault| fault.contains(wanted)), "{tamper}: {:?}", found.faults);
    }
    let proved = outbox(folder.path(), &["verify"]);
    assert!(
        proved.status.code() == Some(1) && said(&proved).contains("somebody wrote into the journal"),
        "{}",
        said(&proved)
    );
    world.end().await;
}
