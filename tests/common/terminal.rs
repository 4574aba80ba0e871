//! A ward terminal as hospital IT sets it up, run through the built programs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for loading nets on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const STEP: Duration = Duration::from_millis(50);

/// Keys, certificate, roster and configuration in a folder of their own.
pub struct Terminal {
    pub folder: tempfile::TempDir,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Terminal {
    pub fn new() -> Terminal {
        let terminal = Terminal { folder: tempfile::tempdir().unwrap() };
        let at = terminal.folder.path();
        let platform = env!("CARGO_BIN_EXE_bedcheck-platform");
        terminal.must(
            env!("CARGO_BIN_EXE_bedcheck"),
            "device request --state state --device terminal-3a --ward 3A --out request.json",
        );
        terminal.must(platform, "init --dir platform --host localhost");
        terminal.must(
            platform,
            "device add --dir platform --request request.json --url https://localhost:1 --institution H \
             --round-every 4h --out bundle.json",
        );
        terminal.must(env!("CARGO_BIN_EXE_bedcheck"), "device accept --state state bundle.json");
        fs::write(at.join("roster.csv"), "mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,张三\n").unwrap();
        terminal.configure("");
        terminal
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// A good configuration, with `more` at its end.
    pub fn configure(&self, more: &str) {
        let assets = root().join("assets/ward");
        let (camera, empty) = (assets.join("cam-1"), assets.join("empty/cam-1.jpg"));
        let text = format!(
            "# 三病区\nmode = \"pilot\"\nstate = \"state\"\n\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\n\n\
             [legal]\nbasis = \"决定 1 号\"\ndecided = \"2026-11-01\"\nby = \"医务处\"\n\n[health]\nlisten = \"127.0.0.1:0\"\n\n[page]\nlisten = \"127.0.0.1:0\"\n\n\
             [[camera]]\nid = \"cam-1\"\nrecorded = {:?}\nempty = {:?}\n\n\
             # 靠窗\n[[bed]]\nid = \"01\"\ncamera = \"cam-1\"\nzone = {{ x = 20, y = 30, width = 600, height = 660 }}\n{more}",
            camera.display().to_string(),
            empty.display().to_string(),
        );
        fs::write(self.config(), text).unwrap();
    }

    fn must(&self, program: &str, arguments: &str) {
        let output = Command::new(program)
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
    }

    /// One call of `bedcheck` in the terminal's folder.
    pub fn bedcheck(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bedcheck"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// `bedcheck run`, or another command that stays.
    pub fn start(&self, arguments: &[&str], variables: &[(&str, &Path)]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(variables.iter().copied())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = said.clone();
            std::thread::Builder::new()
                .spawn(move || {
                    for line in BufReader::new(stream).lines().map_while(Result::ok) {
                        let mut said = said.lock().unwrap();
                        said.push_str(&line);
                        said.push('\n');
                    }
                })
                .unwrap();
        }
        Running { child, said }
    }
}

/// A program that runs until it is told to end.
pub struct Running {
    pub child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until something holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&str) -> bool) {
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if holds(&self.said()) {
                return;
            }
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("{what}: it ended with {ended}\n{}", self.said());
            }
            std::thread::sleep(STEP);
        }
        panic!("{what} did not happen:\n{}", self.said());
    }

    /// The address in the line that holds `sentence`.
    pub fn address(&mut self, sentence: &str) -> String {
        self.until(sentence, |said| said.contains(sentence));
        let said = self.said();
        let line = said.lines().find(|line| line.contains(sentence)).unwrap();
        line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let status =
            Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it as systemd would.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        (code, self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever panicked must not leave an agent behind.
        let _ = self.child.kill();
    }
}

/// One request over plain HTTP: status and body.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let (status, _, body) =
        ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"));
    (status, body)
}

/// Status, head and body of the answer to a raw request; status 0 where nobody listens.
pub fn ask(address: &str, request: &str) -> (u16, String, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new(), String::new()) };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that hangs up without saying anything answers with nothing.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), body.to_owned())
}
