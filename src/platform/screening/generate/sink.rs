//! Rows of one table into a file: Parquet as the data folder has it, or CSV as an export has it.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::parquet::arrow::ArrowWriter;

use crate::platform::screening::generate::GenerateError;
use crate::platform::screening::load;
use crate::platform::screening::tables::{Kind, Table};
use crate::platform::screening::yuan;

/// What files are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Parquet,
    Csv,
}

enum Writer {
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<BufWriter<File>>>),
}

/// A file that grows.
pub struct Sink {
    table: &'static Table,
    writer: Writer,
}

impl Sink {
    /// `name` has no ending.
    pub fn begin(
        out: &Path,
        name: &str,
        table: &'static Table,
        format: Format,
    ) -> Result<Sink, GenerateError> {
        let ending = if format == Format::Parquet { "parquet" } else { "csv" };
        let path = out.join(format!("{name}.{ending}"));
        let failed = |cause| GenerateError::Write { path: path.clone(), cause };
        let file = File::create(&path).map_err(failed)?;
        let writer = match format {
            Format::Parquet => Writer::Parquet(Box::new(ArrowWriter::try_new(
                file,
                table.schema(),
                Some(load::properties(table)),
            )?)),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
                let heading = table.columns.iter().map(|column| column.names[0]);
                writer.write_record(heading).map_err(|error| failed(std::io::Error::other(error)))?;
                Writer::Csv(Box::new(writer))
            }
        };
        Ok(Sink { table, writer })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), GenerateError> {
        match &mut self.writer {
            Writer::Parquet(writer) => Ok(writer.write(batch)?),
            Writer::Csv(writer) => write_text(writer, self.table, batch),
        }
    }

    pub fn finish(self) -> Result<(), GenerateError> {
        match self.writer {
            Writer::Parquet(writer) => Ok(writer.close().map(drop)?),
            Writer::Csv(mut writer) => {
                let path = self.table.name.into();
                writer.flush().map_err(|cause| GenerateError::Write { path, cause })
            }
        }
    }
}

/// Money in yuan, days and moments as exports write them.
fn write_text(
    writer: &mut csv::Writer<BufWriter<File>>,
    table: &Table,
    batch: &RecordBatch,
) -> Result<(), GenerateError> {
    let texts = table
        .columns
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| {
            if column.kind == Kind::Money {
                let fen = array.as_primitive::<Int64Type>();
                return Ok(fen.iter().map(|fen| fen.map_or_else(String::new, yuan)).collect());
            }
            let array = cast(array, &DataType::Utf8)?;
            let texts = array.as_string::<i32>();
            let is_moment = column.kind == Kind::Moment;
            let text = |text: Option<&str>| match text {
                Some(text) if is_moment => text.replace('T', " "),
                other => other.unwrap_or_default().to_owned(),
            };
            Ok(texts.iter().map(text).collect())
        })
        .collect::<Result<Vec<Vec<String>>, datafusion::arrow::error::ArrowError>>()?;
    for row in 0..batch.num_rows() {
        let cells = texts.iter().map(|column| column[row].as_bytes());
        writer.write_record(cells).map_err(|error| GenerateError::Write {
            path: table.name.into(),
            cause: std::io::Error::other(error),
        })?;
    }
    Ok(())
}
