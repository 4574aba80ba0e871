//! An update bundle (更新包): what its targets are called, to whom it is addressed, and what the heartbeat says of it.
//!
//! A bundle is a TUF repository of its own (`metadata/` and `targets/`): the face pack as `manifest.toml` and its nets, and
//! beside it, where there are any, [`POLICY`] and [`CALIBRATION`]. Every name is a plain file name: nothing is ever
//! unpacked elsewhere than into one folder.

use serde::{Deserialize, Serialize};

/// The signed policy; [`crate::wire::floor::Floor`] reads it.
pub const POLICY: &str = "policy.toml";
/// Thresholds of the passive liveness net for cameras without their own.
pub const CALIBRATION: &str = "calibration.toml";
/// The face pack's manifest; every other target is one of its nets.
pub const MANIFEST: &str = "manifest.toml";

/// The member of a target's `custom` that names the only device it is meant for.
pub const ADDRESSEE: &str = "device";

/// Largest net, and largest of the other files.
pub const MOST_NET: u64 = 128 * 1024 * 1024;
pub const MOST_TEXT: u64 = 256 * 1024;
/// A pack has four nets; more files than this are no bundle.
pub const MOST_TARGETS: usize = 32;
/// Largest signed metadata file.
pub const MOST_METADATA: u64 = 256 * 1024;

/// What the heartbeat says of updates, so that a device that was turned back shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleBeat {
    /// The bundle in use; absent where the pack that came with the program is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The highest version ever accepted here.
    pub highest: u64,
    /// SHA-256 of the signed part of the root that is trusted.
    pub root: String,
    /// The bundle has not yet proven itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_probation: bool,
    /// The bundle that was given up last: the agent went back to the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_from: Option<u64>,
}

/// Whether a target's name stays in the folder it is put into: letters, digits, `.`, `_`, `-`, and no dot in front.
pub fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The most bytes a target of that name may have.
pub fn most(name: &str) -> u64 {
    if [POLICY, CALIBRATION, MANIFEST].contains(&name) { MOST_TEXT } else { MOST_NET }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_plain() {
        for name in ["manifest.toml", "bedcheck_face_64.onnx", "a"] {
            assert!(is_plain(name), "{name}");
        }
        for name in
            ["", "..", ".hidden", "../x", "a/b", "/etc/passwd", "a\\b", "a\0", "网.onnx", &"a".repeat(65)]
        {
            assert!(!is_plain(name), "{name}");
        }
    }
}
