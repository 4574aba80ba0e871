//! ONNX Runtime: found on disk, never fetched. The library is loaded once per process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use crate::base::environment::{NO_REPORTS, forbids_reports};
use crate::base::files::{read_at_most, sha256_hex};

/// The library of the PyPI wheels onnxruntime 1.32.0, which `models/fetch-runtime` brings and releases bundle.
const KNOWN: [(&str, &str); 2] = [
    ("1.32.0 x86_64", "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f"),
    ("1.32.0 aarch64", "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a"),
];

const NAME: &str = "libonnxruntime.so.1";
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// Why there is no runtime.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(
        "ONNX Runtime ({NAME}) was not found; run models/fetch-runtime once, or set ORT_DYLIB_PATH. Looked at: {looked}"
    )]
    Missing { looked: String },
    #[error("ONNX Runtime at {path} cannot be loaded: {cause}; run models/fetch-runtime to replace it")]
    Unusable { path: PathBuf, cause: String },
    #[error("ONNX Runtime is not loaded where it might report to its maker: set {0}={1} before this program starts", NO_REPORTS.0, NO_REPORTS.1)]
    Reports,
}

/// Threads that one net takes; said once, before the first net is loaded.
static THREADS: OnceLock<usize> = OnceLock::new();

/// Says how many threads a net takes from now on; the first word counts.
pub fn take_threads(count: usize) {
    THREADS.get_or_init(|| count.max(1));
}

/// One, unless [`take_threads`] said otherwise: what is measured in the README.
pub fn threads() -> usize {
    THREADS.get().copied().unwrap_or(1)
}

/// The loaded library and where it came from.
pub struct Runtime {
    pub environment: Environment,
    pub path: PathBuf,
    pub sha256: String,
    /// `1.32.0 x86_64` when the digest is one we know; a foreign library computes what it likes.
    pub known: Option<&'static str>,
}

/// The process's runtime, loaded at the first call.
///
/// # Errors
/// [`RuntimeError`], the same at every call.
pub fn load() -> Result<&'static Runtime, RuntimeError> {
    static RUNTIME: OnceLock<Result<Runtime, RuntimeError>> = OnceLock::new();
    RUNTIME.get_or_init(|| open(&find(&candidates())?)).as_ref().map_err(Clone::clone)
}

fn open(path: &Path) -> Result<Runtime, RuntimeError> {
    // The library reports while it is being loaded; `with_telemetry` below comes too late for that.
    if !forbids_reports() {
        return Err(RuntimeError::Reports);
    }
    let unusable = |cause: String| RuntimeError::Unusable { path: path.to_owned(), cause };
    let bytes = read_at_most(path, MOST_BYTES).map_err(|error| unusable(error.to_string()))?;
    let sha256 = sha256_hex(&bytes);
    drop(bytes);
    // Without `init_from`, ort panics later when the library is missing.
    let environment = ort::init_from(path)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("bedcheck")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let known = KNOWN.iter().find(|(_, digest)| *digest == sha256).map(|(name, _)| *name);
    Ok(Runtime { environment, path: path.to_owned(), sha256, known })
}

fn find(candidates: &[PathBuf]) -> Result<PathBuf, RuntimeError> {
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| RuntimeError::Missing {
        looked: candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// Where the library may lie: an explicit setting alone if there is one, else the installed place, beside the program,
/// in a checkout, in the system.
fn candidates() -> Vec<PathBuf> {
    if let Some(asked) = std::env::var_os("ORT_DYLIB_PATH") {
        return vec![PathBuf::from(asked)];
    }
    let mut found = Vec::new();
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        found.push(beside.join("../lib/bedcheck").join(NAME));
        found.push(beside.join(NAME));
    }
    found.extend(in_checkout());
    found.push(Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)).join(NAME));
    found.push(Path::new("/usr/lib").join(NAME));
    found
}

/// A program that lies in a checkout's `target` folder finds the library that `models/fetch-runtime` put there.
fn in_checkout() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let root = program.ancestors().find(|folder| folder.join("models/fetch-runtime").is_file())?;
    Some(root.join("models/runtime").join(std::env::consts::ARCH).join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_one_sentence_with_the_remedy() {
        let error = find(&[PathBuf::from("/nowhere/libonnxruntime.so.1")]).unwrap_err().to_string();
        assert!(error.contains("models/fetch-runtime") && error.contains("/nowhere"), "{error}");
    }
}
