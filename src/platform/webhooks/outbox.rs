//! What waits to be told: kept in the platform's database from the transaction in which it happened until it was taken.

use serde_json::json;

use crate::base::backoff::{Backoff, draw};
use crate::base::clock::Wall;
use crate::platform::db::{self, Database, DatabaseError, OptionalExtension, Transaction, params};
use crate::platform::keys::uri;
use crate::platform::people::token;

/// Messages that wait for one receiver; for more there is no room, and the list counts them.
const MOST_WAITING: i64 = 10_000;
/// Happenings that become messages in one transaction.
const MOST_AT_ONCE: i64 = 500;
/// After three days nobody waits for it any more.
const LONGEST_MS: i64 = 3 * 24 * 3_600_000;
/// Waits after failures: from five seconds to an hour, drawn evenly below that.
const FIRST: std::time::Duration = std::time::Duration::from_secs(5);
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(3600);
/// A receiver that is down is tried at least this often, whatever waits for it.
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;
const MOST_TROUBLE: usize = 200;

/// A receiver for whom something is due.
#[derive(Clone, Debug)]
pub struct Address {
    pub id: String,
    pub url: String,
    pub secret: Vec<u8>,
    pub certificate: Option<String>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub tries: u32,
}

/// Makes messages of what happened, gives up what is too old, and says who is to be told now.
///
/// # Errors
/// [`DatabaseError`]; nothing was changed.
pub fn take_up(db: &Database, now: Wall) -> Result<Vec<Address>, DatabaseError> {
    let is_idle = db.read(|connection| {
        connection
            .prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM happening) AND NOT EXISTS (SELECT 1 FROM webhook_message)",
            )?
            .query_row([], |row| row.get(0))
    })?;
    // A synced write each second for nothing would be waste.
    if is_idle {
        return Ok(Vec::new());
    }
    db.write(|tx| {
        spread(tx, now)?;
        give_up(tx, now)?;
        tx.prepare_cached(
            "SELECT id, url, secret, certificate FROM webhook w WHERE ended_ms IS NULL AND next_ms <= ?1
             AND EXISTS (SELECT 1 FROM webhook_message m WHERE m.webhook = w.id AND m.next_ms <= ?1) ORDER BY id",
        )?
        .query_map([now.0], |row| {
            Ok(Address { id: row.get(0)?, url: row.get(1)?, secret: row.get(2)?, certificate: row.get(3)? })
        })?
        .collect()
    })
}

/// One message for each receiver that wants to know.
fn spread(tx: &Transaction<'_>, now: Wall) -> db::Result<()> {
    let mut query = tx.prepare_cached(
        "SELECT number, type, device, exception, kind, state, handling, at_ms FROM happening ORDER BY number LIMIT ?1",
    )?;
    let mut rows = query.query([MOST_AT_ONCE])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        let (event, device, exception): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (kind, state, handling): (String, String, String) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let body = json!({
            "type": event,
            "timestamp": Wall(row.get(7)?).to_string(),
            "data": {
                "device": device, "exception": exception, "kind": kind, "state": state, "case_state": handling,
                "href": format!("/api/v1/exceptions/{}/{}", uri(&device), uri(&exception)),
            },
        });
        queue(tx, &event, &body.to_string(), now)?;
    }
    if let Some(last) = last {
        tx.execute("DELETE FROM happening WHERE number <= ?1", [last])?;
    }
    Ok(())
}

fn queue(tx: &Transaction<'_>, event: &str, body: &str, now: Wall) -> db::Result<()> {
    let mut query = tx.prepare_cached(
        "SELECT id, events, (SELECT count(*) FROM webhook_message m WHERE m.webhook = w.id) FROM webhook w
         WHERE ended_ms IS NULL",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (receiver, events, waiting): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !events.lines().any(|wanted| wanted == event) {
            continue;
        }
        if waiting >= MOST_WAITING {
            tx.execute("UPDATE webhook SET dropped = dropped + 1 WHERE id = ?1", [&receiver])?;
            continue;
        }
        let random = token().map_err(|error| db::Error::ToSqlConversionFailure(Box::new(error)))?;
        tx.prepare_cached(
            "INSERT INTO webhook_message (id, webhook, body, queued_ms, next_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![format!("msg_{random}"), receiver, body, now.0])?;
    }
    Ok(())
}

fn give_up(tx: &Transaction<'_>, now: Wall) -> db::Result<()> {
    let oldest = now.0.saturating_sub(LONGEST_MS);
    tx.execute(
        "UPDATE webhook SET given_up = given_up + (SELECT count(*) FROM webhook_message m
             WHERE m.webhook = webhook.id AND m.queued_ms <= ?1)
         WHERE id IN (SELECT webhook FROM webhook_message WHERE queued_ms <= ?1)",
        [oldest],
    )?;
    tx.execute("DELETE FROM webhook_message WHERE queued_ms <= ?1", [oldest])?;
    Ok(())
}

/// The message that has waited longest for this receiver and is due.
///
/// # Errors
/// [`DatabaseError`].
pub fn next(db: &Database, receiver: &str, now: Wall) -> Result<Option<Message>, DatabaseError> {
    db.read(|connection| {
        connection
            .prepare_cached(
                "SELECT m.id, m.body, m.tries FROM webhook_message m
                 JOIN webhook w ON w.id = m.webhook AND w.ended_ms IS NULL
                 WHERE m.webhook = ?1 AND m.next_ms <= ?2 ORDER BY m.queued_ms, m.rowid LIMIT 1",
            )?
            .query_row(params![receiver, now.0], |row| {
                Ok(Message { id: row.get(0)?, body: row.get(1)?, tries: row.get(2)? })
            })
            .optional()
    })
}

/// It was taken.
///
/// # Errors
/// [`DatabaseError`].
pub fn sent(db: &Database, receiver: &str, message: &str) -> Result<(), DatabaseError> {
    db.write(|tx| {
        tx.execute("DELETE FROM webhook_message WHERE id = ?1", [message])?;
        tx.execute(
            "UPDATE webhook SET sent = sent + 1, failures = 0, next_ms = 0, trouble = NULL WHERE id = ?1",
            [receiver],
        )?;
        Ok(())
    })
}

/// It was not taken, and is tried again later; the receiver as a whole is left alone for a while too, but for what it
/// asked for (`Retry-After`) only up to an hour.
///
/// # Errors
/// [`DatabaseError`].
pub fn failed(
    db: &Database,
    receiver: &str,
    message: &Message,
    (why, asked): (&str, Option<std::time::Duration>),
    now: Wall,
) -> Result<(), DatabaseError> {
    let trouble: String = why.chars().take(MOST_TROUBLE).collect();
    let least = asked.map_or(0, |asked| milliseconds(asked.min(LONGEST_WAIT)));
    db.write(|tx| {
        let failures: u32 =
            tx.query_row("SELECT failures FROM webhook WHERE id = ?1", [receiver], |row| row.get(0))?;
        let later = now.0.saturating_add(wait(message.tries).max(least));
        let pause = now.0.saturating_add(wait(failures).min(LONGEST_PAUSE_MS).max(least));
        tx.execute(
            "UPDATE webhook_message SET tries = tries + 1, next_ms = ?2 WHERE id = ?1",
            params![message.id, later],
        )?;
        tx.execute(
            "UPDATE webhook SET failures = failures + 1, next_ms = ?2, trouble = ?3 WHERE id = ?1",
            params![receiver, pause, trouble],
        )?;
        Ok(())
    })
}

/// The wait after so many failures.
fn wait(failures: u32) -> i64 {
    let mut backoff = Backoff::new(FIRST, LONGEST_WAIT);
    for _ in 0..failures.min(16) {
        backoff.next(0);
    }
    milliseconds(backoff.next(draw()))
}

fn milliseconds(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Ends a receiver: nothing waits for it any more, and its secret is forgotten. False when it had ended or never was.
pub fn end(tx: &Transaction<'_>, receiver: &str, why: &str, now: Wall) -> db::Result<bool> {
    let ended = tx.execute(
        "UPDATE webhook SET ended_ms = ?2, ended = ?3, secret = x'' WHERE id = ?1 AND ended_ms IS NULL",
        params![receiver, now.0, why],
    )?;
    tx.execute("DELETE FROM webhook_message WHERE webhook = ?1", [receiver])?;
    Ok(ended == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::cases::{self, Own};
    use crate::platform::{devices, webhooks};

    const NOW: Wall = Wall(1_790_000_000_000);
    const DAY: i64 = 24 * 3_600_000;

    fn world() -> (tempfile::TempDir, Database, DeviceId) {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        db.write(|tx| devices::enter(tx, &device)).unwrap();
        (folder, db, device)
    }

    fn waiting(db: &Database) -> i64 {
        webhooks::list(db).unwrap().iter().map(|one| one.waiting).sum()
    }

    #[test]
    fn what_happens_is_told_in_the_transaction_it_happened_in_and_only_to_who_wants_it() {
        let (_folder, db, device) = world();
        db.write(|tx| cases::raise(tx, &device, Own::Silence, NOW)).unwrap();
        assert!(take_up(&db, NOW).unwrap().is_empty(), "nobody is told of what was before");
        let add = |events: &[&str]| {
            let events: Vec<String> = events.iter().map(|name| (*name).to_owned()).collect();
            webhooks::add(&db, "http://127.0.0.1:9/", &events, None, NOW).unwrap().0
        };
        let (all, ends) = (add(&[]), add(&["exception.ended"]));
        let rolled_back = db.write(|tx| {
            cases::raise(tx, &device, Own::ChainFork, NOW)?;
            Err::<(), _>(db::Error::InvalidQuery)
        });
        assert!(rolled_back.is_err() && take_up(&db, NOW).unwrap().is_empty());
        db.write(|tx| cases::raise(tx, &device, Own::NoRound, NOW)).unwrap();
        db.write(|tx| cases::raise(tx, &device, Own::NoRound, NOW)).unwrap();
        db.write(|tx| cases::end(tx, &device, Own::NoRound, NOW)).unwrap();
        let due: Vec<String> = take_up(&db, NOW).unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(due.len(), 2);
        let first = next(&db, &all, NOW).unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(
            (body["type"].as_str(), body["data"]["kind"].as_str()),
            (Some("exception.raised"), Some("no_round"))
        );
        sent(&db, &all, &first.id).unwrap();
        for receiver in [&all, &ends] {
            assert!(next(&db, receiver, NOW).unwrap().unwrap().body.contains("exception.ended"));
        }
        assert_eq!(waiting(&db), 2);
        assert!(webhooks::remove(&db, &ends, NOW).unwrap());
        assert_eq!(waiting(&db), 1);
    }

    #[test]
    fn failures_wait_longer_each_time_and_are_given_up_after_three_days_in_sight() {
        let (_folder, db, device) = world();
        let receiver = webhooks::add(&db, "http://127.0.0.1:9/", &[], None, NOW).unwrap().0;
        db.write(|tx| cases::raise(tx, &device, Own::Silence, NOW)).unwrap();
        let (mut now, mut tries) = (NOW, 0);
        while !take_up(&db, now).unwrap().is_empty() || waiting(&db) > 0 {
            if let Some(message) = next(&db, &receiver, now).unwrap() {
                failed(&db, &receiver, &message, ("refused", None), now).unwrap();
                assert!(next(&db, &receiver, now).unwrap().is_none(), "not at once again");
                tries += 1;
            }
            now = Wall(now.0 + 60_000);
            assert!(now.0 <= NOW.0 + 3 * DAY + 60_000);
        }
        // An hour at most between two tries makes 72; drawn evenly below, about twice as many.
        assert!((72..400).contains(&tries), "{tries}");
        let shown = &webhooks::list(&db).unwrap()[0];
        assert_eq!((shown.given_up, shown.sent, shown.trouble.as_deref()), (1, 0, Some("refused")));
    }

    #[test]
    fn the_queue_of_a_receiver_is_bounded_and_what_found_no_room_is_counted() {
        let (_folder, db, device) = world();
        let receiver = webhooks::add(&db, "http://127.0.0.1:9/", &[], None, NOW).unwrap().0;
        db.write(|tx| {
            for at in 0..MOST_WAITING {
                tx.execute(
                    "INSERT INTO webhook_message (id, webhook, body, queued_ms, next_ms) VALUES (?1, ?2, '', ?3, ?3)",
                    params![format!("m{at}"), receiver, NOW.0],
                )?;
            }
            cases::raise(tx, &device, Own::Silence, NOW)
        })
        .unwrap();
        take_up(&db, NOW).unwrap();
        let shown = &webhooks::list(&db).unwrap()[0];
        assert_eq!((shown.waiting, shown.dropped), (MOST_WAITING, 1));
    }
}
