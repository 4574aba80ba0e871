//! The watch on the demo's ward, tampered with, and on noise.

use std::path::Path;

use super::*;
use crate::base::clock::Wall;
use crate::base::picture::{decode, encode_jpeg, read};
use crate::capture::recorded::Recorded;

fn asset(path: &str) -> Picture {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)).unwrap()
}

/// A quarter of a ward picture, with fresh noise of a sensor: deviation about 1.5 grey levels.
struct Sensor(u64);

impl Sensor {
    fn noise(&mut self) -> f32 {
        // Four uniform numbers make a bell.
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5;
        }
        sum * 2.6
    }

    fn film(&mut self, scene: &Picture) -> Picture {
        let rgb = scene.rgb().iter().map(|value| (f32::from(*value) + self.noise()).clamp(0.0, 255.0) as u8);
        Picture::new(scene.width(), scene.height(), rgb.collect()).unwrap()
    }
}

fn quarter(picture: &Picture) -> Picture {
    quarter_from(picture, 0, 0)
}

/// Every fourth pixel, from a place on.
fn quarter_from(picture: &Picture, dx: usize, dy: usize) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut rgb = Vec::new();
    for y in 0..height / 4 {
        for x in 0..width / 4 {
            let (x, y) = ((x * 4 + dx).min(width - 1), (y * 4 + dy).min(height - 1));
            rgb.extend_from_slice(&picture.rgb()[(y * width + x) * 3..][..3]);
        }
    }
    Picture::new((width / 4) as u32, (height / 4) as u32, rgb).unwrap()
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1000), wall: Wall(1_790_000_000_000 + seconds as i64 * 1000), boot: 0 }
}

/// A watch that saw a ward for two minutes, once a second.
fn used_to(scene: &Picture, sensor: &mut Sensor) -> Watch {
    let mut watch = Watch::default();
    for second in 0..120 {
        assert_eq!(watch.take(&sensor.film(scene), at(second), Origin::Live), None, "after {second} s");
    }
    watch
}

/// What a watch used to `scene` says after `seconds` of something else.
fn after(scene: &Picture, other: impl Fn(u64) -> Picture, seconds: u64) -> Option<Tamper> {
    let mut sensor = Sensor(7);
    let mut watch = used_to(scene, &mut sensor);
    let mut verdict = None;
    for second in 0..seconds {
        verdict = watch.take(&sensor.film(&other(second)), at(120 + second), Origin::Live);
    }
    verdict
}

fn ward() -> Picture {
    quarter(&asset("ward/empty/cam-1.jpg"))
}

fn changed(picture: &Picture, change: impl Fn(u8) -> u8) -> Picture {
    Picture::new(picture.width(), picture.height(), picture.rgb().iter().map(|v| change(*v)).collect())
        .unwrap()
}

/// A mean over `2 r + 1` pixels each way.
fn blurred(picture: &Picture, radius: i32) -> Picture {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let mut rgb = picture.rgb().to_vec();
    for (dx, dy) in [(1, 0), (0, 1)] {
        let from = rgb.clone();
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    let sum: u32 = (-radius..=radius)
                        .map(|d| {
                            let (x, y) =
                                ((x + d * dx).clamp(0, width - 1), (y + d * dy).clamp(0, height - 1));
                            u32::from(from[((y * width + x) * 3 + c) as usize])
                        })
                        .sum();
                    rgb[((y * width + x) * 3 + c) as usize] = (sum / (2 * radius as u32 + 1)) as u8;
                }
            }
        }
    }
    Picture::new(width as u32, height as u32, rgb).unwrap()
}

#[test]
fn a_hand_before_the_lens_is_seen_after_ten_seconds_and_not_before() {
    let scene = ward();
    let hand = |_| {
        let shade = |at: usize| 120 + (at % 960) / 24;
        let rgb = (0..scene.rgb().len()).map(|at| shade(at) as u8).collect();
        Picture::new(scene.width(), scene.height(), rgb).unwrap()
    };
    assert_eq!(after(&scene, hand, 9), None);
    assert_eq!(after(&scene, hand, 13), Some(Tamper::Covered));
    // It does not become usual by staying.
    assert_eq!(after(&scene, hand, 900), Some(Tamper::Covered));
}

#[test]
fn lights_that_go_out_are_no_tampering() {
    let scene = ward();
    assert_eq!(after(&scene, |_| changed(&scene, |value| value / 12), 120), None);
    // Nor is a lamp that halves the light.
    assert_eq!(after(&scene, |_| changed(&scene, |value| value / 2), 120), None);
}

#[test]
fn a_lens_turned_out_of_focus_is_seen() {
    let scene = ward();
    assert_eq!(after(&scene, |_| blurred(&scene, 6), 30), Some(Tamper::Defocused));
}

#[test]
fn a_camera_turned_to_the_side_is_seen_and_one_that_trembles_is_not() {
    let full = asset("ward/empty/cam-1.jpg");
    let scene = quarter(&full);
    assert_eq!(after(&scene, |_| quarter_from(&full, 160, 60), 70), Some(Tamper::Moved));
    assert_eq!(
        after(&scene, |second| quarter_from(&full, (second * second * 7 / 11) as usize % 3, 0), 200),
        None
    );
}

#[test]
fn people_who_lie_down_and_sit_up_have_not_moved_the_camera() {
    for camera in ["cam-1", "cam-2", "cam-3", "cam-4", "cam-6", "cam-7"] {
        let empty = quarter(&asset(&format!("ward/empty/{camera}.jpg")));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ward").join(camera);
        let full = quarter(&Recorded::open(&folder, 4.0).unwrap().picture(0).unwrap());
        assert_eq!(after(&empty, |_| full.clone(), 120), None, "{camera}");
    }
}

#[test]
fn a_frozen_picture_is_seen_on_a_live_camera_only() {
    let frame = Sensor(3).film(&ward());
    let judge = |origin| {
        let mut watch = Watch::default();
        (0..40).map(|second| watch.take(&frame, at(second), origin)).last().flatten()
    };
    assert_eq!(judge(Origin::Live), Some(Tamper::Frozen));
    assert_eq!(judge(Origin::Synthetic), None);
}

#[test]
fn a_loop_is_seen_even_when_it_is_encoded_anew() {
    let (scene, mut sensor) = (ward(), Sensor(11));
    let mut watch = used_to(&scene, &mut sensor);
    let clip: Vec<Picture> = (0..30).map(|_| sensor.film(&scene)).collect();
    let mut verdict = None;
    for second in 0..90_u64 {
        let quality = 80 + (second / 30) as u8;
        let jpeg = encode_jpeg(&clip[second as usize % clip.len()], quality).unwrap();
        verdict = watch.take(&decode(&jpeg).unwrap(), at(120 + second), Origin::Live);
    }
    assert_eq!(verdict, Some(Tamper::Looped), "likeness {}", watch.likeness());
}

#[test]
fn a_short_film_that_is_played_again_and_again_is_seen_by_its_bytes() {
    let (scene, mut sensor) = (ward(), Sensor(23));
    let clip: Vec<Picture> = (0..4).map(|_| sensor.film(&scene)).collect();
    let mut watch = Watch::default();
    let verdicts = (0..30_u64).map(|second| watch.take(&clip[second as usize % 4], at(second), Origin::Live));
    assert_eq!(verdicts.last().flatten(), Some(Tamper::Looped));
}

#[test]
fn an_encoder_whose_quality_goes_to_and_fro_is_no_loop() {
    let (scene, mut sensor) = (ward(), Sensor(29));
    let mut watch = Watch::default();
    for second in 0..600_u64 {
        let jpeg = encode_jpeg(&sensor.film(&scene), 60 + (second % 3 * 15) as u8).unwrap();
        let verdict = watch.take(&decode(&jpeg).unwrap(), at(second), Origin::Live);
        assert_eq!(verdict, None, "after {second} s, likeness {}", watch.likeness());
    }
}

#[test]
fn twenty_minutes_of_a_still_ward_raise_nothing() {
    let (scene, mut sensor) = (ward(), Sensor(5));
    let mut watch = Watch::default();
    let mut most = 0.0_f32;
    // A whole hour was tried once: 0.109 was the greatest likeness.
    for second in 0..1200 {
        let jpeg = encode_jpeg(&sensor.film(&scene), 85).unwrap();
        assert_eq!(watch.take(&decode(&jpeg).unwrap(), at(second), Origin::Live), None, "after {second} s");
        most = most.max(watch.likeness());
    }
    println!("greatest likeness of a fresh static scene: {most:.3}");
    assert!(most < 0.4, "{most}");
}

#[test]
fn a_sleepers_breath_that_comes_round_is_no_loop() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ward/cam-1");
    let recorded = Recorded::open(&folder, 4.0).unwrap();
    let clip: Vec<Picture> =
        (0..recorded.len()).map(|number| quarter(&recorded.picture(number).unwrap())).collect();
    // The clip's own noise repeats; a living camera's does not: average it away before fresh noise is added.
    let still = mean(&clip);
    let alive: Vec<Picture> =
        clip.iter().map(|frame| mean(&[frame.clone(), still.clone(), still.clone()])).collect();
    let (mut watch, mut sensor) = (Watch::default(), Sensor(17));
    let mut most = 0.0_f32;
    for second in 0..600_u64 {
        let frame = sensor.film(&alive[second as usize * 4 % alive.len()]);
        assert_eq!(watch.take(&frame, at(second), Origin::Live), None, "after {second} s");
        most = most.max(watch.likeness());
    }
    println!("greatest likeness of a breathing sleeper: {most:.3}");
}

fn mean(frames: &[Picture]) -> Picture {
    let first = &frames[0];
    let rgb = (0..first.rgb().len()).map(|at| {
        let sum: u32 = frames.iter().map(|frame| u32::from(frame.rgb()[at])).sum();
        (sum / frames.len() as u32) as u8
    });
    Picture::new(first.width(), first.height(), rgb.collect()).unwrap()
}

#[test]
fn the_demos_recordings_raise_nothing() {
    for camera in ["cam-1", "cam-2", "cam-3", "cam-4", "cam-5.mjpeg", "cam-6", "cam-7", "cam-8"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ward").join(camera);
        let recorded = Recorded::open(&path, 4.0).unwrap();
        let frames: Vec<Picture> =
            (0..recorded.len()).map(|number| recorded.picture(number).unwrap()).collect();
        let mut watch = Watch::default();
        for number in 0..120_usize {
            let now = Now { mono: Mono(number as u64 * 500), ..at(0) };
            let verdict = watch.take(&frames[number % frames.len()], now, Origin::Synthetic);
            assert_eq!(verdict, None, "{camera}, picture {number}");
        }
        let look = Look::of(&frames[0]);
        println!(
            "{camera}: mean {:.0} entropy {:.2} detail {:.3} sharpness {:.3}",
            look.mean, look.entropy, look.detail, look.sharpness
        );
    }
}
