//! How a program answers and ends: lines on standard output, and the codes of sysexits.h that a script can branch on.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;

/// Exit codes of both programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done, and the answer was good.
    Fine = 0,
    /// Done, and the answer was bad, or the work could not be finished.
    Failed = 1,
    /// The command line is wrong.
    Usage = 64,
    /// Our bug.
    Bug = 70,
    /// Configuration, keys, models or the runtime are missing or wrong.
    Config = 78,
}

/// An error that knows how the program should end.
#[derive(Debug)]
pub struct Ending {
    pub code: Code,
    pub message: String,
}

impl Ending {
    pub fn config(message: impl fmt::Display) -> Ending {
        Ending { code: Code::Config, message: message.to_string() }
    }

    pub fn failed(message: impl fmt::Display) -> Ending {
        Ending { code: Code::Failed, message: message.to_string() }
    }

    pub fn usage(message: impl fmt::Display) -> Ending {
        Ending { code: Code::Usage, message: message.to_string() }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ending {}

/// Reads a command line; the code where the program ends at once.
///
/// # Errors
/// [`Code::Usage`], or [`Code::Fine`] after help and version, which are answers and no failures.
pub fn arguments<T: clap::Parser>(args: impl Iterator<Item = OsString>) -> Result<T, Code> {
    T::try_parse_from(args).map_err(|error| {
        // A closed terminal is nobody's problem.
        let _ = error.print();
        if error.use_stderr() { Code::Usage } else { Code::Fine }
    })
}

/// The code an error ends the program with: its own where it carries one, 1 otherwise.
pub fn code_of(error: &anyhow::Error) -> Code {
    error.chain().find_map(|cause| cause.downcast_ref::<Ending>()).map_or(Code::Failed, |ending| ending.code)
}
/// Prints one line of a command's answer. Whoever closed the pipe (`| head`) has read enough.
pub fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
