//! `bedcheck-verify`: checks an exported case far from the platform.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(bedcheck::audit::cmd::main(std::env::args_os()) as u8)
}
