//! Pictures, people and nets that must be refused with a reason, or taken for what they are. Needs `models/fetch-runtime`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

mod common;

use std::fs;
use std::path::Path;

use bedcheck::agent::enrol::{EnrolError, inspect, only_face, templates};
use bedcheck::base::files::sha256_hex;
use bedcheck::base::frame::Picture;
use bedcheck::base::picture;
use bedcheck::domain::policy::QualityRule;
use bedcheck::vision::onnx_file::OnnxFileError;
use bedcheck::vision::session::NetError;

use common::{asset, changed_pack, open_pack, root, shipped_eyes};

#[test]
fn odd_encodings_show_the_same_person() {
    let mut eyes = shipped_eyes();
    let match_at = eyes.rule("1e-3").unwrap().match_at;
    let metric = eyes.manifest.embedder.metric;
    let mut embed = |path: &str| {
        let face = only_face(&mut eyes, &asset(path), &QualityRule::default()).unwrap();
        eyes.embed(&face).unwrap()
    };
    let reference = embed("people/p01/enrol-1.jpg");
    for path in ["bad/grey.jpg", "bad/cmyk.jpg", "bad/deep.png", "bad/exif-rotated.jpg"] {
        let similarity = metric.similarity(&reference, &embed(path));
        assert!(similarity > match_at, "{path}: {similarity} against {match_at}");
    }
    let turned = asset("bad/exif-rotated.jpg");
    assert!(turned.height() > turned.width(), "EXIF rotation is applied");
}

#[test]
fn crowds_and_cut_faces_are_refused_with_the_reason() {
    let mut eyes = shipped_eyes();
    let mut refused =
        |picture: &Picture| only_face(&mut eyes, picture, &QualityRule::default()).unwrap_err().to_string();
    assert!(refused(&asset("bad/no-face.jpg")).contains("no face"));
    assert!(refused(&asset("bad/two-faces.jpg")).contains("several faces"));
    let cut = refused(&asset("bad/cut-face.jpg"));
    assert!(cut.contains("cut off") || cut.contains("no face"), "{cut}");
    assert!(refused(&fifty()).contains("several faces"));
    assert!(eyes.faces(&fifty()).unwrap().len() <= 12, "work is bounded");
}

/// Fifty faces in rows of ten.
fn fifty() -> Picture {
    let tile = asset("people/p03/enrol-1.jpg");
    let tile = bedcheck::vision::geometry::resize(&tile, 160, 200).unwrap();
    let (width, height) = (1600, 1000);
    let mut rgb = vec![0; width * height * 3];
    for (at, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % width % 160, at / width % 200);
        pixel.copy_from_slice(&tile.rgb()[(y * 160 + x) * 3..][..3]);
    }
    Picture::new(width as u32, height as u32, rgb).unwrap()
}

fn folder_with(pictures: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, path) in pictures.iter().enumerate() {
        let to = folder.path().join(format!("enrol-{number}.jpg"));
        fs::copy(root().join("assets").join(path), to).unwrap();
    }
    folder
}

#[test]
fn an_enrolment_of_two_people_or_of_one_picture_is_refused() {
    let mut eyes = shipped_eyes();
    let rule = eyes.rule("1e-3").unwrap();
    let mut enrol = |folder: &Path| {
        let shots = inspect(&mut eyes, folder)?;
        templates(&mut eyes, folder, &shots, &rule)
    };
    let mixed = folder_with(&["people/p01/enrol-1.jpg", "people/p01/enrol-2.jpg", "people/p02/enrol-1.jpg"]);
    let error = enrol(mixed.path()).err().unwrap();
    assert!(
        matches!(&error, EnrolError::TwoPeople { a, b, .. } if a == "enrol-0.jpg" && b == "enrol-2.jpg"),
        "{error}"
    );
    let few = folder_with(&["people/p01/enrol-1.jpg"]);
    let error = enrol(few.path()).err().unwrap().to_string();
    assert!(error.contains("at least 3") && error.contains("至少"), "{error}");
    let dark = folder_with(&["people/p01/enrol-1.jpg", "people/p01/enrol-2.jpg", "bad/dark.jpg"]);
    let error = enrol(dark.path()).err().unwrap().to_string();
    assert!(error.contains("enrol-2.jpg"), "{error}");
}

#[test]
fn a_chip_photo_enrols_alone() {
    let mut eyes = shipped_eyes();
    let rule = eyes.rule("1e-3").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let shot = asset("people/p05/enrol-1.jpg");
    // The face fills a chip photo as it fills an identity card: crop to it, then 102 x 126 pixels.
    let cut = shot.cut(bedcheck::base::frame::Area { x: 90, y: 90, width: 300, height: 370 }).unwrap();
    let chip = bedcheck::vision::geometry::resize(&cut, 102, 126).unwrap();
    fs::write(folder.path().join("chip.jpg"), picture::encode_jpeg(&chip, 85).unwrap()).unwrap();
    let shots = inspect(&mut eyes, folder.path()).unwrap();
    let enrolled = templates(&mut eyes, folder.path(), &shots, &rule).unwrap();
    assert_eq!(enrolled.reference, bedcheck::agent::enrol::Reference::Chip);
    let probe = only_face(&mut eyes, &asset("people/p05/probe-1.jpg"), &QualityRule::default()).unwrap();
    let probe = eyes.embed(&probe).unwrap();
    let similarity = eyes.manifest.embedder.metric.similarity(&probe, enrolled.templates[0].reveal());
    assert!(similarity >= rule.match_at, "{similarity} against {}", rule.match_at);
}

/// Why the shipped pack is refused with one net replaced by other bytes, whose digest the manifest knows.
fn pack_with(net: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> NetError {
    let mut digests = None;
    let pack = changed_pack(|name, bytes| {
        if name == net {
            let after = change(bytes.clone());
            digests = Some((sha256_hex(&bytes), sha256_hex(&after)));
            after
        } else if name == "manifest.toml" {
            let (before, after) = digests.clone().unwrap();
            String::from_utf8(bytes).unwrap().replace(&before, &after).into_bytes()
        } else {
            bytes
        }
    });
    open_pack(pack.path()).err().unwrap()
}

#[test]
fn a_drop_in_net_that_is_another_one_is_refused() {
    let other =
        pack_with("facemesh_192.onnx", |_| fs::read(root().join("models/blazeface_short_128.onnx")).unwrap());
    assert!(matches!(&other, NetError::Output { .. } | NetError::Onnx { .. }), "{other}");
    assert!(other.to_string().contains("facemesh_192.onnx"), "{other}");
    let foreign = pack_with("facemesh_192.onnx", |bytes| {
        // One more opset import: field 8 of the model, with the domain as its field 1.
        [bytes, b"\x42\x0d\x0a\x0bcom.example".to_vec()].concat()
    });
    assert!(
        matches!(&foreign, NetError::File { cause: OnnxFileError::Domain(domain), .. } if domain == "com.example")
    );
    let cut = pack_with("facemesh_192.onnx", |bytes| bytes[..bytes.len() / 2].to_vec());
    assert!(matches!(&cut, NetError::File { cause: OnnxFileError::Damaged(_), .. }), "{cut}");
}

#[test]
fn a_net_that_answers_with_no_number_is_refused() {
    // Weights of fp16 infinity: the last tensor's bytes become 0x7c00 each.
    let broken = pack_with("blazeface_short_128.onnx", |mut bytes| {
        let middle = bytes.len() / 2;
        let from = middle & !1;
        for pair in bytes[from..from + 2000].chunks_exact_mut(2) {
            pair.copy_from_slice(&[0x00, 0x7c]);
        }
        bytes
    });
    let fits = matches!(
        &broken,
        NetError::NotANumber { .. } | NetError::Golden { .. } | NetError::File { .. } | NetError::Onnx { .. }
    );
    assert!(fits && broken.to_string().contains("blazeface_short_128.onnx"), "{broken}");
}
