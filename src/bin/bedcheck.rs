//! The edge agent. Called by the name `bedcheck-platform` it is the platform, so that one file can run the whole demo.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().peekable();
    let is_platform = args
        .peek()
        .and_then(|program| Path::new(program).file_name())
        .is_some_and(|name| name == "bedcheck-platform");
    #[cfg(feature = "platform")]
    if is_platform {
        return ExitCode::from(bedcheck::platform::cmd::main(args) as u8);
    }
    #[cfg(not(feature = "platform"))]
    let _ = is_platform;
    ExitCode::from(bedcheck::agent::cmd::main(args) as u8)
}
