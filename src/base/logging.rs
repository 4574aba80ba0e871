//! Log lines on standard error, or to journald where it listens there: a fixed sentence with fields.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. `BEDCHECK_LOG` (a tracing filter such as `debug` or `bedcheck::uplink=trace`) wins over
/// `default`. ONNX Runtime is kept to warnings: at INFO it logs each session's graph work.
pub fn start(default: &str) {
    let asked = std::env::var("BEDCHECK_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::builder().parse_lossy(format!("{asked},ort=warn,hyper=warn,rustls=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    // Journald takes the level and each field by itself, so that `journalctl -p warning CAMERA=cam-1` works.
    if let Some(journal) = is_journal().then(tracing_journald::layer).and_then(Result::ok) {
        // A second start (tests) keeps the first.
        let _ = registry.with(journal.with_field_prefix(None)).try_init();
        return;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = registry.with(lines).try_init();
}

/// Whether standard error is the journal: `JOURNAL_STREAM` alone is inherited by whoever redirects it.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    rustix::fs::fstat(std::io::stderr().as_fd())
        .is_ok_and(|found| found.st_dev.to_string() == device && found.st_ino.to_string() == inode)
}
