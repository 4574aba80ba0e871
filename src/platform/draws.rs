//! Whether the rounds were drawn as committed: the seed of a round that is over must open what was published before it,
//! and must give the very order and moment that the round had.

use tracing::warn;

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::domain::draw::{CHAIN, Commitment, Revealed, Seed};
use crate::domain::round::RoundPlan;
use crate::platform::cases::{self, Own};
use crate::platform::db::{self, OptionalExtension, Transaction, number, params};

/// A round may begin so much before its drawn moment: clocks are compared in milliseconds, pauses are cut to them.
const EARLY_MS: i64 = 1_000;

/// Takes what a device commits to. Saying again what is known is harmless; anything else is a forged draw.
pub fn commit(
    tx: &Transaction<'_>,
    device: &DeviceId,
    epoch: &str,
    said: &Commitment,
    now: Wall,
) -> db::Result<()> {
    match known(tx, device, epoch)? {
        Some(known) if known == *said => Ok(()),
        // After a restart the device commits to a later round; that shows the seed of the one before.
        Some(known) if known.round < said.round && !said.begins_chain() => {
            let revealed = Revealed { round: said.round - 1, seed: said.sha256 };
            reveal(tx, device, epoch, &revealed, now)
        }
        Some(known) if known.round != said.round || !said.begins_chain() => forged(tx, device, now),
        _ => keep(tx, device, epoch, said),
    }
}

/// Takes the announcement of a round: the seed it shows is checked now, its own draw when its seed is shown.
pub fn begin_round(
    tx: &Transaction<'_>,
    device: &DeviceId,
    epoch: &str,
    plan: &RoundPlan,
    now: Wall,
) -> db::Result<()> {
    if let Some(revealed) = &plan.revealed {
        reveal(tx, device, epoch, revealed, now)?;
    }
    let json =
        serde_json::to_string(plan).map_err(|error| db::Error::ToSqlConversionFailure(Box::new(error)))?;
    tx.execute(
        "INSERT OR IGNORE INTO drawn VALUES (?1, ?2, ?3, ?4)",
        params![device.as_str(), epoch, number(plan.round), json],
    )?;
    Ok(())
}

fn reveal(
    tx: &Transaction<'_>,
    device: &DeviceId,
    epoch: &str,
    revealed: &Revealed,
    now: Wall,
) -> db::Result<()> {
    if let Some(known) = known(tx, device, epoch)? {
        if revealed.round < known.round {
            return Ok(());
        }
        let Some(next) = known.opened(revealed) else { return forged(tx, device, now) };
        keep(tx, device, epoch, &next)?;
    }
    let mut query = tx.prepare_cached(
        "DELETE FROM drawn WHERE device = ?1 AND epoch = ?2 AND round <= ?3 RETURNING plan",
    )?;
    let plans: Vec<String> = query
        .query_map(params![device.as_str(), epoch, number(revealed.round)], |row| row.get(0))?
        .collect::<db::Result<_>>()?;
    for plan in plans.iter().filter_map(|plan| serde_json::from_str::<RoundPlan>(plan).ok()) {
        if !opens(revealed, &plan) {
            forged(tx, device, now)?;
        }
    }
    Ok(())
}

/// Whether a plan is the one that the seed of its own or a later round gives. A seed says nothing of another chain, and the
/// way from a round of a device's own invention would take for ever.
fn opens(revealed: &Revealed, plan: &RoundPlan) -> bool {
    let is_one_chain = plan.round / CHAIN == revealed.round / CHAIN;
    let seed = || (plan.round..revealed.round).fold(revealed.seed, |seed, _| seed.hash());
    is_one_chain && is_drawn(plan, seed())
}

/// Whether a round has the order, the choice and the moment that its seed gives.
pub fn is_drawn(plan: &RoundPlan, seed: Seed) -> bool {
    let is_ordered = plan.due.is_sorted_by_key(|check| seed.place(&check.bed));
    let worst = plan.due.iter().map(|check| seed.luck(&check.bed, check.tickets)).min();
    let spared = plan.spared.iter().map(|spared| seed.luck(&spared.bed, spared.tickets)).max();
    let is_chosen = spared.zip(worst).is_none_or(|(spared, worst)| spared <= worst);
    let is_in_time = plan.slot.is_none_or(|slot| {
        let delay = (slot.span_ms as f64 * seed.delay()) as i64;
        plan.began.0 >= slot.from.0.saturating_add(delay).saturating_sub(EARLY_MS)
    });
    is_ordered && is_chosen && is_in_time
}

fn forged(tx: &Transaction<'_>, device: &DeviceId, now: Wall) -> db::Result<()> {
    warn!(%device, "A round was not drawn as committed.");
    cases::raise(tx, device, Own::DrawForged, now).map(|_| ())
}

fn known(tx: &Transaction<'_>, device: &DeviceId, epoch: &str) -> db::Result<Option<Commitment>> {
    let found: Option<(u64, String)> = tx
        .prepare_cached("SELECT round, sha256 FROM commitment WHERE device = ?1 AND epoch = ?2")?
        .query_row([device.as_str(), epoch], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(round, text)| Some(Commitment { round, sha256: Seed::try_from(text).ok()? })))
}

fn keep(tx: &Transaction<'_>, device: &DeviceId, epoch: &str, next: &Commitment) -> db::Result<()> {
    tx.execute(
        "INSERT INTO commitment VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (device, epoch) DO UPDATE SET round = ?3, sha256 = ?4",
        params![device.as_str(), epoch, number(next.round), String::from(next.sha256)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{BedId, StayId};
    use crate::domain::draw::seed;
    use crate::domain::round::{DueCheck, Slot, Spared};

    const ROOT: Seed = Seed([3; 32]);

    fn drawn(round: u64, beds: &[&str]) -> RoundPlan {
        let own = seed(ROOT, round);
        let mut beds: Vec<BedId> = beds.iter().map(|bed| BedId::new(*bed).unwrap()).collect();
        beds.sort_by_key(|bed| own.place(bed));
        let stay = StayId::new("S").unwrap();
        let due = |bed| DueCheck { bed, stay: stay.clone(), masked_name: "张*".into(), tickets: 1 };
        let slot = Slot { from: Wall(1_000_000), span_ms: 100_000 };
        RoundPlan {
            round,
            began: Wall(1_000_000 + (100_000.0 * own.delay()) as i64),
            until: Wall(2_000_000),
            next_by: Wall(3_000_000),
            due: beds.into_iter().map(due).collect(),
            spared: Vec::new(),
            slot: Some(slot),
            order: None,
            revealed: (round > 1).then(|| Revealed { round: round - 1, seed: seed(ROOT, round - 1) }),
        }
    }

    #[test]
    fn another_order_choice_or_moment_is_seen() {
        let honest = drawn(4, &["1", "2", "3", "4", "5"]);
        let own = seed(ROOT, 4);
        assert!(is_drawn(&honest, own));
        assert!(!is_drawn(&honest, seed(ROOT, 5)), "the seed of another round");
        let mut swapped = honest.clone();
        swapped.due.swap(0, 4);
        assert!(!is_drawn(&swapped, own));
        let early = RoundPlan { began: Wall(honest.began.0 - 1_001), ..honest.clone() };
        assert!(!is_drawn(&early, own));
        let mut chosen = honest;
        chosen.due.sort_by_key(|check| std::cmp::Reverse(own.luck(&check.bed, 1)));
        let lucky = chosen.due.remove(0);
        chosen.due.sort_by_key(|check| own.place(&check.bed));
        chosen.spared.push(Spared { bed: lucky.bed, tickets: 1 });
        assert!(!is_drawn(&chosen, own), "the luckiest bed was spared");
    }

    #[test]
    fn a_seed_far_from_a_plan_opens_nothing_and_costs_nothing() {
        let plan = drawn(1, &["1", "2"]);
        assert!(opens(&Revealed { round: 3, seed: seed(ROOT, 3) }, &plan));
        assert!(!opens(&Revealed { round: u64::MAX, seed: ROOT }, &plan), "2^64 hashes would take centuries");
    }

    fn cases_after(said: impl Fn(&Transaction<'_>, &DeviceId) -> db::Result<()>) -> i64 {
        let folder = tempfile::tempdir().unwrap();
        let db = crate::platform::db::Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        db.write(|tx| {
            crate::platform::devices::enter(tx, &device)?;
            said(tx, &device)?;
            tx.query_row("SELECT count(*) FROM exception WHERE kind = 'draw_forged'", [], |row| row.get(0))
        })
        .unwrap()
    }

    fn committed(round: u64) -> Commitment {
        Commitment { round, sha256: seed(ROOT, round).hash() }
    }

    #[test]
    fn an_honest_device_restarts_and_skips_and_is_believed() {
        let forged = cases_after(|tx, device| {
            let at = Wall(0);
            commit(tx, device, "e", &committed(1), at)?;
            begin_round(tx, device, "e", &drawn(1, &["1", "2", "3"]), at)?;
            begin_round(tx, device, "e", &drawn(2, &["1", "2", "3"]), at)?;
            commit(tx, device, "e", &committed(3), at)?;
            begin_round(tx, device, "e", &RoundPlan { revealed: None, ..drawn(3, &["1", "2"]) }, at)?;
            begin_round(tx, device, "e", &drawn(4, &["1", "2", "3"]), at)?;
            commit(tx, device, "e", &committed(5), at)
        });
        assert_eq!(forged, 0);
    }

    #[test]
    fn a_second_secret_or_a_chosen_order_is_a_case() {
        let other = Commitment { round: 2, sha256: Seed([9; 32]) };
        let forged = cases_after(|tx, device| {
            commit(tx, device, "e", &committed(2), Wall(0))?;
            commit(tx, device, "e", &other, Wall(0))
        });
        assert_eq!(forged, 1);
        let forged = cases_after(|tx, device| {
            commit(tx, device, "e", &committed(1), Wall(0))?;
            let mut chosen = drawn(1, &["1", "2", "3", "4"]);
            chosen.due.reverse();
            begin_round(tx, device, "e", &chosen, Wall(0))?;
            begin_round(tx, device, "e", &drawn(2, &["1"]), Wall(0))
        });
        assert_eq!(forged, 1);
    }
}
