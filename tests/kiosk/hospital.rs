//! A platform and an agent with a kiosk, as built, and somebody with a browser in front of it.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::puppet::{Person, Pose, Stage};
use crate::terminal::{Running, Terminal, ask, get};

const STEP: Duration = Duration::from_millis(50);
/// Steps until something that must happen has happened: long, because the machine may be busy.
const STEPS: usize = 1_800;

pub struct Hospital {
    _terminal: Terminal,
    agent: Option<Running>,
    platform: Child,
    dashboard: String,
    kiosk: String,
    /// As who the platform is asked.
    token: String,
}

impl Hospital {
    /// `rule` stands in the camera's table.
    pub fn new(stage: &Stage, rule: &str) -> Hospital {
        let terminal = Terminal::new();
        let at = terminal.folder.path();
        let (platform, devices, dashboard) = platform(at);
        let person = |words: &[&str]| {
            let program = env!("CARGO_BIN_EXE_bedcheck-platform");
            let words = [&["person"], words, &["--dir", "platform"]].concat();
            let said = Command::new(program).args(words).current_dir(at).output().unwrap();
            assert!(said.status.success(), "{said:?}");
            String::from_utf8(said.stdout).unwrap().trim().to_owned()
        };
        person(&["add", "审计戊", "--role", "auditor"]);
        let token = person(&["token", "审计戊"]);
        // Its certificate names the host, not the address.
        let devices = devices.replace("127.0.0.1", "localhost");
        let added = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
            .args(["device", "add", "--dir", "platform", "--request", "request.json", "--institution", "H"])
            .args(["--url", &devices, "--round-every", "4h", "--out", "bundle.json"])
            .current_dir(at)
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
        assert!(terminal.bedcheck(&["device", "accept", "--state", "state", "bundle.json"]).status.success());
        let shots = at.join("shots");
        fs::create_dir(&shots).unwrap();
        for shot in 1..=3 {
            let name = format!("enrol-{shot}.jpg");
            let people = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/people/p12");
            fs::copy(people.join(&name), shots.join(&name)).unwrap();
        }
        let roster = "mdtrt_id,adm_bed,psn_no,psn_name,enrol\nM12,12,P12,罗明远,shots\n";
        fs::write(at.join("roster.csv"), roster).unwrap();
        let text = format!(
            "mode = \"pilot\"\nstate = \"state\"\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\n\
             [legal]\nbasis = \"决定 1 号\"\ndecided = \"2026-11-01\"\nby = \"医务处\"\n\
             [kiosk]\nlisten = \"127.0.0.1:0\"\n\
             [[camera]]\nid = \"kiosk-1\"\nmode = \"kiosk\"\nsnapshot = \"http://{}/\"\nevery = \"300ms\"\n{rule}",
            stage.address
        );
        fs::write(terminal.config(), text).unwrap();
        let enrolled = terminal.bedcheck(&["enrol", "--config", "config.toml"]);
        assert!(enrolled.status.success(), "{enrolled:?}");
        add_staff(at, "王护士", "402817");
        let mut agent = terminal.start(&["run", "--config", "config.toml"], &[]);
        let kiosk = agent.address("The kiosk's screen is served here");
        agent.until("the agent is up", |said| said.contains("The draws are committed to"));
        Hospital { _terminal: terminal, agent: Some(agent), platform, dashboard, kiosk, token }
    }

    pub fn kiosk(&self) -> String {
        self.kiosk.clone()
    }

    /// What arrived, newest first, once there are so many.
    pub fn verifications(&mut self, wanted: usize) -> Value {
        for _ in 0..STEPS {
            let (address, token) = (&self.dashboard, &self.token);
            let (status, _, body) = ask(
                address,
                &format!(
                    "GET /api/v1/verifications HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
                ),
            );
            assert_eq!(status, 200, "{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            if answer["verifications"].as_array().unwrap().len() >= wanted {
                return answer["verifications"].clone();
            }
            std::thread::sleep(STEP);
        }
        panic!("the results did not arrive:\n{}", self.agent.as_ref().unwrap().said());
    }

    /// What the agent said until it was ended.
    pub fn end(&mut self) -> String {
        let (code, said) = self.agent.take().unwrap().end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

impl Drop for Hospital {
    fn drop(&mut self) {
        // Whoever panicked must not leave a platform behind.
        let _ = self.platform.kill();
        let _ = self.platform.wait();
    }
}

/// The platform's process and its two addresses.
fn platform(at: &Path) -> (Child, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
        .args(["serve", "--dir", "platform", "--devices", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"])
        .current_dir(at)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..STEPS {
        let text = fs::read_to_string(at.join("platform/addresses.json")).unwrap_or_default();
        if let Ok(addresses) = serde_json::from_str::<Value>(&text) {
            let dashboard = addresses["dashboard"].as_str().unwrap().trim_start_matches("http://");
            let devices = addresses["devices"].as_str().unwrap().to_owned();
            return (child, devices, dashboard.to_owned());
        }
        std::thread::sleep(STEP);
    }
    child.kill().unwrap();
    panic!("the platform did not start: {}", child.wait().unwrap());
}

fn add_staff(at: &Path, name: &str, pin: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(["staff", "add", "--config", "config.toml", name])
        .current_dir(at)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{pin}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Somebody in front of the screen: forms over HTTP, what it shows over the socket.
pub struct Visitor {
    address: String,
    socket: Socket,
    /// Pictures the screen showed.
    pub pictures: usize,
}

impl Visitor {
    pub fn at(address: &str) -> Visitor {
        Visitor { address: address.to_owned(), socket: Socket::open(address), pictures: 0 }
    }

    pub fn page(&self) -> String {
        let (status, body) = get(&self.address, "/");
        assert_eq!(status, 200, "{body}");
        body
    }

    fn screen(&self) -> String {
        let page = self.page();
        page.split("data-screen=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    pub fn post_from(&self, origin: &str, path: &str, form: &str) -> u16 {
        self.post(origin, path, form).0
    }

    fn post(&self, origin: &str, path: &str, form: &str) -> (u16, String) {
        let address = &self.address;
        let (status, head, _) = ask(
            address,
            &format!(
                "POST {path} HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\nconnection: close\r\n\
                 content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
                form.len()
            ),
        );
        (status, head)
    }

    /// Touches a button of the page that is shown; the page after it.
    pub fn touch(&mut self, what: &str, fields: &str) -> String {
        let form = format!("screen={}&do={what}&{fields}", self.screen());
        self.send("/touch", &form)
    }

    pub fn sign(&mut self, name: &str, pin: &str) -> String {
        let form = format!("screen={}&name={name}&pin={pin}&document=id_card", self.screen());
        self.send("/sign", &form)
    }

    fn send(&mut self, path: &str, form: &str) -> String {
        let (status, head) = self.post(&format!("http://{}", self.address), path, form);
        assert_eq!(status, 303, "{head}");
        let to = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
        get(&self.address, to).1
    }

    /// As far as the claim of M12.
    pub fn starts(&mut self, purpose: &str) {
        self.touch(purpose, "");
        self.touch("agree", "");
        self.touch("claim", "number=m12");
    }

    /// Does what the screen asks until it asks for nothing more; the pages on the way.
    pub fn obeys(&mut self, stage: &Stage, person: &Person) -> Vec<String> {
        let mut pages: Vec<String> = Vec::new();
        let mut held = 0;
        for _ in 0..STEPS {
            let Some(said) = self.socket.next(&mut self.pictures) else { continue };
            let page = said["page"].as_str().unwrap().to_owned();
            if pages.last() != Some(&page) {
                pages.push(page.clone());
            }
            let pose = match said["voice"].as_str() {
                Some("turn_left") => Pose::Left,
                Some("turn_right") => Pose::Right,
                Some("blink") => Pose::Blink,
                Some("open_mouth") => Pose::Mouth,
                _ => Pose::Rest,
            };
            // Rest first: a prompt is heard before it is followed.
            held = if page == "challenge" { held + 1 } else { 0 };
            let is_heard = held % 12 >= 5;
            stage.show(Some(person.picture(if is_heard { pose } else { Pose::Rest })));
            if !matches!(page.as_str(), "face" | "challenge") {
                return pages;
            }
        }
        panic!("nothing came of it: {pages:?}");
    }

    /// Waits until the screen shows that page with a picture.
    pub fn sees(&mut self, page: &str) {
        let before = self.pictures;
        for _ in 0..STEPS {
            let said = self.socket.next(&mut self.pictures);
            if said.is_some_and(|said| said["page"] == page) && self.pictures > before {
                return;
            }
        }
        panic!("{page} was not shown");
    }

    /// The page that comes after this one.
    pub fn waits(&mut self, page: &str) -> String {
        for _ in 0..STEPS {
            if let Some(said) = self.socket.next(&mut self.pictures).filter(|said| said["page"] != page) {
                return said["page"].as_str().unwrap().to_owned();
            }
        }
        panic!("{page} did not end");
    }
}

/// A WebSocket as small as this page's: short masked texts out, texts and pictures in.
struct Socket(TcpStream);

impl Socket {
    fn open(address: &str) -> Socket {
        use std::io::Read;
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "GET /eyes HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Socket(stream)
    }

    /// Asks for what is new: what the screen says, and a picture where one comes with it.
    fn next(&mut self, pictures: &mut usize) -> Option<Value> {
        // "next", masked with zeros.
        self.0.write_all(&[0x81, 0x84, 0, 0, 0, 0, b'n', b'e', b'x', b't']).unwrap();
        let text = String::from_utf8(self.frame()).unwrap();
        if text.starts_with('+') {
            let jpeg = self.frame();
            assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() < 60_000, "{} bytes", jpeg.len());
            *pictures += 1;
        }
        serde_json::from_str(&text[1..]).ok()
    }

    fn frame(&mut self) -> Vec<u8> {
        use std::io::Read;
        let mut exactly = |count: usize| {
            let mut bytes = vec![0; count];
            self.0.read_exact(&mut bytes).unwrap();
            bytes
        };
        let head = exactly(2);
        let length = match head[1] {
            126 => exactly(2).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            127 => exactly(8).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        exactly(length)
    }
}
