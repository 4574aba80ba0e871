//! `screening scheduler` and `screening executor`: the rules beyond one machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::base::exit::Ending;
use crate::base::files::make_owner_only_folder;
use crate::base::logging;
use crate::platform::cmd::say;
use crate::platform::cmd::screening::{MIB, runtime};
use crate::platform::screening::engine::cluster::{self, Executor};

#[derive(Args)]
pub struct Scheduler {
    /// Where executors and `run --scheduler` come. Nothing is authenticated there: a closed network only.
    #[arg(long, default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
}

#[derive(Args)]
pub struct Work {
    /// The scheduler, as 127.0.0.1:50050.
    #[arg(long, value_parser = host_and_port)]
    scheduler: (String, u16),
    /// Where other executors and `run --scheduler` fetch rows. Nothing is authenticated there: a closed network only.
    #[arg(long, default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// What the others call this machine, where they reach it under another name than it listens on.
    #[arg(long)]
    name: Option<String>,
    /// Where the parts of joins are kept for an hour; as large as what is joined.
    #[arg(long)]
    work: PathBuf,
    /// MiB its tasks may account for together; each gets the same share and spills beyond it.
    #[arg(long, default_value_t = 2560)]
    memory: usize,
    /// Tasks at once.
    #[arg(long, default_value_t = 2)]
    cores: usize,
}

/// HOST:PORT.
pub fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let said = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    said.ok_or_else(|| "write HOST:PORT, as 127.0.0.1:50050".to_owned())
}

fn warn_of(listen: SocketAddr) {
    if !listen.ip().is_loopback() {
        say(
            "此端口无身份认证，只可用于封闭网络 · nothing is authenticated at this port: a closed network only",
        );
    }
}

fn cannot(listen: SocketAddr, error: &dyn std::fmt::Display) -> Ending {
    Ending::failed(format_args!("不能在 {listen} 运行 · cannot work at {listen}: {error}"))
}

impl Scheduler {
    pub fn run(&self) -> anyhow::Result<()> {
        logging::start("warn");
        say(format_args!("调度 scheduler: {}", self.listen));
        warn_of(self.listen);
        let ended = runtime()?.block_on(cluster::schedule(self.listen));
        Ok(ended.map_err(|error| cannot(self.listen, &error))?)
    }
}

impl Work {
    pub fn run(self) -> anyhow::Result<()> {
        logging::start("warn");
        make_owner_only_folder(&self.work)?;
        say(format_args!("执行 executor: {} → {}:{}", self.listen, self.scheduler.0, self.scheduler.1));
        warn_of(self.listen);
        let listen = self.listen;
        let executor = Executor {
            scheduler: self.scheduler,
            listen,
            name: self.name,
            cores: self.cores.max(1),
            memory_bytes: (self.memory * MIB) as u64,
            work: &self.work,
        };
        Ok(runtime()?.block_on(cluster::work(executor)).map_err(|error| cannot(listen, &error))?)
    }
}
