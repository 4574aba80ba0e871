//! What every net is fed with, pinned: colour order, range, alignment and crop. A pack whose manifest says anything else
//! either fails its self-test or gives other numbers for a known face. Needs `models/fetch-runtime` to have run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use bedcheck::base::picture;
use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::manifest;
use bedcheck::vision::session::NetError;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped pack with one table of its manifest rewritten.
fn changed_pack(table: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "onnx") {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let text = fs::read_to_string(root().join("models/manifest.toml")).unwrap();
    let (before, rest) = text.split_once(&format!("[{table}]")).unwrap();
    let end = rest.find("\n[").unwrap_or(rest.len());
    assert!(rest[..end].contains(from), "[{table}] has no {from}");
    let changed = rest[..end].replacen(from, to, 1);
    fs::write(folder.path().join("manifest.toml"), format!("{before}[{table}]{changed}{}", &rest[end..]))
        .unwrap();
    folder
}

fn open(folder: &Path) -> Result<Eyes, NetError> {
    Eyes::open(manifest::read(folder).unwrap())
}

/// Where the known face's eyes are, its embedding and its P(live).
fn known_face(eyes: &mut Eyes) -> ([f32; 4], Vec<f32>, f32) {
    let picture = picture::read(&root().join("assets/people/p09/probe-1.jpg")).unwrap();
    let face = eyes.faces(&picture).unwrap().remove(0);
    let (right, left) = (face.mesh.middle(&[33]), face.mesh.middle(&[263]));
    let live = eyes.liveness(&picture, &face.mesh).unwrap().unwrap();
    ([right[0], right[1], left[0], left[1]], eyes.embed(&face).unwrap(), live)
}

#[test]
fn a_swapped_channel_or_a_wrong_range_fails_the_self_test_of_every_net() {
    for table in ["detector", "mesh", "embedder", "pad"] {
        for (from, to) in [
            ("colour = \"rgb\"", "colour = \"bgr\""),
            ("scale = 0.", "scale = 9."),
            ("scale = 0.", "scale = 0.000"),
        ] {
            let error = open(changed_pack(table, from, to).path()).err();
            assert!(matches!(error, Some(NetError::Golden { .. })), "[{table}] {from} -> {to}: {error:?}");
        }
    }
}

#[test]
fn alignment_and_crop_are_those_the_nets_were_made_for() {
    let mut eyes = open(&root().join("models")).unwrap();
    let (landmarks, embedding, live) = known_face(&mut eyes);
    println!("{landmarks:?}\n{:?}\n{live}", &embedding[..6]);
    for (found, wanted) in landmarks.iter().zip([174.29, 223.95, 299.58, 221.13]) {
        assert!((found - wanted).abs() < 0.5, "{landmarks:?}");
    }
    for (found, wanted) in embedding.iter().zip([-0.0665, 0.0775, 0.1374, -0.0900, -0.0259, -0.0567]) {
        assert!((found - wanted).abs() < 0.01, "{embedding:?}");
    }
    assert!((live - 0.7413).abs() < 0.01, "{live}");

    // Another crop and another alignment pass the self-tests, but not this one.
    let wider = changed_pack("pad", "crop = 2.", "crop = 3.");
    let (_, _, other) = known_face(&mut open(wider.path()).unwrap());
    assert!((other - live).abs() > 0.02, "{live} and {other}");
    let metric = eyes.manifest.embedder.metric;
    let shifted = changed_pack("embedder", "to = [", "to = [1");
    let (_, other, _) = known_face(&mut open(shifted.path()).unwrap());
    assert!(metric.similarity(&embedding, &other) < 0.9, "an alignment that is off changes the embedding");
}
