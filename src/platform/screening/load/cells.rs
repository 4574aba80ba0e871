//! Cells of text as what their column holds, and columns built from them.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use jiff::civil::{Date, DateTime};

use crate::platform::screening::folder::day_of;
use crate::platform::screening::load::{BATCH_ROWS, LoadError, Rows};
use crate::platform::screening::tables::{Kind, Table};

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Nothing,
    Text(Cow<'a, str>),
    /// Days, milliseconds, fen or a count.
    Number(i64),
}

/// Reads a cell.
///
/// # Errors
/// Why it is none of this kind.
pub fn read(kind: Kind, text: Cow<'_, str>) -> Result<Cell<'_>, &'static str> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(Cell::Nothing);
    }
    match kind {
        Kind::Id | Kind::Text if trimmed.len() == text.len() => Ok(Cell::Text(text)),
        Kind::Id | Kind::Text => Ok(Cell::Text(Cow::Owned(trimmed.to_owned()))),
        Kind::Day => {
            day(trimmed).map(|day| Cell::Number(i64::from(day))).ok_or("no day: write it as 2026-11-29")
        }
        Kind::Moment => moment(trimmed).map(Cell::Number).ok_or("no time: write it as 2026-11-29 08:15:00"),
        Kind::Money => fen(trimmed).map(Cell::Number).ok_or("no amount in yuan with at most two decimals"),
        Kind::Count => {
            trimmed.parse::<i32>().map(|count| Cell::Number(i64::from(count))).map_err(|_| "no whole number")
        }
    }
}

/// `2026-11-29`, `20261129`, `2026/11/29`, each also with a time behind it.
pub fn day(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        let part = bytes.get(range)?;
        part.iter()
            .all(u8::is_ascii_digit)
            .then(|| part.iter().fold(0_i16, |sum, digit| sum * 10 + i16::from(digit - b'0')))
    };
    let (year, month, day, end) = match bytes.get(4)? {
        b'-' | b'/' => (digits(0..4)?, digits(5..7)?, digits(8..10)?, 10),
        _ => (digits(0..4)?, digits(4..6)?, digits(6..8)?, 8),
    };
    if end == 10 && bytes[7] != bytes[4] {
        return None;
    }
    if !matches!(bytes.get(end), None | Some(b' ' | b'T')) {
        return None;
    }
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some(day_of(date))
}

/// Milliseconds since 1970 as the clock on the wall said, with no zone.
fn moment(text: &str) -> Option<i64> {
    let at = day(text)?;
    let Some(time) = text.get(10..).filter(|rest| !rest.is_empty()) else {
        return Some(i64::from(at) * 86_400_000);
    };
    let whole: DateTime = format!("2000-01-01T{}", time.trim_start_matches([' ', 'T'])).parse().ok()?;
    let time = whole.time();
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(i64::from(at) * 86_400_000 + seconds * 1000)
}

/// Fen of an amount in yuan.
pub fn fen(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Beyond two decimals only noughts, as a database writes them.
    let (cents, beyond) = part.split_at_checked(2).unwrap_or((part, ""));
    if whole.is_empty()
        || whole.len() > 13
        || !is_number(whole)
        || !is_number(part)
        || beyond.bytes().any(|byte| byte != b'0')
    {
        return None;
    }
    let cents: i64 = match cents.len() {
        0 => 0,
        1 => cents.parse::<i64>().ok()? * 10,
        _ => cents.parse().ok()?,
    };
    Some(sign * (whole.parse::<i64>().ok()? * 100 + cents))
}

enum Builder {
    Text(StringBuilder),
    Day(Date32Builder),
    Moment(TimestampMillisecondBuilder),
    Money(Int64Builder),
    Count(Int32Builder),
}

impl Builder {
    fn new(kind: Kind) -> Builder {
        match kind {
            Kind::Id | Kind::Text => Builder::Text(StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 16)),
            Kind::Day => Builder::Day(Date32Builder::with_capacity(BATCH_ROWS)),
            Kind::Moment => Builder::Moment(TimestampMillisecondBuilder::with_capacity(BATCH_ROWS)),
            Kind::Money => Builder::Money(Int64Builder::with_capacity(BATCH_ROWS)),
            Kind::Count => Builder::Count(Int32Builder::with_capacity(BATCH_ROWS)),
        }
    }

    fn push(&mut self, cell: &Cell<'_>) {
        let number = match cell {
            Cell::Number(number) => Some(*number),
            Cell::Nothing | Cell::Text(_) => None,
        };
        let small = number.and_then(|number| i32::try_from(number).ok());
        match self {
            Builder::Text(builder) => match cell {
                Cell::Text(text) => builder.append_value(text),
                Cell::Nothing | Cell::Number(_) => builder.append_null(),
            },
            Builder::Day(builder) => builder.append_option(small),
            Builder::Moment(builder) => builder.append_option(number),
            Builder::Money(builder) => builder.append_option(number),
            Builder::Count(builder) => builder.append_option(small),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Day(builder) => Arc::new(builder.finish()),
            Builder::Moment(builder) => Arc::new(builder.finish()),
            Builder::Money(builder) => Arc::new(builder.finish()),
            Builder::Count(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Columns of a table, growing row by row.
pub struct Columns {
    table: &'static Table,
    builders: Vec<Builder>,
    numbers: Vec<u64>,
}

impl Columns {
    pub fn new(table: &'static Table) -> Columns {
        let builders = table.columns.iter().map(|column| Builder::new(column.kind)).collect();
        Columns { table, builders, numbers: Vec::with_capacity(BATCH_ROWS) }
    }

    pub fn push(&mut self, number: u64, row: &[Cell<'_>]) {
        for (builder, cell) in self.builders.iter_mut().zip(row) {
            builder.push(cell);
        }
        self.numbers.push(number);
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The rows so far in the table's strict schema; none are left.
    pub fn batch(&mut self, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
        self.numbers.clear();
        RecordBatch::try_new(schema, self.builders.iter_mut().map(Builder::finish).collect())
    }

    /// The rows so far, any cell of which may be empty; none are left.
    pub fn take(&mut self) -> Result<Rows, LoadError> {
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        // Whether a cell may be empty is looked at afterwards, where the row can be named.
        let schema = super::check::open_schema(self.table);
        let batch = RecordBatch::try_new(schema, columns)?;
        Ok(Rows { batch, numbers: std::mem::take(&mut self.numbers) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_moments_and_amounts_are_read_as_exports_write_them() {
        let epoch = day("1970-01-02");
        assert_eq!((epoch, day("19700102"), day("1970/01/02 08:00:00")), (Some(1), Some(1), Some(1)));
        for wrong in ["1970-13-01", "1970-1-2", "abc", "", "1970-01/02", "197001021", "1.97E+07"] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
        assert_eq!(moment("1970-01-02 00:01:00"), Some(86_460_000));
        assert_eq!(moment("1970-01-02"), Some(86_400_000));
        for (text, value) in [("12", 1200), ("12.3", 1230), ("12.34", 1234), ("-0.01", -1), ("12.3400", 1234)]
        {
            assert_eq!(fen(text), Some(value), "{text}");
        }
        for wrong in ["", "1.234", "1e3", "1,200", "--1", ".5"] {
            assert_eq!(fen(wrong), None, "{wrong}");
        }
    }
}
