//! What operators bring along: configurations, face packs, nets.

use std::collections::BTreeMap;
use std::path::Path;

use bedcheck::agent::config::{Above, ConfigError, read_below};
use bedcheck::vision::{manifest, onnx_file};

/// Nothing lies there; files that a configuration names are looked for and not found.
const NOWHERE: &str = "/nonexistent/bedcheck/config.toml";

const SOUND: &str = include_str!("../sound-config.toml");

pub fn config_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    configuration(text, Vec::new());
}

/// `KEY=VALUE` lines over a sound file, as `--set` and as variables.
pub fn config_flag(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().take(2).filter_map(|line| line.split_once('='));
    configuration(SOUND, pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
}

fn configuration(text: &str, flags: Vec<(String, String)>) {
    let path = Path::new(NOWHERE);
    let variables = flags.iter().map(|(key, value)| (format!("BEDCHECK_{key}"), value.clone())).collect();
    let drafts = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    match read_below(path, &Above { variables, flags, drafts, bundle: None }) {
        // Beds are drawn later, on the pictures of the cameras.
        Ok(settings) => {
            let is_known = |id| settings.cameras.iter().any(|camera| camera.id == id);
            assert!(!settings.cameras.is_empty() && settings.views().into_values().all(is_known));
        }
        Err(ConfigError::Content(complaints)) => {
            assert!(!complaints.is_empty(), "refused without a reason");
            let lines = complaints.to_string();
            assert!(lines.lines().count() >= complaints.len());
            // Drawing takes a millisecond for each complaint.
            assert!(complaints.len() > 2 || !complaints.picture(false).is_empty());
        }
        Err(ConfigError::File(error)) => assert!(text.is_empty(), "{error}"),
    }
}

pub fn face_pack(data: &[u8]) {
    let Ok(pack) = manifest::parse(data, Path::new("/nonexistent")) else { return };
    assert!(pack.embedder.alignment.len() >= 2 && !pack.embedder.operating_points.is_empty());
    for file in [&pack.detector.file, &pack.mesh.file, &pack.embedder.file] {
        assert_eq!(Path::new("/p").join(file).parent(), Some(Path::new("/p")), "a net outside of its pack");
    }
    let rates: Vec<String> = pack.embedder.operating_points.iter().map(|point| point.fmr.clone()).collect();
    for rate in rates {
        let rule = pack.face_rule(&rate).expect("a rate of its own");
        assert!(rule.match_at.is_nan() || rule.differs_below <= rule.match_at);
    }
    let _ = pack.demand_production();
}

pub fn onnx_file(data: &[u8]) {
    if onnx_file::check(data).is_ok() {
        let foreign = [data, b"\x42\x07\x0A\x05other"].concat();
        assert!(onnx_file::check(&foreign).is_err(), "behind what was read, a foreign domain passed");
    }
}
