//! The lists programs read, a page at a time: beds, checks, kiosk results, devices, coverage.
//!
//! Each follows an index from the last row of the page before, so that a page costs the same at a million checks. Who sees
//! one hospital only is led to its devices first: otherwise a small hospital would be looked for in everybody's rows.

use serde::Serialize;

use crate::base::clock::Wall;
use crate::platform::cursor::{self, Page};
use crate::platform::db::{self, Connection, OptionalExtension, params};
use crate::platform::score::DayNumber;
use crate::platform::verifications::{self, Verified};
use crate::platform::view::{self, BedRow, DeviceRow, DueRow};

/// Names of the lists in their cursors.
pub const BEDS: &str = "rows";
pub const CHECKS: &str = "ledger";
pub const VERIFICATIONS: &str = "verifications";
pub const DEVICES: &str = "devices";
pub const COVERAGE: &str = "coverage";

/// Device, length of the bed's name, bed: bed 10 comes after bed 9.
pub type BedKey = (String, i64, String);
/// A moment, and the row.
pub type TimeKey = (i64, i64);
/// Device, day, bed.
pub type CoverageKey = (String, i64, String);

/// Beds of the devices that are admitted now.
pub fn beds(
    connection: &Connection,
    scope: Option<&str>,
    now: Wall,
    (after, most): (Option<BedKey>, usize),
) -> db::Result<Page<BedRow>> {
    let (device, length, bed) = after.unwrap_or_default();
    let mut query = connection.prepare_cached(
        "SELECT d.institution, d.device, d.ward, r.bed, r.stay, r.masked_name, r.templates
         FROM roster r JOIN device d USING (device)
         WHERE d.revoked_ms IS NULL AND (?1 IS NULL OR d.institution = ?1)
         AND r.device >= ?2 AND (r.device, length(r.bed), r.bed) > (?2, ?3, ?4)
         ORDER BY r.device, length(r.bed), r.bed LIMIT ?5",
    )?;
    let mut found = query.query(params![scope, device, length, bed, one_more(most)])?;
    let mut rows: Vec<(BedRow, BedKey)> = Vec::new();
    while let Some(row) = found.next()? {
        let device: String = row.get(1)?;
        let chain = match rows.last() {
            Some((last, _)) if last.device == device => last.chain.clone(),
            Some(_) | None => view::chain(connection, &device)?,
        };
        let bed = view::bed(connection, &row, chain, now)?;
        let length = i64::try_from(bed.bed.chars().count()).unwrap_or(i64::MAX);
        let key = (device, length, bed.bed.clone());
        rows.push((bed, key));
    }
    Ok(cursor::cut(BEDS, rows, most))
}

const CHECK: &str =
    "SELECT u.device, u.epoch, u.round, u.bed, u.stay, u.masked_name, u.due_ms, u.until_ms, u.state,
            o.verdict, o.done_ms, o.received_ms, u.rowid";
const DONE: &str = "LEFT JOIN done o
     ON o.device = u.device AND o.epoch = u.epoch AND o.round = u.round AND o.bed = u.bed";

/// Checks that were due, the newest first.
pub fn checks(
    connection: &Connection,
    scope: Option<&str>,
    (after, most): (Option<TimeKey>, usize),
) -> db::Result<Page<DueRow>> {
    let (at, row) = after.unwrap_or((i64::MAX, i64::MAX));
    let (from, narrowed, (last_at, last_row)) = match scope {
        None => ("due u", "?4 IS NULL", (i64::MIN, i64::MIN)),
        Some(institution) => {
            let last = end_of_page(connection, institution, (at, row), one_more(most))?;
            ("device d CROSS JOIN due u ON u.device = d.device", "d.institution = ?4", last)
        }
    };
    let mut query = connection.prepare_cached(&format!(
        "{CHECK} FROM {from} {DONE}
         WHERE {narrowed} AND (u.due_ms, u.rowid) < (?1, ?2) AND (u.due_ms, u.rowid) >= (?5, ?6)
         ORDER BY u.due_ms DESC, u.rowid DESC LIMIT ?3"
    ))?;
    let found = query.query_map(params![at, row, one_more(most), scope, last_at, last_row], |row| {
        let check = view::check(row)?;
        let key: TimeKey = (check.due, row.get(12)?);
        Ok((check, key))
    })?;
    Ok(cursor::cut(CHECKS, found.collect::<db::Result<_>>()?, most))
}

/// The last of the newest `most` checks of an institution before `before`: of the newest of each device, the newest.
fn end_of_page(
    connection: &Connection,
    institution: &str,
    before: TimeKey,
    most: i64,
) -> db::Result<TimeKey> {
    let mut query = connection.prepare_cached("SELECT device FROM device WHERE institution = ?1")?;
    let devices: Vec<String> =
        query.query_map([institution], |row| row.get(0))?.collect::<db::Result<_>>()?;
    let mut newest: Vec<TimeKey> = Vec::new();
    let mut query = connection.prepare_cached(
        "SELECT due_ms, rowid FROM due WHERE device = ?1 AND (due_ms, rowid) < (?2, ?3)
         ORDER BY due_ms DESC, rowid DESC LIMIT ?4",
    )?;
    for device in devices {
        let found = query
            .query_map(params![device, before.0, before.1, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
        newest.extend(found.collect::<db::Result<Vec<_>>>()?);
    }
    newest.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
    newest.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(newest.pop().unwrap_or((i64::MAX, i64::MAX)))
}

/// What kiosks verified, the newest first.
pub fn verifications(
    connection: &Connection,
    scope: Option<&str>,
    (after, most): (Option<TimeKey>, usize),
) -> db::Result<Page<Verified>> {
    let (at, row) = after.unwrap_or((i64::MAX, i64::MAX));
    let mut query = connection.prepare_cached(
        "SELECT v.*, v.rowid FROM verification v CROSS JOIN device d
         WHERE d.device = v.device AND (?4 IS NULL OR d.institution = ?4) AND (v.done_ms, v.rowid) < (?1, ?2)
         ORDER BY v.done_ms DESC, v.rowid DESC LIMIT ?3",
    )?;
    let found = query.query_map(params![at, row, one_more(most), scope], |row| {
        let verified = verifications::verified(row)?;
        let key: TimeKey = (verified.done_ms, row.get(17)?);
        Ok((verified, key))
    })?;
    Ok(cursor::cut(VERIFICATIONS, found.collect::<db::Result<_>>()?, most))
}

/// Devices by name, revoked ones too.
pub fn devices(
    connection: &Connection,
    scope: Option<&str>,
    (after, most): (Option<String>, usize),
) -> db::Result<Page<DeviceRow>> {
    let after = after.unwrap_or_default();
    let rows = view::devices_after(connection, scope, &after, one_more(most))?;
    let keyed = rows.into_iter().map(|row| (row.device.clone(), row)).map(|(key, row)| (row, key));
    Ok(cursor::cut(DEVICES, keyed.collect(), most))
}

/// What was due for one bed on one day of China, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Covered {
    pub institution: String,
    pub ward: String,
    pub device: String,
    pub bed: String,
    /// As 2026-11-29, in China.
    pub day: String,
    pub due: i64,
    pub missed: i64,
    pub verified: i64,
    pub excused: i64,
    pub unclear: i64,
    pub against: i64,
}

/// Coverage by device, day and bed, from one day to another.
pub fn coverage(
    connection: &Connection,
    institution: Option<&str>,
    (from, to): (DayNumber, DayNumber),
    (after, most): (Option<CoverageKey>, usize),
) -> db::Result<Page<Covered>> {
    let (device, day, bed) = after.unwrap_or_default();
    let mut query = connection.prepare_cached(
        "SELECT d.institution, d.ward, b.device, b.bed, b.day, b.due, b.missed, b.verified, b.excused, b.unclear,
                b.against
         FROM bed_day b JOIN device d USING (device)
         WHERE b.device >= ?4 AND (b.device, b.day, b.bed) > (?4, ?5, ?6) AND b.day BETWEEN ?2 AND ?3
         AND (?1 IS NULL OR d.institution = ?1)
         ORDER BY b.device, b.day, b.bed LIMIT ?7",
    )?;
    let values = params![institution, from.0, to.0, device, day, bed, one_more(most)];
    let found = query.query_map(values, |row| {
        let day = DayNumber(row.get(4)?);
        let covered = Covered {
            institution: row.get(0)?,
            ward: row.get(1)?,
            device: row.get(2)?,
            bed: row.get(3)?,
            day: day.date().map_or_else(String::new, |date| date.to_string()),
            due: row.get(5)?,
            missed: row.get(6)?,
            verified: row.get(7)?,
            excused: row.get(8)?,
            unclear: row.get(9)?,
            against: row.get(10)?,
        };
        let key = (covered.device.clone(), day.0, covered.bed.clone());
        Ok((covered, key))
    })?;
    Ok(cursor::cut(COVERAGE, found.collect::<db::Result<_>>()?, most))
}

/// Whether an institution has a device here.
pub fn has_institution(connection: &Connection, institution: &str) -> db::Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM device WHERE institution = ?1 LIMIT 1")?
        .query_row([institution], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

fn one_more(most: usize) -> i64 {
    i64::try_from(most).map_or(i64::MAX, |most| most.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::db::{Database, Transaction};
    use crate::platform::devices;

    const NOW: Wall = Wall(1_790_000_000_000);

    /// Three wards; checks of a round share their moment, as they do.
    fn world() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx: &Transaction<'_>| {
            for (at, device) in ["a", "b", "c"].into_iter().enumerate() {
                devices::enter(tx, &DeviceId::new(device).unwrap())?;
                let institution = if at == 2 { "另一医院" } else { "示范医院" };
                tx.execute("UPDATE device SET institution = ?2 WHERE device = ?1", [device, institution])?;
                for bed in ["9", "10", "11"] {
                    tx.execute("INSERT INTO roster VALUES (?1, ?2, 'S', '张*', 1)", [device, bed])?;
                    for round in 0..5 {
                        tx.execute(
                            "INSERT INTO due VALUES (?1, 'e', ?2, ?3, 'S', '张*', ?4, ?4, ?4, 'settled')",
                            params![device, round, bed, NOW.0 - round / 2 * 90_000_000],
                        )?;
                    }
                }
            }
            Ok(())
        })
        .unwrap();
        (folder, db)
    }

    /// Reads a list page by page; how many different rows there were.
    fn walked<T>(mut page: impl FnMut(Option<String>) -> Page<T>, name: impl Fn(&T) -> String) -> usize {
        let (mut seen, mut next) = (BTreeSet::new(), None);
        loop {
            let page = page(next);
            assert!(page.rows.len() <= 4);
            for row in &page.rows {
                assert!(seen.insert(name(row)), "{} twice", name(row));
            }
            if page.next.is_none() {
                return seen.len();
            }
            next = page.next;
        }
    }

    #[test]
    fn every_row_is_on_exactly_one_page_of_its_list() {
        let (_folder, db) = world();
        for (scope, wards) in [(None, 3), (Some("示范医院"), 2), (Some("nowhere"), 0)] {
            let beds = |next: Option<String>| {
                let after = next.map(|text| cursor::key(BEDS, &text).unwrap());
                db.read(|connection| beds(connection, scope, NOW, (after, 4))).unwrap()
            };
            assert_eq!(walked(beds, |row| format!("{} {}", row.device, row.bed)), wards * 3);
            let checks = |next: Option<String>| {
                let after = next.map(|text| cursor::key(CHECKS, &text).unwrap());
                db.read(|connection| checks(connection, scope, (after, 4))).unwrap()
            };
            assert_eq!(walked(checks, |row| format!("{} {} {}", row.device, row.round, row.bed)), wards * 15);
            let devices = |next: Option<String>| {
                let after = next.map(|text| cursor::key(DEVICES, &text).unwrap());
                db.read(|connection| super::devices(connection, scope, (after, 1))).unwrap()
            };
            assert_eq!(walked(devices, |row| row.device.clone()), wards);
            let days = (DayNumber::of(NOW).before(30), DayNumber::of(NOW));
            let coverage = |next: Option<String>| {
                let after = next.map(|text| cursor::key(COVERAGE, &text).unwrap());
                db.read(|connection| coverage(connection, scope, days, (after, 4))).unwrap()
            };
            assert_eq!(walked(coverage, |row| format!("{} {} {}", row.device, row.day, row.bed)), wards * 9);
        }
    }

    #[test]
    fn beds_are_in_the_order_of_their_numbers_and_checks_newest_first() {
        let (_folder, db) = world();
        let page = db.read(|connection| beds(connection, None, NOW, (None, 3))).unwrap();
        let names: Vec<&str> = page.rows.iter().map(|row| row.bed.as_str()).collect();
        assert_eq!(names, ["9", "10", "11"]);
        let page = db.read(|connection| checks(connection, None, (None, 50))).unwrap();
        assert!(page.rows.is_sorted_by_key(|row| -row.due) && page.rows.len() == 45);
    }
}
