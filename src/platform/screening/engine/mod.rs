//! The engine: every rule over the data folder, its rows gathered into leads.
//!
//! ```text
//!   parts of the folder ──register──► session (2 partitions, bounded memory, spills) ──SQL of a rule──► rows
//!                                                                               gather: one lead per subject ◄┘
//! ```
//! A rule that says `slice = "month"` runs once for each month, so that its memory is that of a month. A run `--since` a
//! day reads the months a rule's window reaches into and keeps the leads that a row of that day or later is part of.

#[cfg(feature = "cluster")]
pub mod cluster;
mod gather;
pub mod session;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;
use futures_util::StreamExt;
use serde::Serialize;

use crate::base::clock::Clock;
use crate::platform::leads::NewLead;
use crate::platform::screening::folder::{Folder, FolderError, Part, month_of};
use crate::platform::screening::rules::{Rule, Slice};
use crate::platform::screening::tables;

pub use gather::{Gather, MOST_LEADS, MOST_PROOF};
pub use session::{Limits, session};

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
    let months = match (extent.since, rule.incremental) {
        (None, _) => None,
        (Some(since), Some(incremental)) => Some(month_of(since - incremental.window_days)),
        (Some(_), None) => {
            ran.skipped = Some("needs everything: it runs without --since");
            return Ok((ran, Vec::new()));
        }
    };
    let is_wanted = |part: &&Part| {
        let is_read = rule.tables.iter().any(|table| reads(table, &part.table));
        is_read && (part.month == "all" || months.as_ref().is_none_or(|from| part.month >= *from))
    };
    let wanted: Vec<&Part> = parts.iter().filter(is_wanted).collect();
    ran.rows = wanted.iter().map(|part| part.rows).sum();
    let mut gather = Gather::new(rule, extent.since);
    for slice in slices(rule, &wanted) {
        let context =
            session(limits, &folder.spill()).map_err(|cause| EngineError::Session(Box::new(cause)))?;
        let failed = |cause| EngineError::Rule { rule: rule.id.clone(), cause: Box::new(cause) };
        session::register(&context, folder, &slice).await.map_err(failed)?;
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

/// Whether the table of a rule is made of parts of this one.
fn reads(table: &str, part: &str) -> bool {
    table == part || (table == tables::SETTLEMENT.name && tables::CLASSES.contains(&part))
}

/// The pieces a rule runs over: everything, or month by month with the lists in each.
fn slices<'p>(rule: &Rule, parts: &[&'p Part]) -> Vec<Vec<&'p Part>> {
    if rule.slice != Some(Slice::Month) {
        return vec![parts.to_vec()];
    }
    let months: BTreeSet<&str> =
        parts.iter().map(|part| part.month.as_str()).filter(|month| *month != "all").collect();
    months
        .into_iter()
        .map(|month| {
            parts.iter().copied().filter(|part| part.month == month || part.month == "all").collect()
        })
        .collect()
}

/// Rows of each table in the folder.
pub fn counted(parts: &[Part]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for part in parts {
        *rows.entry(part.table.clone()).or_default() += part.rows;
    }
    rows
}
