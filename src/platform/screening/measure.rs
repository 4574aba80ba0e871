//! Recall and precision of each rule against what was planted, with Wilson's 95 % intervals.
//!
//! A planted case is found when a lead of its rule shows one of its rows. A lead is right when at least half of the rows
//! it shows belong to planted cases, of whichever kind: a nursing home emptied on one doctor's name is found by the rule of
//! doctors, too, and rightly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::platform::leads::{Interval, NewLead, wilson};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error("cannot read {path}: {cause}; it is the truth.csv that `screening generate` wrote")]
    Truth { path: PathBuf, cause: csv::Error },
}

/// What was planted.
#[derive(Debug, Default)]
pub struct Truth {
    /// Cases by row: a row may be in several.
    rows: BTreeMap<String, Vec<u32>>,
    /// Cases of each rule.
    cases: BTreeMap<String, BTreeSet<u32>>,
}

#[derive(serde::Deserialize)]
struct Line {
    case: u32,
    rule: String,
    row: String,
}

impl Truth {
    /// Reads `case,rule,row`.
    ///
    /// # Errors
    /// [`MeasureError::Truth`].
    pub fn read(path: &Path) -> Result<Truth, MeasureError> {
        let failed = |cause| MeasureError::Truth { path: path.to_owned(), cause };
        let mut truth = Truth::default();
        for line in csv::Reader::from_path(path).map_err(failed)?.deserialize() {
            let line: Line = line.map_err(failed)?;
            truth.rows.entry(line.row).or_default().push(line.case);
            truth.cases.entry(line.rule).or_default().insert(line.case);
        }
        Ok(truth)
    }
}

/// How well one rule did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    pub rule: String,
    /// Planted cases, and those found.
    pub recall: Interval,
    /// Leads, and those that are right.
    pub precision: Interval,
}

/// Measures the leads of one rule.
pub fn measure(truth: &Truth, rule: &str, leads: &[NewLead]) -> Measured {
    let none = BTreeSet::new();
    let wanted = truth.cases.get(rule).unwrap_or(&none);
    let (mut found, mut right) = (BTreeSet::new(), 0);
    for lead in leads {
        let shown: Vec<Vec<u32>> = rows(lead).map(|ids| cases(truth, &ids)).collect();
        found.extend(shown.iter().flatten().filter(|case| wanted.contains(case)).copied());
        let planted = shown.iter().filter(|cases| !cases.is_empty()).count();
        right += u64::from(planted * 2 >= shown.len() && planted > 0);
    }
    Measured {
        rule: rule.to_owned(),
        recall: wilson(found.len() as u64, wanted.len() as u64),
        precision: wilson(right, leads.len() as u64),
    }
}

/// The ids of each row a lead shows: its own and the one it is held against.
fn rows(lead: &NewLead) -> impl Iterator<Item = Vec<&str>> {
    let rows = lead.proof.as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().map(|row| ["row_id", "row_id2"].iter().filter_map(|name| row.get(*name)?.as_str()).collect())
}

fn cases(truth: &Truth, ids: &[&str]) -> Vec<u32> {
    ids.iter().filter_map(|id| truth.rows.get(*id)).flatten().copied().collect()
}
