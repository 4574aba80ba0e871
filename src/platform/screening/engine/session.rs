//! A session of DataFusion that can read the data folder and nothing else.
//!
//! No catalog but ours, no file by its path, no table functions, no statements that change anything: rules are checked
//! before (`rules::sql`), and what would slip through finds nothing here.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::platform::screening::folder::{Folder, Part};
use crate::platform::screening::tables::{self, CLASSES, SETTLEMENT};

/// What a join looks up is shared by the cores up to this, and cut between them above it.
const SHARED_BYTES: usize = 1024 * 1024 * 1024;
const SHARED_ROWS: usize = 16_000_000;
/// Consumers named when memory ends.
const NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// What a run may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of what the engine accounts for; some hundred MiB of reading come on top.
    pub memory_bytes: usize,
    pub partitions: usize,
    /// `http://HOST:PORT` of a scheduler whose executors do the work (feature `cluster`).
    pub scheduler: Option<String>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: 3 * 1024 * 1024 * 1024, partitions: 2, scheduler: None }
    }
}

impl Limits {
    /// The same in this process: for questions about ids it holds in its memory, which no scheduler can be given.
    pub fn here(&self) -> Limits {
        Limits { scheduler: None, ..self.clone() }
    }
}

/// A session with nothing in it.
///
/// # Errors
/// What DataFusion says, as when the spill folder cannot be used.
pub fn session(limits: &Limits, spill: &Path) -> Result<SessionContext, DataFusionError> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(limits.memory_bytes), NAMED);
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_temp_file_path(spill).build_arc()?;
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.partitions)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    // Row by row, a filter within the reader costs more than it saves; pieces are passed over by their statistics alone.
    options.execution.parquet.pushdown_filters = false;
    // What a join looks up is held once for both cores where it fits, and the other side need not be dealt out.
    options.optimizer.hash_join_single_partition_threshold = SHARED_BYTES;
    options.optimizer.hash_join_single_partition_threshold_rows = SHARED_ROWS;
    // Parts of a table are many and dealt out by their bytes already.
    options.optimizer.enable_round_robin_repartition = false;
    options.sql_parser.dialect = datafusion::config::Dialect::Generic;
    let state =
        SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let context = SessionContext::new_with_state(placed(state.build(), limits)?);
    for name in ["generate_series", "range"] {
        context.deregister_udtf(name);
    }
    Ok(context)
}

/// Where its work is done: in this process, or by the executors of a scheduler.
#[cfg(feature = "cluster")]
fn placed(state: SessionState, limits: &Limits) -> Result<SessionState, DataFusionError> {
    use ballista_core::extension::SessionStateExt;
    match &limits.scheduler {
        None => Ok(state),
        Some(scheduler) => state.upgrade_for_ballista(scheduler.clone()),
    }
}

#[cfg(not(feature = "cluster"))]
fn placed(state: SessionState, limits: &Limits) -> Result<SessionState, DataFusionError> {
    match limits.scheduler {
        None => Ok(state),
        Some(_) => Err(DataFusionError::NotImplemented("the feature `cluster`".to_owned())),
    }
}

/// Only questions.
pub fn options() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Makes every table known: those with parts as their Parquet, the others empty, settlements as all three classes.
///
/// # Errors
/// What DataFusion says.
pub async fn register(
    context: &SessionContext,
    folder: &Folder,
    parts: &[&Part],
) -> Result<(), DataFusionError> {
    for table in tables::TABLES {
        for name in table.folders() {
            let paths =
                parts.iter().filter(|part| part.table == name).map(|part| folder.root().join(&part.path));
            register_files(context, &name, table.schema(), paths.collect()).await?;
        }
    }
    register_settlement(context).await
}

/// Settlements as a whole.
///
/// # Errors
/// What DataFusion says.
pub async fn register_settlement(context: &SessionContext) -> Result<(), DataFusionError> {
    let [first, second, third] = CLASSES;
    let whole = context
        .table(first)
        .await?
        .union(context.table(second).await?)?
        .union(context.table(third).await?)?;
    context.register_table(SETTLEMENT.name, whole.into_view())?;
    Ok(())
}

async fn register_files(
    context: &SessionContext,
    name: &str,
    schema: SchemaRef,
    paths: Vec<std::path::PathBuf>,
) -> Result<(), DataFusionError> {
    if paths.is_empty() {
        context.register_table(name, Arc::new(EmptyTable::new(schema)))?;
        return Ok(());
    }
    let urls = paths
        .iter()
        .map(|path| ListingTableUrl::parse(path.to_string_lossy()))
        .collect::<Result<Vec<_>, _>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .infer_schema(&context.state())
        .await?;
    context.register_table(name, Arc::new(ListingTable::try_new(config)?))?;
    Ok(())
}
