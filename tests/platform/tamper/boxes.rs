//! The box: its journal written into, its disk put back, its keys in two places.

use bedcheck::store::Journal;
use bedcheck::wire::event::{Beat, Report};
use rusqlite::Connection;

use super::super::world::*;
use super::{Known, all_known, arrived, cases, judge};

/// Name, whether the story was delivered before, what is done to the journal, and how it is known.
const ATTACKS: &[(&str, bool, &str, Known)] = &[
    (
        "a verdict rewritten before it is sent",
        false,
        "UPDATE event SET body = replace(body, 'mismatch', 'verified') WHERE seq = 3",
        Known::Case("tampered"),
    ),
    (
        "evidence exchanged",
        false,
        "UPDATE event SET evidence = zeroblob(40) WHERE seq = 3",
        Known::Case("tampered"),
    ),
    ("evidence taken out", false, "UPDATE event SET evidence = NULL WHERE seq = 3", Known::Case("pruned")),
    (
        "a body taken out",
        false,
        "UPDATE event SET body = '', evidence = NULL, pruned = 2 WHERE seq = 3",
        Known::Case("pruned"),
    ),
    (
        "one statement under another's body",
        false,
        "UPDATE event SET envelope = (SELECT envelope FROM event WHERE seq = 2) WHERE seq = 3",
        Known::Case("tampered"),
    ),
    (
        "a signature spoilt",
        false,
        "UPDATE event SET envelope = replace(envelope, 'sig\":\"', 'sig\":\"AAAA') WHERE seq = 1",
        Known::Case("tampered"),
    ),
    ("a row deleted", false, "DELETE FROM event WHERE seq = 2", Known::Case("chain_new_epoch")),
    ("the first row deleted", false, "DELETE FROM event WHERE seq = 1", Known::Case("chain_gap")),
    (
        "rows renumbered",
        false,
        "UPDATE event SET seq = seq + 10 WHERE seq > 2",
        Known::Case("chain_new_epoch"),
    ),
    (
        "two rows exchanged",
        false,
        "UPDATE event SET seq = 99 WHERE seq = 2; UPDATE event SET seq = 2 WHERE seq = 3;
         UPDATE event SET seq = 3 WHERE seq = 99",
        Known::Case("chain_new_epoch"),
    ),
    (
        "rows hidden under another chain",
        false,
        "UPDATE event SET epoch = 'hidden' WHERE seq > 2",
        Known::Case("chain_new_epoch"),
    ),
    (
        "the head's link changed",
        false,
        "UPDATE chain SET link = hex(zeroblob(32))",
        Known::Case("chain_fork"),
    ),
    ("the head's number raised", false, "UPDATE chain SET seq = 40", Known::Case("chain_new_epoch")),
    ("rows marked as delivered that never were", false, "UPDATE event SET acked_ms = 1", Known::Undone),
    (
        "the tail cut off before it was sent",
        false,
        "DELETE FROM event WHERE seq > 2; UPDATE chain SET seq = 2, link = (SELECT link FROM event WHERE seq = 2)",
        Known::NotDone,
    ),
    (
        "the tail cut off after it was sent",
        true,
        "DELETE FROM event WHERE seq > 2; UPDATE chain SET seq = 2, link = (SELECT link FROM event WHERE seq = 2)",
        Known::Case("chain_fork"),
    ),
    ("everything deleted", true, "DELETE FROM event; DELETE FROM chain", Known::Case("chain_new_epoch")),
    (
        "a new chain by hand",
        true,
        "UPDATE chain SET epoch = 'mine', seq = 0, link = printf('%064d', 0)",
        Known::Case("chain_new_epoch"),
    ),
    ("the way back to an old number", true, "UPDATE chain SET seq = 1", Known::Case("silence")),
];

fn beat() -> bedcheck::store::Commit {
    commit(Report::Beat(Beat::default()))
}

#[tokio::test]
async fn whoever_writes_into_the_box_is_known_to_the_platform() {
    let mut unnoticed = Vec::new();
    let world = World::new().await;
    for (at, (attack, is_delivered, sql, wanted)) in ATTACKS.iter().enumerate() {
        let device = world.device(&format!("ward-{at:02}"));
        let mut journal = device.journal();
        story(&mut journal);
        if *is_delivered {
            deliver(&device, journal).await;
        } else {
            drop(journal);
        }
        let connection = Connection::open(device.folder.path().join("journal.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let mut journal = device.journal();
        if journal.commit(vec![beat()]).is_ok() {
            let is_known = || matches!(wanted, Known::Case(kind) if cases(&world, &device).contains(*kind));
            deliver_until(&device, journal, is_known).await;
        } else {
            // The agent says why and ends; nothing more comes.
            super::duties::sweep(&world, 201);
        }
        let found = cases(&world, &device);
        let is_known = match wanted {
            Known::Case(kind) => found.contains(*kind),
            Known::Undone => found.is_empty() && arrived(&world, &device).len() == 5,
            Known::NotDone => overdue(&world, &device) == 2,
            Known::Refused(_) => false,
        };
        unnoticed.extend(judge(attack, *wanted, is_known, &found));
    }
    all_known(ATTACKS.len(), 19, &unnoticed);
    world.end().await;
}

/// Checks of the device that are not done once their time is over.
fn overdue(world: &World, device: &Device) -> i64 {
    super::duties::sweep(world, 3600);
    let count = "SELECT count(*) FROM due WHERE device = ?1 AND state = 'not_done'";
    world.db().read(|connection| connection.query_row(count, [device.id.as_str()], |row| row.get(0))).unwrap()
}

/// A box, and what was put back or carried away of it.
async fn doubled(attack: &str, wanted: Known, live: impl AsyncFn(&Device)) -> Option<String> {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let mut journal = device.journal();
    journal.commit(vec![roster()]).unwrap();
    deliver(&device, journal).await;
    copy(&device, "journal.db", "other.db");
    live(&device).await;
    let found = cases(&world, &device);
    let is_known = matches!(wanted, Known::Case(kind) if found.contains(kind));
    world.end().await;
    judge(attack, wanted, is_known, &found)
}

/// The disk as it is after the agent has ended.
fn copy(device: &Device, from: &str, to: &str) {
    let path = |name: &str| device.folder.path().join(name);
    for file in [path(to), path(&format!("{to}-wal")), path(&format!("{to}-shm"))] {
        let _ = std::fs::remove_file(file);
    }
    let connection = Connection::open(path(from)).unwrap();
    connection.execute("VACUUM INTO ?1", [path(to).to_str().unwrap()]).unwrap();
}

async fn says(device: &Device, name: &str, said: bedcheck::store::Commit) {
    let mut journal: Journal = device.journal_named(name);
    journal.commit(vec![said]).unwrap();
    deliver(device, journal).await;
}

#[tokio::test]
async fn a_box_that_is_doubled_or_put_back_is_known() {
    let unnoticed = [
        doubled("a clone that speaks as well", Known::Case("chain_fork"), async |device| {
            says(device, "journal.db", round()).await;
            says(device, "other.db", beat()).await;
        })
        .await,
        doubled(
            "a snapshot put back after an unwelcome finding",
            Known::Case("chain_fork"),
            async |device| {
                says(device, "journal.db", impersonation()).await;
                copy(device, "other.db", "journal.db");
                says(device, "journal.db", beat()).await;
            },
        )
        .await,
        doubled("a new box under the old name", Known::Case("chain_new_epoch"), async |device| {
            says(device, "fresh.db", roster()).await;
        })
        .await,
        doubled("two boxes in turn", Known::Case("chain_new_epoch"), async |device| {
            for _ in 0..2 {
                says(device, "journal.db", beat()).await;
                says(device, "other.db", beat()).await;
            }
        })
        .await,
    ];
    all_known(unnoticed.len(), 4, &unnoticed.into_iter().flatten().collect::<Vec<_>>());
}

#[tokio::test]
async fn honest_boxes_with_lost_answers_and_restarts_are_accused_of_nothing() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let mut journal = device.journal();
    let items = story(&mut journal);
    // The answer is lost, and the agent dies.
    device.uplink().deliver(items[..3].to_vec()).await.unwrap();
    drop(journal);
    for _ in 0..5 {
        says(&device, "journal.db", beat()).await;
    }
    assert_eq!(cases(&world, &device), std::collections::BTreeSet::new());
    assert_eq!(arrived(&world, &device).len(), 9);
    world.end().await;
}
