//! Bad input at the terminal: each a clear message with place and remedy, and an exit code a script can branch on.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bedcheck(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bedcheck")).args(arguments).current_dir(root()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_refused(output: &Output, code: i32, wanted: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for wanted in wanted {
        assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

#[test]
fn verify_tells_match_from_stranger_and_says_why_a_picture_is_useless() {
    let verify = |probe: &str| {
        bedcheck(&["verify", "--reference", "assets/people/p01/enrol-1.jpg", "--probe", probe, "--json"])
    };
    let same = json(&verify("assets/people/p01/probe-1.jpg"));
    assert_eq!(same["match"], true);
    assert!(same["score"].as_f64() > same["threshold"].as_f64());
    assert_eq!(same["fmr"], "1e-3");
    let stranger = json(&verify("assets/people/p02/probe-1.jpg"));
    assert_eq!(stranger["match"], false);
    for (bad, reason) in [
        ("assets/bad/empty.jpg", "0 bytes"),
        ("assets/bad/truncated.jpg", "cut short"),
        ("assets/bad/no-face.jpg", "no face"),
        ("assets/bad/two-faces.jpg", "several faces"),
        ("assets/bad/nowhere.jpg", "No such file"),
    ] {
        let output = verify(bad);
        assert_eq!(output.status.code(), Some(1));
        let answer = json(&output);
        assert_eq!(answer["match"], false);
        let said = answer["reason"].as_str().unwrap();
        assert!(said.contains(reason) && said.contains(bad.rsplit('/').next().unwrap()), "{said}");
    }
}

#[test]
fn look_describes_a_face_in_the_pictures_own_pixels() {
    let answer = json(&bedcheck(&["look", "assets/people/p03/enrol-1.jpg", "--json"]));
    let face = &answer["faces"][0];
    let within = |value: &Value, low: f64, high: f64| (low..high).contains(&value.as_f64().unwrap());
    assert!(within(&face["box"]["x"], 0.0, 480.0) && within(&face["box"]["width"], 100.0, 400.0));
    for angle in ["roll", "yaw", "pitch"] {
        assert!(within(&face[angle], -25.0, 25.0), "{angle} {}", face[angle]);
    }
    assert_eq!(face["landmarks"].as_array().unwrap().len(), 468);
    assert!(face["quality"]["score"].is_number());
    assert_refused(&bedcheck(&["look", "assets/bad/wide.png"]), 1, &["wide.png", "20000", "scale it down"]);
}

#[test]
fn a_missing_runtime_names_the_script() {
    let output = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(["look", "assets/people/p01/enrol-1.jpg"])
        .current_dir(root())
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so.1")
        .output()
        .unwrap();
    assert_refused(&output, 78, &["models/fetch-runtime", "/nowhere"]);
}

#[test]
fn the_runtime_leaves_no_number_of_this_machine_in_the_home_of_whoever_compares() {
    let home = tempfile::tempdir().unwrap();
    let pictures =
        ["--reference", "assets/people/p01/enrol-1.jpg", "--probe", "assets/people/p01/probe-1.jpg"];
    let output = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .arg("verify")
        .args(pictures)
        .current_dir(root())
        .env("HOME", home.path())
        // cargo gives it to tests; people at a terminal do not.
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_pack_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().to_str().unwrap();
    let look = || bedcheck(&["look", "assets/people/p01/enrol-1.jpg", "--models", models]);
    assert_refused(&look(), 78, &["manifest.toml", "--models DIR"]);
    fs::write(folder.path().join("manifest.toml"), "schema = 1\nsurprise = 2\n").unwrap();
    assert_refused(&look(), 78, &["manifest.toml", "surprise"]);
}

/// A good configuration with one roster.
fn configured(folder: &Path, roster: &[u8]) -> PathBuf {
    fs::write(folder.join("roster.csv"), roster).unwrap();
    let path = folder.join("config.toml");
    let camera = root().join("assets/ward/cam-1");
    let text = format!(
        "mode = \"pilot\"\nstate = \"state\"\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\n[legal]\nbasis = \"test\"\n\
         decided = \"2026-11-01\"\nby = \"test\"\n[[camera]]\nid = \"cam-1\"\nrecorded = {:?}\n[[bed]]\nid = \"01\"\ncamera = \"cam-1\"\nzone = {{ x = 20, y = 30, width = 600, height = 660 }}\n",
        camera.display()
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn rosters_are_refused_with_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let check = |roster: &[u8]| {
        let config = configured(folder.path(), roster);
        bedcheck(&["check", "--config", config.to_str().unwrap()])
    };
    let good = check("mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,张三\n".as_bytes());
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert_refused(&check(b"mdtrt_id,psn_no,psn_name\nM1,P1,A\n"), 78, &["roster.csv", "adm_bed", "missing"]);
    let twice = b"mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,A\nM2,01,P2,B\n";
    assert_refused(&check(twice), 78, &["row 3", "adm_bed", "row 2"]);
    assert_refused(
        &check(b"mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,\xFF\xFE\n"),
        78,
        &["row 2", "0xFF", "CSV UTF-8"],
    );
}

#[test]
fn production_refuses_the_pilot_pack() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,张三\n".as_bytes());
    let text = fs::read_to_string(&config).unwrap().replace("\"pilot\"", "\"production\"");
    fs::write(&config, text).unwrap();
    let output = bedcheck(&["check", "--config", config.to_str().unwrap()]);
    assert_refused(&output, 78, &["pilot pack", "East Asian"]);
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let home = folder.path().to_str().unwrap();
    let output = bedcheck(&["demo", "--once", "--port", &port, "--keep", home]);
    assert_refused(&output, 1, &[&port, "another program uses this port"]);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    assert_refused(&bedcheck(&["verify", "--reference"]), 64, &["--reference"]);
    assert_eq!(bedcheck(&["--version"]).status.code(), Some(0));
}

#[test]
fn an_evaluation_prints_the_figures_of_the_field() {
    let folder = tempfile::tempdir().unwrap();
    for person in ["p01", "p02", "p03"] {
        let to = folder.path().join("images").join(person);
        fs::create_dir_all(&to).unwrap();
        for (number, shot) in ["enrol-1", "probe-1"].iter().enumerate() {
            let from = root().join(format!("assets/people/{person}/{shot}.jpg"));
            fs::copy(from, to.join(format!("{person}_{:04}.jpg", number + 1))).unwrap();
        }
    }
    fs::write(folder.path().join("pairs.txt"), "1 2\np01 1 2\np02 1 2\np01 1 p02 1\np02 1 p03 2\n").unwrap();
    fs::write(folder.path().join("cohort.txt"), "p01\np02\n").unwrap();
    let cohort = folder.path().join("cohort.txt");
    let dir = folder.path().to_str().unwrap();
    let answer = json(&bedcheck(&["eval", "faces", dir, "--json", "--cohort", cohort.to_str().unwrap()]));
    assert_eq!(
        (&answer["pairs"], &answer["accuracy"], &answer["not_found"]),
        (&4.into(), &1.0.into(), &0.into())
    );
    assert_eq!(answer["fnmr_at_fmr_1e3"], 0.0);
    assert_eq!(answer["cohort"]["fmr_at_global_1e3"], 0.0);
    assert_eq!(answer["cohort"]["fnmr_at_own_1e4"], 0.0);
    fs::write(folder.path().join("pairs.txt"), "1 2\np01 one two three four\n").unwrap();
    assert_refused(&bedcheck(&["eval", "faces", dir, "--json"]), 1, &["pairs.txt:2"]);
}

#[test]
fn liveness_is_evaluated_by_species_and_a_set_without_labels_is_refused() {
    let plot = tempfile::tempdir().unwrap();
    let det = plot.path().join("det.svg");
    let answer = json(&bedcheck(&["eval", "pad", "tests/pad", "--json", "--det", det.to_str().unwrap()]));
    assert_eq!((&answer["presentations"], &answer["live"]), (&32.into(), &8.into()));
    let apcer = answer["apcer"].as_object().unwrap();
    assert_eq!(apcer.keys().map(String::as_str).collect::<Vec<_>>(), ["cutout", "print", "screen"]);
    assert!(answer["auc"].as_f64().unwrap() > 0.9, "{answer}");
    assert!(
        answer["bpcer"].as_f64().unwrap() <= 0.13 && answer["no_decision"].as_f64().unwrap() <= 0.1,
        "{answer}"
    );
    assert!(fs::read_to_string(det).unwrap().contains("BPCER"));
    assert_refused(&bedcheck(&["eval", "pad", "assets", "--json"]), 1, &["labels.csv", "file,label,species"]);
}

#[test]
fn a_camera_is_filmed_and_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        configured(folder.path(), b"mdtrt_id,adm_bed,psn_no,psn_name\nS1,01,P1,\xe5\xbc\xa0\xe4\xb8\x89\n");
    let (config, into) = (config.to_str().unwrap().to_owned(), folder.path().join("filmed"));
    let camera = ["--config", &config, "--camera", "cam-1"];
    let film = |species: &str| {
        let into = into.to_str().unwrap();
        bedcheck(
            &[&["calibrate", "film"], &camera[..], &["--species", species, "--frames", "2", "--into", into]]
                .concat(),
        )
    };
    assert!(film("live").status.success(), "{}", said(&film("live")));
    let fit = |set: &str| bedcheck(&[&["calibrate", "fit"], &camera[..], &[set]].concat());
    assert_refused(&fit(into.to_str().unwrap()), 1, &["both living people and attacks"]);
    let output = fit("tests/pad");
    assert!(output.status.success(), "{}", said(&output));
    let written = fs::read_to_string(folder.path().join("state/calibration/cam-1.toml")).unwrap();
    for key in ["live_at", "attack_below", "bpcer_interval", "apcer_interval", "live = 8", "attacks = 24"] {
        assert!(written.contains(key), "{key} is not in {written}");
    }
    assert_refused(&film("a print"), 78, &["--species"]);
}
