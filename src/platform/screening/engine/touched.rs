//! What a new day touches: the days a rule's window reaches into, and of them the rows of whom the new day names.
//!
//! ```text
//!   rows of the new day ──keys (psn_no, a bed, …)──► touched ──semi-join──► every table of the rule that has them
//! ```
//! A rule that names a `key` joins and groups by it: rows of other keys cannot be part of a lead the new day adds to.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::MemTable;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::JoinType;
use datafusion::prelude::{Expr, SessionContext, cast, col, lit};

use crate::platform::screening::engine::session;
use crate::platform::screening::rules::{Incremental, Rule};
use crate::platform::screening::tables::{self, SETTLEMENT, Table};

/// Columns of the keys, so that no name is there twice after the join.
const PREFIX: &str = "touched_";

/// Leaves of every table what a run since that day needs. It comes after [`session::register`].
///
/// # Errors
/// What DataFusion says.
pub async fn narrow(
    context: &SessionContext,
    rule: &Rule,
    (since, incremental): (i32, &Incremental),
    limits: &session::Limits,
) -> Result<(), DataFusionError> {
    let keys = match limits.scheduler {
        None => touched_keys(context, rule, (since, incremental)).await?,
        // A plan that leaves this process cannot take a table in its memory along.
        Some(_) => None,
    };
    let here: Vec<&str> = incremental.key.iter().map(String::as_str).collect();
    let there: Vec<String> = incremental.key.iter().map(|key| format!("{PREFIX}{key}")).collect();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    for (table, name) in tables::read_by(&rule.tables) {
        let mut frame = context.table(&name).await?;
        if let Some(day) = table.day {
            let window =
                if incremental.new_rows_of.contains(table.name) { 0 } else { incremental.window_days };
            frame = frame.filter(col(day).gt_eq(day_literal(since - window)))?;
        }
        if let Some(keys) = keys.as_ref().filter(|_| has(table, &incremental.key)) {
            frame = frame.join(keys.clone(), JoinType::LeftSemi, &here, &there, None)?;
        }
        context.deregister_table(&name)?;
        context.register_table(&name, frame.into_view())?;
    }
    context.deregister_table(SETTLEMENT.name)?;
    session::register_settlement(context).await
}

/// The keys of the new day's rows, in memory.
async fn touched_keys(
    context: &SessionContext,
    rule: &Rule,
    (since, incremental): (i32, &Incremental),
) -> Result<Option<DataFrame>, DataFusionError> {
    let mut whole: Option<DataFrame> = None;
    for (table, name) in tables::read_by(&rule.tables) {
        let Some(day) = table.day.filter(|_| has(table, &incremental.key)) else { continue };
        let columns: Vec<Expr> = incremental
            .key
            .iter()
            // One type, whatever each file's own is.
            .map(|key| cast(col(key), DataType::Utf8View).alias(format!("{PREFIX}{key}")))
            .collect();
        let keys = context.table(&name).await?.filter(col(day).gt_eq(day_literal(since)))?.select(columns)?;
        whole = Some(whole.map_or(Ok(keys.clone()), |whole| whole.union(keys))?);
    }
    let Some(whole) = whole else { return Ok(None) };
    let whole = whole.distinct()?;
    let schema = Arc::new(whole.schema().as_arrow().clone());
    let table = MemTable::try_new(schema, vec![whole.collect().await?])?;
    Ok(Some(context.read_table(Arc::new(table))?))
}

fn day_literal(day: i32) -> Expr {
    lit(ScalarValue::Date32(Some(day)))
}

fn has(table: &Table, key: &[String]) -> bool {
    !key.is_empty() && key.iter().all(|name| table.place(name).is_some())
}
