//! `bedcheck-platform person ...` and `evidence rotate`: who may open evidence, and with which key.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::Table;

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::platform::cmd::{key_ending, say, serve_ending};
use crate::platform::{keys, people, serve};

#[derive(Subcommand)]
pub enum PersonCommand {
    /// Gives somebody an account; the passphrase is shown once.
    Add {
        #[arg(long)]
        dir: PathBuf,
        name: String,
    },
    List {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Ends an account; the name stays taken, because the log names it.
    Remove {
        #[arg(long)]
        dir: PathBuf,
        name: String,
    },
}

#[derive(Subcommand)]
pub enum EvidenceCommand {
    /// Makes a new key for evidence; counts after the platform has started again. Old evidence can still be opened.
    Rotate {
        #[arg(long)]
        dir: PathBuf,
    },
}

pub fn person(command: PersonCommand, now: Wall) -> anyhow::Result<()> {
    match command {
        PersonCommand::Add { dir, name } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            let passphrase = people::add(&db, &name, now).map_err(Ending::failed)?;
            say(format_args!("{name}: {passphrase}"));
            say("口令只显示这一次，请当面交给本人 · shown this once: hand it over in person");
        }
        PersonCommand::List { dir } => {
            let mut table = Table::new();
            table.set_header(["姓名 name", "开户 added", "注销 removed"]);
            for person in people::list(&serve::open_database(&dir).map_err(serve_ending)?)? {
                let removed = person.removed.map_or_else(String::new, |at| at.to_string());
                table.add_row([person.name, person.added.to_string(), removed]);
            }
            say(table);
        }
        PersonCommand::Remove { dir, name } => {
            if !people::remove(&serve::open_database(&dir).map_err(serve_ending)?, &name, now)? {
                return Err(Ending::failed(format_args!(
                    "没有此账户 · nobody of this name has an account: {name}"
                ))
                .into());
            }
            say(format_args!("{name} 已注销 · {name} has no account any more"));
        }
    }
    Ok(())
}

pub fn evidence(command: EvidenceCommand) -> anyhow::Result<()> {
    let EvidenceCommand::Rotate { dir } = command;
    keys::rotate_evidence(&dir).map_err(key_ending)?;
    say(
        "已换新密钥；请重新启动平台，各设备将在下次确认时获知 · a new key was made: start the platform again, devices learn of it with their next receipt",
    );
    Ok(())
}
