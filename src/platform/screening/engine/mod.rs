//! The engine: every rule over the data folder, its rows gathered into leads.
//!
//! ```text
//!   parts of the folder ──register──► session (2 partitions, bounded memory, spills) ──SQL of a rule──► rows
//!                                                                               gather: one lead per subject ◄┘
//! ```
//! A rule that says `slice = "month"` runs over a few months at a time, so that its memory is bounded. A run `--since` a day
//! reads the days a rule's window reaches into, of them the rows of whom the new day names (`touched`), and keeps the
//! leads that a row of that day or later is part of.

#[cfg(feature = "cluster")]
pub mod cluster;
mod gather;
pub mod session;
mod touched;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;
use futures_util::StreamExt;
use serde::Serialize;

use crate::base::clock::Clock;
use crate::platform::leads::NewLead;
use crate::platform::screening::folder::{Folder, FolderError, Part};
use crate::platform::screening::rules::{Rule, Slice};
use crate::platform::screening::tables;

pub use gather::{Gather, MOST_LEADS, MOST_PROOF};
pub use session::{Limits, session};

/// Rows of one piece of a rule that is cut into months: below it a join of stays with persons stays within the memory.
const SLICE_ROWS: u64 = 4_000_000;

/// Why a rule did not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("rule {rule}: {cause}")]
    Rule { rule: String, cause: Box<DataFusionError> },
    #[error("rule {rule}: its SQL gives no column {column}")]
    NoColumn { rule: String, column: String },
    #[error("rule {rule}: {column} is {found}; {remedy}")]
    Column { rule: String, column: String, found: String, remedy: &'static str },
    #[error("the engine cannot start: {0}")]
    Session(Box<DataFusionError>),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// How a rule ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ran {
    pub rule: String,
    pub leads: usize,
    /// More were found than are kept.
    pub cut: bool,
    /// Rows of the tables it reads.
    pub rows: u64,
    pub ms: u64,
    /// Why it was passed over in a run over one day.
    pub skipped: Option<&'static str>,
}

/// What a run is over.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// Days since 1970: only what this day or a later one adds.
    pub since: Option<i32>,
}

/// Runs one rule.
///
/// # Errors
/// [`EngineError`].
pub async fn run(
    folder: &Folder,
    parts: &[Part],
    rule: &Rule,
    extent: &Extent,
    limits: &Limits,
) -> Result<(Ran, Vec<NewLead>), EngineError> {
    let clock = Clock::system();
    let began = clock.now().mono;
    let mut ran = Ran { rule: rule.id.clone(), leads: 0, cut: false, rows: 0, ms: 0, skipped: None };
    let new_day = match (extent.since, &rule.incremental) {
        (None, _) => None,
        (Some(since), Some(incremental)) => Some((since, incremental)),
        (Some(_), None) => {
            ran.skipped = Some("needs everything: it runs without --since");
            return Ok((ran, Vec::new()));
        }
    };
    let read: BTreeSet<String> = tables::read_by(&rule.tables).map(|(_, folder)| folder).collect();
    let from = new_day.map(|(since, incremental)| since - incremental.window_days);
    let is_wanted = |part: &&Part| {
        let is_over = part.last_day.zip(from).is_some_and(|(last, from)| last < from);
        read.contains(&part.table) && !is_over
    };
    let wanted: Vec<&Part> = parts.iter().filter(is_wanted).collect();
    ran.rows = wanted.iter().map(|part| part.rows).sum();
    let mut gather = Gather::new(rule, extent.since);
    for slice in slices(rule, &wanted) {
        let context =
            session(limits, &folder.spill()).map_err(|cause| EngineError::Session(Box::new(cause)))?;
        let failed = |cause| EngineError::Rule { rule: rule.id.clone(), cause: Box::new(cause) };
        session::register(&context, folder, &slice).await.map_err(failed)?;
        if let Some(new_day) = new_day {
            touched::narrow(&context, rule, new_day, limits).await.map_err(failed)?;
        }
        let frame = context.sql_with_options(&rule.sql(), session::options()).await.map_err(failed)?;
        gather.begin(frame.schema().as_arrow())?;
        let mut stream = frame.execute_stream().await.map_err(failed)?;
        while let Some(batch) = stream.next().await {
            gather.take(&batch.map_err(failed)?)?;
        }
    }
    let (leads, cut) = gather.finish();
    (ran.leads, ran.cut) = (leads.len(), cut);
    ran.ms = clock.now().mono.0 - began.0;
    Ok((ran, leads))
}

/// The pieces a rule runs over: everything, or a few months at a time with the lists in each.
fn slices<'p>(rule: &Rule, parts: &[&'p Part]) -> Vec<Vec<&'p Part>> {
    if rule.slice != Some(Slice::Month) {
        return vec![parts.to_vec()];
    }
    let (lists, dated): (Vec<&Part>, Vec<&Part>) =
        parts.iter().copied().partition(|part| part.month == "all");
    let mut months: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    for part in dated {
        months.entry(&part.month).or_default().push(part);
    }
    let rows = |parts: &[&Part]| parts.iter().map(|part| part.rows).sum::<u64>();
    let mut slices: Vec<Vec<&Part>> = Vec::new();
    for month in months.into_values() {
        match slices.last_mut() {
            Some(last) if rows(last) + rows(&month) <= SLICE_ROWS => last.extend(month),
            _ => slices.push(month),
        }
    }
    for slice in &mut slices {
        slice.extend(&lists);
    }
    slices
}

/// Rows of each table in the folder.
pub fn counted(parts: &[Part]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for part in parts {
        *rows.entry(part.table.clone()).or_default() += part.rows;
    }
    rows
}
