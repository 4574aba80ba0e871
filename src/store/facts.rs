//! What hospital systems told us, as it came: one row for each fact, never removed and never changed but for one thing:
//! when its stay is forgotten, name and number go. What each says is sealed: names and numbers of patients are in it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::ids::StayId;
use crate::base::sqlite::{self, Schema};
use crate::domain::facts::{Change, Fact};
use crate::store::privacy::cut_log;
use crate::store::safe::{Safe, SafeError};

/// The key's name.
pub(super) const KEY: &str = "facts.key";

const SCHEMA: Schema = Schema {
    page_bytes: 4096,
    version: 2,
    tables: "
CREATE TABLE fact (
    number      INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    stay        TEXT,
    at_ms       INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    sealed      BLOB    NOT NULL        -- the change as JSON: names are in it
) STRICT;
",
};

/// Why facts cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum FactLogError {
    #[error("the fact log {path} failed: {cause}")]
    Database { path: PathBuf, cause: rusqlite::Error },
    #[error(transparent)]
    Safe(#[from] SafeError),
    #[error("fact {id} cannot be understood: {cause}")]
    Content { id: String, cause: String },
}

/// The log, `facts.db` in the state folder.
pub struct FactLog {
    connection: Connection,
    path: PathBuf,
    safe: Safe,
}

impl FactLog {
    /// # Errors
    /// [`FactLogError`].
    pub fn open(state: &Path) -> Result<FactLog, FactLogError> {
        let safe = Safe::open(state, KEY)?;
        let path = state.join("facts.db");
        let connection = sqlite::open(&path, &SCHEMA)
            .map_err(|cause| FactLogError::Database { path: path.clone(), cause })?;
        // What is forgotten is overwritten, not only let go.
        let overwrites = connection.pragma_update(None, "secure_delete", "ON");
        overwrites.map_err(|cause| FactLogError::Database { path: path.clone(), cause })?;
        Ok(FactLog { connection, path, safe })
    }

    /// Appends what is not known yet; durable when this returns. How many facts were new.
    ///
    /// # Errors
    /// [`FactLogError`]; then none of them was appended.
    pub fn append(&mut self, facts: &[Fact]) -> Result<usize, FactLogError> {
        let path = self.path.clone();
        let failed = |cause| FactLogError::Database { path: path.clone(), cause };
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut new = 0;
        for fact in facts {
            let change = serde_json::to_vec(&fact.change)
                .map_err(|error| FactLogError::Content { id: fact.id.clone(), cause: error.to_string() })?;
            let sealed = self.safe.seal(&place(&fact.id), &Zeroizing::new(change))?;
            let stay = fact.stay.as_ref().map(StayId::as_str);
            new += transaction
                .execute(
                    "INSERT OR IGNORE INTO fact (id, stay, at_ms, received_ms, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![fact.id, stay, fact.at.0, fact.received.0, sealed],
                )
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(new)
    }

    /// Puts these changes in the place of what the facts of these ids said; the write-ahead log is cut afterwards, so that
    /// nothing older is left. False while another program reads the log: it must be cut later ([`FactLog::scrub`]).
    ///
    /// # Errors
    /// [`FactLogError`]; then none of them was changed.
    pub fn reword(&mut self, facts: &[(String, Change)]) -> Result<bool, FactLogError> {
        let path = self.path.clone();
        let failed = |cause| FactLogError::Database { path: path.clone(), cause };
        let transaction = self.connection.transaction().map_err(failed)?;
        for (id, change) in facts {
            let change = serde_json::to_vec(change)
                .map_err(|error| FactLogError::Content { id: id.clone(), cause: error.to_string() })?;
            let sealed = self.safe.seal(&place(id), &change)?;
            transaction
                .execute("UPDATE fact SET sealed = ?2 WHERE id = ?1", params![id, sealed])
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        self.scrub()
    }

    /// Cuts the write-ahead log to nothing; false while another program reads it.
    ///
    /// # Errors
    /// [`FactLogError::Database`].
    pub fn scrub(&self) -> Result<bool, FactLogError> {
        cut_log(&self.connection).map_err(|cause| FactLogError::Database { path: self.path.clone(), cause })
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn count(&self) -> Result<usize, FactLogError> {
        self.connection
            .query_row("SELECT count(*) FROM fact", [], |row| row.get::<_, i64>(0))
            .map(|count| usize::try_from(count).unwrap_or(0))
            .map_err(|cause| FactLogError::Database { path: self.path.clone(), cause })
    }

    /// All of them, in the order in which they came.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn all(&self) -> Result<Vec<Fact>, FactLogError> {
        let failed = |cause| FactLogError::Database { path: self.path.clone(), cause };
        let mut query = self
            .connection
            .prepare("SELECT id, stay, at_ms, received_ms, sealed FROM fact ORDER BY number")
            .map_err(failed)?;
        let rows = query
            .query_map([], |row| {
                let stay: Option<String> = row.get(1)?;
                Ok((
                    row.get::<_, String>(0)?,
                    stay,
                    Wall(row.get(2)?),
                    Wall(row.get(3)?),
                    row.get::<_, Vec<u8>>(4)?,
                ))
            })
            .map_err(failed)?;
        rows.map(|row| {
            let (id, stay, at, received, sealed) = row.map_err(failed)?;
            let content = |cause: String| FactLogError::Content { id: id.clone(), cause };
            let clear = self.safe.unseal(&place(&id), &sealed);
            let clear =
                clear.ok_or_else(|| content("it was changed, or sealed under another key".to_owned()))?;
            let change: Change =
                serde_json::from_slice(&clear).map_err(|error| content(error.to_string()))?;
            let stay = stay.map(StayId::new).transpose().map_err(|error| content(error.to_string()))?;
            Ok(Fact { id, stay, at, received, change })
        })
        .collect()
    }
}

/// Binds a change to its fact.
fn place(id: &str) -> String {
    format!("bedcheck-fact-v1|{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::redact::Private;
    use crate::domain::facts::Excuse;

    #[test]
    fn facts_come_back_as_they_were_and_a_repetition_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let stay = Some(StayId::new("S1").unwrap());
        let left = Change::Left { excuse: Excuse::Leave, until: Some(Wall(9)) };
        let merged = Change::Merged { psn_no: Private::new("a".into()), into: Private::new("b".into()) };
        let fact =
            |id: &str, stay, change| Fact { id: id.into(), stay, at: Wall(1), received: Wall(2), change };
        let facts = [fact("1", stay.clone(), left), fact("2", None, merged)];
        let mut log = FactLog::open(folder.path()).unwrap();
        assert_eq!(log.append(&facts).unwrap(), 2);
        let again = Fact { received: Wall(99), ..facts[0].clone() };
        assert_eq!(log.append(&[again, fact("3", stay, Change::Returned)]).unwrap(), 1);
        drop(log);
        let found = FactLog::open(folder.path()).unwrap().all().unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[..2], facts);
        let log = FactLog::open(folder.path()).unwrap();
        log.connection
            .execute("UPDATE fact SET sealed = (SELECT sealed FROM fact WHERE id = '3') WHERE id = '1'", [])
            .unwrap();
        assert!(
            matches!(log.all(), Err(FactLogError::Content { id, .. }) if id == "1"),
            "a change of another fact"
        );
    }
}
