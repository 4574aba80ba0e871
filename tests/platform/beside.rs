//! Other programs beside the running platform that open and close the same database: an administrator's commands, and
//! whatever else knows SQLite (a backup, a look with `sqlite3`; here Python's module).

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use bedcheck::base::clock::Clock;
use bedcheck::platform::people;

use crate::postgres::Make;
use crate::world::*;

/// What the program prints.
fn platform(world: &World, words: &[&str]) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
        .args(words)
        .arg("--dir")
        .arg(world.folder.path())
        .output()
        .unwrap();
    assert!(said.status.success(), "{words:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// Opens, reads and closes the database as any other program does.
fn look(world: &World) {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('SELECT count(*) FROM person').fetchone()\nc.close()";
    let path = world.folder.path().join("platform.db");
    let said = Command::new("python3").args(["-c", script]).arg(path).output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

#[tokio::test]
async fn another_program_takes_nothing_from_the_running_platform_and_is_heard_by_it() {
    // What it is about is the file's own log.
    let world = World::on(Make::Sqlite, Clock::system().now().wall, fixed()).await;
    let db = world.db();
    let log = || std::fs::metadata(world.folder.path().join("platform.db-wal")).map(|log| log.ino()).ok();
    people::list(&db).unwrap();
    let before = log();
    assert!(before.is_some());
    // Each of them is the last to close the file, as far as it can see, if ours have lost their locks: it would fold the
    // log in and delete it under us, and what we write afterwards would be in no file any more.
    for name in ["王一", "王二", "王三"] {
        look(&world);
        platform(&world, &["person", "add", name, "--role", "auditor"]);
        assert_eq!(log(), before, "the log was taken away by «person add {name}»");
        assert!(people::list(&db).unwrap().iter().any(|person| person.name == name), "{name} is not seen");
    }
    world.end().await;
}
