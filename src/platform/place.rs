//! Which database a platform's folder stands for: `platform.db` in it, or a PostgreSQL database whose address is the one
//! line of the file `database`.
//!
//! The password is never there: the credential `bedcheck-database-password`, `PGPASSFILE` or `~/.pgpass` has it. For a
//! server on another machine `database-ca.pem` is the CA that vouches for it.

use std::path::{Path, PathBuf};

use crate::base::files::{FileError, read_at_most, write_owner_only};
use crate::platform::db::{Database, DatabaseError};

const MOST_BYTES: u64 = 64 * 1024;

/// Where a platform's store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database, and who vouches for its server.
    Server { address: String, ca_pem: Option<String> },
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[cfg(not(feature = "postgres"))]
    #[error(
        "this program was built without PostgreSQL (feature `postgres`), which the platform's folder names"
    )]
    NotBuilt,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            // The address is shown by the database itself, which knows what of it may be.
            Place::Server { .. } => f.write_str("PostgreSQL"),
        }
    }
}

impl Place {
    /// The store of the platform in `dir`.
    ///
    /// # Errors
    /// [`PlaceError::File`].
    pub fn of(dir: &Path) -> Result<Place, PlaceError> {
        let line = dir.join("database");
        if !line.exists() {
            return Ok(Place::File(dir.join("platform.db")));
        }
        let line = String::from_utf8_lossy(&read_at_most(&line, MOST_BYTES)?).trim().to_owned();
        Place::named(&line, dir)
    }

    /// A store as people write it: postgres://..., or the path of a file. The CA is looked for in `dir`.
    ///
    /// # Errors
    /// [`PlaceError::File`].
    pub fn named(text: &str, dir: &Path) -> Result<Place, PlaceError> {
        if !text.contains("://") {
            return Ok(Place::File(PathBuf::from(text)));
        }
        let ca = dir.join("database-ca.pem");
        let ca_pem = ca.exists().then(|| read_at_most(&ca, MOST_BYTES)).transpose()?;
        let ca_pem = ca_pem.map(|pem| String::from_utf8_lossy(&pem).into_owned());
        Ok(Place::Server { address: text.to_owned(), ca_pem })
    }

    /// Notes in `dir` that the platform's store is here.
    ///
    /// # Errors
    /// [`PlaceError::File`].
    pub fn note(&self, dir: &Path) -> Result<(), PlaceError> {
        if let Place::Server { address, .. } = self {
            write_owner_only(&dir.join("database"), format!("{address}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Whether a file that should be there is not.
    pub fn is_missing(&self) -> bool {
        matches!(self, Place::File(path) if !path.exists())
    }

    /// Opens it; makes the tables where there are none.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn open(&self) -> Result<Database, PlaceError> {
        match self {
            Place::File(path) => Ok(Database::open(path)?),
            #[cfg(feature = "postgres")]
            Place::Server { address, ca_pem } => Ok(Database::connect(address, ca_pem.as_deref())?),
            #[cfg(not(feature = "postgres"))]
            Place::Server { .. } => Err(PlaceError::NotBuilt),
        }
    }

    /// Brings its tables up to date; from which version to which.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing was changed.
    pub fn upgrade(&self) -> Result<(i64, i64), PlaceError> {
        match self {
            Place::File(path) => Ok(Database::upgrade(path)?),
            #[cfg(feature = "postgres")]
            Place::Server { address, ca_pem } => Ok(Database::upgrade_at(address, ca_pem.as_deref())?),
            #[cfg(not(feature = "postgres"))]
            Place::Server { .. } => Err(PlaceError::NotBuilt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_file_until_it_names_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let file = Place::File(folder.path().join("platform.db"));
        assert_eq!(Place::of(folder.path()).unwrap(), file);
        let address = "postgres:///bedcheck?host=/run/postgresql";
        Place::named(address, folder.path()).unwrap().note(folder.path()).unwrap();
        let named = Place::Server { address: address.to_owned(), ca_pem: None };
        assert_eq!(Place::of(folder.path()).unwrap(), named);
        write_owner_only(&folder.path().join("database-ca.pem"), b"pem").unwrap();
        assert!(matches!(Place::of(folder.path()).unwrap(), Place::Server { ca_pem: Some(_), .. }));
        assert!(file.is_missing() && !named.is_missing());
    }
}
