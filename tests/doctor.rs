//! `bedcheck doctor` on a good terminal and on broken ones. Needs `models/fetch-runtime`.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking; test files need no sync"
)]

#[expect(dead_code, reason = "nothing stays here that would have to be started")]
#[path = "common/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bedcheck::base::picture;
use bedcheck::store::staff::Staff;
use serde_json::Value;

use terminal::Terminal;

/// Exit code, and each line by its name.
fn examine(terminal: &Terminal, more: &[&str]) -> (i32, BTreeMap<String, Value>) {
    let output = terminal.bedcheck(&[&["doctor", "--config", "config.toml", "--json"], more].concat());
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let lines = answer["lines"].as_array().unwrap().iter();
    let lines = lines.map(|line| (line["what"].as_str().unwrap().to_owned(), line.clone())).collect();
    (output.status.code().unwrap(), lines)
}

#[test]
fn a_good_terminal_works_and_says_what_somebody_should_look_at() {
    let terminal = Terminal::new();
    let pictures = terminal.folder.path().join("pictures");
    let (code, lines) = examine(&terminal, &["--png", "pictures"]);
    let grade =
        |what: &str| lines.get(what).unwrap_or_else(|| panic!("no {what}: {lines:?}"))["grade"].clone();
    for good in [
        "configuration",
        "board",
        "library",
        "camera.cam-1",
        "beds",
        "disk",
        "certificate",
        "roster",
        "hl7",
        "outbox",
    ] {
        assert_eq!(grade(good), "good", "{:?}", lines[good]);
    }
    // The pack is a pilot, nobody is enrolled, and nobody answers at the platform's address.
    for attention in ["models", "enrolment", "platform"] {
        assert_eq!(grade(attention), "attention", "{:?}", lines[attention]);
        assert!(!lines[attention]["next"].as_str().unwrap().is_empty());
    }
    assert_eq!(code, 0, "{lines:?}");
    // Only the bed is in the picture: the rest is dark.
    let saved = picture::read(&pictures.join("cam-1.png")).unwrap();
    let pixel = |x: usize, y: usize| &saved.rgb()[(y * 1280 + x) * 3..(y * 1280 + x) * 3 + 3];
    assert_eq!((saved.width(), saved.height()), (1280, 720));
    assert_eq!((pixel(5, 5), pixel(900, 300)), (&[16, 16, 16][..], &[16, 16, 16][..]));
    assert_ne!(pixel(300, 300), [16, 16, 16]);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(pictures.join("cam-1.png")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(!terminal.folder.path().join("state/journal.db").exists(), "looking changes nothing");
}

#[test]
fn what_is_broken_is_named_with_the_next_step() {
    let terminal = Terminal::new();
    let at = terminal.folder.path();
    fs::write(at.join("roster.csv"), "mdtrt_id,psn_no\nM1,P1\n").unwrap();
    fs::remove_file(at.join("state/identity/bundle.json")).unwrap();
    let (code, lines) = examine(&terminal, &[]);
    assert_eq!(
        (code, &lines["roster"]["grade"], &lines["certificate"]["grade"]),
        (1, &"bad".into(), &"bad".into())
    );
    assert!(lines["certificate"]["next"].as_str().unwrap().contains("device enrol"), "{lines:?}");

    // A configuration that cannot be used: everything that needs none is looked at all the same.
    terminal.configure("\n[patrol]\nevry = \"4h\"\n");
    let (code, lines) = examine(&terminal, &[]);
    assert_eq!((code, &lines["configuration"]["grade"]), (1, &"bad".into()));
    assert!(lines["configuration"]["found"].as_str().unwrap().contains("did you mean every?"));
    assert_eq!(lines["library"]["grade"], "good");
    fs::remove_file(terminal.config()).unwrap();
    let (code, lines) = examine(&terminal, &[]);
    assert_eq!(code, 1);
    assert!(lines["configuration"]["next"].as_str().unwrap().contains("config init"));
}

#[test]
fn a_kiosk_wants_two_people_who_can_sign() {
    let terminal = Terminal::new();
    let camera = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ward/cam-2");
    terminal.configure(&format!(
        "\n[kiosk]\nlisten = \"127.0.0.1:0\"\n\n[[camera]]\nid = \"desk\"\nmode = \"kiosk\"\nrecorded = {camera:?}\n"
    ));
    let kiosk = || examine(&terminal, &[]).1["kiosk"].clone();
    let before = kiosk();
    assert_eq!(before["grade"], "attention", "{before}");
    assert!(before["next"].as_str().unwrap().contains("bedcheck staff add"), "{before}");
    let staff = Staff::of(&terminal.folder.path().join("state"));
    staff.add("甲", "246810").unwrap();
    assert_eq!(kiosk()["grade"], "attention");
    staff.add("乙", "135791").unwrap();
    assert_eq!(kiosk()["grade"], "good", "{}", kiosk());
}

#[test]
fn people_read_it_in_chinese_first() {
    let terminal = Terminal::new();
    let output = terminal.bedcheck(&["doctor", "--config", "config.toml"]);
    let said = String::from_utf8(output.stdout).unwrap();
    for wanted in ["好  配置 configuration", "注意  人脸登记 enrolment", "→ ", "下一步 next"] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    // No picture where nobody sees it, no colour codes in a file, and no name of a patient.
    assert!(!said.contains('\u{1b}') && !said.contains("张三"), "{said}");
}

#[test]
fn the_bundle_for_a_supporter_holds_findings_and_configuration_and_nobody() {
    let terminal = Terminal::new();
    let (_, _) = examine(&terminal, &["--bundle", "bundle.zip"]);
    let file = fs::File::open(terminal.folder.path().join("bundle.zip")).unwrap();
    let mut bundle = zip::ZipArchive::new(file).unwrap();
    let names: Vec<String> = bundle.file_names().map(|name| name.unwrap().into_owned()).collect();
    for wanted in ["doctor.json", "machine.json", "config.toml", "log.txt"] {
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
    }
    let roster = fs::read_to_string(terminal.folder.path().join("roster.csv")).unwrap();
    let people: Vec<&str> =
        roster.lines().skip(1).flat_map(|line| line.split(',')).filter(|cell| cell.len() > 2).collect();
    assert!(!people.is_empty());
    for name in names {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut bundle.by_name(&name).unwrap(), &mut text).unwrap();
        for cell in &people {
            assert!(!text.contains(cell), "{cell} in {name}");
        }
    }
}
