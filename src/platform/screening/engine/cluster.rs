//! The same rules beyond one machine: Ballista's scheduler and executors, in this program.
//!
//! ```text
//!   screening run --scheduler H:50050 ──plan──► scheduler ──tasks──► executor, executor, … ──read──► the data folder
//!        ▲                                                             │    ▲ parts of joins (Arrow Flight) │
//!        └────────────────────── rows ◄────────────────────────────────┘    └──────────────────────────────┘
//! ```
//! Every one of them sees the data folder at the same path, and nothing between them is authenticated or encrypted: whoever
//! reaches their ports can have files read. They belong on a closed network; unless told otherwise they listen on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use reqwest::Url;

use crate::net::client::ClientError;
use crate::net::fetch::Fetcher;

/// Finished work of executors is forgotten after this.
const KEPT_SECONDS: u64 = 3600;
const SWEPT_SECONDS: u64 = 300;
/// Executors that were just started need a moment to be known.
const ASKED: u32 = 20;
const BETWEEN: Duration = Duration::from_secs(1);
/// Of what a scheduler says about itself.
const MOST_BYTES: usize = 4096;

/// Why a scheduler cannot be given work.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("{0} is no address of a scheduler")]
    Address(String),
    #[error(transparent)]
    Client(ClientError),
    #[error(
        "no scheduler answers that has an executor ({0}); start `screening scheduler` and `screening executor` first"
    )]
    None(ClientError),
}

/// Waits until a scheduler has an executor: it would keep work for one that never comes.
///
/// # Errors
/// [`NotReady`].
pub async fn ready(scheduler: &str) -> Result<(), NotReady> {
    let address = || NotReady::Address(scheduler.to_owned());
    let url = Url::parse(scheduler).and_then(|url| url.join("readyz")).map_err(|_| address())?;
    let fetcher = Fetcher::new(None, None, "*/*").map_err(NotReady::Client)?;
    let mut asked = 1;
    loop {
        match fetcher.fetch(&url, MOST_BYTES).await {
            Ok(_) => return Ok(()),
            Err(error) if asked >= ASKED => return Err(NotReady::None(error)),
            Err(_) => tokio::time::sleep(BETWEEN).await,
        }
        asked += 1;
    }
}

/// Which executor this is.
#[derive(Clone, Debug)]
pub struct Executor<'a> {
    /// Of the scheduler.
    pub scheduler: (String, u16),
    /// Where others fetch the parts of joins.
    pub listen: SocketAddr,
    /// What others call this machine; the address it listens on otherwise.
    pub name: Option<String>,
    pub cores: usize,
    pub memory_bytes: u64,
    /// For the parts of joins; they are as large as what is joined.
    pub work: &'a Path,
}

/// Serves until the process ends.
///
/// # Errors
/// What Ballista says, as when the address is taken.
pub async fn schedule(listen: SocketAddr) -> Result<(), BallistaError> {
    let config = SchedulerConfig {
        bind_host: listen.ip().to_string(),
        external_host: listen.ip().to_string(),
        bind_port: listen.port(),
        // Executors ask for work: they need no second port, and a firewall before them nothing but theirs.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await?;
    start_server(cluster, listen, Arc::new(config)).await
}

/// Works for a scheduler until the process ends.
///
/// # Errors
/// What Ballista says, as when nobody answers at the scheduler's address for half a minute.
pub async fn work(executor: Executor<'_>) -> Result<(), BallistaError> {
    let (scheduler_host, scheduler_port) = executor.scheduler;
    let config = ExecutorProcessConfig {
        bind_host: executor.listen.ip().to_string(),
        external_host: Some(executor.name.unwrap_or_else(|| executor.listen.ip().to_string())),
        port: executor.listen.port(),
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: executor.cores,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(executor.work.to_string_lossy().into_owned()),
        job_data_ttl_seconds: KEPT_SECONDS,
        job_data_clean_up_interval_seconds: SWEPT_SECONDS,
        memory_pool_size: Some(executor.memory_bytes),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await
}
