//! How quick the pages of a province are on each database: a measurement, not a test.

use bedcheck::base::clock::{Clock, Wall};
use bedcheck::domain::role::Role;
use bedcheck::platform::db::{Database, params};
use bedcheck::platform::{log, people, sessions};

use crate::postgres::{Make, makes};
use crate::store::{admit, entry};
use crate::world::*;

const WARDS: i64 = 100;

/// 1,000,000 checks and 100,000 exceptions in 100 wards of 20 hospitals.
fn fill(make: Make, db: &Database) {
    let numbers =
        "WITH RECURSIVE n (i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 9999)";
    let due = format!(
        "{numbers} INSERT INTO due SELECT ?1, 'e', i / 16, '' || (i % 16), 's' || (i % 16), '张*', ?2 - i / 16 * 14400000,
         ?2 - i / 16 * 14400000, 0, CASE WHEN i < 16 THEN 'open' ELSE 'settled' END FROM n"
    );
    let done = format!(
        "{numbers} INSERT INTO done SELECT ?1, 'e', i / 16, '' || (i % 16), 's' || (i % 16), 'x' || i,
         CASE WHEN i % 9 = 0 THEN 'Absent' ELSE 'Verified' END, '{{}}', 0, 0, 0 FROM n WHERE i >= 16"
    );
    let exceptions = format!(
        "{numbers} INSERT INTO exception (device, id, kind, state, origin, bed, stay, rounds, first_ms, last_ms)
         SELECT ?1, 'x' || i, 'hanging_bed', CASE WHEN i < 30 THEN 'raised' ELSE 'ended' END, 'device',
         '' || (i % 16), 's' || (i % 16), 1, ?2 - i * 60000, ?2 - i * 60000 FROM n WHERE i < 1000"
    );
    for at in 0..WARDS {
        let (ward, hospital) = (format!("ward-{at:03}"), format!("医院{:02}", at / 5));
        db.write(|tx| {
            admit(tx, &ward)?;
            tx.execute(
                "UPDATE device SET institution = ?2, epoch = 'e' WHERE device = ?1",
                [&ward, &hospital],
            )?;
            for bed in 0..16 {
                tx.execute(
                    "INSERT INTO roster VALUES (?1, ?2, ?3, '张*', 1)",
                    params![ward, bed.to_string(), format!("s{bed}")],
                )?;
            }
            tx.execute(&due, params![ward, NOW.0])?;
            tx.execute(&done, params![ward])?;
            tx.execute(&exceptions, params![ward, NOW.0])?;
            // What autovacuum does by itself within minutes; without it PostgreSQL takes every table for an empty one.
            let is_due = make == Make::Postgres && (at % 10 == 0 || at == WARDS - 1);
            if is_due { tx.execute("ANALYZE", []) } else { Ok(0) }
        })
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "a measurement: cargo test --release --test platform speed -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "what is measured is the time itself")]
async fn pages_of_a_province_on_every_database() {
    for make in makes() {
        let world = World::on(make, Clock::system().now().wall, fixed()).await;
        let db = world.db();
        let began = std::time::Instant::now();
        fill(make, &db);
        println!("{make:?}: filled in {:.1?}", began.elapsed());
        people::add(&db, "医保丙", Role::Officer, Some("医院07"), NOW).unwrap();
        let officer = sessions::program(&db, "医保丙", NOW, Wall(NOW.0 + 1000)).unwrap();
        for (who, token) in [("supervisor", &world.token), ("officer", &officer)] {
            let line = format!("authorization: Bearer {token}\r\n");
            for path in [
                "/",
                "/exceptions",
                "/patrol",
                "/screen",
                "/score",
                "/wards/ward-035",
                "/api/v1/ledger?limit=100",
                "/api/v1/rows?limit=100",
                "/api/v1/exceptions?limit=100",
            ] {
                let mut times = Vec::new();
                for _ in 0..41 {
                    let began = std::time::Instant::now();
                    let (status, _, _) = world.send("GET", path, &line, &[]).await;
                    assert!(status == 200 || status == 403, "{path}: {status}");
                    times.push(began.elapsed());
                }
                times.sort_unstable();
                println!(
                    "{make:?}: {who} {path}: median {:.1?}, 95th hundredth {:.1?}",
                    times[20], times[38]
                );
            }
        }
        let began = std::time::Instant::now();
        for number in 0..200 {
            db.write(|tx| log::append(tx, &entry(number))).unwrap();
        }
        println!("{make:?}: a synced write {:.2?}", began.elapsed() / 200);
        world.end().await;
    }
}
