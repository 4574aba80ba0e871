//! `bedcheck doctor --bundle`: what a supporter far away needs to see, in one file and without anybody's data.
//!
//! Put together from what holds no names by our own rules (findings of `doctor`, the log, the configuration); whatever
//! looks like an id number all the same (a file that somebody named after a patient) is blotted out.

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::agent::board::{self, Board};
use crate::base::clock::Now;
use crate::base::exit::Ending;
use crate::base::files::{read_at_most, write_owner_only};

/// Lines of the service's log.
const MOST_LINES: &str = "5000";
const MOST_BYTES: u64 = 2 * 1024 * 1024;
const MOST_FILES: usize = 64;
/// An insurance or id number has fifteen digits at least; a time in milliseconds has thirteen.
const DIGITS: usize = 15;

/// Writes the bundle.
///
/// # Errors
/// When it cannot be written; a part that cannot be read says so within.
pub fn write(to: &Path, config: &Path, doctor: &Value, now: Now) -> anyhow::Result<()> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, text: &str| -> anyhow::Result<()> {
        zip.start_file(name, SimpleFileOptions::default())?;
        Ok(zip.write_all(blotted(text).as_bytes())?)
    };
    put("doctor.json", &serde_json::to_string_pretty(doctor)?)?;
    put("machine.json", &serde_json::to_string_pretty(&machine(now))?)?;
    put("config.toml", &text_of(config))?;
    let parts = config.with_file_name("conf.d");
    for part in std::fs::read_dir(parts).into_iter().flatten().flatten().take(MOST_FILES) {
        put(&format!("conf.d/{}", part.file_name().to_string_lossy()), &text_of(&part.path()))?;
    }
    put("log.txt", &log())?;
    let bytes = zip.finish()?.into_inner();
    Ok(write_owner_only(to, &bytes).map_err(Ending::failed)?)
}

fn machine(now: Now) -> Value {
    let board = Board::here();
    json!({
        "version": env!("CARGO_PKG_VERSION"), "arch": std::env::consts::ARCH, "time": now.wall.to_string(),
        "board": board.board, "cores": board::cores(), "threads": board.threads(), "celsius": board.heat(),
        "system": text_of(Path::new("/etc/os-release")), "kernel": text_of(Path::new("/proc/version")),
        "memory": text_of(Path::new("/proc/meminfo")), "uptime": text_of(Path::new("/proc/uptime")),
    })
}

fn text_of(path: &Path) -> String {
    match read_at_most(path, MOST_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    }
}

fn log() -> String {
    let asked =
        ["--unit", "bedcheck", "--lines", MOST_LINES, "--no-pager", "--output", "short-iso", "--quiet"];
    match Command::new("journalctl").args(asked).output() {
        Ok(said) => {
            let text = String::from_utf8_lossy(&said.stdout);
            let from = text.len().saturating_sub(MOST_BYTES as usize);
            let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text[from..].to_owned()
        }
        Err(error) => format!("journalctl: {error}"),
    }
}

/// The text with every long number blotted out, a last X of an id number included.
fn blotted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let length = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(length);
        out.push_str(before);
        // A digest is digits and letters; a piece of it names nobody.
        let is_of_a_word = before.ends_with(|c: char| c.is_ascii_alphabetic());
        if length >= DIGITS && !is_of_a_word {
            out.push_str("[number]");
            rest = after.strip_prefix(['X', 'x']).unwrap_or(after);
        } else {
            out.push_str(number);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_numbers_are_blotted_out_and_times_and_digests_stay() {
        // Made up, with a wrong check digit on purpose.
        assert_eq!(blotted("roster = \"51010119000101000X.csv\""), "roster = \"[number].csv\"");
        assert_eq!(blotted("号 510101190001010009,次"), "号 [number],次");
        let kept = "at 1790000000000 of 22cc0a90ff26cfb2b4fb7ac3a10384e53c 2026-11-29T14:43:00Z";
        assert_eq!(blotted(kept), kept);
        assert_eq!(blotted(""), "");
    }
}
