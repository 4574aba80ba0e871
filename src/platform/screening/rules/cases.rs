//! The test cases that stand in a rule's own file, run on the engine that runs the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::catalog::MemTable;
use futures_util::StreamExt;

use crate::platform::screening::engine::{Gather, Limits, session};
use crate::platform::screening::load;
use crate::platform::screening::rules::{Case, Rule};
use crate::platform::screening::tables::{self, Column, Kind, Table};

/// The day of a cell that a case leaves out: 2025-01-01.
const SOME_DAY: i32 = 20_089;

/// Runs a case.
///
/// # Errors
/// What it found besides what it should, and what it did not find.
pub async fn run(rule: &Rule, case: &Case) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("rule {}, case {:?}: {error}", rule.id, case.name);
    let spill = std::env::temp_dir();
    let context = session::session(&Limits::default(), &spill).map_err(|error| told(&error))?;
    for table in tables::TABLES {
        for name in table.folders() {
            let said = case.rows.get(&name).map_or(&[][..], Vec::as_slice);
            let batch = rows(table, said).map_err(|error| told(&format!("table {name}: {error}")))?;
            let provider =
                MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| told(&error))?;
            context.register_table(name.as_str(), Arc::new(provider)).map_err(|error| told(&error))?;
        }
    }
    session::register_settlement(&context).await.map_err(|error| told(&error))?;
    let frame =
        context.sql_with_options(&rule.sql(), session::options()).await.map_err(|error| told(&error))?;
    let mut gather = Gather::new(rule, None);
    gather.begin(frame.schema().as_arrow()).map_err(|error| told(&error))?;
    let mut stream = frame.execute_stream().await.map_err(|error| told(&error))?;
    while let Some(batch) = stream.next().await {
        gather.take(&batch.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
    }
    let (leads, _) = gather.finish();
    let found: BTreeSet<String> = leads.iter().map(|lead| subject(rule, &lead.subject)).collect();
    let wanted: BTreeSet<String> = case.hits.iter().cloned().collect();
    if found == wanted { Ok(()) } else { Err(told(&format!("found {found:?} instead of {wanted:?}"))) }
}

/// A subject's columns joined by `|`, as cases and ids have them.
pub fn subject(rule: &Rule, subject: &serde_json::Value) -> String {
    let cells = rule.subject.iter().map(|name| match subject.get(name) {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    });
    cells.collect::<Vec<_>>().join("|")
}

/// A heading and rows as a batch; columns left out are empty, nought, or some day.
fn rows(table: &Table, said: &[String]) -> Result<RecordBatch, String> {
    let (heading, lines) =
        said.split_first().map_or(("", &[][..]), |(heading, lines)| (heading.as_str(), lines));
    let names: Vec<&str> = heading.split(',').filter(|name| !name.is_empty()).collect();
    if let Some(name) = names.iter().find(|name| table.place(name).is_none()) {
        return Err(format!("there is no column {name}"));
    }
    let rows: Vec<BTreeMap<&str, &str>> =
        lines.iter().map(|line| names.iter().copied().zip(line.split(',')).collect()).collect();
    let columns: Result<Vec<ArrayRef>, String> =
        table.columns.iter().map(|column| array(column, &rows)).collect();
    RecordBatch::try_new(table.schema(), columns?).map_err(|error| error.to_string())
}

fn array(column: &Column, rows: &[BTreeMap<&str, &str>]) -> Result<ArrayRef, String> {
    let texts = rows.iter().map(|row| row.get(column.name).copied().filter(|text| !text.is_empty()));
    let numbers = texts.clone().map(|text| match (text, column.kind) {
        (None, Kind::Day) => Ok(column.required.then_some(i64::from(SOME_DAY))),
        (None, _) => Ok(column.required.then_some(0)),
        // Cases say fen as the column does.
        (Some(text), Kind::Money) => {
            text.parse().map(Some).map_err(|_| format!("{}: {text} are no fen", column.name))
        }
        (Some(text), kind) => {
            load::number(kind, text).map(Some).ok_or_else(|| format!("{}: {text}", column.name))
        }
    });
    let small = |numbers: Vec<Option<i64>>| -> Vec<Option<i32>> {
        numbers.into_iter().map(|number| number.and_then(|number| i32::try_from(number).ok())).collect()
    };
    Ok(match column.kind {
        Kind::Id | Kind::Text => {
            let texts = texts.map(|text| text.or(column.required.then_some("-")));
            Arc::new(texts.collect::<StringArray>())
        }
        Kind::Day => Arc::new(Date32Array::from(small(numbers.collect::<Result<_, _>>()?))),
        Kind::Moment => Arc::new(TimestampMillisecondArray::from(numbers.collect::<Result<Vec<_>, _>>()?)),
        Kind::Money => Arc::new(Int64Array::from(numbers.collect::<Result<Vec<_>, _>>()?)),
        Kind::Count => Arc::new(Int32Array::from(small(numbers.collect::<Result<_, _>>()?))),
    })
}
