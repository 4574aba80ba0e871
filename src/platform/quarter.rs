//! Three months of China, over which institutions are held against each other.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use crate::base::clock::Wall;
use crate::platform::db::{self, Connection};
use crate::platform::score::{self, DayNumber, InstitutionTally};

/// Three months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarter {
    year: i16,
    /// 1..=4.
    number: i8,
}

impl Quarter {
    /// The quarter of a moment in China.
    pub fn of(at: Wall) -> Option<Quarter> {
        let zone = TimeZone::fixed(Offset::constant(8));
        let date = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone).date();
        Some(Quarter { year: date.year(), number: (date.month() - 1) / 3 + 1 })
    }

    /// `2026Q4`.
    pub fn named(name: &str) -> Option<Quarter> {
        let (year, number) = name.split_once('Q')?;
        let (year, number) = (year.parse().ok()?, number.parse().ok()?);
        ((2000..=2999).contains(&year) && (1..=4).contains(&number)).then_some(Quarter { year, number })
    }

    /// Its name, as [`Quarter::named`] reads it.
    pub fn name(self) -> String {
        format!("{}Q{}", self.year, self.number)
    }

    /// The one before.
    pub fn before(self) -> Quarter {
        match self.number {
            1 => Quarter { year: self.year - 1, number: 4 },
            number => Quarter { year: self.year, number: number - 1 },
        }
    }

    fn after(self) -> Quarter {
        match self.number {
            4 => Quarter { year: self.year + 1, number: 1 },
            number => Quarter { year: self.year, number: number + 1 },
        }
    }

    fn first_day(self) -> Option<DayNumber> {
        DayNumber::on(Date::new(self.year, (self.number - 1) * 3 + 1, 1).ok()?)
    }

    /// Its days up to today.
    pub fn days(self, now: Wall) -> Option<(DayNumber, DayNumber)> {
        let last = self.after().first_day()?.0 - 1;
        Some((self.first_day()?, DayNumber(last.min(DayNumber::of(now).0))))
    }
}

/// The institutions of `scope` over a quarter up to now, the worst first: that is who must be looked at.
pub fn institutions(
    connection: &Connection,
    scope: Option<&str>,
    days: (DayNumber, DayNumber),
) -> db::Result<Vec<InstitutionTally>> {
    let mut found = score::institutions(connection, scope, days)?;
    found.sort_by(|one, other| {
        let score = |row: &InstitutionTally| row.tally.score().unwrap_or(f64::MAX);
        score(one).total_cmp(&score(other))
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_has_its_days_in_china_and_ends_today_at_the_latest() {
        let quarter = Quarter::named("2026Q4").unwrap();
        // 2026-10-01 00:00 in China is 2026-09-30 16:00 in Greenwich.
        let first = quarter.first_day().unwrap();
        assert_eq!(Quarter::of(first.begin()), Some(quarter));
        assert_eq!(Quarter::of(Wall(first.begin().0 - 1)), Some(quarter.before()));
        let now = Wall(first.begin().0 + 3 * 86_400_000 + 5);
        assert_eq!(quarter.days(now), Some((first, DayNumber(first.0 + 3))));
        let whole = quarter.before().days(now).unwrap();
        assert_eq!(whole.1.0 - whole.0.0 + 1, 92);
        assert_eq!(Quarter::named("2026Q1").unwrap().before().name(), "2025Q4");
        for nonsense in ["", "2026", "2026Q5", "26Q1", "2026Q", "99999999999Q1"] {
            assert_eq!(Quarter::named(nonsense), None, "{nonsense}");
        }
    }
}
