//! Sealing keys under a PKCS#11 token: SoftHSM, with a token of the test's own. Skipped by name where it is not installed
//! (Debian: `apt-get install softhsm2`).

#![cfg(feature = "pkcs11")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bedcheck::base::files::write_owner_only;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];

/// A terminal with a token beside it.
struct Box {
    folder: tempfile::TempDir,
    module: PathBuf,
}

impl Box {
    fn new(module: PathBuf) -> Box {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::create_dir(at.join("tokens")).unwrap();
        std::fs::create_dir(at.join("camera")).unwrap();
        let conf =
            format!("directories.tokendir = {}\nobjectstore.backend = file\n", at.join("tokens").display());
        write_owner_only(&at.join("softhsm2.conf"), conf.as_bytes()).unwrap();
        write_owner_only(&at.join("pin"), b"2468\n").unwrap();
        write_owner_only(
            &at.join("roster.csv"),
            "mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,张三\n".as_bytes(),
        )
        .unwrap();
        let terminal = Box { folder, module };
        terminal.new_token();
        terminal
    }

    fn new_token(&self) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "ward", "--so-pin", "1357", "--pin", "2468"])
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `store` of `[keys]`; an empty one leaves the table out.
    fn configure(&self, store: &str) {
        let keys = match store {
            "" => String::new(),
            "pkcs11" => format!(
                "[keys]\nstore = \"pkcs11\"\nmodule = {:?}\ntoken = \"ward\"\npin_file = \"pin\"\n",
                self.module.display().to_string()
            ),
            other => format!("[keys]\nstore = \"{other}\"\n"),
        };
        let text = format!(
            "mode = \"pilot\"\nstate = \"state\"\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\n[legal]\n\
             basis = \"b\"\ndecided = \"2026-11-01\"\nby = \"o\"\n{keys}[[camera]]\nid = \"c\"\nrecorded = \"camera\"\n"
        );
        write_owner_only(&self.folder.path().join("config.toml"), text.as_bytes()).unwrap();
    }

    /// A program of its own each time: a module lives as long as its process.
    fn bedcheck(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bedcheck"))
            .args(arguments.split_whitespace())
            .args(["--config", "config.toml"])
            .current_dir(self.folder.path())
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .output()
            .unwrap()
    }

    fn facts(&self) -> String {
        let shown = self.bedcheck("roster facts --json");
        assert!(shown.status.success(), "{shown:?}");
        String::from_utf8(shown.stdout).unwrap()
    }
}

fn module() -> Option<PathBuf> {
    let found = MODULES.into_iter().map(Path::new).find(|path| path.exists());
    let has_tool = Command::new("softhsm2-util").arg("--version").output().is_ok();
    found.filter(|_| has_tool).map(Path::to_owned)
}

#[test]
fn keys_move_into_a_token_and_back_and_without_token_or_pin_nothing_opens() {
    let Some(module) = module() else {
        eprintln!("skipped: softhsm2 is not installed");
        return;
    };
    let terminal = Box::new(module);
    terminal.configure("");
    assert!(terminal.bedcheck("roster import roster.csv").status.success());
    let key = std::fs::read(terminal.state().join("facts.key")).unwrap();
    assert_eq!(key.len(), 32);
    let facts = terminal.facts();
    assert!(facts.contains("M1"));

    terminal.configure("pkcs11");
    assert_eq!(terminal.facts(), facts, "the same key, wrapped");
    let wrapped = std::fs::read(terminal.state().join("facts.key")).unwrap();
    assert!(!wrapped.windows(32).any(|window| window == key) && wrapped.starts_with(b"{"));
    let doctor = String::from_utf8(terminal.bedcheck("doctor --json").stdout).unwrap();
    let doctor: serde_json::Value = serde_json::from_str(&doctor).unwrap();
    let keys = doctor["lines"].as_array().unwrap().iter().find(|line| line["what"] == "keys").unwrap();
    assert_eq!(keys["grade"], "good", "{keys}");
    assert!(keys["found"].as_str().unwrap().contains("ward"), "{keys}");

    write_owner_only(&terminal.folder.path().join("pin"), b"0000").unwrap();
    let refused = terminal.bedcheck("roster facts");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("log in to token \"ward\""), "{refused:?}");
    write_owner_only(&terminal.folder.path().join("pin"), b"2468").unwrap();

    let pin = terminal.folder.path().join("pin");
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = terminal.bedcheck("roster facts");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"), "{refused:?}");
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();

    let mut changed: serde_json::Value = serde_json::from_slice(&wrapped).unwrap();
    changed["sealed"] = serde_json::from_slice::<serde_json::Value>(
        &std::fs::read(terminal.state().join("template.key")).unwrap(),
    )
    .unwrap()["sealed"]
        .clone();
    write_owner_only(&terminal.state().join("facts.key"), changed.to_string().as_bytes()).unwrap();
    assert!(!terminal.bedcheck("roster facts").status.success(), "another key's wrapping does not open");
    write_owner_only(&terminal.state().join("facts.key"), &wrapped).unwrap();

    let (tokens, away) = (terminal.folder.path().join("tokens"), terminal.folder.path().join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    let gone = terminal.bedcheck("roster facts");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no initialised token \"ward\""), "{gone:?}");
    terminal.new_token();
    let other = terminal.bedcheck("roster facts");
    assert!(String::from_utf8_lossy(&other.stderr).contains("does not hold the key"), "{other:?}");
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();

    terminal.configure("file");
    assert_eq!(terminal.facts(), facts);
    assert_eq!(std::fs::read(terminal.state().join("facts.key")).unwrap(), key, "and back");
    terminal.configure("credential");
    let refused = terminal.bedcheck("roster facts");
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no systemd credential"), "{refused:?}");
}
