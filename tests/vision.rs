//! The nets on the demo's people: real models on real pixels. Needs `models/fetch-runtime` to have run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

mod common;

use std::f32::consts::PI;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};

use bedcheck::base::frame::{Area, Picture};
use bedcheck::base::picture;
use bedcheck::domain::policy::QualityRule;
use bedcheck::domain::verify::{is_covered, weakness};
use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::geometry::{Similarity, warp};
use bedcheck::vision::manifest::{self, PackError};
use bedcheck::vision::occupancy::{EmptyBed, mean_luma};
use bedcheck::vision::session::NetError;

use common::{asset, changed_pack, open_pack, root, shipped_eyes};

fn eyes() -> MutexGuard<'static, Eyes> {
    static EYES: OnceLock<Mutex<Eyes>> = OnceLock::new();
    EYES.get_or_init(|| Mutex::new(shipped_eyes())).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn embedding(eyes: &mut Eyes, picture: &Picture) -> Vec<f32> {
    let faces = eyes.faces(picture).unwrap();
    assert_eq!(faces.len(), 1, "one face is expected");
    assert_eq!(weakness(&faces[0].quality, &QualityRule::default()), None);
    eyes.embed(&faces[0]).unwrap()
}

#[test]
fn every_demo_person_is_like_himself_and_like_nobody_else() {
    let mut eyes = eyes();
    let rule = eyes.rule("1e-4").unwrap();
    let metric = eyes.manifest.embedder.metric;
    let mut people: Vec<PathBuf> =
        fs::read_dir(root().join("assets/people")).unwrap().map(|entry| entry.unwrap().path()).collect();
    people.sort();
    assert_eq!(people.len(), 14);
    let mut shots: Vec<(usize, Vec<f32>)> = Vec::new();
    for (person, folder) in people.iter().enumerate() {
        for entry in fs::read_dir(folder).unwrap() {
            shots.push((person, embedding(&mut eyes, &picture::read(&entry.unwrap().path()).unwrap())));
        }
    }
    let (mut least_genuine, mut most_impostor) = (f32::MAX, f32::MIN);
    for (at, (a, first)) in shots.iter().enumerate() {
        for (b, second) in &shots[at + 1..] {
            let similarity = metric.similarity(first, second);
            if a == b {
                least_genuine = least_genuine.min(similarity);
            } else {
                most_impostor = most_impostor.max(similarity);
            }
        }
    }
    println!("genuine >= {least_genuine:.3}, impostor <= {most_impostor:.3}, threshold {:.3}", rule.match_at);
    assert!(least_genuine > rule.match_at + 0.02, "{least_genuine}");
    assert!(most_impostor < rule.match_at - 0.02, "{most_impostor}");
}

/// A face turned about its middle, on a grey ground, as a bed zone would show it.
fn turned(picture: &Picture, degrees: f32) -> Picture {
    let center = [picture.width() as f32 / 2.0, picture.height() as f32 * 0.42];
    let side = picture.width() as f32 * 1.1;
    let matrix = Similarity::square(center, side, degrees.to_radians(), 420.0);
    let pixels = warp(picture, &matrix, 420).iter().map(|value| value.round() as u8).collect();
    Picture::new(420, 420, pixels).unwrap()
}

#[test]
fn a_face_is_the_same_at_every_angle() {
    let mut eyes = eyes();
    let metric = eyes.manifest.embedder.metric;
    let (mut worst, mut good, mut all) = (f32::MAX, 0, 0);
    for person in ["p01", "p04", "p08"] {
        let picture = asset(format!("people/{person}/enrol-1.jpg"));
        let upright = embedding(&mut eyes, &turned(&picture, 0.0));
        for step in 1..24 {
            let degrees = step as f32 * 15.0;
            let faces = eyes.faces(&turned(&picture, degrees)).unwrap();
            assert_eq!(faces.len(), 1, "{person} at {degrees}°");
            let roll = faces[0].mesh.pose().roll;
            // Turning the crop clockwise turns the face in it the other way.
            let off = (roll + degrees).to_radians();
            assert!(off.sin().abs() < 0.2 && off.cos() > 0.0, "{person} at {degrees}°: roll {roll}");
            let similarity = metric.similarity(&upright, &eyes.embed(&faces[0]).unwrap());
            worst = worst.min(similarity);
            good += usize::from(similarity > 0.85);
            all += 1;
        }
    }
    println!("{good} of {all} at a distance below 0.3 to upright, worst similarity {worst:.3}");
    assert!(good * 100 >= all * 99, "{good} of {all}");
    assert!(worst > eyes.rule("1e-3").unwrap().match_at);
}

#[test]
fn landmarks_are_in_place_on_an_upright_face() {
    let mut eyes = eyes();
    let faces = eyes.faces(&asset("people/p02/enrol-1.jpg")).unwrap();
    let mesh = &faces[0].mesh;
    let (eyes_middle, chin) = (mesh.middle(&[33, 263]), mesh.middle(&[152]));
    assert!(chin[1] > eyes_middle[1] + 60.0 && (chin[0] - eyes_middle[0]).abs() < 40.0);
    assert!(mesh.pose().yaw.abs() < 15.0 && mesh.roll().abs() < PI / 12.0);
}

#[test]
fn a_mask_is_noticed_and_a_bare_mouth_is_not() {
    let mut eyes = eyes();
    let rule = QualityRule::default();
    for person in ["p01", "p05", "p11"] {
        let picture = asset(format!("people/{person}/enrol-1.jpg"));
        let face = eyes.faces(&picture).unwrap().remove(0);
        assert!(!is_covered(&face.quality, &rule), "{person}: {}", face.quality.mouth);
        // A pale mask from the bridge of the nose to the chin.
        let (nose, chin) = (face.mesh.middle(&[4]), face.mesh.middle(&[152]));
        let (left, right) = (face.mesh.middle(&[234]), face.mesh.middle(&[454]));
        let mut rgb = picture.rgb().to_vec();
        for y in nose[1] as usize..chin[1] as usize {
            for x in left[0] as usize..right[0] as usize {
                let at = (y * picture.width() as usize + x) * 3;
                rgb[at..at + 3].copy_from_slice(&[205, 220, 230]);
            }
        }
        let masked = Picture::new(picture.width(), picture.height(), rgb).unwrap();
        for face in eyes.faces(&masked).unwrap() {
            assert!(is_covered(&face.quality, &rule), "{person}: {}", face.quality.mouth);
        }
    }
}

#[test]
fn bad_pictures_show_nobody_or_say_why() {
    let mut eyes = eyes();
    let rule = QualityRule::default();
    assert!(eyes.faces(&asset("bad/no-face.jpg")).unwrap().is_empty());
    assert_eq!(eyes.faces(&asset("bad/two-faces.jpg")).unwrap().len(), 2);
    let dark = eyes.faces(&asset("bad/dark.jpg")).unwrap();
    assert!(dark.iter().all(|face| weakness(&face.quality, &rule).is_some()));
    for (name, reason) in [
        ("empty.jpg", "0 bytes"),
        ("truncated.jpg", "cut short"),
        ("not-an-image.jpg", "not a picture"),
        ("wide.png", "20000"),
    ] {
        let error = picture::read(&root().join("assets/bad").join(name)).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
}

#[test]
fn beds_of_the_demo_are_empty_occupied_or_dark() {
    let zone = |x| Area { x, y: 30, width: 600, height: 660 };
    let empty = |camera: u8, x| {
        EmptyBed::new(&asset(format!("ward/empty/cam-{camera}.jpg")).cut(zone(x)).unwrap()).unwrap()
    };
    let (bed_04, bed_06) = (empty(2, 660), empty(3, 660));
    for frame in 0..6 {
        let absent = asset(format!("ward/cam-2/00{frame}.jpg")).cut(zone(660)).unwrap();
        let hidden = asset(format!("ward/cam-3/00{frame}.jpg")).cut(zone(660)).unwrap();
        assert!(bed_04.changed(&absent).unwrap() < 0.06, "bed 04, frame {frame}");
        assert!(bed_06.changed(&hidden).unwrap() > 0.2, "bed 06, frame {frame}");
        assert!(mean_luma(&absent) > 60.0);
    }
}

/// The pack in a temporary folder, with its manifest rewritten.

#[test]
fn a_changed_net_is_named_with_both_digests() {
    let pack = changed_pack(|name, mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= u8::from(name == "facemesh_192.onnx");
        bytes
    });
    let error = open_pack(pack.path()).err().unwrap();
    assert!(matches!(&error, NetError::Pack(PackError::Digest { .. })), "{error}");
    assert!(error.to_string().contains("facemesh_192.onnx"));
}

#[test]
fn a_pilot_pack_is_refused_in_production() {
    let manifest = manifest::read(&root().join("models")).unwrap();
    let error = manifest.demand_production().unwrap_err().to_string();
    assert!(error.contains("pilot") && error.contains("East Asian"), "{error}");
}
