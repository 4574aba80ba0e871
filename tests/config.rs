//! The example configuration that hospital IT starts from.

#![expect(clippy::disallowed_methods, reason = "test files need no sync")]

use std::fs;
use std::path::Path;

use bedcheck::agent::config;

#[test]
fn the_example_configuration_is_complete_and_says_what_the_defaults_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("firmware-config/config.example.toml");
    let text = fs::read_to_string(example).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("recordings/cam-1")).unwrap();
    fs::copy(root.join("assets/ward/empty/cam-1.jpg"), folder.path().join("recordings/cam-1-empty.jpg"))
        .unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, &text).unwrap();
    let written = config::read(&path).unwrap();

    // Without [match] and [patrol] the same must follow.
    let bare: Vec<&str> = text.split("[match]").collect();
    let rest = bare[1].split_once("[[camera]]").unwrap().1;
    fs::write(&path, format!("{}[[camera]]{rest}", bare[0])).unwrap();
    let defaults = config::read(&path).unwrap();
    assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
}
