//! Signs of life in the demo's ward: real models on every frame of the clips. Needs `models/fetch-runtime` to have run.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bedcheck::base::clock::Mono;
use bedcheck::base::frame::Area;
use bedcheck::base::ids::CameraId;
use bedcheck::capture::recorded::Recorded;
use bedcheck::domain::liveness::{Assessment, Cue, Life, LifeRule, Place, assess};
use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::manifest;
use bedcheck::vision::watch::Watch;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Three loops of a clip at 4 frames a second, as the worker would watch one of its beds.
fn watched(eyes: &mut Eyes, camera: &str, x: u32) -> Life {
    let folder = root().join("assets/ward").join(camera);
    let path = if folder.is_dir() { folder } else { folder.with_extension("mjpeg") };
    let clip = Recorded::open(Path::new(&path), 4.0).unwrap();
    let mut watch = Watch::default();
    for number in 0..36 {
        let picture = clip.picture(number).unwrap();
        let zone = picture.cut(Area { x, y: 30, width: 600, height: 660 }).unwrap();
        let at = Mono(number as u64 * 250);
        if number % 6 == 0
            && let Some(face) = eyes.faces(&zone).unwrap().first()
        {
            watch.follow(eyes, at, &zone, face).unwrap();
        }
        watch.take(eyes, at, &zone, 6_000).unwrap();
    }
    watch.life()
}

#[test]
fn the_living_breathe_and_blink_and_the_pictures_do_not() {
    let mut eyes = Eyes::open(manifest::read(&root().join("models")).unwrap()).unwrap();
    let six = Duration::from_secs(6);
    let rule = LifeRule { watch: six, blink_within: six, ..LifeRule::default() };
    let camera = CameraId::new("cam").unwrap();
    let live = Assessment::Live(Cue::Breathing);
    for (bed, clip, x, wanted) in [
        ("01", "cam-1", 20, live),
        ("02", "cam-1", 660, live),
        ("03", "cam-2", 20, live),
        ("05", "cam-3", 20, live),
        ("07", "cam-4", 20, live),
        ("08", "cam-4", 660, live),
        ("10", "cam-5", 660, live),
        ("11 printed photo", "cam-6", 20, Assessment::Attack(Cue::Still)),
        ("12 tablet", "cam-6", 660, Assessment::Attack(Cue::Still)),
        ("13 cut-out mask", "cam-7", 20, Assessment::Attack(Cue::NoBlink)),
    ] {
        let life = watched(&mut eyes, clip, x);
        assert_eq!(assess(&life, Place::Bed, &camera, &rule), wanted, "bed {bed}: {life:?}");
        println!("bed {bed}: {life:?}");
    }
}

#[test]
fn an_empty_bed_does_not_breathe_and_a_hidden_sleeper_does() {
    let mut eyes = Eyes::open(manifest::read(&root().join("models")).unwrap()).unwrap();
    let rule = LifeRule::default();
    let empty = watched(&mut eyes, "cam-2", 660).body.unwrap();
    assert!(empty.breath < rule.breath_above && empty.movement < rule.movement_above, "{empty:?}");
    let hidden = watched(&mut eyes, "cam-3", 660).body.unwrap();
    assert!(hidden.breath >= rule.breath_above && hidden.clarity >= rule.clear_above, "{hidden:?}");
}
