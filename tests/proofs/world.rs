//! A platform and an agent as processes, with a real certificate between them, to be killed and started again.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bedcheck::base::ids::WardId;
use bedcheck::wire::enrol::DeviceRequest;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::judge::{self, Complaint, Judge};
use crate::promises::Promises;
use crate::rerun;

const PLATFORM: &str = env!("CARGO_BIN_EXE_bedcheck-platform");
const STEP: Duration = Duration::from_millis(5);
/// A minute and more, for a machine that does much else.
const MOST_STEPS: usize = 24_000;

pub struct World {
    pub folder: TempDir,
    pub platform: Child,
    pub agent: Option<Child>,
    /// Where devices deliver.
    pub port: u16,
    /// Agents that were started; each says what it promises into a file of its own.
    lives: usize,
    make: &'static str,
}

impl World {
    /// A platform that runs and a device it admitted; `make` is what `agent.rs` takes.
    pub fn new(make: &'static str) -> World {
        let folder = rerun::scratch();
        let at = folder.path();
        fs::create_dir(at.join("agent")).unwrap();
        must(at, "init --dir platform --host localhost --host 127.0.0.1");
        let tls_key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&tls_key).unwrap();
        let request = DeviceRequest {
            v: 1,
            device: rerun::device(),
            ward: WardId::new("3A").unwrap(),
            csr_pem: csr.pem().unwrap(),
            statement_key: rerun::key().verifying_key().to_bytes().to_vec(),
        };
        let request = serde_json::to_vec(&request.sign(&rerun::key()).unwrap()).unwrap();
        fs::write(at.join("request.json"), request).unwrap();
        fs::write(at.join("agent/tls.key"), tls_key.serialize_pem()).unwrap();
        must(
            at,
            "device add --dir platform --request request.json --url https://localhost:1 --institution H \
             --out agent/bundle.json",
        );
        let platform = serve(at, 0);
        let port = port(at);
        World { folder, platform, agent: None, port, lives: 0, make }
    }

    /// Starts the agent, which delivers to `port` of this machine.
    pub fn start_agent(&mut self, port: u16, seed: u64) {
        let said = File::create(self.folder.path().join(format!("said-{}", self.lives))).unwrap();
        self.lives += 1;
        let agent = Command::new(std::env::current_exe().unwrap())
            .arg("agent")
            .arg(self.folder.path())
            .args([format!("https://127.0.0.1:{port}"), seed.to_string(), self.make.to_owned()])
            .stdin(Stdio::null())
            .stdout(said)
            .spawn();
        self.agent = Some(agent.unwrap());
    }

    /// A life of the agent that this process has lived itself.
    pub fn has_lived(&mut self, said: &str) {
        fs::write(self.folder.path().join(format!("said-{}", self.lives)), said).unwrap();
        self.lives += 1;
    }

    /// Until the agent that was started last has said something.
    pub fn wait_for_a_promise(&mut self) {
        let said = self.folder.path().join(format!("said-{}", self.lives - 1));
        for _ in 0..MOST_STEPS {
            if fs::metadata(&said).unwrap().len() > 0 {
                return;
            }
            std::thread::sleep(STEP);
        }
        panic!("the agent says nothing");
    }

    pub fn kill_agent(&mut self) {
        self.agent.take().into_iter().for_each(|mut agent| kill(&mut agent));
    }

    /// Whether the agent that was started last still runs.
    pub fn agent_lives(&mut self) -> bool {
        self.agent.as_mut().is_some_and(|agent| agent.try_wait().unwrap().is_none())
    }

    /// Kills the platform and starts it again on the same port.
    pub fn kill_platform(&mut self) {
        kill(&mut self.platform);
        self.platform = serve(self.folder.path(), self.port);
    }

    /// Lets everything arrive, ends both and judges what they leave.
    pub fn end(&mut self, port: u16) -> Result<usize, Complaint> {
        fs::write(self.folder.path().join("enough"), "").unwrap();
        if self.agent.is_none() {
            self.start_agent(port, 0);
        }
        let ended = self.agent.as_mut().is_some_and(waited_for);
        self.kill_agent();
        kill(&mut self.platform);
        let folder = self.folder.path();
        let promised = self.promised();
        if !ended {
            return Err("what was promised does not arrive".to_owned());
        }
        let mut judge = Judge::default();
        judge.agent(folder, &promised, None)?;
        judge.platform(folder, &promised, None)?;
        let connection =
            Connection::open(folder.join("platform/platform.db")).map_err(|error| error.to_string())?;
        judge::arrived_once(&connection, promised.said.keys())?;
        judge::accuses_nobody(&connection)?;
        let (epochs, doubled): (i64, i64) = connection
            .query_row("SELECT count(DISTINCT epoch), count(*) - count(id) FROM link", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(|error| error.to_string())?;
        if epochs > 1 || doubled > 0 {
            return Err(format!("{epochs} chains, {doubled} events said twice"));
        }
        Ok(promised.said.len())
    }

    /// Everything acknowledged is with the platform already.
    pub fn is_acknowledged_truly(&self) -> Result<(), Complaint> {
        let folder = self.folder.path();
        let ids = |path: &str, query: &str| -> rusqlite::Result<Vec<String>> {
            let connection = Connection::open(folder.join(path))?;
            connection.busy_timeout(Duration::from_secs(10))?;
            let mut query = connection.prepare(query)?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        // A life may have been too short to make its tables.
        let Ok(acked) = ids("agent/journal.db", "SELECT id FROM event WHERE acked_ms IS NOT NULL") else {
            return Ok(());
        };
        let arrived =
            ids("platform/platform.db", "SELECT id FROM link").map_err(|error| error.to_string())?;
        let arrived: std::collections::BTreeSet<&String> = arrived.iter().collect();
        match acked.iter().find(|id| !arrived.contains(id)) {
            Some(id) => Err(format!("event {id} is acknowledged and not with the platform")),
            None => Ok(()),
        }
    }

    fn promised(&self) -> Promises {
        let mut promised = Promises::default();
        promised.hear("admitted");
        for life in 0..self.lives {
            let said = fs::read_to_string(self.folder.path().join(format!("said-{life}"))).unwrap();
            // Killed in the middle of a line, it had not said it.
            let whole = said.rfind('\n').map_or("", |end| &said[..end]);
            whole.lines().for_each(|line| promised.hear(line));
        }
        promised
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_agent();
        kill(&mut self.platform);
    }
}

pub fn kill(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Whether it ended well within our patience.
fn waited_for(child: &mut Child) -> bool {
    for _ in 0..MOST_STEPS {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(STEP);
    }
    false
}

pub fn must(at: &Path, arguments: &str) {
    let output = Command::new(PLATFORM).args(arguments.split_whitespace()).current_dir(at).output().unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
}

pub fn serve(at: &Path, port: u16) -> Child {
    Command::new(PLATFORM)
        .args(["serve", "--dir", "platform", "--dashboard", "127.0.0.1:0", "--rate", "10000", "--devices"])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(at)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The port the platform chose.
pub fn port(at: &Path) -> u16 {
    for _ in 0..MOST_STEPS {
        if let Ok(text) = fs::read(at.join("platform/addresses.json")) {
            let addresses: Value = serde_json::from_slice(&text).unwrap();
            return addresses["devices"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        }
        std::thread::sleep(STEP);
    }
    panic!("the platform does not start")
}
