//! A session of DataFusion that can read the data folder and nothing else.
//!
//! No catalog but ours, no file by its path, no table functions, no statements that change anything: rules are checked
//! before (`rules::sql`), and what would slip through finds nothing here.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::platform::screening::folder::{Folder, Part};
use crate::platform::screening::tables::{self, CLASSES, SETTLEMENT};

/// Consumers named when memory ends.
const NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// What a run may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of what the engine accounts for; some hundred MiB of reading come on top.
    pub memory_bytes: usize,
    pub partitions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: 3 * 1024 * 1024 * 1024, partitions: 2 }
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
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.sql_parser.dialect = datafusion::config::Dialect::Generic;
    let context = SessionContext::new_with_config_rt(config, runtime);
    for name in ["generate_series", "range"] {
        context.deregister_udtf(name);
    }
    Ok(context)
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
        context.register_table(name, Arc::new(MemTable::try_new(schema, vec![vec![]])?))?;
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
