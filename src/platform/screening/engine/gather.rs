//! Rows of a rule into leads: one for each subject, with its first proving rows, its money and its words.

use std::collections::BTreeMap;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema};
use serde_json::{Map, Value};

use crate::base::files::sha256_hex;
use crate::platform::leads::NewLead;
use crate::platform::score::DayNumber;
use crate::platform::screening::engine::EngineError;
use crate::platform::screening::rules::{ALWAYS, Rule};
use crate::platform::screening::yuan;

/// Leads kept of one rule: one that fires oftener is no lead to anything.
pub const MOST_LEADS: usize = 50_000;
/// Proving rows kept of one lead.
pub const MOST_PROOF: usize = 20;
/// Hexadecimal digits of a lead's id.
const ID_DIGITS: usize = 32;

/// Rows of one subject so far.
struct Subject {
    first: Map<String, Value>,
    /// By their ids, of which the first are kept: the same ones in whatever order rows come.
    proof: BTreeMap<String, Map<String, Value>>,
    rows: i64,
    amount_fen: i64,
    begin: i64,
    end: i64,
    /// A row of the day that is run over, or of a later one, is among them.
    is_touched: bool,
}

/// Gathers the rows of one rule.
pub struct Gather<'r> {
    rule: &'r Rule,
    since: Option<i64>,
    subjects: BTreeMap<String, Subject>,
    cut: bool,
}

impl<'r> Gather<'r> {
    pub fn new(rule: &'r Rule, since: Option<i32>) -> Gather<'r> {
        Gather { rule, since: since.map(i64::from), subjects: BTreeMap::new(), cut: false }
    }

    /// Whether the SQL gives what leads are made of.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`].
    pub fn begin(&self, schema: &Schema) -> Result<(), EngineError> {
        let rule = self.rule;
        let tuned = rule.tuned.as_ref().map(|tuned| tuned.column.as_str());
        let wanted = ALWAYS
            .into_iter()
            .chain(rule.subject.iter().chain(&rule.fields).map(String::as_str))
            .chain(tuned);
        for column in wanted {
            if schema.column_with_name(column).is_none() {
                return Err(EngineError::NoColumn { rule: rule.id.clone(), column: column.to_owned() });
            }
        }
        Ok(())
    }

    /// Takes some rows.
    ///
    /// # Errors
    /// [`EngineError::Column`] for a column that cannot be shown.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        let schema = batch.schema();
        let columns = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| Ok((field.name().clone(), self.shown(field.name(), array)?)))
            .collect::<Result<Vec<_>, EngineError>>()?;
        for row in 0..batch.num_rows() {
            let cells: Map<String, Value> =
                columns.iter().map(|(name, column)| (name.clone(), column.value(row))).collect();
            self.row(cells);
        }
        Ok(())
    }

    fn shown(&self, name: &str, array: &ArrayRef) -> Result<Shown, EngineError> {
        let kind = array.data_type();
        let refused = |found: String| EngineError::Column {
            rule: self.rule.id.clone(),
            column: name.to_owned(),
            found,
            remedy: "a column is text, a day, a time or a number: CAST it",
        };
        let is_text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let is_broken = matches!(kind, DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, _));
        let to = |kind: &DataType| cast(array, kind).map_err(|error| refused(error.to_string()));
        if is_text || matches!(kind, DataType::Timestamp(_, _)) {
            Ok(Shown::Text(to(&DataType::Utf8)?.as_string::<i32>().clone()))
        } else if *kind == DataType::Date32 {
            Ok(Shown::Day(array.as_primitive::<Date32Type>().clone()))
        } else if is_broken {
            Ok(Shown::Broken(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone()))
        } else if kind.is_integer() {
            Ok(Shown::Whole(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()))
        } else {
            Err(refused(kind.to_string()))
        }
    }

    fn row(&mut self, cells: Map<String, Value>) {
        let key: Vec<String> = self.rule.subject.iter().map(|name| words(cells.get(name))).collect();
        let key = key.join("|");
        if !self.subjects.contains_key(&key) && self.subjects.len() >= MOST_LEADS {
            self.cut = true;
            return;
        }
        let day = |name: &str| cells.get(name).and_then(Value::as_str).and_then(day_number);
        let (begin, end, seen) = (day("begndate"), day("enddate"), day("seen"));
        let amount = cells.get("amount_fen").and_then(Value::as_f64).unwrap_or(0.0) as i64;
        let is_touched = self.since.is_none_or(|since| seen.is_some_and(|seen| seen >= since));
        let id = words(cells.get("row_id"));
        let subject = self.subjects.entry(key).or_insert_with(|| Subject {
            first: cells.clone(),
            proof: BTreeMap::new(),
            rows: 0,
            amount_fen: 0,
            begin: i64::MAX,
            end: i64::MIN,
            is_touched: false,
        });
        subject.rows += 1;
        subject.amount_fen = subject.amount_fen.saturating_add(amount);
        subject.begin = subject.begin.min(begin.unwrap_or(i64::MAX));
        subject.end = subject.end.max(end.or(begin).unwrap_or(i64::MIN));
        subject.is_touched |= is_touched;
        if subject.proof.first_key_value().is_none_or(|(first, _)| id < *first) {
            subject.first = cells.clone();
        }
        subject.proof.insert(id, cells);
        if subject.proof.len() > MOST_PROOF {
            subject.proof.pop_last();
        }
    }

    /// The leads by id, and whether there were more.
    pub fn finish(self) -> (Vec<NewLead>, bool) {
        let rule = self.rule;
        let touched = self.subjects.into_iter().filter(|(_, subject)| subject.is_touched);
        (touched.map(|(key, subject)| lead(rule, &key, subject)).collect(), self.cut)
    }
}

/// A column as cells are read from it.
enum Shown {
    Text(StringArray),
    Day(Date32Array),
    Whole(Int64Array),
    Broken(Float64Array),
}

impl Shown {
    fn value(&self, row: usize) -> Value {
        match self {
            Shown::Text(array) if array.is_valid(row) => array.value(row).into(),
            Shown::Whole(array) if array.is_valid(row) => array.value(row).into(),
            Shown::Broken(array) if array.is_valid(row) => array.value(row).into(),
            Shown::Day(array) if array.is_valid(row) => {
                let date = DayNumber(i64::from(array.value(row))).date();
                date.map_or(Value::Null, |date| date.to_string().into())
            }
            Shown::Text(_) | Shown::Whole(_) | Shown::Broken(_) | Shown::Day(_) => Value::Null,
        }
    }
}

fn day_number(text: &str) -> Option<i64> {
    text.get(..10)?.parse().ok().and_then(DayNumber::on).map(|day| day.0)
}

fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn lead(rule: &Rule, key: &str, subject: Subject) -> NewLead {
    let cell = |name: &str| subject.first.get(name).filter(|value| !value.is_null());
    let text = |name: &str| cell(name).map(|value| words(Some(value)));
    let some = |names: &[String]| -> Value {
        let cells = names.iter().map(|name| (name.clone(), cell(name).cloned().unwrap_or_default()));
        Value::Object(cells.collect())
    };
    let claim = |template: &str| {
        let mut claim = template.to_owned();
        for (name, value) in &subject.first {
            claim = claim.replace(&format!("{{{name}}}"), &words(Some(value)));
        }
        claim.replace("{rows}", &subject.rows.to_string()).replace("{yuan}", &yuan(subject.amount_fen))
    };
    let begin = if subject.begin == i64::MAX { 0 } else { subject.begin };
    NewLead {
        id: sha256_hex(format!("lead v1|{}|{key}", rule.id).as_bytes())[..ID_DIGITS].to_owned(),
        rule: rule.id.clone(),
        rule_version: rule.version,
        severity: rule.severity,
        priority: priority(rule.severity, subject.amount_fen),
        institution: text("fixmedins_code"),
        psn_no: text("psn_no"),
        certno_hash: text("certno_hash"),
        dr_code: text("dr_code"),
        mdtrt_id: text("mdtrt_id"),
        begin_day: begin,
        end_day: subject.end.max(begin),
        amount_fen: subject.amount_fen,
        proving_rows: subject.rows,
        measure: rule.tuned.as_ref().and_then(|tuned| cell(&tuned.column)?.as_f64()),
        subject: some(&rule.subject),
        claim_zh: claim(&rule.claim.0),
        claim_en: claim(&rule.claim.1),
        fields: some(&rule.fields),
        proof: subject.proof.into_values().map(Value::Object).collect(),
    }
}

/// 0 to 100: severity first, then the order of magnitude of the money. Chosen by feel, until answers say better.
fn priority(severity: i64, amount_fen: i64) -> i64 {
    let magnitude = (amount_fen.max(0) as f64 / 100.0 + 1.0).log10() * 5.0;
    (severity * 25 + magnitude as i64).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_priority_are_as_people_read_them() {
        assert_eq!((yuan(123_456), yuan(5)), ("1234.56".to_owned(), "0.05".to_owned()));
        assert!(priority(3, 0) > priority(2, 1_000_000) && priority(3, i64::MAX) == 100);
        assert_eq!(day_number("1970-01-02"), Some(1));
    }
}
