//! `bedcheck eval faces|pad DIR`: what the face pack is worth, on pictures somebody labelled.

mod faces;
pub(crate) mod pad;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::agent::cmd::{Pack, say};
use crate::base::exit::Code;
use crate::vision::eyes::Eyes;

#[derive(clap::Args)]
pub struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Recognition: a folder with images/PERSON/FILE.jpg and pairs.txt (LFW layout).
    Faces(faces::Faces),
    /// Liveness: a folder with labels.csv (file,label,species) and pictures, folders of pictures or .mjpeg clips.
    Pad(pad::Pad),
}

impl Eval {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.what {
            What::Faces(faces) => faces.run(),
            What::Pad(pad) => pad.run(),
        }
    }
}

/// Does `work` for every file, each thread with eyes of its own, and shows how far it is. Answers in the files' order.
fn over_files<T: Send>(
    pack: &Pack,
    threads: usize,
    files: &[&Path],
    work: impl Fn(&mut Eyes, &Path) -> anyhow::Result<Option<T>> + Sync,
) -> anyhow::Result<Vec<Option<T>>> {
    let progress = ProgressBar::new(files.len() as u64);
    let style = "{bar:40} {pos}/{len} 图片 pictures, {per_sec}, 剩余 left {eta}";
    progress.set_style(ProgressStyle::with_template(style)?);
    let next = AtomicUsize::new(0);
    let one_thread = || -> anyhow::Result<Vec<(usize, Option<T>)>> {
        let mut eyes = pack.open()?;
        let mut mine = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.get(at) else { return Ok(mine) };
            mine.push((at, work(&mut eyes, path)?));
            progress.inc(1);
        }
    };
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, 64)).map(|_| scope.spawn(one_thread)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    progress.finish_and_clear();
    let mut answers: Vec<Option<T>> = files.iter().map(|_| None).collect();
    for result in results {
        for (at, answer) in result.map_err(|_| anyhow::anyhow!("a worker panicked"))?? {
            answers[at] = answer;
        }
    }
    Ok(answers)
}

/// Every figure in a line of its own; those of nested objects with their path.
fn table(answer: &Value) {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_BORDERS_ONLY).set_header(["指标 figure", "值 value"]);
    add_rows(&mut table, "", answer);
    say(table);
}

fn add_rows(table: &mut comfy_table::Table, prefix: &str, object: &Value) {
    for (key, value) in object.as_object().into_iter().flatten() {
        if value.is_object() {
            add_rows(table, &format!("{prefix}{key}."), value);
        } else {
            table.add_row([format!("{prefix}{key}"), value.to_string()]);
        }
    }
}
