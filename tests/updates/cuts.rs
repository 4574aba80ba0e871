//! The power is cut after every step, and what was not promised by then is torn; and the starts of probation.

use std::fs;

use bedcheck::agent::update::probation::{STARTS, begin, ended_well, give_up};
use bedcheck::agent::update::take::{Step, Taken};
use bedcheck::agent::update::{Active, UpdateError};
use bedcheck::store::bundles::Bundles;

use crate::world::{World, files};

/// What a power cut does to files that nothing points to yet: they stay, get empty, lose their end, or were never there.
const LOSSES: [&str; 4] = ["nothing", "empty", "half", "gone"];

fn lose(world: &World, how: &str) {
    let standing = world.standing();
    let kept = [standing.current, standing.previous].into_iter().flatten().map(|version| version.to_string());
    let kept: Vec<String> = kept.collect();
    for entry in fs::read_dir(world.state().join("bundles")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if kept.contains(&name) || !folder.is_dir() {
            continue;
        }
        for path in files(&folder) {
            let length = fs::metadata(&path).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            match how {
                "empty" => file.set_len(0).unwrap(),
                "half" => file.set_len(length / 2).unwrap(),
                "gone" => fs::remove_file(&path).unwrap(),
                _ => {}
            }
        }
    }
}

#[test]
fn after_a_power_cut_at_any_step_the_old_bundle_runs_or_the_new_one() {
    let mut at = 0;
    let mut steps = Vec::new();
    loop {
        let mut last = None;
        for loss in LOSSES {
            let world = World::settled();
            let stick = world.publish(2);
            let old: Active = world.active().unwrap();
            let mut count = 0;
            let cut = world.take_until(&stick, &mut |step| {
                count += 1;
                last = Some(step);
                count <= at
            });
            let Err(error) = cut else {
                assert_eq!(steps.len(), at);
                // Every step was there: one file, and each of the others once.
                let wanted = [
                    Step::Checked,
                    Step::Emptied,
                    Step::Unpacked,
                    Step::Proven,
                    Step::Placed,
                    Step::Activated,
                    Step::Swept,
                ];
                assert_eq!(steps, wanted);
                return;
            };
            let step = last.unwrap();
            assert!(matches!(error, UpdateError::Ended(ended) if ended == step), "{error}");
            lose(&world, loss);

            // The next start: whole, old or new, and never the old one after the switch.
            begin(&world.state()).unwrap();
            let now = world.active().unwrap();
            if step < Step::Activated {
                assert_eq!((now, world.standing().highest), (old, 1), "{step:?}, {loss}");
                // Nothing hinders the next try.
                assert_eq!(world.take(&stick).unwrap(), Taken::Activated(2), "{step:?}, {loss}");
            } else {
                assert_eq!((now.version, world.standing().highest), (2, 2), "{step:?}, {loss}");
                assert_eq!(world.standing().starts, Some(1));
                assert_eq!(world.take(&stick).unwrap(), Taken::Already(2));
            }
            assert_eq!(world.standing().previous, Some(1));
            assert!(world.state().join("bundles/1/policy.toml").exists(), "the old one is kept");
        }
        steps.push(last.unwrap());
        at += 1;
    }
}

#[test]
fn a_bundle_with_which_the_agent_keeps_ending_is_gone_back_from() {
    let world = World::settled();
    world.take(&world.publish(2)).unwrap();
    // Somebody ends it by hand: that costs nothing.
    for _ in 0..2 * STARTS {
        begin(&world.state()).unwrap();
        ended_well(&world.state());
    }
    for start in 1..=STARTS {
        begin(&world.state()).unwrap();
        assert_eq!((world.standing().starts, world.active().unwrap().version), (Some(start), 2));
    }
    begin(&world.state()).unwrap();
    let standing = world.standing();
    assert_eq!((standing.current, standing.highest, standing.starts), (Some(1), 2, None));
    assert_eq!(standing.returned.unwrap().0, 2);
    assert_eq!(world.active().unwrap().version, 1);

    // The same is not tried again, a higher one is; and from there it leads back to the one that was good.
    assert!(matches!(world.take(&world.at("stick-2")), Err(UpdateError::GivenUp(2))));
    world.take(&world.publish(3)).unwrap();
    begin(&world.state()).unwrap();
    fs::write(world.state().join("bundles/3/policy.toml"), "schema = 1\n").unwrap();
    begin(&world.state()).unwrap();
    let standing = world.standing();
    assert_eq!((standing.current, standing.returned.unwrap().0), (Some(1), 3));

    // What has proven itself stays.
    assert!(!give_up(&world.state(), "no reason").unwrap());
    assert!(!Bundles::open(&world.state()).unwrap().settle(3).unwrap());
    for _ in 0..2 * STARTS {
        begin(&world.state()).unwrap();
    }
    assert_eq!(world.active().unwrap().version, 1);
}
