//! The configuration: what the table of keys says, the shipped files and the program say must be the same, and
//! `tests/config/` holds the mistakes of hospital IT with the complaints they must lead to.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no sync; the helpers of a test fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bedcheck::agent::config::source::Place;
use bedcheck::agent::config::tree::Table;
use bedcheck::agent::config::write::{Unsaid, commented};
use bedcheck::agent::config::{self, keys, schema};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bedcheck(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(arguments)
        .current_dir(folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder in which the example's paths lead somewhere.
fn ward() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("recordings/cam-1")).unwrap();
    let empty = folder.path().join("recordings/cam-1-empty.jpg");
    fs::copy(root().join("assets/ward/empty/cam-1.jpg"), empty).unwrap();
    folder
}

const GOOD: &str = "mode = \"pilot\"\nstate = \"state\"\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\n\
    [legal]\nbasis = \"b\"\ndecided = \"2026-11-01\"\nby = \"o\"\n\
    [[camera]]\nid = \"cam-1\"\nrecorded = \"recordings/cam-1\"\n";

#[test]
fn the_example_configuration_is_complete_and_says_what_the_defaults_are() {
    let text = fs::read_to_string(root().join("firmware-config/config.example.toml")).unwrap();
    let folder = ward();
    let path = folder.path().join("config.toml");
    fs::write(&path, &text).unwrap();
    let written = config::read(&path).unwrap();

    // Without [match] and [patrol] the same must follow.
    let bare: Vec<&str> = text.split("[match]").collect();
    let rest = bare[1].split_once("[[camera]]").unwrap().1;
    fs::write(&path, format!("{}[[camera]]{rest}", bare[0])).unwrap();
    let defaults = config::read(&path).unwrap();
    assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
}

#[test]
fn the_shipped_files_are_what_the_table_of_keys_says() {
    let example = commented(&Table::new(Place::head(0)), Unsaid::Written);
    let schema = format!("{}\n", serde_json::to_string_pretty(&schema::schema()).unwrap());
    let mut outdated = Vec::new();
    for (name, wanted) in [("config.example.toml", example), ("config.schema.json", schema)] {
        let path = root().join("firmware-config").join(name);
        if fs::read_to_string(&path).unwrap_or_default() != wanted {
            let fresh = root().join("target").join(name);
            fs::write(&fresh, wanted).unwrap();
            outdated.push(format!("out of date: cp {} {}", fresh.display(), path.display()));
        }
    }
    assert!(outdated.is_empty(), "{}", outdated.join("\n"));
}

#[test]
fn the_example_and_every_good_file_fit_the_schema_and_a_wrong_one_does_not() {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("config.schema.json", schema::schema()).unwrap();
    let index = compiler.compile("config.schema.json", &mut schemas).unwrap();
    let example = fs::read_to_string(root().join("firmware-config/config.example.toml")).unwrap();
    let value = |text: &str| serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    for good in [&example, GOOD] {
        if let Err(error) = schemas.validate(&value(good), index) {
            panic!("{error:#}");
        }
    }
    for wrong in [
        GOOD.replace("mode", "mood"),
        GOOD.replace("pilot", "prod"),
        format!("{GOOD}\n[patrol]\nabsent_rounds = 1\n"),
        format!("{GOOD}\n[patrol]\nevery = \"often\"\n"),
    ] {
        assert!(schemas.validate(&value(&wrong), index).is_err(), "{wrong}");
    }
}

#[test]
fn every_key_is_explained_in_both_languages() {
    let output = bedcheck(&root(), &["config", "explain"], &[]);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    for (path, key) in keys::all() {
        assert!(text.contains(&format!("{path}\n  {}\n  {}\n", key.chinese, key.english)), "{path}");
        assert!(key.chinese.chars().any(|c| c > '\u{2fff}') && key.english.is_ascii(), "{path}");
    }
    let unknown = bedcheck(&root(), &["config", "explain", "evry"], &[]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("patrol.every"), "{}", said(&unknown));
}

/// Each `NAME.toml` beside a `NAME.expected`, whose lines are `line:column: text | text`: there are as many complaints
/// as lines, each at its place and with every text.
#[test]
fn every_mistake_of_hospital_it_gets_the_expected_complaints() {
    let folder = root().join("tests/config");
    let mut files = 0;
    let mut complaints = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        files += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let output = bedcheck(&folder, &["config", "check", "--config", name], &[]);
        let text = said(&output);
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{name}:"))).collect();
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        let is_met = |line: &str| {
            let (place, texts) = line.split_once(": ").unwrap();
            let at = format!("{name}:{place}: ");
            found.iter().any(|found| {
                found.starts_with(&at) && texts.split(" | ").all(|text| found.contains(text.trim()))
            })
        };
        if output.status.code() != Some(78)
            || expected.lines().count() != found.len()
            || !expected.lines().all(is_met)
        {
            complaints.push(format!("{name}: expected\n{expected}found\n{text}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(files >= 40, "only {files} files");
}

#[test]
fn layers_lie_above_each_other_and_a_complaint_names_the_right_one() {
    let folder = ward();
    let at = folder.path();
    fs::write(at.join("config.toml"), GOOD).unwrap();
    fs::create_dir(at.join("conf.d")).unwrap();
    fs::write(at.join("conf.d/10-patrol.toml"), "[patrol]\nevery = \"8h\"\nlooks = 5\n").unwrap();
    fs::write(
        at.join("conf.d/20-more.toml"),
        "[patrol]\nevery = \"6h\"\n[[camera]]\nid = \"cam-2\"\nrecorded = \"recordings/cam-1\"\n",
    )
    .unwrap();
    let settings = config::read(&at.join("config.toml")).unwrap();
    let names: Vec<&str> = settings.cameras.iter().map(|camera| camera.id.as_str()).collect();
    assert_eq!(names, ["cam-1", "cam-2"]);
    let text = format!("{settings:?}");
    assert!(text.contains("round_every: 21600s") && text.contains("looks_per_check: 5"), "{text}");

    let check = |flags: &[&str], variables: &[(&str, &str)]| {
        let output =
            bedcheck(at, &[&["config", "check", "--config", "config.toml"], flags].concat(), variables);
        (output.status.code(), said(&output))
    };
    assert_eq!(check(&[], &[]).0, Some(0));
    let (code, text) = check(&[], &[("BEDCHECK_PATROL_EVERY", "often"), ("BEDCHECK_PATROL_EVRY", "4h")]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("BEDCHECK_PATROL_EVERY: patrol.every"), "{text}");
    assert!(text.contains("did you mean BEDCHECK_PATROL_EVERY?"), "{text}");
    // A flag lies above the variable.
    let flags =
        ["--set", "patrol.every=2h", "--set", "hl7.allow=10.1.2.3, 10.1.2.4", "--set", "hl7.listen=[::1]:1"];
    let (code, text) = check(&flags, &[("BEDCHECK_PATROL_EVERY", "often")]);
    assert_eq!(code, Some(0), "{text}");
    fs::write(at.join("conf.d/30-wrong.toml"), "[patrol]\nevery = 6\n").unwrap();
    let (code, text) = check(&[], &[]);
    assert_eq!(code, Some(78));
    assert!(text.contains("conf.d/30-wrong.toml:2:9: patrol.every"), "{text}");
}

#[test]
fn init_writes_a_commented_file_from_answers_or_questions_and_never_overwrites() {
    let folder = ward();
    let at = folder.path();
    fs::write(at.join("answers"), GOOD).unwrap();
    let init = ["config", "init", "--config", "config.toml", "--answers", "answers"];
    let output = bedcheck(at, &init, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(at.join("config.toml")).unwrap();
    assert!(text.starts_with("#:schema ./config.schema.json\n") && at.join("config.schema.json").exists());
    assert!(text.contains("#every = \"4h\"") && text.contains("id = \"cam-1\"") && text.contains("#[hl7]"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(at.join("config.toml")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        format!("{:?}", config::read(&at.join("config.toml")).unwrap().cameras[0].id.as_str()),
        "\"cam-1\""
    );
    let again = bedcheck(at, &init, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("不会覆盖"), "{}", said(&again));
    assert_eq!(fs::read_to_string(at.join("config.toml")).unwrap(), text);

    // Mode wrong once, then Enter for the usual; the source wrong once; a camera without a picture of the empty ward; no second one.
    fs::write(at.join("typed"), "试用\n\n\n\n3A\n\n\n\n\ncam-1\n录\nrecorded\nrecordings/cam-1\n\n\n\n")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(["config", "init", "--config", "asked.toml"])
        .current_dir(at)
        .stdin(fs::File::open(at.join("typed")).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let settings = config::read(&at.join("asked.toml")).unwrap();
    assert_eq!((settings.mode.name(), settings.ward.as_str(), settings.cameras.len()), ("pilot", "3A", 1));
}

#[test]
fn a_moved_bed_is_changed_where_it_stands_and_everything_else_stays() {
    use bedcheck::agent::config::edit::{EditError, put_beds};
    use bedcheck::agent::config::{Above, BedSettings};
    use bedcheck::base::frame::{Area, Head};
    use bedcheck::base::ids::{BedId, CameraId};
    use std::os::unix::fs::PermissionsExt;

    let folder = ward();
    let (main, part) = (folder.path().join("config.toml"), folder.path().join("conf.d/beds.toml"));
    let inline =
        "bed = [{ id = \"01\", camera = \"cam-1\", zone = { x = 0, y = 0, width = 99, height = 99 } }]\n";
    fs::write(&main, format!("# 顶 top\n{inline}{GOOD}")).unwrap();
    fs::set_permissions(&main, fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    let second = "# 靠门 by the door\n[[bed]]\nid = \"02\"   # 二床\ncamera = \"cam-1\"\nhead = \"left\"  # 头\n\n[bed.zone]\nx = 100\ny = 0\nwidth = 200 # 宽\nheight = 200\n";
    fs::write(&part, second).unwrap();
    let bed = |id: &str, x: u32, head: Head| BedSettings {
        id: BedId::new(id).unwrap(),
        camera: CameraId::new("cam-1").unwrap(),
        zone: Area { x, y: 0, width: 200, height: 200 },
        head,
    };
    let beds = [bed("01", 5, Head::Up), bed("02", 300, Head::Down), bed("03", 600, Head::Right)];
    let settings = put_beds(&main, &Above::default(), &beds).unwrap();
    let mut found = settings.beds.clone();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found, beds);
    let text = fs::read_to_string(&part).unwrap();
    assert_eq!(text, second.replace("x = 100", "x = 300").replace("\"left\"", "\"down\""));
    let text = fs::read_to_string(&main).unwrap();
    assert!(
        text.contains("# 顶 top\n") && text.contains("id = \"03\"") && text.contains("head = \"right\""),
        "{text}"
    );
    assert_eq!(fs::metadata(&main).unwrap().permissions().mode() & 0o777, 0o640);

    // Nothing is written where the whole would not be good, and a bed that is gone is taken out of its file.
    let twice = [bed("01", 5, Head::Up), bed("01", 300, Head::Up)];
    assert!(matches!(put_beds(&main, &Above::default(), &twice), Err(EditError::Refused(_))));
    assert_eq!(fs::read_to_string(&main).unwrap(), text);
    put_beds(&main, &Above::default(), &beds[..1]).unwrap();
    assert!(!fs::read_to_string(&part).unwrap().contains("bed"), "{}", fs::read_to_string(&part).unwrap());
    assert_eq!(config::read(&main).unwrap().beds, beds[..1]);
}
