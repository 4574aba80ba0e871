//! Checked rows into Parquet files of their class and month.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::{Date32Type, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;

use crate::base::files::make_owner_only_folder;
use crate::platform::screening::folder::{Folder, Part, month_of};
use crate::platform::screening::load::keys::Twice;
use crate::platform::screening::load::{BATCH_ROWS, LoadError, check};
use crate::platform::screening::tables::{self, Table};

/// Rows of one piece of a file: what a query passes over at once when its days do not fit.
const GROUP_ROWS: usize = 128 * 1024;
/// Files open at once; a source that jumps between more months has them closed and goes on in new ones.
const MOST_OPEN: usize = 96;
/// Rows in memory over all open files, as bytes.
const MOST_BUFFERED: usize = 512 * 1024 * 1024;

/// What every Parquet file here is written with.
pub fn properties(table: &Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    // Numbers of people and rows hardly repeat: a dictionary of them is work for nothing.
    for name in ["setl_id", "mdtrt_id", "psn_no", "certno_hash", "addr_hash", "event", "coner_hash"] {
        if table.place(name).is_some() {
            builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
        }
    }
    builder.build()
}

/// Class and month.
type Place = (String, String);

struct Open {
    writer: ArrowWriter<File>,
    part: Part,
    path: PathBuf,
}

/// Writes the parts of one source file.
pub struct PartWriter<'a> {
    folder: &'a Folder,
    table: &'static Table,
    digest: &'a str,
    schema: SchemaRef,
    open: BTreeMap<Place, Open>,
    /// Numbers of files, so that no two have a name.
    count: usize,
    done: Vec<Part>,
}

impl<'a> PartWriter<'a> {
    pub fn new(folder: &'a Folder, table: &'static Table, digest: &'a str) -> PartWriter<'a> {
        let (open, done) = (BTreeMap::new(), Vec::new());
        PartWriter { folder, table, digest, schema: table.schema(), open, count: 0, done }
    }

    pub fn write(&mut self, rows: &super::Rows) -> Result<(), LoadError> {
        for ((class, month), batch) in split(self.table, &rows.batch)? {
            let key = (class, month);
            if !self.open.contains_key(&key) {
                if self.open.len() >= MOST_OPEN {
                    self.close()?;
                }
                let made = self.make(&key)?;
                self.open.insert(key.clone(), made);
            }
            let Some(open) = self.open.get_mut(&key) else { continue };
            open.writer.write(&batch)?;
            open.part.rows += batch.num_rows() as u64;
            if let Some(at) = self.table.day.and_then(|day| self.table.place(day)) {
                note_days(&mut open.part, batch.column(at));
            }
        }
        self.relieve()
    }

    /// Puts the largest pieces on the disk where too much waits in memory.
    fn relieve(&mut self) -> Result<(), LoadError> {
        let mut waiting: usize = self.open.values().map(|open| open.writer.memory_size()).sum();
        while waiting > MOST_BUFFERED {
            let Some(largest) = self.open.values_mut().max_by_key(|open| open.writer.memory_size()) else {
                break;
            };
            let before = largest.writer.memory_size();
            largest.writer.flush()?;
            let after = largest.writer.memory_size();
            if after >= before {
                break;
            }
            waiting -= before - after;
        }
        Ok(())
    }

    fn make(&mut self, (class, month): &Place) -> Result<Open, LoadError> {
        let relative = format!("parts/{class}/{month}/{}-{}.parquet", &self.digest[..16], self.count);
        self.count += 1;
        let path = self.folder.root().join(&relative);
        if let Some(parent) = path.parent() {
            make_owner_only_folder(parent)?;
        }
        let file = File::create(&path).map_err(LoadError::Write)?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties(self.table)))?;
        let part = Part {
            table: class.clone(),
            path: relative,
            rows: 0,
            month: month.clone(),
            first_day: None,
            last_day: None,
        };
        Ok(Open { writer, part, path })
    }

    fn close(&mut self) -> Result<(), LoadError> {
        for (_, open) in std::mem::take(&mut self.open) {
            open.writer.close()?;
            File::open(&open.path).and_then(|file| file.sync_all()).map_err(LoadError::Write)?;
            self.done.push(open.part);
        }
        Ok(())
    }

    /// Closes and syncs everything.
    pub fn finish(mut self) -> Result<Vec<Part>, LoadError> {
        self.close()?;
        Ok(self.done)
    }
}

fn note_days(part: &mut Part, days: &ArrayRef) {
    let days = days.as_primitive::<Date32Type>();
    let (low, high) = (datafusion::arrow::compute::min(days), datafusion::arrow::compute::max(days));
    part.first_day = part.first_day.into_iter().chain(low).min();
    part.last_day = part.last_day.into_iter().chain(high).max();
}

/// Rows by class and month.
fn split(table: &Table, batch: &RecordBatch) -> Result<Vec<(Place, RecordBatch)>, LoadError> {
    let days =
        table.day.and_then(|day| table.place(day)).map(|at| batch.column(at).as_primitive::<Date32Type>());
    let classes = (table.name == tables::SETTLEMENT.name)
        .then(|| table.place("med_type"))
        .flatten()
        .map(|at| check::texts(batch, at));
    let mut found: BTreeMap<(&str, i32), Vec<u32>> = BTreeMap::new();
    let mut months: BTreeMap<i32, i32> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let class = classes.map_or(table.name, |classes| tables::class_of(classes.value(row)));
        let month = days.map_or(i32::MIN, |days| {
            let day = days.value(row);
            *months.entry(day).or_insert_with(|| month_number(day))
        });
        found.entry((class, month)).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    let name = |month: i32| {
        if month == i32::MIN {
            "all".to_owned()
        } else {
            format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
        }
    };
    if let [(class, month)] = found.keys().copied().collect::<Vec<_>>().as_slice() {
        return Ok(vec![(((*class).to_owned(), name(*month)), batch.clone())]);
    }
    found
        .into_iter()
        .map(|((class, month), rows)| {
            Ok(((class.to_owned(), name(month)), take_record_batch(batch, &UInt32Array::from(rows))?))
        })
        .collect()
}

/// Months since the year 0.
fn month_number(day: i32) -> i32 {
    let name = month_of(day);
    let part = |range: std::ops::Range<usize>| name.get(range).and_then(|part| part.parse::<i32>().ok());
    part(0..4).zip(part(5..7)).map_or(0, |(year, month)| year * 12 + month - 1)
}

/// Writes parts again without the rows whose key is in a former file. This is rare: an export that overlaps the last one.
pub fn without(
    folder: &Folder,
    table: &'static Table,
    parts: Vec<Part>,
    twice: &Twice,
) -> Result<Vec<Part>, LoadError> {
    let key = table.place(table.key).unwrap_or(0);
    let mut kept = Vec::new();
    for mut part in parts {
        let path = folder.root().join(&part.path);
        let failed = |cause| LoadError::Read { path: path.clone(), cause };
        let beside = path.with_extension("again");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).map_err(failed)?)?;
        let file = File::create(&beside).map_err(LoadError::Write)?;
        let mut writer = ArrowWriter::try_new(file, table.schema(), Some(properties(table)))?;
        part.rows = 0;
        for batch in reader.with_batch_size(BATCH_ROWS).build()? {
            let batch = batch?;
            let known: Vec<bool> =
                check::texts(&batch, key).iter().map(|key| key.is_some_and(|key| twice.has(key))).collect();
            let mask = known.into_iter().map(|known| Some(!known)).collect();
            let batch = filter_record_batch(&batch, &mask)?;
            part.rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        writer.close()?;
        File::open(&beside).and_then(|file| file.sync_all()).map_err(LoadError::Write)?;
        std::fs::rename(&beside, &path).map_err(LoadError::Write)?;
        if part.rows > 0 {
            kept.push(part);
        } else {
            std::fs::remove_file(&path).map_err(LoadError::Write)?;
        }
    }
    Ok(kept)
}
