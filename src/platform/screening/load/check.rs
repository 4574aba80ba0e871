//! What a row must keep to, whichever way it came: what is required is there, identifiers are whole, amounts are not
//! negative, ends are not before beginnings.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, RecordBatch, StringArray,
};
use datafusion::arrow::compute::{filter_record_batch, max, min};
use datafusion::arrow::datatypes::{Date32Type, Field, Int32Type, Int64Type, Schema, SchemaRef};

use crate::platform::screening::load::rejects::Rejects;
use crate::platform::screening::load::{LoadError, Rows};
use crate::platform::screening::tables::{Column, Kind, Table};

/// Days from 1880 to 2100: others are slips of the hand.
const DAYS: std::ops::Range<i32> = -32_872..47_483;
const MOST_ID: usize = 64;
const MOST_TEXT: usize = 300;

/// The table's columns, each of which may be empty.
pub fn open_schema(table: &Table) -> SchemaRef {
    let fields = table.columns.iter().map(|column| Field::new(column.name, column.kind.data_type(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows that keep to everything, as the data folder holds them; the others go to `rejects`, each with its first
/// fault.
pub fn good(table: &'static Table, rows: Rows, rejects: &mut Rejects) -> Result<Rows, LoadError> {
    let mut faults: Vec<Option<(&'static str, &'static str)>> = vec![None; rows.batch.num_rows()];
    for (column, array) in table.columns.iter().zip(rows.batch.columns()) {
        look(column, array, &mut faults);
    }
    if let Some((first, second)) = table.ordered {
        in_order(table, &rows.batch, (first, second), &mut faults);
    }
    keep(rows, &faults, table.schema(), rejects)
}

/// The rows without a fault.
pub fn keep(
    rows: Rows,
    faults: &[Option<(&'static str, &'static str)>],
    schema: SchemaRef,
    rejects: &mut Rejects,
) -> Result<Rows, LoadError> {
    let strict = |batch: &RecordBatch| RecordBatch::try_new(schema, batch.columns().to_vec());
    if faults.iter().all(Option::is_none) {
        return Ok(Rows { batch: strict(&rows.batch)?, numbers: rows.numbers });
    }
    let (mut mask, mut numbers) = (BooleanBuilder::with_capacity(faults.len()), Vec::new());
    for (fault, number) in faults.iter().zip(&rows.numbers) {
        mask.append_value(fault.is_none());
        match fault {
            None => numbers.push(*number),
            Some((column, reason)) => rejects.add(*number, column, reason)?,
        }
    }
    let mask: BooleanArray = mask.finish();
    Ok(Rows { batch: strict(&filter_record_batch(&rows.batch, &mask)?)?, numbers })
}

type Faults = [Option<(&'static str, &'static str)>];

fn look(column: &'static Column, array: &ArrayRef, faults: &mut Faults) {
    let name = column.names[0];
    if column.required && array.null_count() > 0 {
        mark(faults, |at| array.is_null(at), (name, "empty, and it must not be"));
    }
    match column.kind {
        Kind::Id => {
            let texts = array.as_string::<i32>();
            mark(faults, |at| texts.is_valid(at) && is_damaged(texts.value(at)), (name, DAMAGED));
            mark(faults, |at| texts.is_valid(at) && !is_id(texts.value(at)), (name, NO_ID));
        }
        Kind::Text => {
            let texts = array.as_string::<i32>();
            mark(
                faults,
                |at| texts.is_valid(at) && texts.value(at).len() > MOST_TEXT,
                (name, "longer than 300 bytes"),
            );
        }
        Kind::Day => {
            let days = array.as_primitive::<Date32Type>();
            let bounds = min(days).zip(max(days));
            if bounds.is_some_and(|(low, high)| !DAYS.contains(&low) || !DAYS.contains(&high)) {
                let wrong = |at| days.is_valid(at) && !DAYS.contains(&days.value(at));
                mark(faults, wrong, (name, "not between 1880 and 2100"));
            }
        }
        Kind::Moment => {}
        Kind::Money => {
            let fen = array.as_primitive::<Int64Type>();
            if min(fen).is_some_and(|low| low < 0) {
                mark(faults, |at| fen.is_valid(at) && fen.value(at) < 0, (name, "negative amount"));
            }
        }
        Kind::Count => {
            let counts = array.as_primitive::<Int32Type>();
            if min(counts).is_some_and(|low| low < 0) {
                mark(faults, |at| counts.is_valid(at) && counts.value(at) < 0, (name, "negative count"));
            }
        }
    }
}

const DAMAGED: &str = "a spreadsheet has cut its digits (E+17): export the column as text";
const NO_ID: &str = "no identifier: letters, digits, - _ . and at most 64 of them";

fn mark(faults: &mut Faults, wrong: impl Fn(usize) -> bool, fault: (&'static str, &'static str)) {
    for (at, known) in faults.iter_mut().enumerate() {
        if known.is_none() && wrong(at) {
            *known = Some(fault);
        }
    }
}

/// `6.2E+17`: one digit, perhaps a point and digits, an exponent.
fn is_damaged(text: &str) -> bool {
    let Some(at) = text.find(['E', 'e']) else { return false };
    let (number, exponent) = (&text[..at], &text[at + 1..]);
    let exponent = exponent.strip_prefix('+').unwrap_or("x");
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number
        && !number.is_empty()
        && !exponent.is_empty()
        && exponent.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    !text.is_empty() && text.len() <= MOST_ID && text.bytes().all(good)
}

fn in_order(table: &Table, batch: &RecordBatch, names: (&'static str, &'static str), faults: &mut Faults) {
    let column = |name| table.place(name).map(|at| batch.column(at).as_primitive::<Date32Type>());
    let (Some(first), Some(second)) = (column(names.0), column(names.1)) else { return };
    let wrong = |at| first.is_valid(at) && second.is_valid(at) && second.value(at) < first.value(at);
    mark(faults, wrong, (names.1, "the end is before the beginning"));
}

/// A column of texts.
pub fn texts(batch: &RecordBatch, at: usize) -> &StringArray {
    batch.column(at).as_string::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_a_spreadsheet_has_cut_is_told_from_an_identifier_with_an_e() {
        for text in ["6.2E+17", "5E+10", "6.20102E+17"] {
            assert!(is_damaged(text), "{text}");
        }
        for text in ["E10.900", "S1E5", "620000000000000017", "1E5"] {
            assert!(!is_damaged(text) && is_id(text), "{text}");
        }
        assert!(!is_id("张三") && !is_id("a b") && !is_id(""));
    }
}
