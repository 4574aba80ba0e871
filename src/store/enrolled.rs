//! Face templates, sealed at rest (see [`safe`](super::safe)).
//!
//! A template belongs to one pack of nets: after a change of models it is not found any more, so nobody is compared
//! across two different spaces.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use crate::base::files::sha256_hex;
use crate::base::ids::StayId;
use crate::base::redact::Private;
use crate::store::safe::{NONCE, Safe, SafeError};
use crate::store::schema;

/// The key's name.
pub(super) const KEY: &str = "template.key";

/// Why templates cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EnrolledError {
    #[error("the template store {path} failed: {cause}")]
    Database { path: PathBuf, cause: rusqlite::Error },
    #[error(transparent)]
    Safe(#[from] SafeError),
    #[error("a template of stay {0} cannot be opened: it was changed, or the key is another; enrol again")]
    Sealed(StayId),
}

/// A template and whose it is.
pub type Enrolled = (StayId, Private<Vec<f32>>);

/// Templates of everybody enrolled on this device.
pub struct TemplateStore {
    connection: Connection,
    path: PathBuf,
    safe: Safe,
}

impl TemplateStore {
    /// Opens the store in `folder`; makes folder and key at the first call.
    ///
    /// # Errors
    /// [`EnrolledError`].
    pub fn open(folder: &Path) -> Result<TemplateStore, EnrolledError> {
        let safe = Safe::open(folder, KEY)?;
        let path = folder.join("journal.db");
        let failed = |cause| EnrolledError::Database { path: path.clone(), cause };
        let connection = schema::open(&path).map_err(failed)?;
        // What is replaced is overwritten, not only let go.
        connection.pragma_update(None, "secure_delete", "ON").map_err(failed)?;
        Ok(TemplateStore { connection, path, safe })
    }

    /// Replaces the templates of one stay.
    ///
    /// # Errors
    /// [`EnrolledError`]; the former templates stay then.
    pub fn replace(
        &mut self,
        stay: &StayId,
        models: &str,
        templates: &[Private<Vec<f32>>],
    ) -> Result<(), EnrolledError> {
        let mut sealed = Vec::with_capacity(templates.len());
        for (shot, template) in templates.iter().enumerate() {
            sealed.push(self.seal(stay, shot, models, template)?);
        }
        let failed = |cause| EnrolledError::Database { path: self.path.clone(), cause };
        let transaction = self.connection.transaction().map_err(failed)?;
        transaction.execute("DELETE FROM template WHERE stay = ?1", [stay.as_str()]).map_err(failed)?;
        for (shot, bytes) in sealed.iter().enumerate() {
            transaction
                .execute(
                    "INSERT INTO template VALUES (?1, ?2, ?3, ?4)",
                    params![stay.as_str(), shot as i64, models, bytes],
                )
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// Every template made by these models, with its stay.
    ///
    /// # Errors
    /// [`EnrolledError::Sealed`] when one was tampered with.
    pub fn all(&self, models: &str) -> Result<Vec<Enrolled>, EnrolledError> {
        let failed = |cause| EnrolledError::Database { path: self.path.clone(), cause };
        let rows: rusqlite::Result<Vec<(String, i64, Vec<u8>)>> = self
            .connection
            .prepare("SELECT stay, shot, sealed FROM template WHERE models = ?1 ORDER BY stay, shot")
            .and_then(|mut query| {
                query.query_map([models], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            });
        let mut templates = Vec::new();
        for (stay, shot, sealed) in rows.map_err(failed)? {
            let Ok(stay) = StayId::new(stay) else { continue };
            let opened = self.open_sealed(&stay, shot as usize, models, &sealed);
            let template = opened.ok_or_else(|| EnrolledError::Sealed(stay.clone()))?;
            templates.push((stay, template));
        }
        Ok(templates)
    }

    /// Changes whenever templates were added, replaced or erased: a digest of the random part of each seal. Read it before
    /// the templates: what changes in between is then noticed afterwards.
    ///
    /// # Errors
    /// [`EnrolledError::Database`].
    pub fn state(&self) -> Result<String, EnrolledError> {
        let query = format!("SELECT substr(sealed, 1, {NONCE}) FROM template ORDER BY rowid");
        let nonces: rusqlite::Result<Vec<Vec<u8>>> = self
            .connection
            .prepare(&query)
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect());
        let nonces = nonces.map_err(|cause| EnrolledError::Database { path: self.path.clone(), cause })?;
        Ok(sha256_hex(&nonces.concat()))
    }

    /// How many people have templates of other models only: they must be enrolled again.
    ///
    /// # Errors
    /// [`EnrolledError::Database`].
    pub fn outdated(&self, models: &str) -> Result<usize, EnrolledError> {
        let people: rusqlite::Result<i64> = self.connection.query_row(
            "SELECT COUNT(DISTINCT stay) FROM template
             WHERE stay NOT IN (SELECT stay FROM template WHERE models = ?1)",
            [models],
            |row| row.get(0),
        );
        let people = people.map_err(|cause| EnrolledError::Database { path: self.path.clone(), cause })?;
        Ok(usize::try_from(people).unwrap_or(0))
    }

    fn seal(
        &self,
        stay: &StayId,
        shot: usize,
        models: &str,
        template: &Private<Vec<f32>>,
    ) -> Result<Vec<u8>, EnrolledError> {
        let clear: Zeroizing<Vec<u8>> =
            Zeroizing::new(template.reveal().iter().flat_map(|value| value.to_le_bytes()).collect());
        Ok(self.safe.seal(&place(stay, shot, models), &clear)?)
    }

    fn open_sealed(
        &self,
        stay: &StayId,
        shot: usize,
        models: &str,
        sealed: &[u8],
    ) -> Option<Private<Vec<f32>>> {
        let clear = self.safe.unseal(&place(stay, shot, models), sealed)?;
        let values =
            clear.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Some(Private::new(values.collect()))
    }
}

/// Binds a template to its person: a row copied to another stay does not open.
fn place(stay: &StayId, shot: usize, models: &str) -> String {
    format!("bedcheck-template-v1|{stay}|{shot}|{models}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_come_back_only_for_their_person_and_their_models() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (StayId::new("A").unwrap(), StayId::new("B").unwrap());
        let mut store = TemplateStore::open(folder.path()).unwrap();
        store.replace(&a, "m1", &[Private::new(vec![0.5, -1.0])]).unwrap();
        let found = TemplateStore::open(folder.path()).unwrap().all("m1").unwrap();
        assert_eq!(found[0].1.reveal(), &[0.5, -1.0]);
        assert!(store.all("m2").unwrap().is_empty());
        assert_eq!((store.outdated("m1").unwrap(), store.outdated("m2").unwrap()), (0, 1));
        store.connection.execute("UPDATE template SET stay = 'B'", []).unwrap();
        assert!(matches!(store.all("m1"), Err(EnrolledError::Sealed(stay)) if stay == b));
    }

    #[test]
    fn one_who_is_enrolled_again_or_erased_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let stay = StayId::new("A").unwrap();
        let mut store = TemplateStore::open(folder.path()).unwrap();
        let mut states = vec![store.state().unwrap()];
        // The rows that go free are taken again: numbers of rows tell nothing.
        for value in [0.5, 0.5, 0.7] {
            store.replace(&stay, "m1", &[Private::new(vec![value])]).unwrap();
            let state = store.state().unwrap();
            assert!(!states.contains(&state));
            assert_eq!(store.state().unwrap(), state);
            states.push(state);
        }
        store.replace(&stay, "m1", &[]).unwrap();
        assert_eq!(store.state().unwrap(), states[0]);
    }
}
