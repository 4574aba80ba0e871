//! Log lines on standard error: a fixed sentence with fields.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `BEDCHECK_LOG` (a tracing filter such as `debug` or `bedcheck::uplink=trace`) wins over
/// `default`. ONNX Runtime is kept to warnings: at INFO it logs each session's graph work.
pub fn start(default: &str) {
    let asked = std::env::var("BEDCHECK_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::builder().parse_lossy(format!("{asked},ort=warn,hyper=warn,rustls=warn"));
    // A second start (tests) keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .try_init();
}
