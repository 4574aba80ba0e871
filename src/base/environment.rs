//! What has to be in a process's environment before its first library is loaded, and how it gets there.
//!
//! ONNX Runtime's library reports its start, with the program's path and a number it gives the machine, to its maker unless
//! a variable forbids it; the call that switches reports off comes after that one. glibc reads its own variables only once
//! as well. A running process cannot change either without `unsafe`, so a program that was started without them starts
//! itself again, once, under the same process id.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Forbids ONNX Runtime every report, number and file of its own.
pub const NO_REPORTS: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Pictures are megabytes and come and go on a dozen threads. Where glibc decides, each thread's arena keeps the most it ever
/// held, some 60 MB with eight cameras (measured by tests/budget/figures). Mapped one by one they go back to the system at
/// once.
const ALLOCATION: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "262144")];

/// Everything a process of ours is started with.
pub fn wanted() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(NO_REPORTS).chain(ALLOCATION)
}

/// Whether ONNX Runtime may be loaded in this process.
pub fn forbids_reports() -> bool {
    std::env::var_os(NO_REPORTS.0).as_deref() == Some(OsStr::new(NO_REPORTS.1))
}

/// What is missing here. How memory is kept may be set otherwise by whoever measures it; reports may not.
fn missing(has: impl Fn(&str) -> bool, forbids_reports: bool) -> Vec<(&'static str, &'static str)> {
    let reports = (!forbids_reports).then_some(NO_REPORTS);
    reports.into_iter().chain(ALLOCATION.into_iter().filter(|(name, _)| !has(name))).collect()
}

/// Starts this program again with what its environment lacks; returns where nothing does. To be called before any thread.
///
/// # Errors
/// The program cannot be started again; it may go on, but [`forbids_reports`] still says no.
pub fn settle() -> io::Result<()> {
    let missing = missing(|name| std::env::var_os(name).is_some(), forbids_reports());
    if missing.is_empty() {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    Err(again.args(words).envs(missing).exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_starts_again_for_what_it_lacks_and_only_once() {
        assert_eq!(missing(|_| false, false).len(), 4);
        assert_eq!(missing(|_| true, true), []);
        assert_eq!(missing(|_| true, false), [NO_REPORTS], "reports are never left to the surroundings");
        let set: Vec<&str> = missing(|_| false, false).iter().map(|(name, _)| *name).collect();
        assert_eq!(missing(|name| set.contains(&name), true), []);
    }
}
