//! What every net is fed with, pinned: colour order, range, alignment and crop. A pack whose manifest says anything else
//! either fails its self-test or gives other numbers for a known face. Needs `models/fetch-runtime` to have run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

mod common;

use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::session::NetError;

use common::{asset, changed_pack, open_pack, shipped_eyes};

/// The shipped pack with one table of its manifest rewritten.
fn rewritten(table: &str, from: &str, to: &str) -> tempfile::TempDir {
    changed_pack(|name, bytes| {
        if name != "manifest.toml" {
            return bytes;
        }
        let text = String::from_utf8(bytes).unwrap();
        let (before, rest) = text.split_once(&format!("[{table}]")).unwrap();
        let end = rest.find("\n[").unwrap_or(rest.len());
        assert!(rest[..end].contains(from), "[{table}] has no {from}");
        let changed = rest[..end].replacen(from, to, 1);
        format!("{before}[{table}]{changed}{}", &rest[end..]).into_bytes()
    })
}

/// Where the known face's eyes are, its embedding and its P(live).
fn known_face(eyes: &mut Eyes) -> ([f32; 4], Vec<f32>, f32) {
    let picture = asset("people/p09/probe-1.jpg");
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
            let error = open_pack(rewritten(table, from, to).path()).err();
            assert!(matches!(error, Some(NetError::Golden { .. })), "[{table}] {from} -> {to}: {error:?}");
        }
    }
}

#[test]
fn alignment_and_crop_are_those_the_nets_were_made_for() {
    let mut eyes = shipped_eyes();
    let (landmarks, embedding, live) = known_face(&mut eyes);
    println!("{landmarks:?}\n{:?}\n{live}", &embedding[..6]);
    for (found, wanted) in landmarks.iter().zip([174.29, 223.95, 299.58, 221.13]) {
        assert!((found - wanted).abs() < 0.5, "{landmarks:?}");
    }
    for (found, wanted) in embedding.iter().zip([3.735, -2.455, -1.325, 1.423, 1.237, -3.531]) {
        assert!((found - wanted).abs() < 0.05, "{embedding:?}");
    }
    assert!((live - 0.9841).abs() < 0.01, "{live}");

    // Another crop and another alignment pass the self-tests, but not this one.
    let wider = rewritten("pad", "crop = 1.", "crop = 2.");
    let (_, _, other) = known_face(&mut open_pack(wider.path()).unwrap());
    assert!((other - live).abs() > 0.02, "{live} and {other}");
    let metric = eyes.manifest.embedder.metric;
    let shifted = rewritten("embedder", "to = [", "to = [1");
    let (_, other, _) = known_face(&mut open_pack(shifted.path()).unwrap());
    assert!(metric.similarity(&embedding, &other) < 0.9, "an alignment that is off changes the embedding");
}
