//! A case leaves the platform as a file and is checked far from it: what holds, and what each kind of forgery is named.

use std::process::Command;

use bedcheck::audit::{Audit, Grade, Trusted, examine};
use bedcheck::base::clock::Wall;
use bedcheck::base::files::write_owner_only;
use bedcheck::base::ids::DeviceId;
use bedcheck::domain::verdict::Verdict;
use bedcheck::platform::export;
use bedcheck::platform::keys::Keys;
use bedcheck::platform::log;
use bedcheck::wire::batch::{RECEIPT_TYPE, Receipt};
use bedcheck::wire::case::{self, Line, fingerprint};
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::note::TreeHead;
use ed25519_dalek::SigningKey;

use crate::world::*;

const EXCEPTION: &str = "S4.04.impersonation.7";

/// A platform with two devices' stories, whose log had a head before the end.
async fn told() -> (World, Keys, String) {
    let world = World::new().await;
    let keys = Keys::read(world.folder.path()).unwrap();
    let (device, other) = (world.device("ward-3a"), world.device("ward-4bb"));
    let mut journal = device.journal();
    for commit in [roster(), round()] {
        journal.commit(vec![commit]).unwrap();
        let rows = journal.unsent().unwrap().unwrap();
        let answer = device.uplink().deliver(rows.items).await.unwrap();
        assert!(journal.acknowledge(&answer.receipt.head, &answer.digest, NOW).unwrap());
    }
    other.uplink().deliver(story(&mut other.journal())).await.unwrap();
    let early = world.db().write(|tx| log::sign(tx, &keys.log, NOW)).unwrap().unwrap().note;
    for commit in [check(Verdict::Mismatch), impersonation(), check(Verdict::Verified)] {
        journal.commit(vec![commit]).unwrap();
    }
    let answer = device.uplink().deliver(journal.unsent().unwrap().unwrap().items).await.unwrap();
    assert_eq!(answer.receipt.log_head.as_deref(), Some(early.as_str()), "devices witness the log");
    assert!(journal.acknowledge(&answer.receipt.head, &answer.digest, NOW).unwrap());
    (world, keys, early)
}

fn exported(world: &World, keys: &Keys) -> Vec<u8> {
    let device = DeviceId::new("ward-3a").unwrap();
    export::export(&world.db(), keys, &device, EXCEPTION, Wall(NOW.0 + 9_000)).unwrap()
}

fn bad(audit: &Audit) -> String {
    let bad = audit.answers.iter().filter(|answer| answer.grade == Grade::Bad);
    bad.map(|answer| answer.detail.as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_case_holds_far_from_the_platform_and_tells_nothing_of_other_patients() {
    let (world, keys, early) = told().await;
    world.open_evidence(&format!("/evidence/ward-3a/{}", checked(&world).await)).await;
    let file = exported(&world, &keys);
    let lines = case::read(&file).unwrap();
    let Line::Claim(claim) = &lines[0] else { panic!("the claim comes first") };
    let prints = [&claim.keys.statements, &claim.keys.receipts, &claim.keys.log].map(|key| fingerprint(key));
    let audit = examine(&file, &Trusted { fingerprints: prints.to_vec(), heads: vec![early] }).unwrap();
    assert!(audit.holds(), "{}", bad(&audit));
    let said = |text: &str| audit.answers.iter().any(|answer| answer.detail.contains(text));
    assert!(said("signed it, with 1 checks"), "{:#?}", audit.answers);
    assert!(said("the head you hold") && said("opened") && said("was admitted with this key"));
    assert!(audit.answers.iter().all(|answer| answer.grade == Grade::Good), "{:#?}", audit.answers);
    let kinds: Vec<&str> = audit.bounds.iter().map(|bound| bound.kind.as_str()).collect();
    assert_eq!(kinds, ["cn.bedcheck.check.v1", "cn.bedcheck.exception.v1"]);
    assert!(audit.bounds.iter().all(|bound| bound.not_before.is_some() && bound.not_after.is_some()));
    // The supervisor takes it from the page.
    let page =
        String::from_utf8(world.ask(&format!("/exceptions/ward-3a/{EXCEPTION}"), None).await.2).unwrap();
    let path = format!("/case/ward-3a/{EXCEPTION}");
    assert!(page.contains(&format!("href=\"{path}\"")), "{page}");
    let (status, head, taken) = world.ask(&path, None).await;
    assert!(status == 200 && head.contains("attachment") && head.contains("no-store"), "{head}");
    assert!(examine(&taken, &Trusted::default()).unwrap().holds());
    assert_eq!(world.ask("/case/ward-3a/none", None).await.0, 404);
    let text = String::from_utf8(file).unwrap();
    assert!(!text.contains("\\\"S5\\\"") && !text.contains("ward-4bb"), "another patient is in the file");
    world.end().await;
}

/// The event of the first check.
async fn checked(world: &World) -> String {
    let rows = world.json("/api/v1/rows").await;
    rows["rows"][0]["evidence"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_flipped_byte_is_found_and_its_line_named() {
    let (world, keys, _) = told().await;
    let file = exported(&world, &keys);
    let mut line = 1;
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let error = case::read(&changed).err().map_or_else(String::new, |error| error.to_string());
        let is_named = [format!("line {line} "), format!("line {} ", line + 1)];
        let is_end = at + 1 == file.len();
        assert!(
            (is_end && !error.is_empty()) || is_named.iter().any(|name| error.contains(name)),
            "byte {at}, line {line}: {error}"
        );
        line += usize::from(file[at] == b'\n');
    }
    world.end().await;
}

/// The case as somebody with the platform's own keys would forge it.
fn forged(file: &[u8], keys: &Keys, forge: impl FnOnce(&mut Vec<Line>)) -> Audit {
    let mut lines = case::read(file).unwrap();
    lines.pop();
    forge(&mut lines);
    examine(&case::write(&lines, &keys.receipt).unwrap(), &Trusted::default()).unwrap()
}

fn links(lines: &[Line]) -> Vec<usize> {
    (0..lines.len()).filter(|at| matches!(lines[*at], Line::Link { .. })).collect()
}

/// That the forged case is refused, for the reason `wanted`.
fn refuses(file: &[u8], keys: &Keys, wanted: &str, forge: impl FnOnce(&mut Vec<Line>)) {
    let audit = forged(file, keys, forge);
    assert!(!audit.holds() && bad(&audit).contains(wanted), "{wanted}: {:#?}", audit.answers);
}

#[tokio::test]
async fn whoever_holds_the_platforms_keys_cannot_forge_what_the_device_said() {
    let (world, keys, _) = told().await;
    let file = exported(&world, &keys);
    refuses(&file, &keys, "is not what was signed", |lines| {
        for at in links(lines) {
            if let Line::Link { body: Some(body), .. } = &mut lines[at] {
                *body = body.replace("\"Mismatch\"", "\"Verified\"").replace("mismatch", "verified");
            }
        }
    });
    refuses(&file, &keys, "is not what was signed", |lines| {
        for at in links(lines) {
            if let Line::Link { evidence: Some(evidence), .. } = &mut lines[at] {
                *evidence = "AAAA".to_owned();
            }
        }
    });
    refuses(&file, &keys, "does not follow", |lines| {
        let at = links(lines);
        lines.swap(at[1], at[2]);
    });
    refuses(&file, &keys, "signature", |lines| {
        let at = links(lines)[1];
        if let Line::Link { envelope, .. } = &mut lines[at] {
            *envelope = Envelope::sign(&keys.receipt, &envelope.payload_type, envelope.payload.clone());
        }
    });
    refuses(&file, &keys, "is not what the device said", |lines| {
        if let Line::Claim(claim) = &mut lines[0] {
            claim.kind = "hanging_bed".to_owned();
        }
    });
    refuses(&file, &keys, "is no receipt", |lines| {
        for line in lines {
            if let Line::Receipt { envelope } = line {
                let mut receipt: Receipt = serde_json::from_slice(&envelope.payload).unwrap();
                receipt.device = DeviceId::new("ward-4bb").unwrap();
                let payload = serde_json::to_vec(&receipt).unwrap();
                *envelope = Envelope::sign(&keys.receipt, RECEIPT_TYPE, payload);
            }
        }
    });
    refuses(&file, &keys, "not acknowledged", |lines| {
        lines.retain(|line| !matches!(line, Line::Receipt { .. }));
    });
    world.end().await;
}

#[tokio::test]
async fn whoever_holds_the_platforms_keys_cannot_write_its_log_anew() {
    let (world, keys, early) = told().await;
    let file = exported(&world, &keys);
    refuses(&file, &keys, "is not in the log", |lines| {
        for line in lines {
            if let Line::Logged { leaf, .. } = line {
                *leaf = leaf.replace("1790000000000", "1790000000001");
            }
        }
    });
    refuses(&file, &keys, "is not in the log", |lines| {
        lines.retain(|line| !matches!(line, Line::Logged { index, .. } if *index > 5));
    });
    refuses(&file, &keys, "does not go on from this head", |lines| {
        for line in lines {
            if let Line::Earlier { note, .. } = line {
                let head = TreeHead::open(note, &keys.log.verifying_key()).unwrap();
                *note = TreeHead { root: [1; 32], ..head }.sign(&keys.log);
            }
        }
    });
    refuses(&file, &keys, "no admission", |lines| {
        if let Line::Claim(claim) = &mut lines[0] {
            claim.keys.statements = hex::encode(SigningKey::from_bytes(&[9; 32]).verifying_key().as_bytes());
        }
    });
    // A head that an auditor kept, and a log that was written anew since.
    let own = TreeHead::open(&early, &keys.log.verifying_key()).unwrap();
    let kept = TreeHead { root: [7; 32], ..own }.sign(&keys.log);
    let audit = examine(&file, &Trusted { fingerprints: vec![], heads: vec![kept] }).unwrap();
    assert!(bad(&audit).contains("history was rewritten"), "{:#?}", audit.answers);
    world.end().await;
}

#[tokio::test]
async fn the_programs_export_and_verify() {
    let (world, _, _) = told().await;
    let (dir, out) = (world.folder.path(), world.folder.path().join("case.jsonl"));
    let platform = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
            .arg(args[0])
            .arg("--dir")
            .arg(dir)
            .args(&args[1..])
            .output()
            .unwrap()
    };
    let export = ["export", "--device", "ward-3a", "--exception", EXCEPTION, "--out", out.to_str().unwrap()];
    let done = platform(&export);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let head = platform(&["head"]);
    let note = String::from_utf8(head.stdout).unwrap();
    let prints: Vec<&str> =
        note.lines().filter_map(|line| line.split_once(": ")).map(|(_, print)| print).collect();
    let kept = dir.join("head.txt");
    write_owner_only(&kept, note.split("\nreceipts:").next().unwrap().as_bytes()).unwrap();
    let verify = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_bedcheck-verify")).arg(&out).args(args).output().unwrap()
    };
    let seen = verify(&["--head", kept.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.status.success(), "{text}{}", String::from_utf8_lossy(&seen.stderr));
    assert!(text.contains("通过 · the case holds") && text.contains(prints[0]), "{text}");
    assert!(verify(&["--trust", "dead beef dead beef"]).status.code() == Some(1));
    let mut file = std::fs::read(&out).unwrap();
    let middle = file.len() / 2;
    file[middle] ^= 4;
    write_owner_only(&out, &file).unwrap();
    let seen = verify(&[]);
    let text = String::from_utf8_lossy(&seen.stderr).into_owned();
    assert!(seen.status.code() == Some(1) && text.contains("不通过") && text.contains("line "), "{text}");
    let unknown = platform(&["export", "--device", "ward-3a", "--exception", "none", "--out", "x"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no exception"));
    world.end().await;
}
