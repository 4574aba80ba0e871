//! What is not taken, and that nothing changes then.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use bedcheck::agent::update::take::Taken;
use bedcheck::agent::update::{self as updates, UpdateError};
use bedcheck::base::clock::Wall;
use bedcheck::platform::update::PublishError;
use bedcheck::platform::update_keys::{self, Before};
use bedcheck::store::bundles::{Bundles, ROOT, Seen};
use bedcheck::wire::bundle::MOST_NET;
use serde_json::Value;
use tough::editor::RepositoryEditor;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{Hashes, Target};

use crate::world::{Made, World, copy, files, now, wait};

/// Refused with these words, and the bundle in use is the one before.
fn refused(world: &World, stick: &Path, words: &str) -> UpdateError {
    let before = (world.standing(), world.active());
    let error = world.take(stick).unwrap_err();
    let said = error.to_string();
    assert!(said.to_lowercase().contains(words), "{words:?} is not in {said:?}");
    assert_eq!((world.standing(), world.active()), before, "{said}");
    error
}

#[test]
fn a_good_bundle_is_taken_once() {
    let world = World::new();
    assert_eq!(world.active(), None);
    let stick = world.publish(1);
    assert_eq!(world.take(&stick).unwrap(), Taken::Activated(1));
    let active = world.active().unwrap();
    assert_eq!((active.version, active.floor.sample_at_least, active.has_pack), (1, Some(0.5), false));
    assert_eq!(world.take(&stick).unwrap(), Taken::Already(1));
    let beat = updates::beat(&world.state()).unwrap().unwrap();
    assert_eq!((beat.version, beat.highest, beat.on_probation), (Some(1), 1, true));
    assert_eq!(beat.root.len(), 64);
    assert!(matches!(world.try_publish(&world.made(1)), Err(PublishError::Published(_, 1))));
}

#[test]
fn one_signature_of_two_is_too_few_for_maker_and_taker() {
    let world = World::settled();
    let keys: Vec<_> =
        ["targets-2", "snapshot", "timestamp"].map(|name| world.keys().join(format!("{name}.key"))).into();
    let error = world.try_publish(&Made { keys: keys.clone(), ..world.made(2) }).unwrap_err();
    assert!(matches!(error, PublishError::Sign(_)), "{error}");

    // A maker who wrote himself a root that asks for one.
    let root = fs::read_to_string(world.keys().join("root.json")).unwrap();
    let mut root: Value = serde_json::from_str(&root).unwrap();
    root["signed"]["roles"]["targets"]["threshold"] = 1.into();
    let easy = world.at("easy.json");
    fs::write(&easy, root.to_string()).unwrap();
    let stick = world.try_publish(&Made { keys, root: easy, ..world.made(2) }).unwrap();
    refused(&world, &stick, "signature threshold of 2 not met");
    // His root as the next one: it is not signed for that.
    root["signed"]["version"] = 2.into();
    fs::write(stick.join("metadata/2.root.json"), root.to_string()).unwrap();
    refused(&world, &stick, "root");
}

#[test]
fn keys_of_somebody_else_sign_nothing_here() {
    let world = World::settled();
    let theirs = world.at("theirs");
    update_keys::init(&theirs, 2, 3, None, now()).unwrap();
    let (keys, root) = (vec![theirs.clone()], theirs.join("root.json"));
    let stick = world.try_publish(&Made { keys, root: root.clone(), ..world.made(2) }).unwrap();
    refused(&world, &stick, "signature threshold");
    let error = updates::trust(&world.state(), &fs::read(root).unwrap()).unwrap_err();
    assert!(matches!(error, UpdateError::OtherRoot(_)), "{error}");
}

#[test]
fn new_keys_count_when_enough_old_ones_say_so() {
    let world = World::settled();
    let fingerprint = |world: &World| updates::beat(&world.state()).unwrap().unwrap().root;
    let (old, first) = (world.keys().join("root.json"), fingerprint(&world));
    let made = |name: &str, root: &Path, signers: &[&Path]| {
        let keys: Vec<_> = signers.iter().map(|path| path.to_path_buf()).collect();
        update_keys::init(&world.at(name), 2, 3, Some(&Before { root, keys: &keys }), now())
    };
    let one = world.keys().join("root-1.key");
    assert!(matches!(made("short", &old, &[&one]), Err(PublishError::NotFollowing(_))));
    let two = made("second", &old, &[&one, &world.keys().join("root-3.key")]).unwrap();
    let second = world.at("second").join("root.json");
    let three = made("third", &second, &[&world.at("second")]).unwrap();
    assert!(first != two && two != three);

    // A device that slept through the second set of keys follows both steps, and only with a bundle it accepts.
    let with = |version, name: &str| {
        let (keys, root) = (vec![world.at(name)], world.at(name).join("root.json"));
        world.try_publish(&Made { keys, root, ..world.made(version) }).unwrap()
    };
    let stick = with(2, "third");
    fs::rename(stick.join("metadata/2.root.json"), world.at("hidden")).unwrap();
    refused(&world, &stick, "signature threshold");
    fs::rename(world.at("hidden"), stick.join("metadata/2.root.json")).unwrap();
    assert_eq!(fingerprint(&world), first);
    assert_eq!(world.take(&stick).unwrap(), Taken::Activated(2));
    assert_eq!(fingerprint(&world), three);
    // The old keys are over.
    refused(&world, &world.publish(3), "signature threshold");
    assert_eq!(world.take(&with(4, "third")).unwrap(), Taken::Activated(4));
}

#[test]
fn what_has_run_out_is_not_taken() {
    let world = World::settled();
    let long_ago = Wall(now().0 - Duration::from_secs(2 * 3600).as_millis() as i64);
    let stick = world.try_publish(&Made { now: long_ago, ..world.made(2) }).unwrap();
    refused(&world, &stick, "expired");
}

#[test]
fn no_device_goes_back() {
    let world = World::settled();
    let (second, third) = (world.publish(2), world.publish(3));
    world.take(&third).unwrap();
    refused(&world, &second, "version 2");

    // What `tough` remembers was lost; the highest version was not.
    let mut bundles = Bundles::open(&world.state()).unwrap();
    let root = fs::read(world.keys().join("root.json")).unwrap();
    let seen = Seen::from([(ROOT.to_owned(), root), ("targets.json".to_owned(), Vec::new())]);
    bundles.activate(4, &seen).unwrap();
    assert!(matches!(world.take(&second), Err(UpdateError::Older { offered: 2, highest: 4 })));
}

#[test]
fn files_of_two_bundles_do_not_mix() {
    let world = World::settled();
    let (second, third) = (world.publish(2), world.publish(3));
    for name in ["snapshot", "targets"] {
        let mixed = world.at(&format!("mixed-{name}"));
        copy(&third, &mixed);
        let [old, new] = [2, 3].map(|version| format!("metadata/{version}.{name}.json"));
        fs::copy(second.join(old), mixed.join(new)).unwrap();
        refused(&world, &mixed, "mismatch");
    }
    assert_eq!(world.take(&third).unwrap(), Taken::Activated(3));
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let world = World::settled();
    let stick = world.publish(2);
    let mut tried = 0;
    for path in files(&stick).iter().filter(|path| !path.ends_with("1.root.json")) {
        let good = fs::read(path).unwrap();
        for at in (0..good.len()).step_by(41) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(path, bad).unwrap();
            let error = world.take(&stick);
            assert!(matches!(error, Err(UpdateError::Refused(_))), "{path:?} at {at}: {error:?}");
            tried += 1;
        }
        fs::write(path, [good.as_slice(), b"more"].concat()).unwrap();
        assert!(world.take(&stick).is_err(), "{path:?} is longer");
        fs::write(path, &good[..good.len() / 2]).unwrap();
        assert!(world.take(&stick).is_err(), "{path:?} is shorter");
        fs::remove_file(path).unwrap();
        assert!(world.take(&stick).is_err(), "{path:?} is gone");
        fs::write(path, good).unwrap();
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(world.standing().highest, 1);
    assert_eq!(world.take(&stick).unwrap(), Taken::Activated(2));
}

#[test]
fn a_bundle_for_another_device_is_refused_and_leaves_no_trace() {
    let world = World::settled();
    let theirs = world.try_publish(&Made { device: Some("terminal-9"), ..world.made(9) }).unwrap();
    let error = refused(&world, &theirs, "terminal-9");
    assert!(matches!(error, UpdateError::Foreign { .. }), "{error}");
    // Its higher version does not lock ours out.
    let ours = world.try_publish(&Made { device: Some("terminal-3a"), ..world.made(2) }).unwrap();
    assert_eq!(world.take(&ours).unwrap(), Taken::Activated(2));
}

/// A repository with one target of that name and length, signed by the right people; the file itself is not there.
fn signed(world: &World, name: &str, length: u64) -> std::path::PathBuf {
    let out = world.at("odd");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(out.join("targets")).unwrap();
    let keys = ["targets-1", "targets-2", "snapshot", "timestamp"].map(|key| {
        Box::new(LocalKeySource { path: world.keys().join(format!("{key}.key")) }) as Box<dyn KeySource>
    });
    wait(async {
        let mut editor = RepositoryEditor::new(world.keys().join("root.json")).await.unwrap();
        let hashes = Hashes { sha256: vec![7; 32].into(), _extra: HashMap::new() };
        let target = Target { length, hashes, custom: HashMap::new(), _extra: HashMap::new() };
        let version = NonZeroU64::new(2).unwrap();
        let until = jiff::Timestamp::from_second(now().0 / 1000 + 3600).unwrap();
        editor.add_target(name, target).unwrap();
        editor.targets_version(version).unwrap().targets_expires(until).unwrap();
        editor.snapshot_version(version).snapshot_expires(until);
        editor.timestamp_version(version).timestamp_expires(until);
        let signed = editor.sign(&keys).await.unwrap();
        signed.write(out.join("metadata")).await.unwrap();
    });
    out
}

#[test]
fn names_that_lead_elsewhere_and_giants_are_refused_though_they_are_signed() {
    let world = World::settled();
    let before = files(world.terminal.folder.path()).len();
    let names = ["../../identity/statement.key", "/etc/passwd", "a/b.onnx", ".lock", "x/../../y", "网.onnx"];
    for name in names {
        let stick = signed(&world, name, 4);
        let error = world.take(&stick).unwrap_err();
        assert!(matches!(&error, UpdateError::Name(_)), "{name}: {error}");
    }
    let error = world.take(&signed(&world, "net.onnx", MOST_NET + 1)).unwrap_err();
    assert!(matches!(error, UpdateError::Size { .. }), "{error}");
    let error = world.take(&signed(&world, "policy.toml", 1 << 20)).unwrap_err();
    assert!(matches!(error, UpdateError::Size { .. }), "{error}");
    fs::remove_dir_all(world.at("odd")).unwrap();
    assert_eq!(files(world.terminal.folder.path()).len(), before, "nothing was written");
}

#[test]
fn a_stick_may_be_called_anything_and_holds_plain_files_only() {
    let world = World::settled();
    let stick = world.publish(2);
    let here = world.at("U盘 监管 100%");
    copy(&stick, &here);
    let target = fs::read_dir(here.join("targets")).unwrap().next().unwrap().unwrap().path();
    // A pipe nobody writes into would be waited for until the end of days; a link could lead anywhere.
    fs::remove_file(&target).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&target).status().unwrap().success());
    refused(&world, &here, "no plain file");
    fs::remove_file(&target).unwrap();
    std::os::unix::fs::symlink(stick.join("targets").join(target.file_name().unwrap()), &target).unwrap();
    refused(&world, &here, "no plain file");
    fs::remove_dir_all(&here).unwrap();
    assert!(matches!(world.take(&here), Err(UpdateError::Missing(_))));
    copy(&stick, &here);
    assert_eq!(world.take(&here).unwrap(), Taken::Activated(2));
}

#[test]
fn signed_thresholds_count_for_their_net_only_and_senseless_ones_do_not_count() {
    let world = World::settled();
    let calibration = |live_at: &str| format!("net = \"abc\"\nlive_at = {live_at}\nattack_below = 0.1\n");
    for (version, odd) in [(2, "nan"), (3, "1.5"), (4, "0.05"), (5, "\"high\"")] {
        let text = calibration(odd);
        let stick = world.try_publish(&Made { calibration: Some(&text), ..world.made(version) }).unwrap();
        let error = world.take(&stick).unwrap_err();
        assert!(matches!(error, UpdateError::Calibration { .. }), "{odd}: {error}");
    }
    let text = calibration("0.4");
    let stick = world.try_publish(&Made { calibration: Some(&text), ..world.made(6) }).unwrap();
    world.take(&stick).unwrap();
    let calibration = world.active().unwrap().calibration.unwrap();
    assert_eq!(calibration.of("abc").map(|rule| (rule.live_at, rule.attack_below)), Some((0.4, 0.1)));
    assert_eq!(calibration.of("abd"), None);
}

#[test]
fn a_terminal_that_trusts_nobody_takes_nothing() {
    let world = World::settled();
    let stick = world.publish(2);
    fs::remove_file(world.state().join("updates.db")).unwrap();
    assert!(matches!(world.take(&stick), Err(UpdateError::NoRoot)));
    assert!(matches!(updates::trust(&world.state(), b"{}"), Err(UpdateError::Refused(_))));
    let root = fs::read_to_string(world.keys().join("root.json")).unwrap();
    let unsigned = root.replace("\"threshold\": 2", "\"threshold\": 1");
    assert!(matches!(updates::trust(&world.state(), unsigned.as_bytes()), Err(UpdateError::Refused(_))));
}
