//! `bedcheck-platform` and where its store is: made there, moved there and back, brought up to date; every refusal says why.

use std::path::Path;
use std::process::Command;

use bedcheck::platform::place::Place;

use crate::postgres::{self, Make};

/// Exit code, and what the program said on either end.
fn run(dir: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
        .args(words)
        .arg("--dir")
        .arg(dir)
        .env_remove("PGPASSFILE")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn fine(dir: &Path, words: &[&str]) -> String {
    let (code, said) = run(dir, words);
    assert_eq!(code, 0, "{words:?}: {said}");
    said
}

#[test]
fn a_platform_is_made_on_a_server_and_moved_from_a_file_to_it_and_back() {
    if !postgres::makes().contains(&Make::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let address = postgres::database();
    let said = fine(&made, &["init", "--database", &address]);
    assert!(said.contains("postgres://bedcheck@") && !made.join("platform.db").exists(), "{said}");
    fine(&made, &["person", "add", "王五", "--role", "auditor"]);
    assert!(fine(&made, &["person", "list"]).contains("王五"));
    assert!(fine(&made, &["migrate"]).contains("already"));

    let moved = folder.path().join("moved");
    fine(&moved, &["init"]);
    fine(&moved, &["person", "add", "李四", "--role", "auditor"]);
    let (code, said) = run(&moved, &["migrate", "--to", &address]);
    assert!(code == 1 && said.contains("not empty"), "{said}");
    let said = fine(&moved, &["migrate", "--to", &postgres::database()]);
    assert!(said.contains("SHA-256") && said.contains("uses the copy"), "{said}");
    fine(&moved, &["person", "add", "赵六", "--role", "auditor"]);
    std::fs::remove_file(moved.join("platform.db")).unwrap();
    let file = moved.join("platform.db");
    let said = fine(&moved, &["migrate", "--to", file.to_str().unwrap()]);
    assert!(said.contains("uses the copy") && !moved.join("database").exists(), "{said}");
    let people = fine(&moved, &["person", "list"]);
    assert!(people.contains("李四") && people.contains("赵六"), "{people}");
    assert!(fine(&moved, &["migrate"]).contains("already"));
}

#[test]
fn a_database_of_version_9_is_brought_up_to_date_by_the_command_and_by_nothing_else() {
    if !postgres::makes().contains(&Make::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    fine(&dir, &["init", "--database", &postgres::database()]);
    fine(&dir, &["person", "add", "王五", "--role", "auditor"]);
    let db = Place::of(&dir).unwrap().open().unwrap();
    db.write(|tx| {
        for table in
            ["lead_step", "lead", "screening_rule", "screening_run", "association", "association_name"]
        {
            tx.execute(&format!("DROP TABLE {table}"), [])?;
        }
        tx.execute("ALTER TABLE device DROP COLUMN eased", [])?;
        tx.execute("UPDATE schema_version SET version = 9", [])
    })
    .unwrap();
    drop(db);
    let (code, said) = run(&dir, &["person", "list"]);
    assert!(
        code == 1 && said.contains("version 9") && said.contains("bedcheck-platform migrate"),
        "{code} {said}"
    );
    assert!(fine(&dir, &["migrate"]).contains("from version 9 to "));
    assert!(fine(&dir, &["person", "list"]).contains("王五"));
    let db = Place::of(&dir).unwrap().open().unwrap();
    db.read(|db| db.query_row("SELECT count(eased) FROM device, lead", [], |row| row.get::<_, i64>(0)))
        .unwrap();
    db.write(|tx| tx.execute("UPDATE schema_version SET version = 99", [])).unwrap();
    for words in [&["migrate"][..], &["person", "list"]] {
        let (code, said) = run(&dir, words);
        assert!(code == 1 && said.contains("version 99") && said.contains("newer program"), "{code} {said}");
    }
}

#[test]
fn an_address_that_will_not_do_is_refused_with_what_to_do_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    for (address, wanted) in [
        ("postgres://u:secret@localhost/d", ".pgpass"),
        ("postgres://u@db.example/d", "sslmode=require"),
        ("postgres://u@localhost", "postgres://USER@HOST/DATABASE"),
        ("mysql://u:secret@localhost/d", "postgres://USER@HOST/DATABASE"),
        ("postgres://u@127.0.0.1:1/d", "that PostgreSQL runs there"),
        ("platform.db", "postgres://"),
    ] {
        let (code, said) = run(&dir, &["init", "--database", address]);
        assert!([64, 78].contains(&code) && said.contains(wanted), "{address}: {code} {said}");
        assert!(!said.contains("secret") && !dir.join("ca.pem").exists(), "{said}");
    }
    fine(&dir, &["init"]);
    let (code, said) = run(&dir, &["migrate", "--from", "nowhere.db", "--to", "other.db"]);
    assert!(code == 78 && said.contains("nowhere.db"), "{code} {said}");
    let file = rusqlite::Connection::open(dir.join("platform.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    for words in [&["migrate"][..], &["person", "list"]] {
        let (code, said) = run(&dir, words);
        assert!(code == 1 && said.contains("version 99"), "{words:?}: {code} {said}");
    }
}
