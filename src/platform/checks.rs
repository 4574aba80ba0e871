//! Single checks, the newest first, a page at a time: of everything, of a hospital or of a ward. A page begins after the last
//! row of the one before and walks an index, so that the millionth check costs as much as the first.

use serde::Serialize;

use crate::platform::cursor;
use crate::platform::db::{self, Connection, Row, params};

/// Rows of one page.
pub const PAGE: usize = 50;
/// Wards of a hospital whose newest checks are merged; more are paged ward by ward.
const MOST_WARDS: i64 = 200;

/// One check that was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub institution: String,
    pub ward: String,
    pub device: String,
    pub bed: String,
    pub masked_name: String,
    pub due: i64,
    /// `open`, `settled` or `not_done`.
    pub state: String,
    pub verdict: Option<String>,
    pub done: Option<i64>,
    pub received: Option<i64>,
    #[serde(skip)]
    row: i64,
}

/// Which checks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'w> {
    pub institution: Option<&'w str>,
    pub device: Option<&'w str>,
    /// Where the page before ended.
    pub after: &'w str,
}

/// A page, and where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Check>,
    pub next: Option<String>,
}

/// The rows of the page first and what belongs to each after it, so that no planner ever joins the whole ledger.
fn select(which: &str) -> String {
    format!(
        "SELECT d.institution, d.ward, u.device, u.bed, u.masked_name, u.due_ms, u.state, o.verdict, o.done_ms,
                o.received_ms, u.at
         FROM (SELECT rowid AS at, * FROM due WHERE {which} (due_ms, rowid) < (?1, ?2)
               ORDER BY due_ms DESC, rowid DESC LIMIT ?3) u
         CROSS JOIN device d ON d.device = u.device
         LEFT JOIN done o ON o.device = u.device AND o.epoch = u.epoch AND o.round = u.round AND o.bed = u.bed
         ORDER BY u.due_ms DESC, u.at DESC"
    )
}

/// Reads a page of what `scope`, an institution or all, may see.
pub fn page(connection: &Connection, wanted: &Wanted<'_>, scope: Option<&str>) -> db::Result<Page> {
    // A cursor that nobody gave out begins at the beginning.
    let after = cursor::time_and_row(wanted.after).unwrap_or((i64::MAX, i64::MAX));
    let mut rows = match (scope, wanted.institution, wanted.device) {
        (None, None, None) => everywhere(connection, after)?,
        (_, institution, device) => {
            let mut rows = Vec::new();
            for device in devices(connection, [scope, institution], device)? {
                rows.extend(of_device(connection, &device, after)?);
            }
            rows.sort_by_key(|check| std::cmp::Reverse((check.due, check.row)));
            rows
        }
    };
    let has_more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| has_more).map(|last| format!("{}.{}", last.due, last.row));
    Ok(Page { rows, next })
}

fn everywhere(connection: &Connection, (due, row): (i64, i64)) -> db::Result<Vec<Check>> {
    connection.prepare_cached(&select(""))?.query_map(params![due, row, PAGE as i64 + 1], check)?.collect()
}

fn of_device(connection: &Connection, device: &str, (due, row): (i64, i64)) -> db::Result<Vec<Check>> {
    connection
        .prepare_cached(&select("device = ?4 AND"))?
        .query_map(params![due, row, PAGE as i64 + 1, device], check)?
        .collect()
}

/// The devices of every institution named, all of which it must be, or the one device where it is among them.
fn devices(
    connection: &Connection,
    [scope, institution]: [Option<&str>; 2],
    device: Option<&str>,
) -> db::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT device FROM device WHERE (?1 IS NULL OR institution = ?1) AND (?2 IS NULL OR institution = ?2)
             AND (?3 IS NULL OR device = ?3) ORDER BY device LIMIT ?4",
        )?
        .query_map(params![scope, institution, device, MOST_WARDS], |row| row.get(0))?
        .collect()
}

fn check(row: &Row<'_>) -> db::Result<Check> {
    let (state, verdict): (String, Option<String>) = (row.get(6)?, row.get(7)?);
    Ok(Check {
        institution: row.get(0)?,
        ward: row.get(1)?,
        device: row.get(2)?,
        bed: row.get(3)?,
        masked_name: row.get(4)?,
        due: row.get(5)?,
        verdict: verdict.or_else(|| (state == "not_done").then(|| "NotDone".to_owned())),
        state,
        done: row.get(8)?,
        received: row.get(9)?,
        row: row.get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::db::Database;
    use crate::platform::devices as registry;

    #[test]
    fn every_check_is_on_exactly_one_page_of_all_of_a_hospital_and_of_a_ward() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx| {
            for device in ["a", "b", "c"] {
                registry::enter(tx, &DeviceId::new(device).unwrap())?;
            }
            tx.execute("UPDATE device SET institution = 'other' WHERE device = 'c'", [])?;
            for at in 0..180_i64 {
                let device = ["a", "b", "c"][usize::try_from(at % 3).unwrap()];
                // A whole round is due at one moment.
                tx.execute(
                    "INSERT INTO due VALUES (?1, 'e', ?2, '04', 'S', '张**', ?3, 0, 0, 'open')",
                    params![device, at, at / 30],
                )?;
            }
            Ok(())
        })
        .unwrap();
        let home: String = db
            .read(|db| {
                db.query_row("SELECT institution FROM device WHERE device = 'a'", [], |row| row.get(0))
            })
            .unwrap();
        let count = |institution: Option<&str>, device: Option<&str>, scope: Option<&str>| {
            let (mut seen, mut after) = (std::collections::BTreeSet::new(), String::new());
            loop {
                let wanted = Wanted { institution, device, after: &after };
                let page = db.read(|connection| page(connection, &wanted, scope)).unwrap();
                assert!(page.rows.is_sorted_by_key(|check| std::cmp::Reverse(check.due)));
                for check in page.rows {
                    assert!(seen.insert(check.row));
                }
                match page.next {
                    Some(next) => after = next,
                    None => return seen.len(),
                }
            }
        };
        assert_eq!(count(None, None, None), 180);
        assert_eq!(count(Some("other"), None, None), 60);
        assert_eq!(count(None, None, Some(&home)), 120);
        assert_eq!(count(None, Some("b"), None), 60);
        assert_eq!(count(None, Some("c"), Some(&home)), 0, "another hospital's ward");
        assert_eq!(count(Some("other"), None, Some(&home)), 0, "another hospital");
    }
}
