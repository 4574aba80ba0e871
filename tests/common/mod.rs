//! What the tests with real nets share. Needs `models/fetch-runtime` to have run.

use std::fs;
use std::path::{Path, PathBuf};

use bedcheck::base::frame::Picture;
use bedcheck::base::picture;
use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::manifest;
use bedcheck::vision::session::NetError;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The eyes of the pack that ships.
pub fn shipped_eyes() -> Eyes {
    open_pack(&root().join("models")).unwrap()
}

pub fn open_pack(folder: &Path) -> Result<Eyes, NetError> {
    Eyes::open(manifest::read(folder).unwrap())
}

/// A picture of `assets/`.
pub fn asset(path: impl AsRef<Path>) -> Picture {
    picture::read(&root().join("assets").join(path)).unwrap()
}

/// The shipped pack, every file of it passed through `change` under its name; the manifest comes last.
pub fn changed_pack(mut change: impl FnMut(&str, Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<String> = fs::read_dir(root().join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".onnx"))
        .collect();
    names.push("manifest.toml".to_owned());
    for name in names {
        let bytes = fs::read(root().join("models").join(&name)).unwrap();
        fs::write(folder.path().join(&name), change(&name, bytes)).unwrap();
    }
    folder
}
