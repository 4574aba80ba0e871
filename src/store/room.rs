//! What goes first when the journal has used up its share of the disk. Numbers, links and signatures never go: the chain
//! still verifies, and the platform opens a case for every statement that comes without what it covers.
//!
//! | step | goes, oldest first |
//! |---|---|
//! | 1 | evidence the platform has |
//! | 2 | evidence of what was verified |
//! | 3 | all other evidence |
//! | 4 | bodies the platform has |
//! | 5 | bodies of beats and of what was verified |
//!
//! Bodies of everything else stay, whatever the share: a ward cut off for a month writes 30 MB of them.

use rusqlite::{Connection, params};

use crate::domain::Finding;
use crate::domain::kiosk::verification::Outcome;
use crate::domain::verdict::Verdict;
use crate::wire::event::Report;

/// The usual share: 30 days at 300 events a day, a crop with every tenth, take half of it.
pub const USUAL_BYTES: u64 = 256 * 1024 * 1024;

/// Something goes from here on, until so much is used, in hundredths of the share.
const BEGIN: u64 = 90;
const ENOUGH: u64 = 85;

/// Rows that lose something before the room is measured again.
const AT_ONCE: i64 = 64;

/// How much of its share the journal uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    #[default]
    Enough,
    /// Something went, nothing that waits was touched.
    Tight,
    /// Something that the platform does not have went, or no more crops are taken.
    Full,
}

/// How long a row keeps its body and evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    Beat = 0,
    Verified = 1,
    Finding = 2,
}

/// What a report is worth.
pub fn worth(report: &Report) -> Worth {
    match report {
        Report::Beat(_) => Worth::Beat,
        Report::Finding(Finding::Checked(result)) if result.verdict == Verdict::Verified => Worth::Verified,
        Report::Verification(said) if said.outcome == Outcome::Verified => Worth::Verified,
        Report::Hello(_)
        | Report::Roster(_)
        | Report::Finding(_)
        | Report::Privacy(_)
        | Report::Verification(_) => Worth::Finding,
    }
}

const STEPS: [(&str, &str, Room); 5] = [
    ("evidence IS NOT NULL AND acked_ms IS NOT NULL", EVIDENCE_GOES, Room::Tight),
    ("evidence IS NOT NULL AND worth <= 1", EVIDENCE_GOES, Room::Full),
    ("evidence IS NOT NULL", EVIDENCE_GOES, Room::Full),
    ("body <> '' AND acked_ms IS NOT NULL", BODY_GOES, Room::Tight),
    ("body <> '' AND worth <= 1", BODY_GOES, Room::Full),
];
const EVIDENCE_GOES: &str = "UPDATE event SET evidence = NULL, pruned = max(pruned, 1) WHERE rowid IN";
/// Written anew at the end: a row that only grew shorter would leave its page as full as it was.
const BODY_GOES: &str =
    "REPLACE INTO event (epoch, seq, id, envelope, link, body, evidence, made_ms, acked_ms, worth, pruned)
     SELECT epoch, seq, id, envelope, link, '', NULL, made_ms, acked_ms, worth, 2 FROM event WHERE rowid IN";

/// Bytes in use.
///
/// # Errors
/// What SQLite says.
pub fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages.saturating_mul(pragma("page_size")?).unsigned_abs())
}

/// Makes room where `most` bytes are nearly used up, as part of the caller's transaction.
///
/// # Errors
/// What SQLite says.
pub fn make(connection: &Connection, most: u64) -> rusqlite::Result<Room> {
    if used(connection)? <= most / 100 * BEGIN {
        return Ok(Room::Enough);
    }
    let mut room = Room::Tight;
    for (which, change, leads_to) in STEPS {
        let step = format!("{change} (SELECT rowid FROM event WHERE {which} ORDER BY made_ms, seq LIMIT ?1)");
        let mut step = connection.prepare_cached(&step)?;
        while used(connection)? > most / 100 * ENOUGH {
            if step.execute(params![AT_ONCE])? == 0 {
                break;
            }
            room = if leads_to == Room::Full { Room::Full } else { room };
        }
    }
    Ok(if used(connection)? > most / 100 * BEGIN { Room::Full } else { room })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::base::clock::{Now, Wall};
    use crate::base::ids::DeviceId;
    use crate::base::redact::Private;
    use crate::store::{Commit, Journal, Outbox, Signer};
    use crate::wire::event::Beat;
    use crate::wire::seal;
    use crate::wire::statement::Digests;

    const SHARE: u64 = 1024 * 1024;

    fn journal(folder: &Path) -> Journal {
        let signer = Signer {
            device: DeviceId::new("d").unwrap(),
            key: SigningKey::from_bytes(&[3; 32]),
            boot_id: "b".into(),
            digests: Digests::default(),
            evidence_key: seal::key_pair().1,
        };
        Journal::open(&folder.join("journal.db"), signer).unwrap().within(SHARE)
    }

    fn beat(at: i64, crop: usize) -> Commit {
        let crop = (crop > 0).then(|| Private::new(vec![7; crop]));
        let at = Now { wall: Wall(at), ..Now::default() };
        Commit { at, report: Report::Beat(Beat::default()), crop, remember: Vec::new() }
    }

    fn kept(folder: &Path) -> (i64, i64, i64) {
        let count = "SELECT count(*), count(evidence), count(*) FILTER (WHERE body <> '') FROM event";
        let connection = Connection::open(folder.join("journal.db")).unwrap();
        connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    }

    #[test]
    fn pictures_go_first_then_routine_bodies_and_the_chain_never() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        let hello = crate::wire::event::Hello {
            ward: crate::base::ids::WardId::new("w").unwrap(),
            version: "1".into(),
            mode: "pilot".into(),
            cameras: Vec::new(),
            legal_basis: None,
        };
        let said = Commit { report: Report::Hello(hello), ..beat(0, 20_000) };
        journal.commit(vec![said]).unwrap();
        for at in 1..30 {
            journal.commit(vec![beat(at, 20_000)]).unwrap();
        }
        assert_eq!((journal.room(), kept(folder.path())), (Room::Enough, (30, 30, 30)));
        for at in 30..60 {
            journal.commit(vec![beat(at, 20_000)]).unwrap();
        }
        let (rows, pictures, bodies) = kept(folder.path());
        assert!((rows, bodies) == (60, 60) && pictures < 40, "{pictures} pictures");
        for at in 60..700 {
            journal.commit(vec![beat(at, 20_000)]).unwrap();
        }
        let (rows, pictures, bodies) = kept(folder.path());
        assert!(
            rows == 700 && bodies < 700 && pictures < 10,
            "{rows} rows, {pictures} pictures, {bodies} bodies"
        );
        assert_eq!(journal.room(), Room::Full);
        let length = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(length("journal.db") < 2 * SHARE, "{}", length("journal.db"));

        let connection = Connection::open(folder.path().join("journal.db")).unwrap();
        let hello: String =
            connection.query_row("SELECT body FROM event WHERE seq = 1", [], |row| row.get(0)).unwrap();
        assert!(hello.contains("hello"), "what is no routine stays");
        let key = SigningKey::from_bytes(&[3; 32]).verifying_key();
        let found = Outbox::open(folder.path()).unwrap().verify(&key).unwrap();
        assert_eq!((found.faults.len(), found.chains[0].last), (0, 700));
        assert!(found.pruned > 600, "{}", found.pruned);
    }
}
