//! What hospital systems send: HL7 over MLLP, JSON, FHIR and tables.

use std::collections::BTreeSet;

use bedcheck::base::clock::Wall;
use bedcheck::base::ids::{StayId, WardId};
use bedcheck::domain::facts::{self, Change, Fact};
use bedcheck::domain::roster::Roster;
use bedcheck::hospital::adt::{self, Adt};
use bedcheck::hospital::mllp::{Frames, acknowledge};
use bedcheck::hospital::national::{self, National};
use bedcheck::hospital::sheet::{MOST_ROWS, Sheet};
use bedcheck::hospital::{changes, fhir, roster_file};

pub const RECEIVED: Wall = Wall(1_800_000_000_000);

pub fn ward() -> WardId {
    WardId::new("3A").expect("plain")
}

/// Facts that came in are folded into a belief: that must hold for whatever they say.
fn believe(facts: &[Fact]) {
    // The store keeps the first of those with one id.
    let mut known = BTreeSet::new();
    let facts: Vec<&Fact> = facts.iter().filter(|fact| known.insert(&fact.id)).collect();
    for fact in &facts {
        assert_eq!(fact.received, RECEIVED, "a message does not say when it was received");
        assert!(fact.stay.is_some() || matches!(fact.change, Change::Merged { .. }), "a fact about nobody");
    }
    let histories = facts::fold(facts.iter().copied());
    let backwards = facts::fold(facts.iter().copied().rev());
    assert_eq!(histories, backwards, "the order of arrival changed the belief");
    let roster = Roster::believed(&histories, RECEIVED, |_| 3);
    assert!(roster.stays().count() <= histories.len());
}

pub fn hl7_adt(data: &[u8]) {
    let mut facts = Vec::new();
    for message in adt::messages(data).take(20).chain([data]) {
        let (header, outcome) = adt::read(message, RECEIVED, &ward());
        if let Ok(Adt::Facts(found)) = &outcome {
            assert!(!found.is_empty() && !header.control_id.is_empty());
            facts.extend(found.iter().cloned());
        }
        let answer = acknowledge(&header, outcome.as_ref().map(|_| ()), RECEIVED);
        let segments = answer.iter().filter(|byte| **byte == b'\r').count();
        assert_eq!(segments, if outcome.is_ok() { 2 } else { 3 }, "a sender's text tore the answer open");
        let mut frames = Frames::default();
        frames.push(&[&[0x0B], answer.as_slice(), &[0x1C, 0x0D]].concat());
        assert_eq!(frames.take(), Ok(Some(answer)), "a sender's text ended the answer's frame");
    }
    believe(&facts);
}

/// The first byte says how the stream is cut.
pub fn mllp(data: &[u8]) {
    let [step, stream @ ..] = data else { return };
    let found = |step: usize| {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for part in stream.chunks(step.max(1)) {
            frames.push(part);
            while let Ok(Some(message)) = frames.take() {
                found.push(message);
            }
        }
        (found, frames.has_begun())
    };
    let (whole, cut) = (found(usize::MAX), found(usize::from(*step)));
    assert_eq!(whole, cut, "where the bytes were cut changed the messages");
    for message in whole.0 {
        assert!(!message.windows(2).any(|pair| pair == [0x1C, 0x0D]));
        let _ = adt::read(&message, RECEIVED, &ward());
    }
}

pub fn national_json(data: &[u8]) {
    let Ok(read) = national::read(data, RECEIVED, &ward()) else { return };
    assert_eq!(national::read(data, RECEIVED, &ward()).as_ref(), Ok(&read), "read twice, it says two things");
    match read {
        National::Facts(facts) => believe(&facts),
        National::List { source, stays } => assert!(source.starts_with("5303/") && stays.len() <= 10_000),
    }
}

pub fn fhir_bundle(data: &[u8]) {
    let Ok(page) = fhir::read(data, &ward()) else { return };
    let list = fhir::Encounters { list: page.encounters };
    assert_eq!(list.digest(), list.clone().digest());
}

pub fn sheet_csv(data: &[u8]) {
    // Those two begin other kinds of files, which have entries of their own.
    if !data.starts_with(b"PK\x03\x04") && !data.starts_with(b"\xD0\xCF\x11\xE0") {
        table(data);
    }
}

/// Reads a table as everything that a table can be.
pub fn table(data: &[u8]) {
    let Ok(sheet) = Sheet::read(data) else { return };
    assert!(sheet.rows.len() <= MOST_ROWS);
    assert!(sheet.rows.is_sorted_by_key(|(row, _)| *row), "rows lost their numbers");
    if let Ok(facts) = changes::facts(&sheet, RECEIVED, "fuzz") {
        believe(&facts);
    }
    let _ = changes::insured(&sheet, &ward());
    let Ok(entries) = roster_file::parse(&sheet) else { return };
    let mut stays: Vec<&StayId> = entries.iter().map(|entry| &entry.stay).collect();
    stays.sort();
    assert!(stays.windows(2).all(|pair| pair[0] != pair[1]), "one stay lies in two beds");
    let again = Sheet::read(written(&entries).as_bytes()).map(|sheet| roster_file::parse(&sheet));
    assert_eq!(again, Ok(Ok(entries)), "written and read again, the roster is another one");
}

fn written(entries: &[roster_file::RosterEntry]) -> String {
    let mut text = "mdtrt_id,adm_bed,psn_no,psn_name,enrol\n".to_owned();
    for entry in entries {
        let enrol = entry.enrol.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let cells =
            [entry.stay.as_str(), entry.bed.as_str(), entry.psn_no.reveal(), entry.psn_name.reveal(), &enrol];
        let quoted = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
        text.push_str(&quoted.join(","));
        text.push('\n');
    }
    text
}
