//! The signed policy: a local configuration can only be stricter.

use std::fs;
use std::path::Path;

use bedcheck::agent::config::{self, Above, ConfigError};
use bedcheck::agent::update::Active;
use bedcheck::domain::policy::FaceRule;
use bedcheck::wire::floor::Floor;

const WARD: &str =
    "[ward]\nid = \"3A\"\nroster = \"r.csv\"\n[legal]\nbasis = \"b\"\ndecided = \"2026-11-01\"\nby = \"o\"\n";

/// What is said of a configuration under a policy; empty where nothing is.
fn said(policy: &str, top: &str, more: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("cam")).unwrap();
    let path = folder.path().join("config.toml");
    let camera = "[[camera]]\nid = \"cam-1\"\nrecorded = \"cam\"\n";
    fs::write(&path, format!("state = \"s\"\n{top}\n{WARD}{camera}{more}\n")).unwrap();
    let floor = Floor::parse(format!("schema = 1\n{policy}\n").as_bytes()).unwrap();
    let bundle =
        Active { version: 7, folder: folder.path().join("bundle"), has_pack: true, floor, calibration: None };
    match config::read_below(&path, &Above { bundle: Some(bundle), ..Above::default() }) {
        Ok(_) => String::new(),
        Err(ConfigError::Content(complaints)) => {
            complaints.to_string().replace(&path.display().to_string(), "config.toml")
        }
        Err(error) => panic!("{error}"),
    }
}

/// The demand, the configuration that is looser, where that stands, what is said; and one that just keeps to it.
const CASES: [(&str, &str, &str, &str, &str); 13] = [
    (
        "every_at_most = \"4h\"",
        "[patrol]\nevery = \"6h\"",
        "14:9",
        "patrol.every to be at most 4h; it is 6h",
        "[patrol]\nevery = \"4h\"",
    ),
    (
        "sample_at_least = 0.8",
        "[patrol]\nsample = 0.5",
        "14:10",
        "patrol.sample to be at least 0.8; it is 0.5",
        "[patrol]\nsample = 0.8",
    ),
    (
        "jitter_at_least = 0.5",
        "[patrol]\njitter = 0.1",
        "14:10",
        "patrol.jitter to be at least 0.5",
        "[patrol]\njitter = 0.5",
    ),
    (
        "looks_at_least = 3",
        "[patrol]\nlooks = 2\nlook_spacing = \"60s\"",
        "14:9",
        "patrol.looks to be at least 3",
        "[patrol]\nlooks = 3",
    ),
    (
        "absent_rounds_at_most = 3",
        "[patrol]\nabsent_rounds = 9",
        "14:17",
        "patrol.absent_rounds to be at most 3",
        "[patrol]\nabsent_rounds = 2",
    ),
    (
        "unproven_rounds_at_most = 3",
        "[patrol]\nunproven_rounds = 4",
        "14:19",
        "patrol.unproven_rounds to be at most 3",
        "[patrol]\nunproven_rounds = 3",
    ),
    (
        "heartbeat_at_most = \"30s\"",
        "[patrol]\nheartbeat = \"31s\"",
        "14:13",
        "patrol.heartbeat to be at most 30s; it is 31s",
        "[patrol]\nheartbeat = \"30s\"",
    ),
    (
        "excuse_grace_at_most = \"60s\"",
        "[patrol]\nexcuse_grace = \"2h\"",
        "14:16",
        "patrol.excuse_grace",
        "[patrol]\nexcuse_grace = \"0s\"",
    ),
    (
        "roster_settle_at_most = \"10m\"",
        "[patrol]\nroster_settle = \"20h\"",
        "14:17",
        "patrol.roster_settle",
        "[patrol]\nroster_settle = \"10m\"",
    ),
    (
        "liveness = \"required\"",
        "[liveness]\nmode = \"off\"",
        "14:8",
        "liveness.mode to be \"required\"; it is \"off\"",
        "[liveness]\nmode = \"required\"",
    ),
    (
        "lifeless_rounds_at_most = 2",
        "[liveness]\nlifeless_rounds = 3",
        "14:19",
        "liveness.lifeless_rounds to be at most 2",
        "",
    ),
    (
        "fmr_at_most = 1e-3",
        "[match]\nfmr = \"1e-2\"",
        "14:7",
        "match.fmr to be at most 1e-3; it is 1e-2",
        "[match]\nfmr = \"1e-4\"",
    ),
    (
        "every_at_most = \"8h\"",
        "[patrol]\nwindows = [\"06:00-07:00\", \"12:00-13:00\"]",
        "14:11",
        "patrol.windows to be at most 8h; it is 18h",
        "[patrol]\nwindows = [\"06:00-07:00\", \"14:00-15:00\", \"22:00-23:00\"]",
    ),
];

#[test]
fn whatever_is_looser_is_complained_of_where_it_stands_and_the_bound_itself_is_good() {
    for (policy, looser, place, words, strict) in CASES {
        let wrong = said(policy, "mode = \"pilot\"", looser);
        let wanted = format!("config.toml:{place}: ");
        assert!(wrong.starts_with(&wanted) && wrong.contains(words), "{wanted}…{words}\n{wrong}");
        assert!(
            wrong.contains("the signed policy (bundle 7) demands") && wrong.lines().count() == 1,
            "{wrong}"
        );
        assert_eq!(said(policy, "mode = \"pilot\"", strict), "", "{policy}");
        assert_eq!(said("", "mode = \"pilot\"", looser), "", "{looser}");
    }
}

#[test]
fn what_is_not_written_counts_as_what_it_means() {
    // The default of four hours, complained of at the top: there is no [patrol] to point at.
    let wrong = said("every_at_most = \"2h\"", "mode = \"pilot\"", "");
    assert!(wrong.starts_with("config.toml:1:1: ") && wrong.contains("it is 4h"), "{wrong}");
}

#[test]
fn mode_evidence_and_models_are_the_policys_too() {
    let wrong =
        said("mode = \"production\"\nevidence = \"exception\"", "mode = \"pilot\"\nmodels = \"mine\"", "");
    for words in [
        "config.toml:2:8: 签名策略（更新包 7）要求 mode 为 \"production\"，现为 \"pilot\"",
        "demands evidence to be \"exception\"; it is \"none\"",
        "config.toml:3:10: 模型来自签名更新包 7",
    ] {
        assert!(wrong.contains(words), "{words}\n{wrong}");
    }
    assert_eq!(wrong.lines().count(), 3, "{wrong}");
    assert_eq!(said("mode = \"pilot\"\nevidence = \"none\"", "mode = \"production\"", ""), "");
    assert!(
        said("evidence = \"none\"", "mode = \"demo\"\nevidence = \"exception\"", "")
            .contains("to be \"none\"")
    );
    assert!(said("mode = \"pilot\"", "mode = \"demo\"", "").contains("to be \"pilot\""));
}

#[test]
fn thresholds_without_a_key_are_raised_and_the_policy_in_force_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("cam")).unwrap();
    let path = folder.path().join("config.toml");
    fs::write(
        &path,
        format!("mode = \"pilot\"\nstate = \"s\"\n{WARD}[[camera]]\nid = \"cam-1\"\nrecorded = \"cam\"\n"),
    )
    .unwrap();
    let policy = |text: &str| {
        let floor = Floor::parse(text.as_bytes()).unwrap();
        let bundle =
            Active { version: 1, folder: Path::new("b").into(), has_pack: false, floor, calibration: None };
        let settings =
            config::read_below(&path, &Above { bundle: Some(bundle), ..Above::default() }).unwrap();
        settings.policy(FaceRule { fmr: "1e-3".into(), match_at: 0.4, differs_below: 0.2, typical: None })
    };
    let plain = policy("schema = 1");
    let raised = policy("schema = 1\nmatch_at_least = 0.5\n[quality]\nmin_score = 0.7\nmin_width_px = 1.0");
    assert_eq!((plain.face.match_at, raised.face.match_at), (0.4, 0.5));
    assert_eq!(raised.quality.min_score, 0.7);
    assert_eq!(raised.quality.min_width_px, plain.quality.min_width_px, "nothing is lowered");
    // The digest in every statement is of this.
    assert_ne!(serde_json::to_vec(&plain).unwrap(), serde_json::to_vec(&raised).unwrap());
}
