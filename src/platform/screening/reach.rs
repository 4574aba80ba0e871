//! Who has to do with whom, as far as the leads reach: computed once after a full run, so that the page that shows it needs
//! no engine (`platform::association`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures_util::StreamExt;

use crate::platform::association::{Kind, Node, Pair};
use crate::platform::leads::NewLead;
use crate::platform::screening::engine::{EngineError, Limits, session};
use crate::platform::screening::folder::{Folder, Part};

/// People, doctors and institutions that are reached from, each.
const MOST_NODES: usize = 50_000;
/// Pairs in all.
const MOST_PAIRS: usize = 1_000_000;

/// Pairs and names.
#[derive(Debug, Default)]
pub struct Reach {
    pub pairs: Vec<Pair>,
    pub names: Vec<(Node, String)>,
}

/// Visits and fen of each pair so far.
type Sums = BTreeMap<(Node, Node), (i64, i64)>;

/// Adds up what lies beside everybody a lead is about.
///
/// # Errors
/// [`EngineError`].
pub async fn reach(
    folder: &Folder,
    parts: &[Part],
    leads: &[NewLead],
    limits: &Limits,
) -> Result<Reach, EngineError> {
    let failed = |cause| EngineError::Session(Box::new(cause));
    let context = session::session(limits, &folder.spill()).map_err(failed)?;
    session::register(&context, folder, &parts.iter().collect::<Vec<_>>()).await.map_err(failed)?;
    read(&context, leads).await.map_err(failed)
}

/// `psn_no` of stays, where a list of the insurer has them.
///
/// # Errors
/// [`EngineError`].
pub async fn people(
    folder: &Folder,
    parts: &[Part],
    stays: &BTreeSet<&str>,
    limits: &Limits,
) -> Result<BTreeMap<String, String>, EngineError> {
    let failed = |cause| EngineError::Session(Box::new(cause));
    let context = session::session(limits, &folder.spill()).map_err(failed)?;
    session::register(&context, folder, &parts.iter().collect::<Vec<_>>()).await.map_err(failed)?;
    name(&context, "wanted", stays.iter().copied()).map_err(failed)?;
    let mut people = BTreeMap::new();
    for table in ["admission", "settlement"] {
        let sql = format!(
            "SELECT x.mdtrt_id, x.psn_no, 0 AS visits, 0 AS fen FROM {table} x JOIN wanted w ON w.id = x.mdtrt_id"
        );
        each(&context, &sql, |texts, _| {
            people.insert(texts[0].to_owned(), texts[1].to_owned());
        })
        .await
        .map_err(failed)?;
    }
    Ok(people)
}

/// A table of ids.
fn name<'i>(
    context: &SessionContext,
    table: &str,
    ids: impl Iterator<Item = &'i str>,
) -> Result<(), DataFusionError> {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
    let batch = RecordBatch::try_from_iter([("id", column)])?;
    context.register_table(table, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))?;
    Ok(())
}

/// What lies beside doctors, institutions and patients that are reached.
const PAIRS: [(Kind, Kind, &str); 4] = [
    (
        Kind::Institution,
        Kind::Doctor,
        "SELECT s.fixmedins_code, s.dr_code, count(*), sum(s.medfee_sumamt_fen)
         FROM inpatient s JOIN reached_doctors r ON r.id = s.dr_code GROUP BY s.fixmedins_code, s.dr_code",
    ),
    (
        Kind::Institution,
        Kind::Fund,
        "SELECT s.fixmedins_code, s.insutype, count(*), sum(s.fund_pay_sumamt_fen)
         FROM settlement s JOIN reached_houses r ON r.id = s.fixmedins_code GROUP BY s.fixmedins_code, s.insutype",
    ),
    (
        Kind::Patient,
        Kind::NursingHome,
        "SELECT p.psn_no, p.nursing_home_code, count(*), sum(0) FROM person p
         JOIN reached_people r ON r.id = p.psn_no WHERE p.nursing_home_code IS NOT NULL
         GROUP BY p.psn_no, p.nursing_home_code",
    ),
    (
        Kind::Institution,
        Kind::NursingHome,
        "SELECT s.fixmedins_code, p.nursing_home_code, count(*), sum(s.medfee_sumamt_fen)
         FROM inpatient s JOIN person p ON p.psn_no = s.psn_no
         JOIN reached_houses r ON r.id = s.fixmedins_code WHERE p.nursing_home_code IS NOT NULL
         GROUP BY s.fixmedins_code, p.nursing_home_code",
    ),
];

async fn read(context: &SessionContext, leads: &[NewLead]) -> Result<Reach, DataFusionError> {
    let of = |pick: fn(&NewLead) -> Option<&String>| -> BTreeSet<&str> {
        leads.iter().filter_map(pick).map(String::as_str).take(MOST_NODES).collect()
    };
    let people = of(|lead| lead.psn_no.as_ref());
    let doctors = of(|lead| lead.dr_code.as_ref());
    let houses = of(|lead| lead.institution.as_ref());
    for (table, ids) in [("reached_people", people), ("reached_doctors", doctors), ("reached_houses", houses)]
    {
        name(context, table, ids.into_iter())?;
    }
    let mut sums = Sums::new();
    // A patient's visits with everybody at once: institution, doctor and fund.
    each(
        context,
        "SELECT s.psn_no, s.fixmedins_code, s.dr_code, s.insutype, count(*), sum(s.medfee_sumamt_fen)
         FROM settlement s JOIN reached_people r ON r.id = s.psn_no
         GROUP BY s.psn_no, s.fixmedins_code, s.dr_code, s.insutype",
        |texts, (visits, fen)| {
            let patient = node(Kind::Patient, texts[0]);
            for (kind, at) in [(Kind::Institution, 1), (Kind::Doctor, 2), (Kind::Fund, 3)] {
                add(&mut sums, (node(kind, texts[at]), patient.clone()), (visits, fen));
            }
        },
    )
    .await?;
    for (from, to, sql) in PAIRS {
        each(context, sql, |texts, counted| {
            add(&mut sums, (node(from, texts[0]), node(to, texts[1])), counted);
        })
        .await?;
    }
    let names = names(context, &sums).await?;
    let pairs =
        sums.into_iter().map(|((from, to), (visits, amount_fen))| Pair { from, to, visits, amount_fen });
    Ok(Reach { pairs: pairs.collect(), names })
}

fn node(kind: Kind, id: &str) -> Node {
    Node { kind, id: id.to_owned() }
}

fn add(sums: &mut Sums, pair: (Node, Node), (visits, fen): (i64, i64)) {
    if pair.0.id.is_empty() || pair.1.id.is_empty() || (sums.len() >= MOST_PAIRS && !sums.contains_key(&pair))
    {
        return;
    }
    let sum = sums.entry(pair).or_default();
    *sum = (sum.0 + visits, sum.1.saturating_add(fen));
}

async fn names(context: &SessionContext, sums: &Sums) -> Result<Vec<(Node, String)>, DataFusionError> {
    let nodes: BTreeSet<&Node> = sums.keys().flat_map(|(from, to)| [from, to]).collect();
    let mut names = Vec::new();
    for (kind, sql) in [
        (Kind::Institution, "SELECT fixmedins_code, fixmedins_name, 0 AS visits, 0 AS fen FROM institution"),
        (Kind::Doctor, "SELECT dr_code, dr_name, 0 AS visits, 0 AS fen FROM doctor"),
        (
            Kind::NursingHome,
            "SELECT nursing_home_code, nursing_home_name, 0 AS visits, 0 AS fen FROM nursing_home",
        ),
    ] {
        each(context, sql, |texts, _| {
            let node = node(kind, texts[0]);
            if nodes.contains(&node) {
                names.push((node, texts[1].to_owned()));
            }
        })
        .await?;
    }
    Ok(names)
}

/// Gives every row: its texts, empty ones where there is nothing, and its last two columns as numbers.
async fn each(
    context: &SessionContext,
    sql: &str,
    mut told: impl FnMut(&[&str], (i64, i64)),
) -> Result<(), DataFusionError> {
    let mut rows = context.sql_with_options(sql, session::options()).await?.execute_stream().await?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let (texts, numbers) = batch.columns().split_at(batch.num_columns() - 2);
        let as_kind = |arrays: &[ArrayRef], kind: &DataType| {
            arrays.iter().map(|array| cast(array, kind)).collect::<Result<Vec<_>, _>>()
        };
        let (texts, numbers) = (as_kind(texts, &DataType::Utf8)?, as_kind(numbers, &DataType::Int64)?);
        for row in 0..batch.num_rows() {
            let said: Vec<&str> = texts
                .iter()
                .map(|array| if array.is_null(row) { "" } else { array.as_string::<i32>().value(row) })
                .collect();
            let number = |at: usize| numbers[at].as_primitive::<Int64Type>().value(row);
            told(&said, (number(0), number(1)));
        }
    }
    Ok(())
}
