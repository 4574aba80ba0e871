//! `bedcheck-platform migrate`: the tables to this program's version, or everything to another database.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::base::exit::Ending;
use crate::platform::cmd::say;
use crate::platform::db::{Database, copy};
use crate::platform::place::Place;

/// What is to be done.
#[derive(clap::Args)]
pub struct Migrate {
    /// The platform's folder.
    #[arg(long)]
    dir: PathBuf,
    /// Copy from here instead of the platform's own database.
    #[arg(long, value_name = "DATABASE", requires = "to")]
    from: Option<String>,
    /// Copy everything to this empty database, postgres://USER@HOST/DATABASE or the path of a SQLite file. When it came
    /// from the platform's own, the platform uses the copy from then on. Stop `serve` before.
    #[arg(long, value_name = "DATABASE")]
    to: Option<String>,
}

/// Runs it.
///
/// # Errors
/// What the databases say; nothing was changed.
pub fn run(command: &Migrate) -> anyhow::Result<()> {
    let Migrate { dir, from, to } = command;
    let own = Place::of(dir).map_err(Ending::config)?;
    let from_place = match from {
        Some(text) => Place::named(text, dir).map_err(Ending::config)?,
        None => own.clone(),
    };
    if from_place.is_missing() {
        let said = format!("there is no database to take: {from_place}");
        return Err(Ending::config(said).into());
    }
    let Some(to) = to else { return upgrade(&own) };
    let to_place = Place::named(to, dir).map_err(Ending::config)?;
    let (from, to) = (from_place.open().map_err(Ending::failed)?, to_place.open().map_err(Ending::failed)?);
    let copied = show(&from, &to).with_context(|| format!("{} was not copied", from.place()))?;
    let after = to.read(copy::digest)?;
    if after != (copied.entries, copied.digest.clone()) {
        let told = format!("{} does not have the log that was copied: keep {}", to.place(), from.place());
        return Err(Ending::failed(told).into());
    }
    say(format_args!(
        "Copied {} rows from {} to {}; both have {} entries of the log with SHA-256 {}.",
        copied.rows,
        from.place(),
        to.place(),
        copied.entries,
        copied.digest
    ));
    if from_place == own {
        change(dir, &to_place)?;
    }
    Ok(())
}

fn upgrade(place: &Place) -> anyhow::Result<()> {
    let (before, after) = place.upgrade().map_err(Ending::failed)?;
    if before == after {
        say(format_args!("The database has version {after} already."));
    } else {
        say(format_args!("The database went from version {before} to {after}."));
    }
    Ok(())
}

fn show(from: &Database, to: &Database) -> anyhow::Result<copy::Copied> {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{msg:>16} {bar:40} {human_pos}/{human_len} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let copied = copy::copy(from, to, &mut |table, done, total| {
        bar.set_message(table.to_owned());
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(copied?)
}

/// The platform's folder stands for the copy from now on; what was copied stays where it is.
fn change(dir: &Path, to: &Place) -> anyhow::Result<()> {
    match to {
        Place::Server { .. } => to.note(dir)?,
        Place::File(path) if *path == dir.join("platform.db") => {
            let line = dir.join("database");
            std::fs::remove_file(&line).with_context(|| format!("{} cannot be removed", line.display()))?;
        }
        Place::File(_) => return Ok(()),
    }
    say("The platform uses the copy from its next start on; what it was copied from is left as it is.");
    Ok(())
}
