//! The reject file: row, column and reason of what was refused, for whoever sent the file. No value is repeated in it: it
//! may be a person's number.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::platform::screening::load::LoadError;

/// Lines written of one file; more are counted.
pub const MOST_KEPT: u64 = 100_000;

/// What was refused so far.
pub struct Rejects {
    /// `None`: they are only counted.
    path: Option<PathBuf>,
    /// Made with the first line.
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Rejects {
    pub fn begin(path: PathBuf) -> Result<Rejects, LoadError> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LoadError::Write(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Rejects { path: Some(path), file: None, count: 0 })
    }

    /// Writes nothing down.
    pub fn nowhere() -> Rejects {
        Rejects { path: None, file: None, count: 0 }
    }

    /// One row is refused. `row` counts lines of the file from 1, the heading among them; of a Parquet file its rows.
    pub fn add(&mut self, row: u64, column: &str, reason: &str) -> Result<(), LoadError> {
        self.count += 1;
        let Some(path) = self.path.as_ref().filter(|_| self.count <= MOST_KEPT) else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = BufWriter::new(File::create(path).map_err(LoadError::Write)?);
                writeln!(file, "row,column,reason").map_err(LoadError::Write)?;
                self.file.insert(file)
            }
        };
        writeln!(file, "{row},{column},\"{}\"", reason.replace('"', "'")).map_err(LoadError::Write)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where they are, if there are any.
    pub fn finish(self) -> Result<Option<PathBuf>, LoadError> {
        let Some(mut file) = self.file else { return Ok(None) };
        if self.count > MOST_KEPT {
            writeln!(file, ",,\"and {} more\"", self.count - MOST_KEPT).map_err(LoadError::Write)?;
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(LoadError::Write)?;
        Ok(self.path)
    }
}
