//! Where a bundle is read from: a folder on a stick, or the supervisor's web server. `tough` asks for `metadata/NAME` and `targets/NAME` and nothing else.
//!
//! `tough`'s own reader of folders keeps `%20` of a path as it stands, so that it finds nothing under a mount point with a
//! blank or a Chinese name; and it opens whatever lies there, a named pipe that never ends among it.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reqwest::Url;
use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};

use crate::agent::update::UpdateError;
use crate::base::files::read_at_most;
use crate::net::fetch::Fetcher;
use crate::wire::bundle::{MOST_METADATA, MOST_NET};

/// Below these `tough` looks.
pub const METADATA: &str = "bundle:/metadata/";
pub const TARGETS: &str = "bundle:/targets/";

/// A digest, a dot and a plain name.
const LONGEST: usize = 64 + 1 + 64;

/// A stick, or the supervisor's web server; `metadata` and `targets` lie below it.
#[derive(Clone)]
pub enum Place {
    Folder(PathBuf),
    Server { fetcher: Fetcher, base: Url },
}

impl Place {
    /// A folder, or an https address with the PEM of who may vouch for it.
    ///
    /// # Errors
    /// [`UpdateError::Missing`] where there is no such folder, [`UpdateError::Refused`] for another kind of address.
    pub fn new(text: &str, ca_pem: &str) -> Result<Place, UpdateError> {
        if !text.contains("://") {
            let folder = PathBuf::from(text);
            let metadata = folder.join("metadata");
            return match metadata.is_dir() {
                true => Ok(Place::Folder(folder)),
                false => Err(UpdateError::Missing(metadata.display().to_string())),
            };
        }
        let refused = |why: String| UpdateError::Refused(format!("{text}: {why}"));
        let base = Url::parse(&format!("{}/", text.trim_end_matches('/')));
        let base = base.map_err(|error| refused(error.to_string()))?;
        if base.scheme() != "https" || !base.username().is_empty() || base.query().is_some() {
            return Err(refused("a folder or a plain https address is wanted".to_owned()));
        }
        let fetcher = Fetcher::new(Some(ca_pem), None, "*/*").map_err(|error| refused(error.to_string()))?;
        Ok(Place::Server { fetcher, base })
    }

    async fn read(&self, folder: &str, name: &str) -> Result<Vec<u8>, (TransportErrorKind, String)> {
        let most = if folder == "metadata" { MOST_METADATA } else { MOST_NET };
        match self {
            Place::Folder(above) => {
                let path = above.join(folder).join(name);
                let read = tokio::task::spawn_blocking(move || plain_file(&path, most)).await;
                read.map_err(|error| (TransportErrorKind::Other, error.to_string()))?
            }
            Place::Server { fetcher, base } => {
                let failed = |error: &dyn fmt::Display| (TransportErrorKind::Other, error.to_string());
                let url = base.join(&format!("{folder}/{name}")).map_err(|error| failed(&error))?;
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                fetcher.fetch(&url, most).await.map_err(|error| failed(&error))
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(folder) => write!(f, "{}", folder.display()),
            Place::Server { base, .. } => write!(f, "{base}"),
        }
    }
}

#[async_trait]
impl Transport for Place {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let failed = |(kind, cause): (_, String)| TransportError::new_with_cause(kind, &url, cause);
        let nowhere = || failed((TransportErrorKind::UnsupportedUrlScheme, "no such place".to_owned()));
        let (folder, name) = wanted(&url).ok_or_else(nowhere)?;
        let bytes = self.read(folder, name).await.map_err(failed)?;
        Ok(Box::pin(futures_util::stream::once(std::future::ready(Ok(Bytes::from(bytes))))))
    }
}

/// The folder and the name that are asked for.
fn wanted(url: &Url) -> Option<(&str, &str)> {
    let (folder, name) = url.path().strip_prefix('/')?.split_once('/')?;
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let is_good = is_plain && !name.starts_with('.') && (1..=LONGEST).contains(&name.len());
    (url.scheme() == "bundle" && ["metadata", "targets"].contains(&folder) && is_good)
        .then_some((folder, name))
}

/// No link, pipe or device: sticks come from strangers.
fn plain_file(path: &Path, most: u64) -> Result<Vec<u8>, (TransportErrorKind, String)> {
    let is_plain = match std::fs::symlink_metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err((TransportErrorKind::FileNotFound, path.display().to_string()));
        }
        Err(error) => return Err((TransportErrorKind::Other, format!("{}: {error}", path.display()))),
    };
    if !is_plain {
        return Err((TransportErrorKind::Other, format!("{} is no plain file", path.display())));
    }
    read_at_most(path, most).map_err(|error| (TransportErrorKind::Other, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_plain_names_in_two_folders_can_be_asked_for() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(wanted(&url("bundle:/metadata/1.root.json")), Some(("metadata", "1.root.json")));
        for odd in [
            "bundle:/metadata/../../etc/passwd",
            "bundle:/keys/root-1.key",
            "bundle:/targets/a/b",
            "bundle:/targets/.hidden",
            "bundle:/targets/%2e%2e",
            "bundle:/targets/",
            "file:///metadata/1.root.json",
        ] {
            assert_eq!(wanted(&url(odd)), None, "{odd}");
        }
    }
}
