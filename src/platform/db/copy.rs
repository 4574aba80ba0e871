//! Everything of one store into another that is empty: the same rows under the same numbers, in one transaction.
//!
//! The triggers rest meanwhile, for what they keep (sums, counts) is copied as well; references are checked at the end.

use sha2::{Digest, Sha256};

use super::sql::{Connection, Error, Result, Row, Transaction};
use super::values::{ToSql, Type, Value};
use super::{Database, DatabaseError, migrations, schema};

/// Rows of one statement, and what they may hold together.
const MOST_ROWS: usize = 200;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Values of one statement: SQLite takes 32766, PostgreSQL 65535.
const MOST_VALUES: usize = 30_000;
/// Rows that are asked for at once.
const STRIDE: i64 = 1000;

/// How far a copy is: the table, its rows until now, and how many there are.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64);

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub rows: u64,
    /// Entries of the log, and SHA-256 over them, the same in both stores.
    pub entries: u64,
    pub digest: String,
}

/// Copies `from` into `to`, which must be empty.
///
/// # Errors
/// [`DatabaseError`]; nothing was changed.
pub fn copy(
    from: &Database,
    to: &Database,
    progress: Progress<'_>,
) -> std::result::Result<Copied, DatabaseError> {
    // Held for writing, so that nothing is accepted there meanwhile.
    from.write(|source| Ok(to.write(|target| copy_all(source, target, progress))))?
}

/// Entries of a store's log, and SHA-256 over them in their order.
///
/// # Errors
/// What the database says.
pub fn digest(connection: &Connection<'_>) -> Result<(u64, String)> {
    let (mut at, mut entries, mut hasher) = (0_i64, 0, Sha256::new());
    let mut query = connection
        .prepare_cached("SELECT at, entry FROM log_entry WHERE at >= ?1 AND at < ?2 ORDER BY at")?;
    loop {
        let mut rows = query.query([at, at + STRIDE])?;
        let before = entries;
        while let Some(row) = rows.next()? {
            let (index, entry): (i64, String) = (row.get(0)?, row.get(1)?);
            hasher.update(index.to_be_bytes());
            hasher.update((entry.len() as u64).to_be_bytes());
            hasher.update(entry);
            entries += 1;
        }
        if entries == before {
            return Ok((entries, hex::encode(hasher.finalize())));
        }
        at += STRIDE;
    }
}

fn copy_all(source: &Transaction<'_>, target: &Transaction<'_>, progress: Progress<'_>) -> Result<Copied> {
    for end in [source, target] {
        if end.is_postgres() {
            // Counting a province's rows takes more than a minute.
            end.batch("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")?;
        }
    }
    let tables = tables()?;
    for table in &tables {
        if count(target, &table.name)? > 0 {
            return Err(Error::Unfit(format!(
                "it is not empty: table {} has rows; name an empty one",
                table.name
            )));
        }
    }
    let triggers = rest(target, &tables)?;
    let mut rows = 0;
    for table in &tables {
        let total = count(source, &table.name)?;
        table.copy(source, target, &mut |done| progress(&table.name, done, total))?;
        let there = count(target, &table.name)?;
        if there != total {
            return Err(Error::Unfit(format!("of table {} {total} rows went and {there} came", table.name)));
        }
        rows += total;
    }
    wake(target, &tables, &triggers)?;
    let ((entries, digest), theirs) = (digest(source)?, digest(target)?);
    if (entries, &digest) != (theirs.0, &theirs.1) {
        return Err(Error::Unfit("the log is not the same after the copy".to_owned()));
    }
    Ok(Copied { rows, entries, digest })
}

fn count(connection: &Connection<'_>, table: &str) -> Result<u64> {
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// A table of the newest version.
struct Table {
    name: String,
    columns: Vec<(String, Type)>,
    /// The column that numbers the rows by itself.
    numbered: Option<&'static str>,
}

/// All tables, as an empty file has them.
fn tables() -> Result<Vec<Table>> {
    let empty = rusqlite::Connection::open_in_memory()?;
    empty.execute_batch(migrations::sqlite().tables)?;
    let mut names = empty.prepare(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    )?;
    let names = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut tables = Vec::new();
    for found in names {
        let (name, sql): (String, String) = found?;
        let mut columns = empty.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
        let columns = columns.query_map([&name], |row| {
            let kind: String = row.get(1)?;
            let kind = match kind.as_str() {
                "INTEGER" => Type::Integer,
                "REAL" => Type::Real,
                "BLOB" => Type::Blob,
                _ => Type::Text,
            };
            Ok((row.get::<_, String>(0)?, kind))
        })?;
        let mut columns: Vec<(String, Type)> = columns.collect::<rusqlite::Result<_>>()?;
        let mut numbered = sql.contains("AUTOINCREMENT").then_some("number");
        if schema::WITH_ROWID.contains(&name.as_str()) {
            columns.push(("rowid".to_owned(), Type::Integer));
            numbered = Some("rowid");
        }
        tables.push(Table { name, columns, numbered });
    }
    Ok(tables)
}

impl Table {
    fn copy(
        &self,
        source: &Transaction<'_>,
        target: &Transaction<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut waiting = Waiting::default();
        let mut done = 0;
        self.each(source, &mut |row| {
            for (at, (_, kind)) in self.columns.iter().enumerate() {
                waiting.push(row.value(at)?, *kind);
            }
            waiting.rows += 1;
            done += 1;
            if waiting.is_full(self.columns.len()) {
                self.insert(target, &mut waiting)?;
                progress(done);
            }
            Ok(())
        })?;
        self.insert(target, &mut waiting)?;
        progress(done);
        Ok(())
    }

    /// Every row, without all of them in memory at once.
    fn each(&self, source: &Transaction<'_>, take: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let select = format!("SELECT {} FROM {}", names.join(", "), self.name);
        if !source.is_postgres() {
            let mut query = source.prepare(&select)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                take(&row)?;
            }
            return Ok(());
        }
        // Named after the table: a statement that fetches is kept, with the columns it has.
        source.batch(&format!("DECLARE all_{} CURSOR FOR {select}", self.name))?;
        loop {
            let mut query = source.prepare_cached(&format!("FETCH {STRIDE} FROM all_{}", self.name))?;
            let (mut rows, mut found) = (query.query([])?, 0);
            while let Some(row) = rows.next()? {
                take(&row)?;
                found += 1;
            }
            if found < STRIDE {
                return source.batch(&format!("CLOSE all_{}", self.name));
            }
        }
    }

    fn insert(&self, target: &Transaction<'_>, waiting: &mut Waiting) -> Result<()> {
        if waiting.rows == 0 {
            return Ok(());
        }
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let rows = vec![row.as_str(); waiting.rows].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES {rows}", self.name, names.join(", "));
        let values: Vec<&dyn ToSql> = waiting.values.iter().map(|value| value as &dyn ToSql).collect();
        target.execute(&sql, values.as_slice())?;
        *waiting = Waiting::default();
        Ok(())
    }
}

/// Rows on their way.
#[derive(Default)]
struct Waiting {
    rows: usize,
    bytes: usize,
    values: Vec<Owned>,
}

impl Waiting {
    /// `kind` is of the column: a `NULL` of SQLite does not say what it would have been.
    fn push(&mut self, value: Value<'_>, kind: Type) {
        self.values.push(match value {
            Value::Null(_) => Owned::Null(kind),
            Value::Integer(number) => Owned::Integer(number),
            Value::Real(number) => Owned::Real(number),
            Value::Text(text) => {
                self.bytes += text.len();
                Owned::Text(text.to_owned())
            }
            Value::Blob(bytes) => {
                self.bytes += bytes.len();
                Owned::Blob(bytes.to_vec())
            }
        });
    }

    fn is_full(&self, columns: usize) -> bool {
        self.rows >= MOST_ROWS.min(MOST_VALUES / columns.max(1)) || self.bytes >= MOST_BYTES
    }
}

enum Owned {
    Null(Type),
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl ToSql for Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Null(kind) => Value::Null(*kind),
            Owned::Integer(number) => Value::Integer(*number),
            Owned::Real(number) => Value::Real(*number),
            Owned::Text(text) => Value::Text(text),
            Owned::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

/// Lets the triggers rest and references wait; SQLite's triggers, to be made again.
fn rest(target: &Transaction<'_>, tables: &[Table]) -> Result<Vec<String>> {
    if target.is_postgres() {
        target.batch("SET CONSTRAINTS ALL DEFERRED")?;
        for table in tables {
            target.batch(&format!("ALTER TABLE {} DISABLE TRIGGER USER", table.name))?;
        }
        return Ok(Vec::new());
    }
    target.batch("PRAGMA defer_foreign_keys = ON")?;
    let mut query = target.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")?;
    let triggers = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let triggers: Vec<(String, String)> = triggers.collect::<Result<_>>()?;
    for (name, _) in &triggers {
        target.batch(&format!("DROP TRIGGER {name}"))?;
    }
    Ok(triggers.into_iter().map(|(_, sql)| sql).collect())
}

fn wake(target: &Transaction<'_>, tables: &[Table], triggers: &[String]) -> Result<()> {
    for trigger in triggers {
        target.batch(trigger)?;
    }
    if !target.is_postgres() {
        return Ok(());
    }
    target.batch("SET CONSTRAINTS ALL IMMEDIATE")?;
    for Table { name, numbered, .. } in tables {
        target.batch(&format!("ALTER TABLE {name} ENABLE TRIGGER USER"))?;
        if let Some(column) = numbered {
            // The next number follows the last one; an empty table begins with 1.
            target.batch(&format!(
                "SELECT setval(pg_get_serial_sequence('bedcheck.{name}', '{column}'), coalesce(max({column}), 1),
                 max({column}) IS NOT NULL) FROM {name}"
            ))?;
        }
    }
    target.batch("ANALYZE")
}
