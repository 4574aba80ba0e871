//! Rules as data: each is a file that says what it looks for, why, by which SQL, and on which rows it must fire.
//!
//! ```text
//!   rules/*.toml ──read──► Rule ──sql::check──► one SELECT over known tables ──fill──► SQL with its parameters
//!                            └── [[test]]: rows in, subjects out
//! ```
//! The SQL gives one row for each row that proves something. Columns named in `subject` say what the lead is about: rows
//! of one subject are one lead. `row_id`, `begndate`, `enddate`, `seen` (when it could first be known) and `amount_fen`
//! are always there; `psn_no`, `certno_hash`, `fixmedins_code`, `dr_code` and `mdtrt_id` become the lead's own columns
//! where they are.
//!
//! Joins run in the order they are written in: the few keys a WITH has gathered stand first, so that they are what is looked
//! up and the table only passes by (half the time, measured on `pharmacy-frequent`).
//!
//! A difference of two days of one table stands within GREATEST: DataFusion 55 estimates a filter's rows with it alone as
//! a duration and fails.

pub mod cases;
mod embedded;
pub mod sql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::base::files::{FileError, read_at_most};
use crate::platform::leads::RuleSaid;
use crate::platform::screening::tables::{self, Table};

/// Columns every rule's SQL gives.
pub const ALWAYS: [&str; 5] = ["row_id", "begndate", "enddate", "seen", "amount_fen"];
/// Of one rule's file.
const MOST_BYTES: u64 = 256 * 1024;
const MOST_RULES: usize = 200;

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot list the folder of rules {path}: {cause}")]
    Folder { path: PathBuf, cause: std::io::Error },
    #[error("{file}: {complaint}")]
    Unreadable { file: String, complaint: String },
    #[error("{file}, line {line}: {reason}")]
    Refused { file: String, line: usize, reason: String },
    #[error("{0} has no rules: a rule is a file ending in .toml")]
    None(PathBuf),
    #[error("there are more than {MOST_RULES} rules in {0}")]
    TooMany(PathBuf),
    #[error("there is no rule {0}; rules are {1}")]
    Unknown(String, String),
    #[error("rule {rule}: {parameter} is {value}, and must be between {min} and {max}")]
    Range { rule: String, parameter: String, value: f64, min: f64, max: f64 },
    #[error("rule {rule} has no parameter {parameter}; it has {known}")]
    NoParameter { rule: String, parameter: String, known: String },
}

/// A number a rule can be tuned by.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub default: f64,
    pub min: f64,
    pub max: f64,
    pub unit: String,
    pub zh: String,
    pub en: String,
    /// Set by whoever runs it; the default otherwise.
    #[serde(skip)]
    pub value: Option<f64>,
}

/// Which parameter people's answers tune, and the column it is compared with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    pub parameter: String,
    pub column: String,
    /// A higher value finds less.
    pub up: bool,
}

/// Rows in, subjects out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// By table: a heading and rows, separated by commas; columns left out are empty or nought.
    pub rows: BTreeMap<String, Vec<String>>,
    /// Subjects that must be found, their columns joined by `|`; no others may be.
    pub hits: Vec<String>,
}

/// How a rule is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// No lead of it crosses the end of a month: it runs over a few months at a time, and memory stays theirs.
    Month,
}

/// How much of the past a run over one new day needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// Days before the new one.
    pub window_days: i32,
    /// Columns the rule joins and groups by, which every table with a day has: only rows of keys that the new day names are
    /// looked at. None: all rows of the window are.
    #[serde(default)]
    pub key: Vec<String>,
    /// Tables of which only the new day's own rows add anything.
    #[serde(default)]
    pub new_rows_of: BTreeSet<String>,
}

/// What stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    version: i64,
    severity: i64,
    title_zh: String,
    title_en: String,
    explanation_zh: String,
    explanation_en: String,
    article: String,
    claim_zh: String,
    claim_en: String,
    subject: Vec<String>,
    fields: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    tuned: Option<Tuned>,
    slice: Option<Slice>,
    incremental: Option<Incremental>,
    sql: Spanned<String>,
    #[serde(default, rename = "test")]
    tests: Vec<Case>,
}

/// A rule that may run.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub version: i64,
    /// 1 to 3.
    pub severity: i64,
    pub title: (String, String),
    pub explanation: (String, String),
    pub article: String,
    pub claim: (String, String),
    pub subject: Vec<String>,
    pub fields: Vec<String>,
    pub parameters: BTreeMap<String, Parameter>,
    pub tuned: Option<Tuned>,
    pub slice: Option<Slice>,
    pub incremental: Option<Incremental>,
    pub tests: Vec<Case>,
    /// Tables its SQL reads.
    pub tables: BTreeSet<String>,
    sql: String,
}

/// The rules that come with the program, or those of a folder, by id.
///
/// # Errors
/// [`RuleError`] of the first rule that must not run.
pub fn read(folder: Option<&Path>) -> Result<Vec<Rule>, RuleError> {
    let mut rules = match folder {
        None => {
            embedded::FILES.iter().map(|(file, text)| parse(file, text)).collect::<Result<Vec<_>, _>>()?
        }
        Some(folder) => of_folder(folder)?,
    };
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let complaint = format!("two rules have the id {}", pair[0].id);
        return Err(RuleError::Unreadable { file: pair[0].id.clone(), complaint });
    }
    Ok(rules)
}

fn of_folder(folder: &Path) -> Result<Vec<Rule>, RuleError> {
    let failed = |cause| RuleError::Folder { path: folder.to_owned(), cause };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(RuleError::None(folder.to_owned()));
    }
    if files.len() > MOST_RULES {
        return Err(RuleError::TooMany(folder.to_owned()));
    }
    files
        .iter()
        .map(|path| {
            let file = path.display().to_string();
            let text = String::from_utf8(read_at_most(path, MOST_BYTES)?).map_err(|error| {
                RuleError::Unreadable { file: file.clone(), complaint: error.to_string() }
            })?;
            parse(&file, &text)
        })
        .collect()
}

/// Reads one rule.
///
/// # Errors
/// [`RuleError`] with the line, also for SQL that is no single SELECT over known tables.
pub fn parse(file: &str, text: &str) -> Result<Rule, RuleError> {
    let raw: Raw = toml::from_str(text)
        .map_err(|error| RuleError::Unreadable { file: file.to_owned(), complaint: error.to_string() })?;
    let first_line = text[..raw.sql.span().start].matches('\n').count() + 1;
    // A text between """ begins on the line after them.
    let first_line = first_line + usize::from(text[raw.sql.span().start..].starts_with("\"\"\"\n"));
    let refused = |line: usize, reason: String| RuleError::Refused { file: file.to_owned(), line, reason };
    let sql = raw.sql.into_inner();
    let checked =
        sql::check(&sql).map_err(|no| refused(first_line + no.line.saturating_sub(1), no.reason))?;
    let rule = Rule {
        id: raw.id,
        version: raw.version,
        severity: raw.severity,
        title: (raw.title_zh, raw.title_en),
        explanation: (raw.explanation_zh, raw.explanation_en),
        article: raw.article,
        claim: (raw.claim_zh, raw.claim_en),
        subject: raw.subject,
        fields: raw.fields,
        parameters: raw.parameters,
        tuned: raw.tuned,
        slice: raw.slice,
        incremental: raw.incremental,
        tests: raw.tests,
        tables: checked.tables,
        sql,
    };
    check(&rule, &checked.parameters).map_err(|reason| refused(1, reason))?;
    Ok(rule)
}

fn check(rule: &Rule, named: &BTreeSet<String>) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if !is_name(&rule.id) || rule.id.len() > 60 {
        return Err(format!("the id {:?} must be lower-case letters, digits and hyphens", rule.id));
    }
    if !(1..=3).contains(&rule.severity) {
        return Err("severity must be 1, 2 or 3".to_owned());
    }
    if rule.subject.is_empty() {
        return Err("subject names no column: what is a lead about?".to_owned());
    }
    if let Some(name) = named.iter().find(|name| !rule.parameters.contains_key(*name)) {
        return Err(format!("the SQL has ${name}, which is not among the parameters"));
    }
    if let Some(name) = rule.parameters.keys().find(|name| !named.contains(*name)) {
        return Err(format!("the parameter {name} is not in the SQL as ${name}"));
    }
    for (name, parameter) in &rule.parameters {
        if !(parameter.min <= parameter.default && parameter.default <= parameter.max) {
            return Err(format!("the default of {name} is not between its min and max"));
        }
    }
    check_incremental(rule)?;
    if let Some(tuned) = rule.tuned.as_ref().filter(|tuned| !rule.parameters.contains_key(&tuned.parameter)) {
        return Err(format!("tuned names {}, which is no parameter", tuned.parameter));
    }
    Ok(())
}

fn check_incremental(rule: &Rule) -> Result<(), String> {
    let Some(incremental) = &rule.incremental else { return Ok(()) };
    for name in &incremental.key {
        let lacks = |table: &Table| table.day.is_some() && table.place(name).is_none();
        if let Some((table, _)) = tables::read_by(&rule.tables).find(|(table, _)| lacks(table)) {
            return Err(format!("the key {name} of incremental is no column of {}", table.name));
        }
    }
    let is_read = |name: &str| tables::read_by(&rule.tables).any(|(table, _)| table.name == name);
    match incremental.new_rows_of.iter().find(|name| !is_read(name)) {
        Some(name) => Err(format!("new_rows_of names {name}, which the SQL does not read")),
        None => Ok(()),
    }
}

/// Some of the rules, with parameters as somebody wants them (`RULE.PARAMETER=VALUE`); all of them for no names.
///
/// # Errors
/// [`RuleError`] for names that are not there and values out of range.
pub fn choose(
    rules: Vec<Rule>,
    names: &[String],
    values: &[(String, String, f64)],
) -> Result<Vec<Rule>, RuleError> {
    let known = || rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>().join(", ");
    let asked = names.iter().chain(values.iter().map(|(rule, _, _)| rule));
    for name in asked {
        if !rules.iter().any(|rule| rule.id == *name) {
            return Err(RuleError::Unknown(name.clone(), known()));
        }
    }
    let mut rules: Vec<Rule> =
        rules.into_iter().filter(|rule| names.is_empty() || names.contains(&rule.id)).collect();
    for rule in &mut rules {
        for (id, name, value) in values {
            if *id == rule.id {
                rule.set(name, *value)?;
            }
        }
    }
    Ok(rules)
}

impl Rule {
    /// Sets a parameter.
    ///
    /// # Errors
    /// [`RuleError::NoParameter`], [`RuleError::Range`].
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), RuleError> {
        let known = self.parameters.keys().cloned().collect::<Vec<_>>().join(", ");
        let parameter = self.parameters.get_mut(name).ok_or_else(|| RuleError::NoParameter {
            rule: self.id.clone(),
            parameter: name.to_owned(),
            known,
        })?;
        let (min, max) = (parameter.min, parameter.max);
        if !(min <= value && value <= max) {
            let (rule, parameter) = (self.id.clone(), name.to_owned());
            return Err(RuleError::Range { rule, parameter, value, min, max });
        }
        parameter.value = Some(value);
        Ok(())
    }

    /// The SQL with its parameters as numbers: what runs, here and elsewhere.
    pub fn sql(&self) -> String {
        let values = self
            .parameters
            .iter()
            .map(|(name, parameter)| (name.as_str(), parameter.value.unwrap_or(parameter.default)));
        sql::fill(&self.sql, &values.collect())
    }

    /// As it is written into the platform's database.
    pub fn said(&self) -> RuleSaid {
        let parameters = self.parameters.iter().map(|(name, parameter)| {
            serde_json::json!({
                "name": name, "value": parameter.value.unwrap_or(parameter.default), "default": parameter.default,
                "min": parameter.min, "max": parameter.max, "unit": parameter.unit,
                "zh": parameter.zh, "en": parameter.en,
            })
        });
        RuleSaid {
            rule: self.id.clone(),
            version: self.version,
            severity: self.severity,
            title: self.title.clone(),
            explanation: self.explanation.clone(),
            article: self.article.clone(),
            parameters: parameters.collect(),
            tuned: self.tuned.as_ref().map(|tuned| tuned.parameter.clone()),
            tuned_up: self.tuned.as_ref().is_some_and(|tuned| tuned.up),
        }
    }
}

#[cfg(test)]
mod tests;
