//! The coverage matrix: bed by bed and day by day, what was due and what came of it. A bed nobody looked at must stand out
//! as much as one where somebody else lay.

use crate::base::clock::Wall;
use crate::platform::db::{self, Connection, params};
use crate::platform::score::{DAY_MS, DayNumber};

/// Columns of the matrix.
pub const DAYS: i64 = 7;

/// One bed on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub due: i64,
    pub open: i64,
    pub not_done: i64,
    /// Absent, another person, no life, the wrong bed.
    pub against: i64,
    /// Verified, or away for a reason.
    pub good: i64,
}

/// One bed of a ward and its days, the oldest first; `None` where nothing was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub ward: String,
    pub device: String,
    pub bed: String,
    pub cells: Vec<Option<Cell>>,
}

/// When each day of the matrix begins, the oldest first.
pub fn days(now: Wall) -> Vec<i64> {
    let today = DayNumber::of(now).0;
    (0..DAYS).rev().map(|back| DayNumber(today - back).begin().0).collect()
}

/// The matrix of one institution.
pub fn matrix(connection: &Connection, institution: &str, now: Wall) -> db::Result<Vec<Row>> {
    let first = DayNumber(DayNumber::of(now).0 - DAYS + 1);
    let mut query = connection.prepare_cached(
        "SELECT d.ward, u.device, u.bed, (u.due_ms - ?2) / ?3, count(*), count(*) FILTER (WHERE u.state = 'open'),
                count(*) FILTER (WHERE u.state = 'not_done'),
                count(*) FILTER (WHERE o.verdict IN ('Absent', 'Mismatch', 'WrongBed', 'NotLive')),
                count(*) FILTER (WHERE o.verdict IN ('Verified', 'Excused'))
         FROM device d JOIN due u ON u.device = d.device
         LEFT JOIN done o ON o.device = u.device AND o.epoch = u.epoch AND o.round = u.round AND o.bed = u.bed
         WHERE d.institution = ?1 AND u.due_ms >= ?2
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, length(u.bed), 3, 4",
    )?;
    let mut found = query.query(params![institution, first.begin().0, DAY_MS])?;
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) = found.next()? {
        let (ward, device, bed): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let at = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX);
        let cell = Cell {
            due: row.get(4)?,
            open: row.get(5)?,
            not_done: row.get(6)?,
            against: row.get(7)?,
            good: row.get(8)?,
        };
        if rows.last().is_none_or(|last| (&last.device, &last.bed) != (&device, &bed)) {
            rows.push(Row { ward, device, bed, cells: vec![None; DAYS as usize] });
        }
        // A device whose clock runs ahead has checks due tomorrow.
        if let Some(place) = rows.last_mut().and_then(|row| row.cells.get_mut(at)) {
            *place = Some(cell);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::db::Database;

    #[test]
    fn a_check_that_nobody_did_is_in_the_cell_of_its_day_in_china() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let now = Wall(1_790_000_000_000);
        db.write(|tx| {
            crate::platform::devices::enter(tx, &DeviceId::new("d").unwrap())?;
            tx.execute(
                "INSERT INTO due VALUES ('d', 'e', 1, '04', 'S', '张**', ?1, ?1, ?1, 'not_done')",
                [now.0 - DAY_MS],
            )
        })
        .unwrap();
        let institution: String = db
            .read(|connection| connection.query_row("SELECT institution FROM device", [], |row| row.get(0)))
            .unwrap();
        let rows = db.read(|connection| matrix(connection, &institution, now)).unwrap();
        let expected = Cell { due: 1, not_done: 1, ..Cell::default() };
        assert_eq!(rows[0].cells[5], Some(expected));
        assert_eq!(rows[0].cells[6], None);
        assert_eq!(days(now).len(), 7);
        assert!(db.read(|connection| matrix(connection, "another", now)).unwrap().is_empty());
    }
}
