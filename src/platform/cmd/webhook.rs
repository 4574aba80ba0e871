//! `bedcheck-platform webhook ...`: who elsewhere is told.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::Table;

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::base::files::read_at_most;
use crate::platform::cmd::{say, serve_ending};
use crate::platform::serve;
use crate::platform::webhooks::{self, WebhookError};

const MOST_CERTIFICATES: u64 = 1024 * 1024;

#[derive(Subcommand)]
pub enum WebhookCommand {
    /// Registers a receiver; its secret is shown once. A running platform begins to tell it within a second.
    Add {
        #[arg(long)]
        dir: PathBuf,
        /// Where to: https, or http of this machine.
        url: String,
        /// What it is told: exception.raised, exception.confirmed, exception.ended, case.moved. All of them unless said.
        #[arg(long, value_delimiter = ',')]
        events: Vec<String>,
        /// Who vouches for the receiver's certificate (PEM), needed for https: its CA, or the system's list such as
        /// /etc/ssl/certs/ca-certificates.crt. TLS 1.3 only.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// Every receiver: what waits, was taken, given up or found no room, and the last trouble.
    List {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Tells a receiver nothing any more; what waits for it is thrown away.
    Remove {
        #[arg(long)]
        dir: PathBuf,
        id: String,
    },
}

pub fn run(command: WebhookCommand, now: Wall) -> anyhow::Result<()> {
    match command {
        WebhookCommand::Add { dir, url, events, certificate } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            let pem = certificate.map(|file| read_at_most(&file, MOST_CERTIFICATES)).transpose()?;
            let pem = pem.map(String::from_utf8).transpose().map_err(Ending::failed)?;
            let (id, secret) = webhooks::add(&db, &url, &events, pem.as_deref(), now).map_err(ending)?;
            say(format_args!("{id}: {secret}"));
            say("密钥只显示这一次 · the secret is shown this once");
        }
        WebhookCommand::List { dir } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            let mut table = Table::new();
            table.set_header([
                "编号 id",
                "地址 URL",
                "事件 events",
                "待发 waiting",
                "已达 taken",
                "放弃 given up",
                "无处可放 no room",
                "状态 state",
            ]);
            for one in webhooks::list(&db)? {
                let state = match (one.ended, one.trouble) {
                    (Some((at, why)), _) => format!("{why} {at}"),
                    (None, Some(trouble)) => trouble,
                    (None, None) => "好 good".to_owned(),
                };
                let [waiting, sent, given_up, dropped] =
                    [one.waiting, one.sent, one.given_up, one.dropped].map(|count| count.to_string());
                table.add_row([one.id, one.url, one.events, waiting, sent, given_up, dropped, state]);
            }
            say(table);
        }
        WebhookCommand::Remove { dir, id } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            if !webhooks::remove(&db, &id, now)? {
                return Err(
                    Ending::failed(format_args!("没有此接收方 · there is no such receiver: {id}")).into()
                );
            }
            say(format_args!("{id} 已撤销 · {id} is told nothing any more"));
        }
    }
    Ok(())
}

fn ending(error: WebhookError) -> anyhow::Error {
    match error {
        WebhookError::Address(_)
        | WebhookError::NoCertificate
        | WebhookError::Certificate(_)
        | WebhookError::Event(_) => Ending::usage(error).into(),
        WebhookError::TooMany | WebhookError::Random(_) | WebhookError::Database(_) => {
            Ending::failed(error).into()
        }
    }
}
