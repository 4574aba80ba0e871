//! Log lines on standard error, or to journald where it listens there: a fixed sentence with fields.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self, FmtContext};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. `BEDCHECK_LOG` (a tracing filter such as `debug` or `bedcheck::uplink=trace`) wins over
/// `default`. ONNX Runtime is kept to warnings: at INFO it logs each session's graph work.
pub fn start(default: &str) {
    let asked = std::env::var("BEDCHECK_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::builder().parse_lossy(format!("{asked},ort=warn,hyper=warn,rustls=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    if is_journal() {
        // A second start (tests) keeps the first.
        let _ = registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(false).event_format(JournalLine))
            .try_init();
        return;
    }
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = registry.with(lines).try_init();
}

/// An event as journald takes it from standard error: its priority in front, time and unit are journald's own. As fields of
/// the journal (`CAMERA=cam-1`) camera and cause would be in no line that `journalctl` shows and in no bundle for support.
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        // syslog(3); no level of ours is a notice.
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let mut said = String::new();
        context.format_fields(Writer::new(&mut said), event)?;
        // A line is an entry: no camera's or peer's words may begin another.
        writeln!(writer, "<{priority}>{}", said.replace('\n', "\\n"))
    }
}

/// Whether standard error is the journal: `JOURNAL_STREAM` alone is inherited by whoever redirects it.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    rustix::fs::fstat(std::io::stderr().as_fd())
        .is_ok_and(|found| found.st_dev.to_string() == device && found.st_ino.to_string() == inode)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn a_line_of_the_journal_names_camera_and_cause() {
        let mut file = tempfile::tempfile().unwrap();
        let writer = std::sync::Mutex::new(file.try_clone().unwrap());
        let layer = fmt::layer().with_writer(writer).with_ansi(false).event_format(JournalLine);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(camera = "cam-1", error = %"no such file", "Camera brings no picture; will try again.");
            tracing::info!("A round begins.");
            tracing::error!(error = %"gone\n<0>forged", "The peer said no.");
        });
        file.rewind().unwrap();
        let mut said = String::new();
        file.read_to_string(&mut said).unwrap();
        assert_eq!(
            said,
            "<4>Camera brings no picture; will try again. camera=\"cam-1\" error=no such file\n\
             <6>A round begins.\n<3>The peer said no. error=gone\\n<0>forged\n"
        );
    }
}
