//! Parquet as other systems write it: our columns by their national names, in types that fit. A file of another schema is
//! refused as a whole, with each column it lacks or has otherwise; rows are looked at as all others.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::platform::screening::load::rejects::Rejects;
use crate::platform::screening::load::{BATCH_ROWS, LoadError, Rows, Source, check};
use crate::platform::screening::tables::{Column, Kind, Table};

/// A Parquet file.
pub struct ParquetSource {
    table: &'static Table,
    reader: ParquetRecordBatchReader,
    /// Of each column of the table, its place among those that are read.
    places: Vec<Option<usize>>,
    /// Money in fen already, as our own files have it.
    rows: u64,
    bytes: u64,
    total: u64,
}

impl ParquetSource {
    pub fn open(path: &Path, table: &'static Table) -> Result<ParquetSource, LoadError> {
        let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
        let refused = |reason| LoadError::Refused { path: path.to_owned(), reason };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| refused(format!("it is damaged or no Parquet: {error}")))?;
        let schema = Arc::clone(builder.schema());
        let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let (mut wanted, mut wrong) = (Vec::new(), Vec::new());
        for column in table.columns {
            let found = names(column).find_map(|name| schema.column_with_name(name));
            match found {
                Some((at, field)) if fits(column, field.name(), field.data_type()) => wanted.push(Some(at)),
                Some((_, field)) => {
                    wrong.push(format!("{} is {}", field.name(), field.data_type()));
                    wanted.push(None);
                }
                None if column.required => {
                    wrong.push(format!("{} is missing", column.names[0]));
                    wanted.push(None);
                }
                None => wanted.push(None),
            }
        }
        if !wrong.is_empty() {
            return Err(refused(format!(
                "it is of another schema than table {}: {}",
                table.name,
                wrong.join("; ")
            )));
        }
        let mut read: Vec<usize> = wanted.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let places = wanted.iter().map(|at| at.and_then(|at| read.binary_search(&at).ok())).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), read);
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?;
        Ok(ParquetSource { table, reader, places, rows: 0, bytes, total })
    }
}

/// The column's own name first: our money is in fen, whatever else a file has.
fn names(column: &'static Column) -> impl Iterator<Item = &'static str> {
    [column.name].into_iter().chain(column.names.iter().copied())
}

fn fits(column: &Column, name: &str, found: &DataType) -> bool {
    let is_text = matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_whole = found.is_integer();
    match column.kind {
        Kind::Id | Kind::Text => is_text || is_whole,
        Kind::Day => matches!(found, DataType::Date32 | DataType::Timestamp(_, _)) || is_text,
        Kind::Moment => matches!(found, DataType::Timestamp(_, _)) || is_text,
        Kind::Money if name == column.name => is_whole,
        Kind::Money => found.is_numeric(),
        Kind::Count => is_whole,
    }
}

impl Source for ParquetSource {
    fn next(&mut self, _: &mut Rejects) -> Result<Option<Rows>, LoadError> {
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        let columns = self.table.columns.iter().zip(&self.places).map(|(column, place)| match place {
            None => Ok(new_null_array(&column.kind.data_type(), batch.num_rows())),
            Some(at) => converted(column, batch.schema().field(*at).name(), batch.column(*at)),
        });
        let columns = columns.collect::<Result<Vec<_>, LoadError>>()?;
        let first = self.rows + 1;
        self.rows += batch.num_rows() as u64;
        let batch = RecordBatch::try_new(check::open_schema(self.table), columns)?;
        Ok(Some(Rows { batch, numbers: (first..=self.rows).collect() }))
    }

    fn position(&self) -> u64 {
        let share = u128::from(self.bytes) * u128::from(self.rows) / u128::from(self.total.max(1));
        u64::try_from(share).unwrap_or(self.bytes)
    }
}

/// What cannot be one of its kind becomes empty, and is refused where it must not be.
fn converted(column: &Column, name: &str, array: &ArrayRef) -> Result<ArrayRef, LoadError> {
    let safe = CastOptions { safe: true, ..CastOptions::default() };
    let wanted = column.kind.data_type();
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if column.kind == Kind::Money && name != column.name {
        // Yuan as decimals, whole or floating numbers.
        let yuan = cast_with_options(array, &DataType::Float64, &safe)?;
        return Ok(Arc::new(fen(yuan.as_primitive::<Float64Type>())));
    }
    Ok(cast_with_options(array, &wanted, &safe)?)
}

fn fen(yuan: &Float64Array) -> Int64Array {
    // Below ten thousand billion yuan a float still tells one fen from the next.
    yuan.iter()
        .map(|yuan| yuan.filter(|yuan| yuan.abs() < 1e13).map(|yuan| (yuan * 100.0).round() as i64))
        .collect()
}
