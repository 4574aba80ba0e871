//! The data folder: Parquet cut by table, class and month, and which of it counts.
//!
//! ```text
//!   DATA/parts/inpatient/2025-03/9f2c…-0.parquet     written first
//!   DATA/keys/settlement/9f2c….u64                   digests of its keys, to find what is said twice
//!   DATA/rejects/9f2c….csv                           what was refused: row, column, reason
//!   DATA/taken/9f2c….json                            written last, whole: only what it names counts
//! ```
//! A load that was cut off leaves parts nobody names; the next one takes them away. A file is known by the digest of its
//! bytes, so that the same one is not taken twice under another name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::base::files::{FileError, make_owner_only_folder, read_at_most, write_owner_only};
use crate::platform::score::DayNumber;

/// Of one file's record.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot look into {path}: {cause}; check its permissions")]
    Look { path: PathBuf, cause: std::io::Error },
    #[error("{0} is being loaded into by another program; wait for it")]
    Busy(PathBuf),
    #[error("{path} is damaged ({cause}); remove it and load its file again")]
    Damaged { path: PathBuf, cause: serde_json::Error },
}

/// One Parquet file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `inpatient`, `admission` …: what rules call the table.
    pub table: String,
    /// From the data folder on.
    pub path: String,
    pub rows: u64,
    /// `2025-03`, or `all` for lists without a day.
    pub month: String,
    /// Days since 1970.
    pub first_day: Option<i32>,
    pub last_day: Option<i32>,
}

/// A file that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// SHA-256 of its bytes.
    pub digest: String,
    pub table: String,
    /// What it was called.
    pub name: String,
    pub rows: u64,
    pub refused: u64,
    pub parts: Vec<Part>,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens or makes it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(root: &Path) -> Result<Folder, FolderError> {
        for name in ["parts", "keys", "rejects", "taken", "spill"] {
            make_owner_only_folder(&root.join(name))?;
        }
        Ok(Folder { root: root.to_owned() })
    }

    /// Keeps other programs from loading until the file is dropped: one must not sweep away what another is writing.
    ///
    /// # Errors
    /// [`FolderError::Busy`].
    pub fn lock(&self) -> Result<fs::File, FolderError> {
        let path = self.root.join("lock");
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|cause| FolderError::Look { path, cause })?;
        file.try_lock().map_err(|_| FolderError::Busy(self.root.clone()))?;
        Ok(file)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where larger than memory work goes.
    pub fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    pub fn keys(&self, table: &str, digest: &str) -> PathBuf {
        self.root.join("keys").join(table).join(format!("{digest}.u64"))
    }

    pub fn rejects(&self, digest: &str) -> PathBuf {
        self.root.join("rejects").join(format!("{digest}.csv"))
    }

    fn record(&self, digest: &str) -> PathBuf {
        self.root.join("taken").join(format!("{digest}.json"))
    }

    /// Whether a file was taken.
    pub fn has(&self, digest: &str) -> bool {
        self.record(digest).is_file()
    }

    /// Every file that was taken, by digest.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn taken(&self) -> Result<Vec<Taken>, FolderError> {
        let mut files = listed(&self.root.join("taken"))?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        files.sort();
        files
            .into_iter()
            .map(|path| {
                let bytes = read_at_most(&path, MOST_BYTES)?;
                serde_json::from_slice(&bytes).map_err(|cause| FolderError::Damaged { path, cause })
            })
            .collect()
    }

    /// What lies there of one table, oldest month first.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn parts(&self) -> Result<Vec<Part>, FolderError> {
        let mut parts: Vec<Part> = self.taken()?.into_iter().flat_map(|taken| taken.parts).collect();
        parts.sort_by(|a, b| (&a.table, &a.month, &a.path).cmp(&(&b.table, &b.month, &b.path)));
        Ok(parts)
    }

    /// Makes a file count: from now on, and after a power cut, it is taken.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn commit(&self, taken: &Taken) -> Result<(), FolderError> {
        let bytes = serde_json::to_vec(taken)
            .map_err(|cause| FolderError::Damaged { path: self.record(&taken.digest), cause })?;
        Ok(write_owner_only(&self.record(&taken.digest), &bytes)?)
    }

    /// Takes away what nobody names: parts and keys of a load that was cut off.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn sweep(&self) -> Result<(), FolderError> {
        let taken = self.taken()?;
        let named: BTreeSet<PathBuf> = taken
            .iter()
            .flat_map(|taken| {
                let parts = taken.parts.iter().map(|part| self.root.join(&part.path));
                parts.chain([self.keys(&taken.table, &taken.digest)])
            })
            .collect();
        let mut folders = vec![self.root.join("parts"), self.root.join("keys")];
        while let Some(folder) = folders.pop() {
            for path in listed(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                } else if !named.contains(&path) {
                    fs::remove_file(&path).map_err(|cause| FolderError::Look { path, cause })?;
                }
            }
        }
        Ok(())
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |cause| FolderError::Look { path: folder.to_owned(), cause };
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

/// `2025-03` of a day since 1970.
pub fn month_of(day: i32) -> String {
    DayNumber(i64::from(day))
        .date()
        .map_or_else(|| "all".to_owned(), |date| format!("{:04}-{:02}", date.year(), date.month()))
}

/// Days since 1970 of a date.
pub fn day_of(date: Date) -> i32 {
    DayNumber::on(date).and_then(|day| i32::try_from(day.0).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_names_is_taken_away_and_what_was_taken_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let part = |name: &str| {
            let path = format!("parts/inpatient/2025-03/{name}.parquet");
            fs::create_dir_all(place.path().join(&path).parent().unwrap()).unwrap();
            fs::File::create(place.path().join(&path)).unwrap();
            path
        };
        let (kept, left) = (part("a"), part("b"));
        let taken = Taken {
            digest: "d1".to_owned(),
            table: "settlement".to_owned(),
            name: "a.csv".to_owned(),
            rows: 1,
            refused: 0,
            parts: vec![Part {
                table: "inpatient".to_owned(),
                path: kept.clone(),
                rows: 1,
                month: month_of(day_of(Date::constant(2025, 3, 9))),
                first_day: None,
                last_day: None,
            }],
        };
        folder.commit(&taken).unwrap();
        let lock = folder.lock().unwrap();
        assert!(matches!(Folder::open(place.path()).unwrap().lock(), Err(FolderError::Busy(_))));
        drop(lock);
        folder.sweep().unwrap();
        assert!(place.path().join(&kept).exists() && !place.path().join(&left).exists());
        assert!(folder.has("d1") && !folder.has("d2"));
        assert_eq!(folder.parts().unwrap()[0].month, "2025-03");
    }
}
