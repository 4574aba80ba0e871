//! How far the chain has told of erasures and of the ledger.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::store::ledger::{self, Entry};
use crate::wire::privacy::PrivacyNote;

/// So many of a kind are told at once; the rest with the next beat.
const MOST: i64 = 100;

/// Whether there is anything to tell; takes no lock.
pub fn is_behind(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(of(connection, "erasure")?.1 || of(connection, "ledger")?.1)
}

/// How far was told of a table, and whether there is more.
fn of(connection: &Connection, table: &str) -> rusqlite::Result<(i64, bool)> {
    let told = connection
        .query_row("SELECT number FROM told WHERE what = ?1", [table], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let last: i64 =
        connection
            .query_row(&format!("SELECT coalesce(max(number), 0) FROM {table}"), [], |row| row.get(0))?;
    Ok((told, last > told))
}

/// What was not told yet, in the order in which it happened; from here on it counts as told.
pub fn take(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<PrivacyNote>> {
    // A ground is withdrawn before its templates are erased.
    let mut notes = Vec::new();
    let (from, _) = of(transaction, "ledger")?;
    let mut query = transaction
        .prepare("SELECT number, entry, link FROM ledger WHERE number > ?1 ORDER BY number LIMIT ?2")?;
    let mut rows = query.query([from, MOST])?;
    while let Some(row) = rows.next()? {
        let entry: Entry = parsed(&row.get::<_, String>(1)?)?;
        notes.push(PrivacyNote::Ledger(ledger::note(&entry, row.get(2)?)));
        mark(transaction, "ledger", row.get(0)?)?;
    }
    let (from, _) = of(transaction, "erasure")?;
    let mut query =
        transaction.prepare("SELECT number, note FROM erasure WHERE number > ?1 ORDER BY number LIMIT ?2")?;
    let mut rows = query.query([from, MOST])?;
    while let Some(row) = rows.next()? {
        notes.push(PrivacyNote::Erased(parsed(&row.get::<_, String>(1)?)?));
        mark(transaction, "erasure", row.get(0)?)?;
    }
    Ok(notes)
}

fn mark(transaction: &Transaction<'_>, what: &str, number: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO told VALUES (?1, ?2) ON CONFLICT (what) DO UPDATE SET number = ?2",
        params![what, number],
    )?;
    Ok(())
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}
