//! HL7 messages nobody here wrote, from `../shared/data/hl7v2`; skipped by name where that folder is absent.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bedcheck::base::clock::Wall;
use bedcheck::base::ids::WardId;
use bedcheck::domain::facts::{Change, Excuse, What};
use bedcheck::hospital::adt::{self, Adt};

fn shared(folder: &str) -> Option<Vec<PathBuf>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hl7v2").join(folder);
    let Ok(entries) = fs::read_dir(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    Some(files)
}

fn read(message: &[u8]) -> Result<Adt, adt::Refused> {
    adt::read(message, Wall(0), &WardId::new("3A").unwrap()).1
}

/// Trigger event of a message by itself, as a check of ours.
fn trigger(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    text.split('|').nth(8).unwrap().split('^').nth(1).unwrap_or("").trim().to_owned()
}

#[test]
fn every_message_of_a_known_kind_is_a_fact_and_every_other_is_ignored_with_a_reason() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for folder in ["ms-fhir-converter", "machete", "simhospital"] {
        for path in shared(folder).into_iter().flatten() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["hl7", "txt", "out"].iter().all(|ending| !name.ends_with(ending)) {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            for message in adt::messages(&bytes) {
                let outcome = match read(message) {
                    Ok(Adt::Facts(facts)) => {
                        assert!(!facts.is_empty());
                        "facts"
                    }
                    Ok(Adt::Ignored(_)) => "ignored",
                    Err(refused) => {
                        // Other kinds of message, and the end of a file that was cut.
                        let is_cut =
                            name.ends_with(".out") && message.as_ptr_range().end == bytes.as_ptr_range().end;
                        assert!(refused.code == 200 || is_cut, "{name} {}: {refused}", trigger(message));
                        "refused"
                    }
                };
                *counts.entry(format!("{} {outcome}", trigger(message))).or_default() += 1;
            }
        }
    }
    println!("{counts:#?}");
    if !counts.is_empty() {
        let moved = ["A01", "A02", "A03", "A08", "A09", "A10", "A11", "A13", "A21", "A22", "A40", "A52"];
        for trigger in moved {
            assert!(counts.contains_key(&format!("{trigger} facts")), "no {trigger} was read");
        }
        assert!(counts["A01 facts"] > 100 && counts["R01 refused"] > 100);
    }
}

#[test]
fn a_leave_its_end_and_its_cancellation_are_told_apart() {
    let Some(files) = shared("machete") else { return };
    let changes: Vec<Change> = files
        .iter()
        .flat_map(|path| {
            let bytes = fs::read(path).unwrap();
            adt::messages(&bytes).map(|message| read(message).unwrap()).collect::<Vec<_>>()
        })
        .map(|read| match read {
            Adt::Facts(facts) => facts[0].change.clone(),
            Adt::Ignored(reason) => panic!("{reason}"),
        })
        .collect();
    let left = Change::Left { excuse: Excuse::Leave, until: None };
    assert_eq!(changes, [left, Change::Returned, Change::Cancelled { what: What::Leave }]);
}
