//! A PostgreSQL for tests: the one that `tests/platform/on-postgres` runs them beside, else one of this process's own,
//! which ends with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bedcheck::platform::db::Database;
use bedcheck::platform::place::Place;

/// Names the server that the tests run beside: then every platform's store is there.
const VARIABLE: &str = "BEDCHECK_TEST_POSTGRES";

/// One of the databases a store can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Sqlite,
    Postgres,
}

/// What every test of the store runs on. Where PostgreSQL is not there it says so and leaves it out.
pub fn makes() -> Vec<Make> {
    if server().is_some() {
        return vec![Make::Sqlite, Make::Postgres];
    }
    println!("SKIPPED on PostgreSQL: it is not there (tests/platform/install-postgres brings it)");
    vec![Make::Sqlite]
}

/// What the platforms of the other tests have.
pub fn usual() -> Make {
    if std::env::var_os(VARIABLE).is_some() { Make::Postgres } else { Make::Sqlite }
}

impl Make {
    /// Makes the store of the platform in `dir`, and says so there.
    pub fn store(self, dir: &Path) -> Database {
        if self == Make::Postgres {
            Place::named(&database(), dir).unwrap().note(dir).unwrap();
        }
        Place::of(dir).unwrap().open().unwrap()
    }
}

/// The address of a server, where there is PostgreSQL.
fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<(String, Option<Child>)>> = OnceLock::new();
    let begun = SERVER.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(address) => Some((address, None)),
        Err(_) => begin().map(|(address, child)| (address, Some(child))),
    });
    begun.as_ref().map(|(address, _)| address.as_str())
}

/// A server of our own: it ends when its standard input does, which is when this process ends.
fn begin() -> Option<(String, Child)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platform/on-postgres");
    let mut child = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    if address.is_empty() {
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(75), "PostgreSQL is there and does not start");
        return None;
    }
    Some((address.trim().to_owned(), child))
}

/// The address of a new, empty database.
pub fn database() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let server = server().unwrap();
    let name = format!("p{}_{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    let host = server.split_once("host=").unwrap().1.split('&').next().unwrap();
    let made = Command::new("createdb").args(["-h", host, "-U", "bedcheck", &name]).status().unwrap();
    assert!(made.success());
    server.replacen("///postgres?", &format!("///{name}?"), 1)
}
