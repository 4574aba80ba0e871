//! The contract of the store, held by every database it can be in: the same story gives the same pages, one writer at a time
//! whoever writes, all or nothing, one state for whoever reads, sums that are kept, and a copy that is the same.

use std::sync::Barrier;

use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::ids::DeviceId;
use bedcheck::domain::handling::Step;
use bedcheck::domain::role::Role;
use bedcheck::domain::verdict::Verdict;
use bedcheck::platform::cases::{self, Own};
use bedcheck::platform::db::{self, Database, Transaction, copy, params};
use bedcheck::platform::handling::{self, Decision, NotTaken};
use bedcheck::platform::place::Place;
use bedcheck::platform::sessions::Visitor;
use bedcheck::platform::{log, people, sessions, trail, webhooks};
use bedcheck::wire::tree::Logged;
use serde_json::Value;

use crate::postgres::{Make, makes};
use crate::world::*;

/// A store of this make, and another handle to it, as another program has.
fn two(make: Make) -> (tempfile::TempDir, Database, Database) {
    let folder = tempfile::tempdir().unwrap();
    let first = make.store(folder.path());
    let second = Place::of(folder.path()).unwrap().open().unwrap();
    (folder, first, second)
}

pub fn entry(number: i64) -> Logged {
    let device = DeviceId::new("ward-3a").unwrap();
    Logged::Admitted { device, statement_key: number.to_string(), at: Wall(number) }
}

/// A device of the tests' own, known and without a certificate.
pub fn admit(tx: &Transaction<'_>, name: &str) -> db::Result<()> {
    let logged = log::append(tx, &entry(0))?;
    tx.execute(
        "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms, round_every_ms,
                             added_ms, expected_ms, logged) VALUES (?1, '3A', '示范医院', x'00', '', 0, 1, 0, 0, ?2)",
        params![name, db::number(logged)],
    )?;
    Ok(())
}

fn ask(db: &Database, sql: &str) -> i64 {
    db.read(|connection| connection.query_row(sql, [], |row| row.get(0))).unwrap()
}

/// What differs between two platforms whatever their databases: times and chance, and in cursors the numbers of rows, of
/// which PostgreSQL leaves some out.
fn without_chance(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "epoch" | "evidence" | "added" | "certificate_until" | "next_round_by" | "next" => {
                        *value = Value::Null;
                    }
                    _ => without_chance(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_chance),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_same_story_gives_the_same_answers_on_every_database() {
    let mut told = Vec::new();
    for make in makes() {
        let world = World::on(make, Clock::system().now().wall, fixed()).await;
        for name in ["ward-3a", "Ward-3B", "三病区"] {
            let device = world.device(name);
            let (mut journal, uplink) = (device.journal(), device.uplink());
            let items = story(&mut journal);
            assert_eq!(fates(&uplink.deliver(items.clone()).await.unwrap()).len(), 4);
            uplink.deliver(items).await.unwrap();
            journal.commit(vec![check(Verdict::Verified)]).unwrap();
            uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap();
        }
        let mut answers = Vec::new();
        for path in [
            "/api/v1/rows",
            "/api/v1/exceptions",
            "/api/v1/ledger",
            "/api/v1/devices",
            "/api/v1/coverage?from=2026-09-01&to=2026-10-30",
            "/api/v1/rows?limit=2",
            "/api/v1/ledger?limit=3",
        ] {
            let mut answer = world.json(path).await;
            without_chance(&mut answer);
            answers.push((path, answer));
        }
        for page in
            ["/", "/patrol", "/exceptions", "/devices", "/orders", "/score", "/screen", "/verification"]
        {
            let (status, _, _) = world.ask(page, None).await;
            assert_eq!(status, 200, "{page} on {make:?}");
        }
        world.end().await;
        told.push(answers);
    }
    for other in &told[1..] {
        for (ours, theirs) in told[0].iter().zip(other) {
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn of_two_who_decide_at_once_one_is_told_that_he_was_overtaken() {
    for make in makes() {
        let (_folder, first, second) = two(make);
        let device = DeviceId::new("ward-3a").unwrap();
        let person = |name: &str| {
            people::add(&first, name, Role::Supervisor, None, NOW).unwrap();
            Visitor { name: name.to_owned(), role: Role::Supervisor, institution: None, form_token: None }
        };
        let (one, other) = (person("王五"), person("李四"));
        first
            .write(|tx| admit(tx, "ward-3a").and_then(|()| cases::raise(tx, &device, Own::Tampered, NOW)))
            .unwrap();
        let id = format!("{}.{}", Own::Tampered.name(), NOW.0);
        for (version, step) in [(0, Step::Confirm), (1, Step::Notify)] {
            let decision = Decision { step, version, reason: None, text: String::new() };
            let start = Barrier::new(2);
            let take = |db: &Database, visitor: &Visitor| {
                start.wait();
                handling::take(db, ("ward-3a", &id), visitor, &decision, NOW)
            };
            let outcomes = std::thread::scope(|scope| {
                let one = scope.spawn(|| take(&first, &one));
                let other = scope.spawn(|| take(&second, &other));
                [one.join().unwrap(), other.join().unwrap()]
            });
            let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let overtaken =
                outcomes.iter().filter(|outcome| matches!(outcome, Err(NotTaken::Overtaken))).count();
            assert_eq!((taken, overtaken), (1, 1), "{make:?}, {step:?}: {outcomes:?}");
        }
        assert_eq!(ask(&first, "SELECT count(*) FROM case_step"), 2);
        assert_eq!(ask(&first, "SELECT max(version) FROM exception"), 2);
    }
}

#[test]
fn a_work_that_fails_or_panics_leaves_nothing_behind_and_takes_nobody_with_it() {
    for make in makes() {
        let (_folder, db, _) = two(make);
        db.write(|tx| log::append(tx, &entry(1))).unwrap();
        let fails = |db: &Database| {
            db.write(|tx| log::append(tx, &entry(2)).and_then(|_| Err::<(), _>(db::Error::InvalidQuery)))
        };
        assert!(fails(&db).is_err());
        let twice = db.write(|tx| tx.execute("INSERT INTO log_entry VALUES (?1, 'again')", [0_i64]));
        let said = twice.unwrap_err().to_string();
        assert!(!said.contains("again"), "a value was told: {said}");
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = db.write(|tx| -> db::Result<()> {
                log::append(tx, &entry(3))?;
                std::panic::resume_unwind(Box::new("made up"))
            });
        }));
        assert!(panics.is_err());
        // Good ones and bad ones in the same groups.
        std::thread::scope(|scope| {
            for number in 0..40 {
                let db = &db;
                scope.spawn(move || {
                    if number % 4 == 0 {
                        assert!(fails(db).is_err());
                    } else {
                        db.write(|tx| log::append(tx, &entry(number))).unwrap();
                    }
                });
            }
        });
        assert_eq!(db.read(log::size).unwrap(), 31, "{make:?}");
    }
}

#[test]
fn writers_of_two_programs_come_one_after_the_other_and_the_log_stays_one_tree() {
    for make in makes() {
        let (_folder, first, second) = two(make);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let db = if thread % 2 == 0 { &first } else { &second };
                scope.spawn(move || {
                    for number in 0..20 {
                        db.write(|tx| log::append(tx, &entry(thread * 100 + number))).unwrap();
                    }
                });
            }
        });
        let (size, root, path, leaf) = second
            .read(|connection| {
                let size = log::size(connection)?;
                let path = log::path(connection, 77, size)?;
                Ok((size, log::root(connection, size)?, path, log::entry(connection, 77)?))
            })
            .unwrap();
        assert_eq!(size, 120, "{make:?}");
        assert!(bedcheck::wire::tree::is_included(leaf.as_bytes(), 77, &path, size, &root));
    }
}

#[test]
fn whoever_reads_sees_one_state_however_much_is_written_meanwhile() {
    for make in makes() {
        let (_folder, db, other) = two(make);
        db.write(|tx| log::append(tx, &entry(1))).unwrap();
        let (before, after) = db
            .read(|connection| {
                let before = log::size(connection)?;
                std::thread::scope(|scope| {
                    scope.spawn(|| other.write(|tx| log::append(tx, &entry(2))).unwrap());
                });
                Ok((before, log::size(connection)?))
            })
            .unwrap();
        assert_eq!((before, after), (1, 1), "{make:?}");
        assert_eq!(db.read(log::size).unwrap(), 2);
        let writes = db.read(|connection| connection.prepare("DELETE FROM log_entry")?.execute([]));
        assert!(writes.is_err(), "whoever reads may not write");
    }
}

#[test]
fn a_server_that_ends_every_connection_costs_the_work_in_hand_and_nothing_else() {
    if !makes().contains(&Make::Postgres) {
        return;
    }
    let (_folder, db, other) = two(Make::Postgres);
    db.write(|tx| log::append(tx, &entry(1))).unwrap();
    db.read(log::size).unwrap();
    let end_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let in_hand = db.write(|tx| {
        log::append(tx, &entry(2))?;
        assert!(ask(&other, end_all) >= 2);
        log::append(tx, &entry(3))
    });
    assert!(in_hand.is_err());
    // Idle ones that have ended meanwhile are opened again with the next work.
    db.write(|tx| log::append(tx, &entry(4))).unwrap();
    ask(&other, end_all);
    assert_eq!(db.read(log::size).unwrap(), 2);
    db.write(|tx| log::append(tx, &entry(5))).unwrap();
    assert_eq!(db.read(log::size).unwrap(), 3);
}

/// Checks, verdicts and cases in no order, with every number drawn from one seed.
fn busy(db: &Database, seed: u64) {
    let mut chance = seed;
    let mut draw = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((chance >> 33) % below).unwrap()
    };
    let device = DeviceId::new("ward-3a").unwrap();
    db.write(|tx| admit(tx, "ward-3a")).unwrap();
    for _ in 0..30 {
        db.write(|tx| {
            for _ in 0..10 {
                let (round, bed) = (draw(20), format!("{:02}", draw(6)));
                let at = NOW.0 + round * 14_400_000;
                match draw(6) {
                    0 | 1 => tx.execute(
                        "INSERT OR IGNORE INTO due VALUES ('ward-3a', 'e', ?1, ?2, 's', '张*', ?3, ?3, ?3, 'open')",
                        params![round, bed, at],
                    ),
                    2 => tx.execute(
                        "UPDATE due SET state = ?3 WHERE round = ?1 AND bed = ?2",
                        params![round, bed, ["open", "settled", "not_done"][draw(3).unsigned_abs() as usize]],
                    ),
                    3 => tx.execute(
                        "INSERT OR IGNORE INTO done SELECT device, epoch, round, bed, stay, 'x', ?3, '{}', 0, 0, 0 FROM due
                         WHERE round = ?1 AND bed = ?2",
                        params![round, bed, ["Verified", "Absent", "FaceHidden", "Excused"][draw(4).unsigned_abs() as usize]],
                    ),
                    4 => cases::raise(tx, &device, [Own::Silence, Own::Tampered][draw(2).unsigned_abs() as usize], Wall(at))
                        .map(usize::from),
                    _ => cases::end(tx, &device, Own::Silence, Wall(at)).map(usize::from),
                }?;
            }
            Ok(())
        })
        .unwrap();
    }
}

/// How many sums are not what their rows add up to.
fn wrong_sums(db: &Database) -> i64 {
    ask(
        db,
        "SELECT (SELECT count(*) FROM bed_day b WHERE due <> (SELECT count(*) FROM due u
                     WHERE u.device = b.device AND u.bed = b.bed AND (u.due_ms + 28800000) / 86400000 = b.day)
                 OR missed <> (SELECT count(*) FROM due u WHERE u.device = b.device AND u.bed = b.bed
                     AND (u.due_ms + 28800000) / 86400000 = b.day AND u.state = 'not_done')
                 OR verified <> (SELECT count(*) FROM due u JOIN done o USING (device, epoch, round, bed)
                     WHERE u.device = b.device AND bed = b.bed AND (u.due_ms + 28800000) / 86400000 = b.day
                     AND o.verdict = 'Verified'))
              + (SELECT count(*) FROM case_count c WHERE cases <> (SELECT count(*) FROM exception e
                     WHERE e.device = c.device AND e.handling = c.handling
                     AND CASE WHEN e.state <> 'ended' THEN 1 ELSE 0 END = c.seen))",
    )
}

#[test]
fn sums_kept_by_triggers_are_what_their_rows_add_up_to() {
    let mut seen = Vec::new();
    for make in makes() {
        let (_folder, db, _) = two(make);
        busy(&db, 7);
        assert_eq!(wrong_sums(&db), 0, "{make:?}");
        let all = ["due", "missed", "verified", "excused", "unclear", "against"]
            .map(|column| ask(&db, &format!("SELECT coalesce(sum({column}), 0) FROM bed_day")));
        seen.push((all, ask(&db, "SELECT coalesce(sum(cases), 0) FROM case_count")));
    }
    assert!(seen.iter().all(|sums| *sums == seen[0] && sums.0[0] > 20 && sums.1 > 3), "{seen:?}");
}

#[test]
fn sessions_links_webhooks_and_the_trail_work_alike() {
    for make in makes() {
        let (_folder, db, other) = two(make);
        let device = DeviceId::new("ward-3a").unwrap();
        db.write(|tx| admit(tx, "ward-3a")).unwrap();
        people::add(&db, "王五", Role::Supervisor, None, NOW).unwrap();
        assert!(people::add(&other, "王五", Role::Auditor, None, NOW).is_err(), "the name is taken");
        let link = sessions::link(&db, "王五", NOW).unwrap();
        let secret = sessions::follow(&other, &link, NOW).unwrap();
        assert!(sessions::follow(&db, &link, NOW).is_err(), "used up");
        let visitor = sessions::visitor(&db, &secret, true, NOW).unwrap().unwrap();
        sessions::end(&other, &secret, &visitor, NOW).unwrap();
        assert!(sessions::visitor(&db, &secret, true, NOW).unwrap().is_none());
        let acts = db.read(|connection| trail::list(connection, None, Some("王五"), 9)).unwrap();
        let acts: Vec<&str> = acts.iter().map(|entry| entry.act.as_str()).collect();
        assert_eq!(acts, ["signed out", "signed in"], "{make:?}");

        db.write(|tx| cases::raise(tx, &device, Own::Silence, NOW)).unwrap();
        assert_eq!(ask(&db, "SELECT count(*) FROM happening"), 0, "nobody is to be told");
        webhooks::add(&db, "http://127.0.0.1:9/", &[], None, NOW).unwrap();
        db.write(|tx| cases::end(tx, &device, Own::Silence, NOW)).unwrap();
        db.write(|tx| cases::raise(tx, &device, Own::Tampered, NOW)).unwrap();
        assert_eq!(ask(&db, "SELECT count(*) FROM happening WHERE type = 'exception.ended'"), 1);
        assert_eq!(ask(&db, "SELECT count(*) FROM happening"), 2);
    }
}

#[test]
fn texts_are_ordered_by_their_bytes_and_numbers_stay_whole() {
    for make in makes() {
        let (_folder, db, _) = two(make);
        let names = ["b", "B", "a", "三", "é", "_", "0"];
        db.write(|tx| names.iter().try_for_each(|name| admit(tx, name))).unwrap();
        let found: Vec<String> = db
            .read(|connection| {
                connection
                    .prepare("SELECT device FROM device ORDER BY device")?
                    .query_map([], |row| row.get(0))?
                    .collect()
            })
            .unwrap();
        assert_eq!(found, ["0", "B", "_", "a", "b", "é", "三"], "{make:?}");
        let far = db.write(|tx| {
            tx.execute("UPDATE device SET expected_ms = ?1, unsent = ?2", params![i64::MAX, i64::MIN])?;
            tx.query_row(
                "SELECT max(expected_ms, 1), unsent, sum(expected_ms / 8) OVER () FROM device",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
            )
        });
        assert_eq!(far.unwrap(), (i64::MAX, i64::MIN, i64::MAX / 8 * 7), "{make:?}");
        // What a hostile device may put into its words.
        let odd = "a'b\"c\\d%?1\u{0}\u{fffd}🛏";
        db.write(|tx| tx.execute("UPDATE device SET mode = ?1 WHERE device = 'a'", [odd])).unwrap();
        let read: String = db
            .read(|db| db.query_row("SELECT mode FROM device WHERE device = 'a'", [], |row| row.get(0)))
            .unwrap();
        let kept = if make == Make::Postgres { odd.replace('\0', "\u{fffd}") } else { odd.to_owned() };
        assert_eq!(read, kept);
    }
}

#[test]
fn a_copy_is_the_same_there_and_back_and_goes_on_from_there() {
    if !makes().contains(&Make::Postgres) {
        return;
    }
    let (_from, sqlite, _) = two(Make::Sqlite);
    busy(&sqlite, 11);
    people::add(&sqlite, "王五", Role::Supervisor, None, NOW).unwrap();
    sqlite.write(|tx| trail::enter(tx, ("王五", "supervisor"), "read", "everything", NOW)).unwrap();
    let (_there, postgres, _) = two(Make::Postgres);
    let mut last = String::new();
    let there = copy::copy(&sqlite, &postgres, &mut |table, done, total| {
        assert!(done <= total);
        last = table.to_owned();
    })
    .unwrap();
    let (_back, again, _) = two(Make::Sqlite);
    let back = copy::copy(&postgres, &again, &mut |_, _, _| {}).unwrap();
    assert_eq!(there, back);
    assert!(there.rows > 100 && there.entries == 1 && !last.is_empty(), "{there:?}");
    let rows = |db: &Database| -> Vec<(i64, String, String)> {
        db.read(|connection| {
            connection
                .prepare("SELECT rowid, bed, state FROM due ORDER BY rowid")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })
        .unwrap()
    };
    assert_eq!(rows(&sqlite), rows(&postgres));
    assert_eq!(rows(&sqlite), rows(&again));
    let refused = copy::copy(&sqlite, &postgres, &mut |_, _, _| {}).unwrap_err().to_string();
    assert!(refused.contains("not empty"), "{refused}");
    for db in [&postgres, &again] {
        let before = (ask(db, "SELECT max(rowid) FROM due"), ask(db, "SELECT sum(due) FROM bed_day"));
        db.write(|tx| {
            trail::enter(tx, ("王五", "supervisor"), "read", "more", NOW)?;
            tx.execute("INSERT INTO due VALUES ('ward-3a', 'e', 99, '01', 's', '张*', 0, 0, 0, 'open')", [])
        })
        .unwrap();
        let after = (ask(db, "SELECT max(rowid) FROM due"), ask(db, "SELECT sum(due) FROM bed_day"));
        assert_eq!(after, (before.0 + 1, before.1 + 1), "numbers go on, and triggers work again");
        assert_eq!((ask(db, "SELECT max(number) FROM trail"), wrong_sums(db)), (2, 0));
    }
}
