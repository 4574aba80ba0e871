//! The reference supervision platform as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(bedcheck::platform::cmd::main(std::env::args_os()) as u8)
}
