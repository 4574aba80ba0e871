//! The ward: what is made of it before the cameras and in the hospital's own books. The domain itself decides, its journal
//! is delivered, and the case is looked for at the platform.

use bedcheck::base::clock::Now;
use bedcheck::store::Commit;
use bedcheck::wire::event::Report;

use super::super::world::*;
use super::{Known, all_known, cases, judge};

#[path = "../../scenarios/story.rs"]
mod story;

use story::Story;

/// A story of `tests/scenarios`, and the case it must come to.
const ATTACKS: &[(&str, &str)] = &[
    ("hanging_bed", "hanging_bed"),
    ("impersonation", "impersonation"),
    ("impostor_leaves_and_the_bed_is_empty", "impersonation"),
    ("swapped_beds", "wrong_bed"),
    ("a_photo_on_the_pillow", "presentation_attack"),
    ("false_hospitalisation", "hanging_bed"),
    ("leave_reported_afterwards", "retroactive_leave"),
    ("leave_taken_back_after_it_excused", "taken_back"),
    ("discharge_taken_back_after_the_round", "taken_back"),
    ("discharge_reported_afterwards", "retroactive_departure"),
    ("transfer_reported_afterwards", "retroactive_departure"),
    ("two_in_one_bed", "two_in_bed"),
    ("one_person_in_two_beds", "two_beds"),
    ("paid_for_and_in_no_bed", "insurer_mismatch"),
    ("in_a_bed_and_not_insured", "insurer_mismatch"),
    ("clock_set_back_before_a_late_excuse", "clock_stepped"),
    ("clock_set_back_hides_no_hanging_bed", "clock_stepped"),
    ("clock_set_forward_counts_no_absence_twice", "clock_stepped"),
    ("camera_covered", "camera_tampered"),
    ("camera_defocused", "camera_tampered"),
    ("camera_frozen_shows_the_patient", "camera_tampered"),
    ("camera_looped", "camera_tampered"),
    ("camera_moved", "camera_tampered"),
    ("camera_unresponsive", "camera_tampered"),
    ("camera_virtual", "camera_tampered"),
    ("clock_off_the_platforms", "clock_off"),
];

/// Stories that look alike and accuse nobody.
const INNOCENT: &[&str] = &[
    "happy_path",
    "toilet_break",
    "examination_announced_before",
    "surgery_announced_before",
    "back_early_from_leave",
    "a_visitor_is_no_impostor",
    "a_swap_takes_two_messages",
    "a_wrong_discharge_put_right_at_once",
    "discharge_in_time_is_quiet",
    "leave_taken_back_unused",
    "a_bad_picture_is_no_impostor",
    "a_mask_is_no_impostor",
    "restart_in_the_middle_of_a_round",
];

/// Plays a story and has a device of its own report it.
async fn told(world: &World, name: &str) -> Device {
    let path = format!("{}/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut story = Story::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap().trim()) {
        // What is expected of the domain is another test's.
        if !line.is_empty() && !line.starts_with("expect") {
            story.tell(line).unwrap();
        }
    }
    let device = world.device(name);
    let commit = |finding| Commit {
        at: Now { wall: NOW, ..Now::default() },
        report: Report::Finding(finding),
        crop: None,
        remember: Vec::new(),
    };
    let mut journal = device.journal();
    journal.commit(story.said.into_iter().map(commit).collect()).unwrap();
    deliver(&device, journal).await;
    device
}

#[tokio::test]
async fn whoever_lies_about_the_ward_is_known() {
    let world = World::new().await;
    let mut unnoticed = Vec::new();
    for (name, kind) in ATTACKS {
        let device = told(&world, name).await;
        let found = cases(&world, &device);
        unnoticed.extend(judge(&name.replace('_', " "), Known::Case(kind), found.contains(*kind), &found));
    }
    all_known(ATTACKS.len(), 26, &unnoticed);
    world.end().await;
}

#[tokio::test]
async fn innocent_days_that_look_alike_accuse_nobody() {
    let world = World::new().await;
    let mut accused = Vec::new();
    for name in INNOCENT {
        let device = told(&world, name).await;
        let found = cases(&world, &device);
        if !found.is_empty() {
            accused.push(format!("{name}: {found:?}"));
        }
    }
    assert!(accused.is_empty(), "{}", accused.join("\n"));
    world.end().await;
}
