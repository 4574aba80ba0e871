//! Files that survive a power cut: written beside, synced, renamed, readable by the owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {doing} {path}: {cause}")]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error("{path} is larger than the {limit} bytes allowed here")]
    TooLarge { path: PathBuf, limit: u64 },
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |cause| FileError::Io { doing, path, cause }
}

/// Replaces `path` by `bytes`: either the old or the new content is there after a power cut.
///
/// # Errors
/// [`FileError::Io`] with the step that failed.
pub fn write_owner_only(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed("create", &beside))?;
    // An older leftover keeps its old mode through `open`.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed("protect", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &beside))?;
    fs::rename(&beside, path).map_err(failed("put in place", path))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of", path))
}

/// Like [`write_owner_only`], with owner and mode of `like`: an edited configuration stays readable for those who could
/// read it.
///
/// # Errors
/// [`FileError::Io`] with the step that failed.
pub fn replace(path: &Path, like: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let before = fs::metadata(like).map_err(failed("look at", like))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.draft"));
    write_owner_only(&beside, bytes)?;
    // Only root may give a file away; whoever else writes here owns it already.
    let _ = std::os::unix::fs::chown(&beside, Some(before.uid()), Some(before.gid()));
    fs::set_permissions(&beside, before.permissions()).map_err(failed("protect", &beside))?;
    fs::rename(&beside, path).map_err(failed("put in place", path))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of", path))
}

/// Creates a folder, and its parents, that only the owner may enter.
///
/// # Errors
/// [`FileError::Io`].
pub fn make_owner_only_folder(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create the folder", path))
}

/// The credential of that name which systemd keeps for this service, where there is one.
pub fn credential(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    Some(Path::new(&folder).join(name)).filter(|path| path.is_file())
}

/// Reads a file that must not be larger than `limit` bytes.
///
/// # Errors
/// [`FileError::TooLarge`] before anything is read into memory beyond the limit; [`FileError::Io`].
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// A folder that ships with this program: installed in `../share/bedcheck`, or in the checkout the program was built in.
/// It is recognised by `marker` in it.
pub fn shipped(folder: &str, marker: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let installed = program.parent().map(|beside| beside.join("../share/bedcheck").join(folder));
    let in_checkout = program.ancestors().map(|parent| parent.join(folder));
    installed.into_iter().chain(in_checkout).find(|found| found.join(marker).exists())
}

/// SHA-256 as lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_owner_only_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_owner_only(&path, b"one").unwrap();
        write_owner_only(&path, b"two").unwrap();
        assert_eq!(read_at_most(&path, 10).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(read_at_most(&path, 2), Err(FileError::TooLarge { .. })));
    }
}
