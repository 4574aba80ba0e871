//! Rows of text: comma separated, a JSON object a line, or a spreadsheet. Columns are found by their national or Chinese
//! names, in any order; columns nobody needs are left out.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::GB18030;

use crate::base::files::read_at_most;
use crate::hospital::sheet::Sheet;
use crate::platform::screening::load::cells::{self, Cell, Columns};
use crate::platform::screening::load::rejects::Rejects;
use crate::platform::screening::load::{BATCH_ROWS, LoadError, Rows, Source};
use crate::platform::screening::tables::Table;

/// What the encoding of a file is told by.
const SAMPLE_BYTES: u64 = 4 * 1024 * 1024;
const MOST_SHEET_BYTES: u64 = 64 * 1024 * 1024;
/// Of one line of JSON.
const MOST_LINE_BYTES: u64 = 1024 * 1024;

/// Rows as their cells, each still as bytes.
trait Lines {
    /// Reads the next row into `cells`, one for each column of the heading; its number, `None` at the end.
    fn next(&mut self, cells: &mut Vec<Vec<u8>>) -> Result<Option<u64>, Bad>;
}

/// What is wrong: one row, after which the next may be good, or the file.
enum Bad {
    Row(u64, String),
    File(std::io::Error),
}

/// A file of text.
pub struct TextSource {
    path: PathBuf,
    table: &'static Table,
    lines: Box<dyn Lines>,
    /// Of each column of the table, where it is in a row.
    places: Vec<Option<usize>>,
    /// Columns the heading has.
    width: usize,
    is_gb18030: bool,
    read: Arc<AtomicU64>,
    cells: Vec<Vec<u8>>,
}

impl Source for TextSource {
    fn next(&mut self, rejects: &mut Rejects) -> Result<Option<Rows>, LoadError> {
        let mut columns = Columns::new(self.table);
        while columns.len() < BATCH_ROWS {
            match self.lines.next(&mut self.cells) {
                Ok(None) => break,
                Ok(Some(number)) => match self.row() {
                    Ok(row) => columns.push(number, &row),
                    Err((column, reason)) => rejects.add(number, column, &reason)?,
                },
                Err(Bad::Row(number, reason)) => rejects.add(number, "", &reason)?,
                Err(Bad::File(cause)) => return Err(LoadError::Read { path: self.path.clone(), cause }),
            }
        }
        if columns.len() == 0 { Ok(None) } else { columns.take().map(Some) }
    }

    fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl TextSource {
    fn new(
        path: &Path,
        table: &'static Table,
        headings: &[String],
        lines: Box<dyn Lines>,
    ) -> Result<TextSource, LoadError> {
        let said: Vec<String> = headings.iter().map(|heading| heading.trim().to_lowercase()).collect();
        let place = |names: &[&str]| names.iter().find_map(|name| said.iter().position(|said| said == name));
        let places: Vec<_> = table.columns.iter().map(|column| place(column.names)).collect();
        let missing: Vec<&str> = table
            .columns
            .iter()
            .zip(&places)
            .filter(|(column, place)| column.required && place.is_none())
            .map(|(column, _)| column.names[0])
            .collect();
        if !missing.is_empty() {
            let reason = format!(
                "the heading lacks {} of table {}; is it UTF-8 or GB18030, with a heading in row 1?",
                missing.join(", "),
                table.name
            );
            return Err(LoadError::Refused { path: path.to_owned(), reason });
        }
        let (path, width, read) = (path.to_owned(), headings.len(), Arc::default());
        Ok(TextSource { path, table, lines, places, width, is_gb18030: false, read, cells: Vec::new() })
    }

    /// The row's cells, or the column and reason for which it is refused.
    fn row(&self) -> Result<Vec<Cell<'_>>, (&'static str, String)> {
        if self.cells.len() != self.width {
            let reason = format!(
                "the row has {} cells and the heading {}: columns have shifted",
                self.cells.len(),
                self.width
            );
            return Err(("", reason));
        }
        let columns = self.table.columns.iter().zip(&self.places);
        columns
            .map(|(column, place)| {
                let Some(bytes) = place.and_then(|place| self.cells.get(place)) else {
                    return Ok(Cell::Nothing);
                };
                let text = self.decoded(bytes).ok_or_else(|| {
                    let charset = if self.is_gb18030 { "GB18030" } else { "UTF-8" };
                    (column.names[0], format!("not in the file's charset {charset}"))
                })?;
                cells::read(column.kind, text).map_err(|reason| (column.names[0], reason.to_owned()))
            })
            .collect()
    }

    fn decoded<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.is_gb18030 || text.is_ascii() => Some(Cow::Borrowed(text)),
            _ if self.is_gb18030 => GB18030.decode_without_bom_handling_and_without_replacement(bytes),
            Ok(_) | Err(_) => None,
        }
    }
}

/// A reader that says how far it is.
struct Counting<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A comma separated file in UTF-8 or GB18030. It is cut before it is decoded: neither a comma nor a quote is a part of
/// any character of the two.
pub fn comma_separated(path: &Path, table: &'static Table) -> Result<TextSource, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let is_gb18030 = is_gb18030(path)?;
    let read = Arc::new(AtomicU64::new(0));
    let file = Counting { inner: File::open(path).map_err(failed)?, read: Arc::clone(&read) };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1024 * 1024)
        .from_reader(file);
    let mut record = csv::ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|error| failed(std::io::Error::other(error)))?;
    let headings: Vec<String> = record
        .iter()
        .map(|cell| {
            let cell = cell.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(cell);
            if is_gb18030 {
                GB18030.decode(cell).0.into_owned()
            } else {
                String::from_utf8_lossy(cell).into_owned()
            }
        })
        .collect();
    let lines = Box::new(CommaLines { reader, record });
    Ok(TextSource { is_gb18030, read, ..TextSource::new(path, table, &headings, lines)? })
}

/// A sample that is no UTF-8, but for a character cut at its end, is taken for GB18030.
fn is_gb18030(path: &Path) -> Result<bool, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut sample = Vec::new();
    File::open(path).map_err(failed)?.take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(failed)?;
    Ok(match std::str::from_utf8(&sample) {
        Ok(_) => false,
        // A few damaged rows do not make a file one of another charset: its heading decides first.
        Err(error) => {
            let heading = sample.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let cut = sample.len() - error.valid_up_to() < 4;
            let is_ascii = heading.is_ascii();
            let decoded = GB18030.decode_without_bom_handling_and_without_replacement(&sample);
            !cut && (std::str::from_utf8(heading).is_err() || (is_ascii && decoded.is_some()))
        }
    })
}

struct CommaLines {
    reader: csv::Reader<Counting<File>>,
    record: csv::ByteRecord,
}

impl Lines for CommaLines {
    fn next(&mut self, cells: &mut Vec<Vec<u8>>) -> Result<Option<u64>, Bad> {
        let has_row = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| Bad::File(std::io::Error::other(error)))?;
        if !has_row {
            return Ok(None);
        }
        cells.resize_with(self.record.len(), Vec::new);
        for (cell, bytes) in cells.iter_mut().zip(&self.record) {
            cell.clear();
            cell.extend_from_slice(bytes);
        }
        Ok(Some(self.record.position().map_or(0, csv::Position::line)))
    }
}

/// A spreadsheet: lists, and exports of some thousand rows.
pub fn sheet(path: &Path, table: &'static Table) -> Result<TextSource, LoadError> {
    let bytes = read_at_most(path, MOST_SHEET_BYTES)?;
    let sheet = Sheet::read(&bytes).map_err(|complaints| LoadError::Refused {
        path: path.to_owned(),
        reason: format!("{}; larger tables come as CSV or Parquet", complaints.join("; ")),
    })?;
    let lines = Box::new(SheetLines(sheet.rows.into_iter()));
    TextSource::new(path, table, &sheet.headings, lines)
}

struct SheetLines(std::vec::IntoIter<(u64, Vec<String>)>);

impl Lines for SheetLines {
    fn next(&mut self, cells: &mut Vec<Vec<u8>>) -> Result<Option<u64>, Bad> {
        let Some((number, row)) = self.0.next() else { return Ok(None) };
        *cells = row.into_iter().map(String::into_bytes).collect();
        Ok(Some(number))
    }
}

/// An object a line, each with the table's names.
pub fn json_lines(path: &Path, table: &'static Table) -> Result<TextSource, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let read = Arc::new(AtomicU64::new(0));
    let file = Counting { inner: File::open(path).map_err(failed)?, read: Arc::clone(&read) };
    let headings: Vec<String> = table.columns.iter().map(|column| column.names[0].to_owned()).collect();
    let lines = Box::new(JsonLines { table, file: BufReader::new(file), line: Vec::new(), number: 0 });
    Ok(TextSource { read, ..TextSource::new(path, table, &headings, lines)? })
}

struct JsonLines {
    table: &'static Table,
    file: BufReader<Counting<File>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines for JsonLines {
    fn next(&mut self, cells: &mut Vec<Vec<u8>>) -> Result<Option<u64>, Bad> {
        self.line.clear();
        let mut bounded = (&mut self.file).take(MOST_LINE_BYTES);
        let count = bounded.read_until(b'\n', &mut self.line).map_err(Bad::File)?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&self.line)
            .map_err(|error| Bad::Row(self.number, format!("no JSON object in UTF-8: {error}")))?;
        cells.clear();
        for column in self.table.columns {
            let value = column.names.iter().find_map(|name| object.get(*name));
            cells.push(match value {
                None | Some(serde_json::Value::Null) => Vec::new(),
                Some(serde_json::Value::String(text)) => text.clone().into_bytes(),
                Some(other) => other.to_string().into_bytes(),
            });
        }
        Ok(Some(self.number))
    }
}
