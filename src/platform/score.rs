//! How well each institution's presence is proved: checks added up by bed and day while they come in, so that a page over
//! a quarter reads some thousand rows and not a million events.
//!
//! The sums are kept by triggers of the database itself (`db::schema`): whatever writes the ledger, they follow.

use jiff::Span;
use jiff::civil::Date;
use serde::Serialize;

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::platform::db::{self, Connection};
use crate::platform::wards::tally;

/// Days of one time without summer time are all as long.
pub const DAY_MS: i64 = 86_400_000;
/// China has one time, eight hours before UTC, all year.
const CHINA_MS: i64 = 8 * 3_600_000;

/// Days since 1970 in China.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DayNumber(pub i64);

impl DayNumber {
    /// The day of a moment.
    pub fn of(at: Wall) -> DayNumber {
        DayNumber((at.0 + CHINA_MS).div_euclid(DAY_MS))
    }

    /// Its first moment.
    pub fn begin(self) -> Wall {
        Wall(self.0 * DAY_MS - CHINA_MS)
    }

    /// Its date.
    pub fn date(self) -> Option<Date> {
        let days = Span::new().try_days(self.0).ok()?;
        Date::new(1970, 1, 1).ok()?.checked_add(days).ok()
    }

    /// The day of a date.
    pub fn on(date: Date) -> Option<DayNumber> {
        let epoch = Date::new(1970, 1, 1).ok()?;
        Some(DayNumber(i64::from((date - epoch).get_days())))
    }

    /// So many days before.
    pub fn before(self, days: i64) -> DayNumber {
        DayNumber(self.0 - days)
    }
}

/// An institution over some time, with one tally for each week of seven days.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstitutionTally {
    pub institution: String,
    pub tally: Tally,
    pub weeks: Vec<Tally>,
}

/// Every institution of `scope`, by week from the first day on; the last week may be short.
pub fn institutions(
    connection: &Connection,
    scope: Option<&str>,
    (from, to): (DayNumber, DayNumber),
) -> db::Result<Vec<InstitutionTally>> {
    let weeks = usize::try_from((to.0 - from.0).div_euclid(7) + 1).unwrap_or(0);
    let mut query = connection.prepare_cached(
        "SELECT d.institution, (b.day - ?2) / 7, sum(b.due), sum(b.missed), sum(b.verified), sum(b.excused),
                sum(b.unclear), sum(b.against)
         FROM bed_day b JOIN device d USING (device)
         WHERE b.day BETWEEN ?2 AND ?3 AND (?1 IS NULL OR d.institution = ?1)
         GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let mut rows = query.query((scope, from.0, to.0))?;
    let mut found: Vec<InstitutionTally> = Vec::new();
    while let Some(row) = rows.next()? {
        let institution: String = row.get(0)?;
        if found.last().is_none_or(|last| last.institution != institution) {
            let weeks = vec![Tally::default(); weeks];
            found.push(InstitutionTally { institution, tally: Tally::default(), weeks });
        }
        let Some(last) = found.last_mut() else { continue };
        let week = tally(&row, 2)?;
        last.tally = last.tally.and(&week);
        let at = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
        if let Some(place) = last.weeks.get_mut(at) {
            *place = week;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::platform::db::params;

    use super::*;
    use crate::base::ids::DeviceId;
    use crate::domain::presence::Day;
    use crate::platform::db::{Database, Transaction};
    use crate::platform::devices;

    fn at(hours: i64) -> i64 {
        // Midnight in China of some day.
        DayNumber(20_700).begin().0 + hours * 3_600_000
    }

    fn due(tx: &Transaction<'_>, round: i64, bed: &str, hours: i64) {
        tx.execute(
            "INSERT INTO due VALUES ('d', 'e', ?1, ?2, 's', '张*', ?3, ?3, ?3, 'open')",
            params![round, bed, at(hours)],
        )
        .unwrap();
    }

    fn done(tx: &Transaction<'_>, round: i64, bed: &str, verdict: &str) {
        tx.execute("UPDATE due SET state = 'settled' WHERE round = ?1 AND bed = ?2", params![round, bed])
            .unwrap();
        tx.execute(
            "INSERT OR IGNORE INTO done VALUES ('d', 'e', ?1, ?2, 's', 'x', ?3, '{}', 0, 0, 0)",
            params![round, bed, verdict],
        )
        .unwrap();
    }

    #[test]
    fn sums_follow_the_ledger_by_bed_and_day_of_china() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx| {
            devices::enter(tx, &DeviceId::new("d").unwrap())?;
            due(tx, 1, "01", 1);
            due(tx, 2, "01", 23);
            // An hour later it is the next day there, and in Greenwich still the same.
            due(tx, 3, "01", 24);
            due(tx, 1, "02", 1);
            done(tx, 1, "01", "Verified");
            // The same again is no second check.
            done(tx, 1, "01", "Absent");
            done(tx, 2, "01", "WrongBed");
            tx.execute("UPDATE due SET state = 'not_done' WHERE state = 'open'", [])?;
            // One that is known to be missed from the start counts as well.
            due(tx, 4, "02", 23);
            tx.execute(
                "INSERT INTO due VALUES ('d', 'e', 5, '02', 's', '张*', ?1, ?1, ?1, 'not_done')",
                [at(23)],
            )?;
            tx.execute("UPDATE due SET state = 'not_done' WHERE state = 'open'", [])?;
            // What came late was carried out all the same.
            done(tx, 1, "02", "FaceHidden");
            Ok(())
        })
        .unwrap();
        let days = (DayNumber(20_700), DayNumber(20_706));
        let all = db.read(|connection| institutions(connection, None, days)).unwrap();
        let expected = Tally { due: 6, missed: 3, verified: 1, against: 1, unclear: 1, ..Tally::default() };
        assert_eq!((all.len(), all[0].tally, all[0].weeks.as_slice()), (1, expected, &[expected][..]));
        let one_day = |day| (DayNumber(day), DayNumber(day));
        let of = |day| db.read(|connection| institutions(connection, None, one_day(day))).unwrap()[0].tally;
        assert_eq!((of(20_700).due, of(20_701).day()), (5, Day::Missed));
        let institution = all[0].institution.clone();
        assert_eq!(db.read(|connection| institutions(connection, Some(&institution), days)).unwrap(), all);
        let foreign = db.read(|connection| institutions(connection, Some("other"), days)).unwrap();
        assert!(foreign.is_empty());
    }
}
