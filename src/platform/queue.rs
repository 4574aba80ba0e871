//! The exception queue: filtered, the newest first, a page at a time. It must stay quick at 100,000 exceptions, so a page
//! begins after the last row of the one before instead of counting rows, and only what is filtered is joined.

use crate::base::clock::Wall;
use crate::domain::handling::State;
use crate::platform::db::{self, Connection, Row, ToSql};
use crate::platform::view::{self, ExceptionRow};
use crate::platform::{cursor, handling};

/// Rows of one page.
pub const PAGE: usize = 50;
/// Newer ones that are counted.
pub const MOST_NEWER: i64 = 100;

/// Which exceptions are wanted; empty texts filter nothing.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Filter {
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub institution: String,
    #[serde(default)]
    pub device: String,
    /// A state of the case, or `open` for all but closed ones.
    #[serde(default)]
    pub state: String,
    /// `1`: only cases whose next step is overdue.
    #[serde(default)]
    pub overdue: String,
    /// Part of bed, stay, masked name, device or id.
    #[serde(default)]
    pub text: String,
    /// Where the page before ended.
    #[serde(default)]
    pub after: String,
}

/// One row: the exception and where its case is.
#[derive(Clone, Debug)]
pub struct Queued {
    pub row: ExceptionRow,
    pub handling: State,
    /// Steps taken.
    pub version: i64,
    pub due: Option<i64>,
    pub escalated: bool,
}

/// A page, where it began and where the next one begins.
pub struct Page {
    pub rows: Vec<Queued>,
    pub first: Option<String>,
    pub next: Option<String>,
}

/// Reads a page of what `scope` may see.
pub fn page(connection: &Connection, filter: &Filter, scope: Option<&str>, now: Wall) -> db::Result<Page> {
    page_of(connection, filter, scope, now, PAGE)
}

/// As [`page`], with another number of rows.
pub fn page_of(
    connection: &Connection,
    filter: &Filter,
    scope: Option<&str>,
    now: Wall,
    most: usize,
) -> db::Result<Page> {
    let mut wanted = Wanted::default();
    if let Some(scope) = scope {
        wanted.add("d.institution = ?", scope.to_owned());
    }
    wanted.filter(filter, now);
    let order = "ORDER BY e.last_ms DESC, e.rowid DESC LIMIT ?";
    wanted.values.push(Box::new(most as i64 + 1));
    let sql = format!(
        "SELECT d.institution, d.device, d.ward, e.id, e.kind, e.state, e.origin, e.bed, e.stay, e.masked_name,
                e.verdict, e.rounds, e.first_ms, e.last_ms, e.ended_ms, e.detail, e.handling, e.version, e.due_ms,
                e.escalated, e.rowid
         FROM exception e JOIN device d USING (device) WHERE {} {order}",
        if wanted.clauses.is_empty() { "true".to_owned() } else { wanted.clauses.join(" AND ") }
    );
    let values: Vec<&dyn ToSql> = wanted.values.iter().map(AsRef::as_ref).collect();
    let mut rows: Vec<(Queued, i64)> = connection
        .prepare_cached(&sql)?
        .query_map(values.as_slice(), |row| Ok((queued(row, now)?, row.get(20)?)))?
        .collect::<db::Result<_>>()?;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let place = |(queued, rowid): &(Queued, i64)| format!("{}.{rowid}", queued.row.last);
    let (first, next) = (rows.first().map(place), rows.last().filter(|_| has_more).map(place));
    Ok(Page { rows: rows.into_iter().map(|(row, _)| row).collect(), first, next })
}

#[derive(Default)]
struct Wanted {
    clauses: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Wanted {
    fn add(&mut self, clause: &str, value: impl ToSql + 'static) {
        self.clauses.push(clause.to_owned());
        self.values.push(Box::new(value));
    }

    fn filter(&mut self, filter: &Filter, now: Wall) {
        if !filter.kind.is_empty() {
            self.add("e.kind = ?", filter.kind.clone());
        }
        if !filter.institution.is_empty() {
            self.add("d.institution = ?", filter.institution.clone());
        }
        if !filter.device.is_empty() {
            self.add("e.device = ?", filter.device.clone());
        }
        match filter.state.as_str() {
            "" => {}
            "open" => self.clauses.push("e.handling <> 'closed'".to_owned()),
            state => self.add("e.handling = ?", state.to_owned()),
        }
        if filter.overdue == "1" {
            // Before the first step the time runs from the exception itself.
            let first = State::Raised.hours().unwrap_or(0) * 3_600_000;
            self.clauses.push("e.handling <> 'closed'".to_owned());
            self.add(
                "CASE WHEN e.version = 0 THEN e.first_ms + ? ELSE coalesce(e.due_ms, 9e18) END < ?",
                first,
            );
            self.values.push(Box::new(now.0));
        }
        if !filter.text.trim().is_empty() {
            let text = filter.text.trim().to_owned();
            self.clauses.push(
                "(instr(coalesce(e.bed, ''), ?) > 0 OR instr(coalesce(e.stay, ''), ?) > 0 OR instr(e.id, ?) > 0
                  OR instr(coalesce(e.masked_name, ''), ?) > 0 OR instr(e.device, ?) > 0)"
                    .to_owned(),
            );
            for _ in 0..5 {
                self.values.push(Box::new(text.clone()));
            }
        }
        // A cursor that nobody gave out begins at the beginning.
        if let Some((last, rowid)) = cursor::time_and_row(&filter.after) {
            self.add("(e.last_ms, e.rowid) < (?, ?)", last);
            self.values.push(Box::new(rowid));
        }
    }
}

fn queued(row: &Row<'_>, now: Wall) -> db::Result<Queued> {
    let (name, version): (String, i64) = (row.get(16)?, row.get(17)?);
    // A state of a newer program is shown as the first one: somebody looks at it.
    let state = State::named(&name).unwrap_or(State::Raised);
    let (exception, escalated) = (view::exception(row, now)?, row.get(19)?);
    let due = if version == 0 { handling::due(state, exception.first) } else { row.get(18)? };
    Ok(Queued { row: exception, handling: state, version, due, escalated })
}

/// The newest exceptions that are still seen in one ward or all of them, at most `most`.
pub fn seen(
    connection: &Connection,
    scope: Option<&str>,
    device: Option<&str>,
    most: usize,
    now: Wall,
) -> db::Result<Vec<ExceptionRow>> {
    // Of everybody the index has them in order; of a hospital each ward's few are sorted.
    let which = match (scope, device) {
        (None, None) => "(e.state = 'ended') = false AND ?1 IS NULL AND ?2 IS NULL",
        (_, _) => {
            "e.state <> 'ended' AND e.device IN (SELECT device FROM device
             WHERE (?1 IS NULL OR institution = ?1) AND (?2 IS NULL OR device = ?2))"
        }
    };
    connection
        .prepare_cached(&format!(
            "SELECT d.institution, d.device, d.ward, e.id, e.kind, e.state, e.origin, e.bed, e.stay, e.masked_name,
                    e.verdict, e.rounds, e.first_ms, e.last_ms, e.ended_ms, e.detail
             FROM exception e CROSS JOIN device d ON d.device = e.device
             WHERE {which} ORDER BY e.last_ms DESC, e.id LIMIT ?3"
        ))?
        .query_map(db::params![scope, device, most as i64], |row| view::exception(row, now))?
        .collect()
}

/// How many of what `filter` wants are newer than `since`, where a page began; a hundred are many.
pub fn newer(
    connection: &Connection,
    filter: &Filter,
    scope: Option<&str>,
    since: &str,
    now: Wall,
) -> db::Result<i64> {
    let Some((last, rowid)) = cursor::time_and_row(since) else { return Ok(0) };
    let mut wanted = Wanted::default();
    if let Some(scope) = scope {
        wanted.add("d.institution = ?", scope.to_owned());
    }
    wanted.filter(&Filter { after: String::new(), ..filter.clone() }, now);
    wanted.add("(e.last_ms, e.rowid) > (?, ?)", last);
    wanted.values.push(Box::new(rowid));
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM exception e JOIN device d USING (device) WHERE {} LIMIT {MOST_NEWER}) newer",
        wanted.clauses.join(" AND ")
    );
    let values: Vec<&dyn ToSql> = wanted.values.iter().map(AsRef::as_ref).collect();
    connection.prepare_cached(&sql)?.query_row(values.as_slice(), |row| row.get(0))
}

/// The exception of one case, where it concerns `scope`.
pub fn find(
    connection: &Connection,
    (device, id): (&str, &str),
    scope: Option<&str>,
    now: Wall,
) -> db::Result<Option<Queued>> {
    let mut query = connection.prepare_cached(
        "SELECT d.institution, d.device, d.ward, e.id, e.kind, e.state, e.origin, e.bed, e.stay, e.masked_name,
                e.verdict, e.rounds, e.first_ms, e.last_ms, e.ended_ms, e.detail, e.handling, e.version, e.due_ms,
                e.escalated
         FROM exception e JOIN device d USING (device)
         WHERE e.device = ?1 AND e.id = ?2 AND (?3 IS NULL OR d.institution = ?3)",
    )?;
    let mut rows = query.query(db::params![device, id, scope])?;
    rows.next()?.map(|row| queued(&row, now)).transpose()
}

/// What is there to filter by: institutions and kinds.
pub fn choices(connection: &Connection, scope: Option<&str>) -> db::Result<(Vec<String>, Vec<String>)> {
    // One step through the index for each kind, instead of one for each exception.
    let kinds = connection
        .prepare_cached(
            "WITH RECURSIVE k (kind) AS (
                 SELECT min(kind) FROM exception
                 UNION ALL SELECT (SELECT min(kind) FROM exception WHERE kind > k.kind) FROM k
                 WHERE k.kind IS NOT NULL
             ) SELECT kind FROM k WHERE kind IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<db::Result<_>>()?;
    Ok((institutions(connection, scope)?, kinds))
}

/// The hospitals of `scope`.
pub fn institutions(connection: &Connection, scope: Option<&str>) -> db::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT institution FROM device WHERE ?1 IS NULL OR institution = ?1 ORDER BY institution",
        )?
        .query_map([scope], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::db::Database;

    const NOW: Wall = Wall(1_790_000_000_000);

    fn world(count: i64) -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx| {
            crate::platform::devices::enter(tx, &DeviceId::new("d").unwrap())?;
            for at in 0..count {
                let kind = if at % 2 == 0 { "hanging_bed" } else { "impersonation" };
                tx.execute(
                    "INSERT INTO exception (device, id, kind, state, origin, bed, rounds, first_ms, last_ms)
                     VALUES ('d', ?1, ?2, 'raised', 'device', ?3, 1, ?4, ?4)",
                    db::params![format!("x{at}"), kind, format!("{at:03}"), NOW.0 - at / 3],
                )?;
            }
            Ok(())
        })
        .unwrap();
        (folder, db)
    }

    #[test]
    fn every_exception_is_on_exactly_one_page_though_many_came_at_once() {
        let (_folder, db) = world(120);
        let (mut filter, mut seen) = (Filter::default(), std::collections::BTreeSet::new());
        loop {
            let page = db.read(|connection| page(connection, &filter, None, NOW)).unwrap();
            for queued in page.rows {
                assert!(seen.insert(queued.row.id));
            }
            let Some(next) = page.next else { break };
            filter.after = next;
        }
        assert_eq!(seen.len(), 120);
    }

    #[test]
    fn what_came_since_a_page_was_drawn_is_counted_and_nothing_else() {
        let (_folder, db) = world(9);
        let drawn = db.read(|connection| page(connection, &Filter::default(), None, NOW)).unwrap();
        let since = drawn.first.unwrap();
        let count = |filter: &Filter, since: &str| {
            db.read(|connection| newer(connection, filter, None, since, NOW)).unwrap()
        };
        assert_eq!(count(&Filter::default(), &since), 0);
        db.write(|tx| {
            for (id, kind) in [("y0", "silence"), ("y1", "hanging_bed"), ("y2", "hanging_bed")] {
                tx.execute(
                    "INSERT INTO exception (device, id, kind, state, origin, rounds, first_ms, last_ms)
                     VALUES ('d', ?1, ?2, 'raised', 'platform', 1, ?3, ?3)",
                    db::params![id, kind, NOW.0],
                )?;
            }
            // What is seen again is news as well.
            tx.execute("UPDATE exception SET last_ms = ?1 WHERE id = 'x8'", [NOW.0 + 5])
        })
        .unwrap();
        assert_eq!(count(&Filter::default(), &since), 4);
        assert_eq!(count(&Filter { kind: "silence".into(), ..Filter::default() }, &since), 1);
        assert_eq!(count(&Filter::default(), "nonsense"), 0);
        let seen = |device, most| db.read(|connection| seen(connection, None, device, most, NOW)).unwrap();
        assert_eq!((seen(None, 5)[0].id.as_str(), seen(None, 5).len()), ("x8", 5));
        assert_eq!((seen(Some("d"), 99)[0].id.as_str(), seen(Some("d"), 99).len()), ("x8", 12));
        assert!(seen(Some("e"), 9).is_empty());
    }

    #[test]
    fn filters_narrow_and_nonsense_finds_nothing() {
        let (_folder, db) = world(9);
        let count = |filter: Filter, scope: Option<&str>, now: Wall| {
            db.read(|connection| page(connection, &filter, scope, now)).unwrap().rows.len()
        };
        let with = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter
        };
        assert_eq!(count(with(|f| f.kind = "impersonation".into()), None, NOW), 4);
        assert_eq!(count(with(|f| f.text = "008".into()), None, NOW), 1);
        assert_eq!(count(with(|f| f.text = "%' OR 1 --".into()), None, NOW), 0);
        assert_eq!(count(with(|f| f.state = "closed".into()), None, NOW), 0);
        assert_eq!(count(with(|f| f.after = "nonsense".into()), None, NOW), 9);
        assert_eq!(count(Filter::default(), Some("another hospital"), NOW), 0);
        let overdue = with(|f| f.overdue = "1".into());
        assert_eq!(count(overdue.clone(), None, NOW), 0);
        assert_eq!(count(overdue, None, Wall(NOW.0 + 25 * 3_600_000)), 9);
        let (_, kinds) = db.read(|connection| choices(connection, None)).unwrap();
        assert_eq!(kinds, ["hanging_bed", "impersonation"]);
    }
}
