//! `bedcheck-platform person ...` and `evidence rotate`: who may do what here, and with which key evidence is sealed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use comfy_table::Table;

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::base::files::read_at_most;
use crate::domain::role::Role;
use crate::platform::cmd::{duration, key_ending, say, serve_ending};
use crate::platform::{keys, people, serve, sessions};

#[derive(Subcommand)]
pub enum PersonCommand {
    /// Gives somebody an account; the passphrase is shown once.
    Add {
        #[arg(long)]
        dir: PathBuf,
        name: String,
        /// supervisor 监管员, reviewer 复核员, officer 医保员, auditor 审计员, administrator 管理员.
        #[arg(long, value_parser = role)]
        role: Role,
        /// The hospital of an officer, as its devices name it; an officer sees nothing else.
        #[arg(long)]
        institution: Option<String>,
    },
    /// Prints a link that signs somebody in once, within ten minutes; the platform must be running.
    Link {
        #[arg(long)]
        dir: PathBuf,
        name: String,
    },
    /// Prints a token with which a program speaks as somebody: `Authorization: Bearer TOKEN`.
    Token {
        #[arg(long)]
        dir: PathBuf,
        name: String,
        /// How long it is good.
        #[arg(long = "for", default_value = "720h", value_parser = duration)]
        lasts: Duration,
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
        PersonCommand::Link { dir, name } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            let address = dashboard(&dir)?;
            let secret = sessions::link(&db, &name, now).map_err(Ending::failed)?;
            say(format_args!("{address}/welcome/{secret}"));
        }
        PersonCommand::Token { dir, name, lasts } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            say(sessions::program(&db, &name, now, now.plus(lasts)).map_err(Ending::failed)?);
        }
        PersonCommand::Add { dir, name, role, institution } => {
            let db = serve::open_database(&dir).map_err(serve_ending)?;
            let passphrase =
                people::add(&db, &name, role, institution.as_deref(), now).map_err(Ending::failed)?;
            say(format_args!("{name}: {passphrase}"));
            say("口令只显示这一次，请当面交给本人 · shown this once: hand it over in person");
        }
        PersonCommand::List { dir } => {
            let mut table = Table::new();
            table.set_header(["姓名 name", "角色 role", "机构 institution", "开户 added", "注销 removed"]);
            for person in people::list(&serve::open_database(&dir).map_err(serve_ending)?)? {
                let removed = person.removed.map_or_else(String::new, |at| at.to_string());
                let institution = person.institution.unwrap_or_default();
                table.add_row([person.name, person.role, institution, person.added.to_string(), removed]);
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

fn role(name: &str) -> Result<Role, String> {
    Role::named(name).ok_or_else(|| {
        format!(
            "the roles are {}",
            Role::ALL.map(|role| format!("{} {}", role.name(), role.chinese())).join(", ")
        )
    })
}

/// Where the running platform is looked at.
fn dashboard(dir: &Path) -> anyhow::Result<String> {
    let file = dir.join("addresses.json");
    let bytes = read_at_most(&file, 4096)
        .with_context(|| "the platform does not run; start it with bedcheck-platform serve")?;
    let addresses: serde_json::Value = serde_json::from_slice(&bytes)?;
    let address =
        addresses["dashboard"].as_str().with_context(|| format!("{} is damaged", file.display()))?;
    Ok(address.to_owned())
}

pub fn evidence(command: EvidenceCommand) -> anyhow::Result<()> {
    let EvidenceCommand::Rotate { dir } = command;
    keys::rotate_evidence(&dir).map_err(key_ending)?;
    say(
        "已换新密钥；请重新启动平台，各设备将在下次确认时获知 · a new key was made: start the platform again, devices learn of it with their next receipt",
    );
    Ok(())
}
