//! Which files of the hospital have something new in them, without reading thousands of them every few seconds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::hospital::roster_file;

/// A file written to within this time before it was read may be written to again without its time showing it: the coarsest
/// file system (FAT, on USB sticks) counts in two seconds.
const SETTLED: Duration = Duration::from_secs(5);
/// Files that are remembered. Beyond them all is forgotten and read once more, which adds no fact twice.
const MOST: usize = 20_000;

/// Files as they were last looked at, whether they could be used or not.
#[derive(Debug, Default)]
pub struct Watched(BTreeMap<PathBuf, Looked>);

#[derive(Debug)]
struct Looked {
    digest: String,
    /// Time of change and length, where an equal pair means an equal file.
    stamp: Option<(SystemTime, u64)>,
}

impl Watched {
    /// The file at `path` was read already, with this digest.
    pub fn knows(&mut self, path: &Path, digest: String) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(path.to_owned(), Looked { digest, stamp: None });
    }

    /// Whether the file has another content than when it was last asked for. One that cannot be read has none.
    pub fn has_changed(&mut self, path: &Path) -> bool {
        let stamp = std::fs::metadata(path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
        let known = self.0.get(path);
        if stamp.is_some() && known.is_some_and(|known| known.stamp == stamp) {
            return false;
        }
        let Some(digest) = roster_file::digest(path) else { return false };
        let is_new = known.is_none_or(|known| known.digest != digest);
        self.knows(path, digest);
        let is_settled = |(changed, _): &(SystemTime, u64)| changed.elapsed().is_ok_and(|age| age > SETTLED);
        if let Some(looked) = self.0.get_mut(path) {
            looked.stamp = stamp.filter(is_settled);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::files::write_owner_only;

    #[test]
    fn every_new_content_is_noticed_once_and_an_old_file_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let mut watched = Watched::default();
        assert!(!watched.has_changed(&path));
        let write = |content: &str, at: Option<SystemTime>| {
            write_owner_only(&path, content.as_bytes()).unwrap();
            let file = std::fs::File::open(&path).unwrap();
            if let Some(at) = at {
                file.set_modified(at).unwrap();
            }
            file.metadata().unwrap().modified().unwrap()
        };
        // Written again within one tick of a coarse file system, to the same length.
        let now = write("one", None);
        for (content, is_new) in [("one", true), ("two", true), ("two", false), ("one", true)] {
            write(content, Some(now));
            assert_eq!(watched.has_changed(&path), is_new, "{content}");
        }
        let old = now - Duration::from_secs(60);
        write("one", Some(old));
        assert!(!watched.has_changed(&path));
        // From now on the time alone speaks: what nobody can do by accident is not noticed.
        write("six", Some(old));
        assert!(!watched.has_changed(&path));
        write("six", Some(old + Duration::from_secs(2)));
        assert!(watched.has_changed(&path));
    }
}
