//! The local page: who gets in, what is saved where, and that the running agent takes it. Needs `models/fetch-runtime`.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking; test files need no sync"
)]

#[path = "common/terminal.rs"]
mod terminal;

use std::fs;

use serde_json::{Value, json};

use terminal::{Running, Terminal, ask, get};

/// Somebody in front of the page.
struct Visitor {
    address: String,
    cookie: String,
    token: String,
}

fn request(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
    let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    ask(address, &format!("{text}\r\n{body}"))
}

/// What `bedcheck zones` prints.
fn link(terminal: &Terminal) -> String {
    let output = terminal.bedcheck(&["zones", "--config", "config.toml"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("http://")).unwrap();
    line.split_once("/enter").map(|(_, query)| format!("/enter{query}")).unwrap()
}

impl Visitor {
    fn new(terminal: &Terminal, address: &str) -> Visitor {
        let (status, head, _) = request(address, &format!("GET {}", link(terminal)), &[], "");
        assert_eq!(status, 303, "{head}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let (status, head, page) = request(address, "GET /", &[("cookie", &cookie)], "");
        assert_eq!(status, 200);
        assert!(head.contains("default-src 'none'") && head.contains("frame-ancestors 'none'"), "{head}");
        let token =
            page.split("name=\"token\" content=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Visitor { address: address.to_owned(), cookie, token }
    }

    fn drawing(&self) -> Value {
        let (status, _, body) = request(&self.address, "GET /zones", &[("cookie", &self.cookie)], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn save(&self, wanted: &Value) -> (u16, String) {
        let origin = format!("http://{}", self.address);
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("origin", &origin),
            ("x-bedcheck-token", &self.token),
            ("content-type", "application/json"),
        ];
        let (status, _, body) = request(&self.address, "POST /zones", &headers, &wanted.to_string());
        (status, body)
    }
}

fn running(terminal: &Terminal) -> (Running, String) {
    let mut agent = terminal.start(&["run", "--config", "config.toml"], &[]);
    let address = agent.address("The local page is served here");
    agent.until("the agent is up", |said| said.contains("The draws are committed to"));
    (agent, address)
}

#[test]
fn only_the_link_opens_the_page_and_only_once() {
    let terminal = Terminal::new();
    let (agent, address) = running(&terminal);
    let (status, page) = get(&address, "/");
    assert_eq!(status, 403);
    assert!(page.contains("bedcheck zones") && !page.contains("token\""), "{page}");
    for path in
        ["/zones", "/ward", "/camera/cam-1", "/enter?token=0000", &format!("/enter?token={}", "0".repeat(64))]
    {
        assert_eq!(get(&address, path).0, 403, "{path}");
    }

    let link = link(&terminal);
    assert_eq!(request(&address, &format!("GET {link}"), &[("host", "evil.example")], "").0, 421);
    assert_eq!(get(&address, &link).0, 303);
    assert_eq!(get(&address, &link).0, 403, "a link opens once");

    let visitor = Visitor::new(&terminal, &address);
    let cookie = ("cookie", visitor.cookie.as_str());
    let (status, head, _) = request(&address, "GET /camera/cam-1", &[cookie], "");
    assert!(status == 200 && head.contains("image/jpeg") && head.contains("no-store"), "{head}");
    assert_eq!(request(&address, "GET /camera/..%2F..", &[cookie], "").0, 404);
    let post = |headers: &[(&str, &str)], body: &str| request(&address, "POST /zones", headers, body).0;
    let origin = format!("http://{address}");
    let json = ("content-type", "application/json");
    assert_eq!(post(&[cookie, json], "{}"), 421, "no origin");
    assert_eq!(post(&[cookie, json, ("origin", "http://evil.example")], "{}"), 421);
    assert_eq!(post(&[cookie, json, ("origin", &origin)], "{}"), 403, "no token");
    let own = [cookie, json, ("origin", &origin), ("x-bedcheck-token", &visitor.token)];
    assert_eq!(post(&own, "{\"version\":\"\",\"zones\":[],\"more\":1}"), 422);
    assert_eq!(post(&own, &" ".repeat(200_000)), 413);
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("token=") && !said.contains(&visitor.token), "{said}");
}

#[test]
fn what_is_drawn_goes_into_the_same_file_and_the_agent_takes_it() {
    let terminal = Terminal::new();
    let (mut agent, address) = running(&terminal);
    let visitor = Visitor::new(&terminal, &address);
    let drawing = visitor.drawing();
    assert_eq!(drawing["cameras"], json!(["cam-1"]));
    assert_eq!(drawing["zones"][0]["bed"], "01");
    let before = fs::read_to_string(terminal.config()).unwrap();

    let zone = |bed: &str, x: u32, head: &str| json!({ "bed": bed, "camera": "cam-1", "x": x, "y": 40, "width": 560, "height": 640, "head": head });
    let wanted = |zones: &[Value]| json!({ "version": drawing["version"], "zones": zones });
    // Outside, unknown camera, twice, too small: nothing is written.
    for (zones, text) in [
        (vec![zone("01", 1200, "up")], "1280 × 720"),
        (vec![zone("01", 20, "up"), zone("01", 660, "up")], "stands here twice"),
        (vec![zone("a b", 20, "up")], "a b"),
        (
            vec![
                json!({ "bed": "01", "camera": "cam-9", "x": 0, "y": 0, "width": 99, "height": 99, "head": "up" }),
            ],
            "cam-9",
        ),
    ] {
        let (status, body) = visitor.save(&wanted(&zones));
        assert_eq!(status, 422, "{body}");
        assert!(body.contains(text), "{text} is not in {body}");
    }
    assert_eq!(fs::read_to_string(terminal.config()).unwrap(), before);

    let zones = [zone("01", 40, "up"), zone("02", 660, "left")];
    let (status, body) = visitor.save(&wanted(&zones));
    assert_eq!(status, 200, "{body}");
    let after = fs::read_to_string(terminal.config()).unwrap();
    assert!(after.contains("# 三病区") && after.contains("# 靠窗\n[[bed]]\nid = \"01\""), "{after}");
    assert!(after.contains("zone = { x = 40, y = 40, width = 560, height = 640 }"), "{after}");
    assert!(after.contains("id = \"02\"") && after.contains("head = \"left\""), "{after}");
    assert_eq!(fs::read_to_string(terminal.folder.path().join("config.toml.bak")).unwrap(), before);
    agent.until("the agent takes the zones", |said| said.contains("starts again with it"));
    agent.until("and is up again", |said| said.matches("The operating point is set").count() == 2);

    // The page of before does not know of it.
    let (status, _) = visitor.save(&wanted(&[]));
    assert_eq!(status, 409);
    let drawing = visitor.drawing();
    assert_eq!(drawing["zones"].as_array().unwrap().len(), 2);
    let none = json!({ "version": drawing["version"], "zones": [] });
    assert_eq!(visitor.save(&none).0, 200);
    assert!(!fs::read_to_string(terminal.config()).unwrap().contains("[[bed]]"));
    assert_eq!(visitor.drawing()["missing"], json!(["01"]));
    assert_eq!(agent.end().0, Some(0));
}

#[test]
fn without_an_agent_the_page_is_served_by_the_command_itself() {
    let terminal = Terminal::new();
    let mut zones = terminal.start(&["zones", "--config", "config.toml", "--listen", "127.0.0.1:0"], &[]);
    zones.until("a link is printed", |said| said.contains("/enter?token="));
    let said = zones.said();
    let line = said.lines().find(|line| line.starts_with("http://")).unwrap();
    let (address, link) = line.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert_eq!(get(address, &format!("/{link}")).0, 303);
    assert_eq!(zones.end().0, Some(0));
}

#[test]
fn hospital_it_sees_how_the_cameras_are_and_which_beds_cannot_be_verified_yet() {
    let terminal = Terminal::new();
    let mut agent = terminal.start(&["run", "--config", "config.toml"], &[]);
    let address = agent.address("The local page is served here");
    agent.until("the agent is up", |said| said.contains("The draws are committed to"));
    let visitor = Visitor::new(&terminal, &address);
    let page = || {
        let (status, _, page) = request(&address, "GET /ward", &[("cookie", &visitor.cookie)], "");
        assert_eq!(status, 200);
        page
    };
    agent.until("the camera brings pictures", |_| page().contains("<b>✓</b> 正常"));
    let shown = page();
    assert!(shown.contains("cam-1") && shown.contains("1280 × 720"), "{shown}");
    // Nobody is enrolled: the bed is named with what is missing and what helps, the patient only by a masked name.
    assert!(shown.contains("未登记人脸") && shown.contains("bedcheck enrol"), "{shown}");
    assert!(shown.contains("张*") && !shown.contains("张三") && !shown.contains("P1"), "{shown}");
    assert_eq!(agent.end().0, Some(0));
}
