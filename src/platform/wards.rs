//! Wards in numbers: what was due there today and what came of it, cases that are open, when the device last spoke. A
//! province has too many beds for one page, so the overview adds these up and the beds are shown ward by ward.

use serde::Serialize;

use crate::base::clock::Wall;
use crate::domain::handling::State;
use crate::domain::presence::Tally;
use crate::platform::db::{self, Connection, Row, params};
use crate::platform::score::DayNumber;

/// One ward, which is one device's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ward {
    pub institution: String,
    pub ward: String,
    pub device: String,
    pub last_contact: Option<i64>,
    pub next_round_by: i64,
    pub beds: i64,
    pub cases: Cases,
    /// Whether a case says that nothing came from it when it was due.
    pub is_silent: bool,
    pub today: Tally,
}

/// Cases by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cases {
    /// Not closed by people.
    pub open: i64,
    /// Still seen in the ward.
    pub seen: i64,
}

impl Cases {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Cases) -> Cases {
        Cases { open: self.open + other.open, seen: self.seen + other.seen }
    }
}

/// Every ward of `scope` that may speak, by institution.
pub fn list(connection: &Connection, scope: Option<&str>, now: Wall) -> db::Result<Vec<Ward>> {
    connection
        .prepare_cached(
            "SELECT d.institution, d.ward, d.device, d.last_contact_ms, d.expected_ms,
                    (SELECT count(*) FROM roster r WHERE r.device = d.device),
                    (SELECT coalesce(sum(c.cases), 0) FROM case_count c
                     WHERE c.device = d.device AND c.handling <> 'closed'),
                    (SELECT coalesce(sum(c.cases), 0) FROM case_count c WHERE c.device = d.device AND c.seen <> 0),
                    EXISTS (SELECT 1 FROM exception e
                            WHERE e.device = d.device AND e.state <> 'ended' AND e.kind = 'silence'),
                    sum(b.due), sum(b.missed), sum(b.verified), sum(b.excused), sum(b.unclear), sum(b.against)
             FROM device d LEFT JOIN bed_day b ON b.device = d.device AND b.day = ?1
             WHERE d.revoked_ms IS NULL AND (?2 IS NULL OR d.institution = ?2)
             GROUP BY d.device ORDER BY d.institution, length(d.ward), d.ward, d.device",
        )?
        .query_map(params![DayNumber::of(now).0, scope], |row| {
            Ok(Ward {
                institution: row.get(0)?,
                ward: row.get(1)?,
                device: row.get(2)?,
                last_contact: row.get(3)?,
                next_round_by: row.get(4)?,
                beds: row.get(5)?,
                cases: Cases { open: row.get(6)?, seen: row.get(7)? },
                is_silent: row.get(8)?,
                today: tally(row, 9)?,
            })
        })?
        .collect()
}

/// Six sums in the order of [`Tally`], from column `first` on.
pub fn tally(row: &Row<'_>, first: usize) -> db::Result<Tally> {
    // A sum is never negative: the triggers take away only what they added.
    let count = |at: usize| -> db::Result<u64> {
        Ok(u64::try_from(row.get::<_, Option<i64>>(first + at)?.unwrap_or(0)).unwrap_or(0))
    };
    Ok(Tally {
        due: count(0)?,
        missed: count(1)?,
        verified: count(2)?,
        excused: count(3)?,
        unclear: count(4)?,
        against: count(5)?,
    })
}

/// Cases of `scope` whose next step should have been taken.
pub fn overdue(connection: &Connection, scope: Option<&str>, now: Wall) -> db::Result<i64> {
    let first = State::Raised.hours().unwrap_or(0) * 3_600_000;
    // Both as the index `exception_due` has them, so that no row of the table is read.
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM exception WHERE handling <> 'closed' AND (version = 0) = true
                     AND iif(version = 0, first_ms, due_ms) < ?1
                     AND (?3 IS NULL OR device IN (SELECT device FROM device WHERE institution = ?3)))
                  + (SELECT count(*) FROM exception WHERE handling <> 'closed' AND (version = 0) = false
                     AND iif(version = 0, first_ms, due_ms) < ?2
                     AND (?3 IS NULL OR device IN (SELECT device FROM device WHERE institution = ?3)))",
        )?
        .query_row(params![now.0 - first, now.0, scope], |row| row.get(0))
}

/// The last days of `scope`, the oldest first, today last; a day on which nothing was due has an empty tally.
pub fn days(connection: &Connection, scope: Option<&str>, count: usize, now: Wall) -> db::Result<Vec<Tally>> {
    let last = DayNumber::of(now).0;
    let first = last + 1 - i64::try_from(count).unwrap_or(0);
    let mut days = vec![Tally::default(); count];
    let mut query = connection.prepare_cached(
        "SELECT b.day, sum(b.due), sum(b.missed), sum(b.verified), sum(b.excused), sum(b.unclear), sum(b.against)
         FROM device d CROSS JOIN bed_day b ON b.device = d.device AND b.day BETWEEN ?1 AND ?2
         WHERE ?3 IS NULL OR d.institution = ?3 GROUP BY 1",
    )?;
    let mut rows = query.query(params![first, last, scope])?;
    while let Some(row) = rows.next()? {
        let at = usize::try_from(row.get::<_, i64>(0)? - first).unwrap_or(usize::MAX);
        if let Some(place) = days.get_mut(at) {
            *place = tally(&row, 1)?;
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::cases::{self, Own};
    use crate::platform::db::Database;
    use crate::platform::devices;

    const NOW: Wall = Wall(1_790_000_000_000);
    const DAY_MS: i64 = 24 * 3_600_000;

    #[test]
    fn cases_are_counted_as_they_come_end_and_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        db.write(|tx| {
            devices::enter(tx, &device)?;
            let counted = || Ok::<_, db::Error>(list(tx, None, NOW)?[0].cases);
            assert_eq!(counted()?, Cases::default());
            cases::raise(tx, &device, Own::Silence, NOW)?;
            cases::raise(tx, &device, Own::Silence, NOW)?;
            cases::raise(tx, &device, Own::Tampered, NOW)?;
            assert_eq!(counted()?, Cases { open: 2, seen: 2 }, "the same again is no second case");
            assert!(list(tx, None, NOW)?[0].is_silent);
            cases::end(tx, &device, Own::Silence, NOW)?;
            assert_eq!(counted()?, Cases { open: 2, seen: 1 });
            assert!(!list(tx, None, NOW)?[0].is_silent);
            let later = Wall(NOW.0 + 2 * DAY_MS);
            assert_eq!((overdue(tx, None, NOW)?, overdue(tx, None, later)?), (0, 2));
            assert_eq!(overdue(tx, Some("another"), later)?, 0);
            tx.execute(
                "UPDATE exception SET handling = 'notified', version = 1, due_ms = ?1 WHERE kind = 'silence'",
                [later.0 + 1],
            )?;
            assert_eq!(overdue(tx, None, later)?, 1);
            tx.execute("UPDATE exception SET handling = 'closed', due_ms = NULL, version = 2", [])?;
            assert_eq!((counted()?, overdue(tx, None, later)?), (Cases { open: 0, seen: 1 }, 0));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_day_without_checks_is_there_and_empty() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx| {
            devices::enter(tx, &DeviceId::new("d").unwrap())?;
            tx.execute(
                "INSERT INTO due VALUES ('d', 'e', 1, '04', 'S', '张**', ?1, ?1, ?1, 'not_done')",
                [NOW.0 - DAY_MS],
            )?;
            let missed = Tally { due: 1, missed: 1, ..Tally::default() };
            assert_eq!(days(tx, None, 3, NOW)?, [Tally::default(), missed, Tally::default()]);
            assert_eq!(days(tx, Some("another"), 3, NOW)?, [Tally::default(); 3]);
            assert_eq!(list(tx, None, NOW)?[0].today, Tally::default());
            assert_eq!(list(tx, None, Wall(NOW.0 - DAY_MS))?[0].today, missed);
            Ok(())
        })
        .unwrap();
    }
}
