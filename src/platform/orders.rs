//! Spot checks (抽查): the platform orders them with a nonce and a deadline, they ride with every receipt until a round
//! answers them, and an unanswered one is a case.

use std::time::Duration;

use tracing::warn;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, DeviceId};
use crate::domain::order::{MOST_WAITING, Order, Ordered};
use crate::platform::cases::{self, Own};
use crate::platform::db::{self, OptionalExtension, Transaction, number, params};

/// Writes down an order; it reaches the device with the next receipt. `beds` empty means the whole ward.
pub fn place(tx: &Transaction<'_>, device: &DeviceId, order: &Order, now: Wall) -> db::Result<()> {
    let beds: Vec<&str> = order.beds.iter().map(BedId::as_str).collect();
    tx.execute(
        "INSERT INTO spot_check (id, device, nonce, beds, issued_ms, until_ms, evidence, missed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
        params![
            order.id,
            device.as_str(),
            order.nonce,
            beds.join("\n"),
            now.0,
            order.until.0,
            order.evidence
        ],
    )?;
    Ok(())
}

/// What a device must still carry out, the oldest first.
pub fn open(tx: &Transaction<'_>, device: &DeviceId, now: Wall) -> db::Result<Vec<Order>> {
    let most = i64::try_from(MOST_WAITING).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "SELECT id, nonce, beds, until_ms, evidence FROM spot_check
         WHERE device = ?1 AND answered_ms IS NULL AND until_ms > ?2 ORDER BY issued_ms, id LIMIT ?3",
    )?
    .query_map(params![device.as_str(), now.0, most], |row| {
        let beds: String = row.get(2)?;
        let beds = beds.lines().filter_map(|bed| BedId::new(bed).ok()).collect();
        let (id, nonce, until, evidence) = (row.get(0)?, row.get(1)?, Wall(row.get(3)?), row.get(4)?);
        Ok(Order { id, nonce, beds, until, evidence })
    })?
    .collect()
}

/// Notes that a round, by epoch and number, answers an order; a nonce that was never given answers nothing, and the first
/// answer stands.
pub fn answer(
    tx: &Transaction<'_>,
    device: &DeviceId,
    ordered: &Ordered,
    (epoch, round): (&str, u64),
    now: Wall,
) -> db::Result<()> {
    let answered = tx.execute(
        "UPDATE spot_check SET answered_ms = coalesce(answered_ms, ?4), epoch = coalesce(epoch, ?5),
                               round = coalesce(round, ?6)
         WHERE id = ?1 AND device = ?2 AND nonce = ?3",
        params![ordered.id, device.as_str(), ordered.nonce, now.0, epoch, number(round)],
    )?;
    if answered == 0 {
        warn!(%device, order = ordered.id, "A round answers an order that was never given.");
    }
    Ok(())
}

/// Raises a case for every order whose time is over without an answer; true when there was one.
pub fn sweep(tx: &Transaction<'_>, now: Wall, grace: Duration) -> db::Result<bool> {
    let limit = now.0.saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    let late: Vec<String> = tx
        .prepare_cached(
            "UPDATE spot_check SET missed = 1
             WHERE answered_ms IS NULL AND missed = 0 AND until_ms < ?1 RETURNING device",
        )?
        .query_map([limit], |row| row.get(0))?
        .collect::<db::Result<_>>()?;
    for device in late.iter().filter_map(|device| DeviceId::new(device.clone()).ok()) {
        warn!(%device, "A spot check was not carried out in time.");
        cases::raise(tx, &device, Own::OrderMissed, now)?;
    }
    Ok(!late.is_empty())
}

/// When an order was answered, for whoever waits for it; `None` when there is no such order.
pub fn answered(tx: &Transaction<'_>, id: &str) -> db::Result<Option<Option<Wall>>> {
    tx.query_row("SELECT answered_ms FROM spot_check WHERE id = ?1", [id], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.map(Wall))
    })
    .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_waits_until_it_is_answered_with_its_nonce_and_is_missed_once() {
        let folder = tempfile::tempdir().unwrap();
        let db = crate::platform::db::Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        let order = |id: &str, until| Order {
            id: id.to_owned(),
            nonce: format!("n-{id}"),
            beds: vec![BedId::new("12").unwrap()],
            until: Wall(until),
            evidence: id == "b",
        };
        db.write(|tx| {
            crate::platform::devices::enter(tx, &device)?;
            place(tx, &device, &order("a", 1000), Wall(0))?;
            place(tx, &device, &order("b", 2000), Wall(1))?;
            assert_eq!(open(tx, &device, Wall(5))?, [order("a", 1000), order("b", 2000)]);
            answer(tx, &device, &Ordered { id: "a".into(), nonce: "guessed".into() }, ("e", 1), Wall(6))?;
            assert_eq!(open(tx, &device, Wall(7))?.len(), 2);
            answer(tx, &device, &order("a", 0).as_ordered(), ("e", 1), Wall(8))?;
            assert_eq!((answered(tx, "a")?, answered(tx, "b")?), (Some(Some(Wall(8))), Some(None)));
            assert_eq!(open(tx, &device, Wall(9))?, [order("b", 2000)]);
            assert_eq!(open(tx, &device, Wall(2001))?, [], "too late to begin");
            let grace = Duration::from_millis(100);
            assert!(!sweep(tx, Wall(2100), grace)?);
            assert!(sweep(tx, Wall(2101), grace)?);
            assert!(!sweep(tx, Wall(2102), grace)?);
            assert!(cases::is_open(tx, &device, Own::OrderMissed)?);
            Ok(())
        })
        .unwrap();
    }
}
