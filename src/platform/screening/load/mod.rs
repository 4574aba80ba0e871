//! Files of settlements, admissions and lists become the data folder: row by row looked at, what is wrong refused with its
//! row, column and reason, the rest taken.
//!
//! ```text
//!   CSV, JSON lines, XLSX ──text──┐
//!                                 ├─► batches of typed columns ──check──► parts by class and month ──► commit
//!   Parquet ──────────────columns─┘        │ refused                │ key known already
//!                                          └────────► rejects ◄─────┘
//! ```
//! Memory stays that of some batches however large a file is, besides eight bytes for the key of each of its rows.

pub(super) mod cells;
mod check;
mod keys;
mod parquet;
mod rejects;
mod text;
mod write;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::base::files::FileError;
use crate::platform::screening::folder::{Folder, FolderError, Taken};
use crate::platform::screening::tables::{self, Table};

pub use rejects::MOST_KEPT;
pub use write::properties;

/// Rows looked at together.
pub const BATCH_ROWS: usize = 32 * 1024;

/// Why a file was not taken at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {reason}")]
    Refused { path: PathBuf, reason: String },
    #[error("cannot write into the data folder: {0}; check its space and permissions")]
    Write(std::io::Error),
    #[error("cannot write into the data folder: {0}")]
    Parquet(#[from] ParquetError),
    #[error("columns cannot be put together: {0}")]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Some rows of a file, each with its number there; `batch` has the table's columns.
pub struct Rows {
    pub batch: RecordBatch,
    pub numbers: Vec<u64>,
}

/// Where rows come from.
pub trait Source {
    /// The next rows; what cannot be read as the table's columns goes to `rejects`. `None` at the end.
    ///
    /// # Errors
    /// [`LoadError`] where nothing more can be read.
    fn next(&mut self, rejects: &mut rejects::Rejects) -> Result<Option<Rows>, LoadError>;

    /// Bytes of the file that are behind us.
    fn position(&self) -> u64;
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub name: String,
    pub table: String,
    pub rows: u64,
    pub refused: u64,
    /// It had been taken before, and was passed over.
    pub known: bool,
    /// Where it says what was refused and why.
    pub rejects: Option<PathBuf>,
}

/// Takes a file, or passes over one that was taken. `table` where its name does not say it; `told` hears how many of its
/// bytes are behind us.
///
/// # Errors
/// [`LoadError`]; nothing of it counts.
pub fn load(
    folder: &Folder,
    path: &Path,
    table: Option<&'static Table>,
    told: &mut dyn FnMut(u64),
) -> Result<Outcome, LoadError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let table = table.or_else(|| of_name(&name)).ok_or_else(|| {
        let known: Vec<&str> = tables::TABLES.iter().map(|table| table.name).collect();
        let reason = format!("its name begins with no table; say --table, one of {}", known.join(", "));
        LoadError::Refused { path: path.to_owned(), reason }
    })?;
    let digest = digest(path)?;
    if folder.has(&digest) {
        let (table, known) = (table.name.to_owned(), true);
        return Ok(Outcome { name, table, rows: 0, refused: 0, known, rejects: None });
    }
    let mut source = open(path, table)?;
    let mut rejects = rejects::Rejects::begin(folder.rejects(&digest))?;
    let mut writer = write::PartWriter::new(folder, table, &digest);
    let mut seen = keys::Keys::new(table);
    while let Some(rows) = source.next(&mut rejects)? {
        let good = check::good(table, rows, &mut rejects)?;
        let fresh = seen.fresh(good, &mut rejects)?;
        writer.write(&fresh)?;
        told(source.position());
    }
    let mut parts = writer.finish()?;
    let twice = seen.known_before(folder, &digest)?;
    if !twice.is_empty() {
        parts = write::without(folder, table, parts, &twice)?;
        name_twice(&mut *open(path, table)?, table, &twice, &mut rejects)?;
    }
    seen.keep(&folder.keys(table.name, &digest), &twice)?;
    let refused = rejects.count();
    let rejects = rejects.finish()?;
    let rows = parts.iter().map(|part| part.rows).sum();
    folder.commit(&Taken {
        digest,
        table: table.name.to_owned(),
        name: name.clone(),
        rows,
        refused,
        parts,
    })?;
    Ok(Outcome { name, table: table.name.to_owned(), rows, refused, known: false, rejects })
}

/// Reads a file once more, for the rows whose key a former file has: an export that overlaps the last one is rare, and
/// keeping every row's number for it is not worth it.
fn name_twice(
    source: &mut dyn Source,
    table: &'static Table,
    twice: &keys::Twice,
    rejects: &mut rejects::Rejects,
) -> Result<(), LoadError> {
    let (at, mut nowhere) = (table.place(table.key).unwrap_or(0), rejects::Rejects::nowhere());
    while let Some(rows) = source.next(&mut nowhere)? {
        let good = check::good(table, rows, &mut nowhere)?;
        for (key, number) in check::texts(&good.batch, at).iter().zip(&good.numbers) {
            if key.is_some_and(|key| twice.has(key)) {
                rejects.add(
                    *number,
                    table.columns[at].names[0],
                    "in a file that was loaded before: that one counts",
                )?;
            }
        }
    }
    Ok(())
}

/// The table a file's name begins with, as `settlement-2025-03.csv`.
fn of_name(name: &str) -> Option<&'static Table> {
    let name = name.to_lowercase();
    tables::TABLES
        .into_iter()
        .filter(|table| name.starts_with(table.name))
        .max_by_key(|table| table.name.len())
}

fn digest(path: &Path) -> Result<String, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut file = BufReader::with_capacity(1024 * 1024, File::open(path).map_err(failed)?);
    let (mut digest, mut some) = (Sha256::new(), vec![0; 1024 * 1024]);
    loop {
        let count = file.read(&mut some).map_err(failed)?;
        if count == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&some[..count]);
    }
}

/// By what the file begins with: Parquet, a spreadsheet, JSON, else text with commas.
fn open(path: &Path, table: &'static Table) -> Result<Box<dyn Source>, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut start = Vec::new();
    File::open(path).map_err(failed)?.take(4).read_to_end(&mut start).map_err(failed)?;
    match start.as_slice() {
        b"PAR1" => Ok(Box::new(parquet::ParquetSource::open(path, table)?)),
        [b'P', b'K', 3, 4, ..] | [0xD0, 0xCF, 0x11, 0xE0, ..] => Ok(Box::new(text::sheet(path, table)?)),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err(LoadError::Refused {
            path: path.to_owned(),
            reason: "it is UTF-16; save it as CSV in UTF-8 or GB18030".to_owned(),
        }),
        [b'{', ..] => Ok(Box::new(text::json_lines(path, table)?)),
        _ => Ok(Box::new(text::comma_separated(path, table)?)),
    }
}

/// A day, moment or count as the data folder holds it; `None` for what is none.
pub fn number(kind: tables::Kind, text: &str) -> Option<i64> {
    match cells::read(kind, text.into()) {
        Ok(cells::Cell::Number(number)) => Some(number),
        Ok(cells::Cell::Nothing | cells::Cell::Text(_)) | Err(_) => None,
    }
}
