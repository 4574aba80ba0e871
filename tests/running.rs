//! The agent while it runs: its configuration is followed, its health can be read, its supervisor hears that it decides.
//! Needs `models/fetch-runtime`.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking; test files need no sync"
)]

#[path = "common/terminal.rs"]
mod terminal;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use terminal::{Terminal, get};

const RUN: [&str; 3] = ["run", "--config", "config.toml"];

fn health(address: &str) -> Value {
    serde_json::from_str(&get(address, "/healthz").1).unwrap_or_default()
}

#[test]
fn a_good_change_counts_at_once_and_a_bad_one_keeps_the_last_good_configuration() {
    let terminal = Terminal::new();
    let mut agent = terminal.start(&RUN, &[]);
    let address = agent.address("Metrics are served here.");
    agent.until("the agent decides", |_| health(&address)["deciding"] == true);
    let metric = |name: &str| {
        let text = get(&address, "/metrics").1;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(metric("bedcheck_config_good"), "1");

    // A second bed: the agent starts again by itself.
    let bed =
        "\n[[bed]]\nid = \"02\"\ncamera = \"cam-1\"\nzone = { x = 660, y = 30, width = 600, height = 660 }\n";
    terminal.configure(bed);
    agent.until("the second bed is taken", |said| said.contains("starts again with it"));
    agent.until("the agent decides again", |_| health(&address)["deciding"] == true);

    // A mistake: everything goes on, and everybody who asks is told.
    terminal.configure("\n[patrol]\nevry = \"4h\"\nlooks = 99\n");
    // It says so first and shows it then.
    agent.until("the mistake is refused", |said| {
        said.contains("last good one stays in use") && health(&address)["config_good"] == false
    });
    let now = health(&address);
    assert_eq!((&now["deciding"], &now["config_good"]), (&Value::from(true), &Value::from(false)), "{now}");
    let complaints = now["config_complaints"].to_string();
    let text = fs::read_to_string(terminal.config()).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("evry")).unwrap();
    let places = [format!("config.toml:{line}:1: "), format!("config.toml:{}:9: ", line + 1)];
    assert!(places.iter().all(|place| complaints.contains(place)), "{complaints}");
    assert_eq!(
        (metric("bedcheck_config_good"), metric("bedcheck_config_problems")),
        ("0".into(), "2".into())
    );
    let doctor = terminal.bedcheck(&["doctor", "--config", "config.toml"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("did you mean every?"), "{doctor:?}");

    // Right in itself, and its roster is not there: found out before anything stops.
    let text = fs::read_to_string(terminal.config()).unwrap();
    let text = text.split("\n[patrol]").next().unwrap().replace("\"roster.csv\"", "\"gone.csv\"");
    fs::write(terminal.config(), text).unwrap();
    agent.until("the roster is missed", |_| {
        health(&address)["config_complaints"].to_string().contains("gone.csv")
    });

    // Put right again; another ward needs a restart and says so.
    terminal.configure("");
    agent.until("the configuration is good", |_| health(&address)["config_good"] == true);
    agent.until("the agent decides", |_| health(&address)["deciding"] == true);
    let text = fs::read_to_string(terminal.config()).unwrap().replace("\"3A\"", "\"3B\"");
    fs::write(terminal.config(), text).unwrap();
    agent.until("the ward waits for a restart", |said| said.contains("key=\"ward.id\""));

    // SIGHUP reads even what has not changed.
    let reads = |said: &str| said.matches("key=\"ward.id\"").count();
    let before = reads(&agent.said());
    agent.signal("HUP");
    agent.until("SIGHUP is heard", |said| reads(said) > before);
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked") && !said.contains("张三"), "{said}");
}

#[test]
fn the_supervisor_hears_that_it_is_up_and_that_it_decides() {
    let terminal = Terminal::new();
    let path = terminal.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let microseconds = Path::new("9000000");
    let agent = terminal.start(&RUN, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", microseconds)]);
    let mut heard = Vec::new();
    while heard.iter().filter(|text: &&String| text.contains("WATCHDOG=1")).count() < 3 {
        let mut buffer = [0; 4096];
        let length =
            socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {heard:?}\n{}", agent.said()));
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    // First that it is up, with what it watches; then signs of life.
    assert!(heard[0].contains("READY=1") && heard[0].contains("1 cameras, 1 beds"), "{heard:?}");
    assert_eq!(agent.end().0, Some(0));
}

#[test]
fn figures_are_in_base_units_and_name_nobody() {
    let terminal = Terminal::new();
    let mut agent = terminal.start(&RUN, &[]);
    let address = agent.address("Metrics are served here.");
    agent.until("pictures come", |_| {
        get(&address, "/metrics").1.contains("bedcheck_camera_frame_age_seconds{")
    });
    let text = get(&address, "/metrics").1;
    for wanted in [
        "bedcheck_build{version=",
        "bedcheck_rounds_total",
        "bedcheck_camera_frames{camera=\"cam-1\"}",
        "bedcheck_outbox_statements",
        "bedcheck_decide_turn_age_seconds",
        "bedcheck_state_free_bytes",
        "bedcheck_acknowledged_timestamp_seconds 0",
        "# EOF",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("bedcheck_")), "{text}");
    assert!(!text.contains("M1") && !text.contains("张三"));
    assert_eq!(get(&address, "/elsewhere").0, 404);
    assert_eq!(agent.end().0, Some(0));
}
