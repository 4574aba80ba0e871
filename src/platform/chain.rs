//! Whether an item is what its device said, and where in the device's chain it belongs.
//!
//! ```text
//!   head = n        n+1 with prev = link(n)   Next       grows the chain
//!                   n+1 with another prev     Fork       kept beside, a case is opened
//!                   <= n, same link           Known      harmless
//!                   <= n, another link        Fork
//!                   > n+1                     Ahead      send from the head
//!   unknown epoch   1 with prev = 000…        NewEpoch   accepted, a case unless it is the first
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::platform::db::{self, OptionalExtension, Transaction, number, params};
use crate::platform::devices::Registered;
use crate::platform::log;
use crate::wire::batch::{Fate, Head, Item};
use crate::wire::event::{self, Event};
use crate::wire::statement::{BadStatement, Checked, Cover, NO_LINK, check, cover};
use crate::wire::tree::Logged;

/// Copies kept of one device's contradictions: enough to prove, too few to fill the disk.
const MOST_QUARANTINED: i64 = 1000;

/// An item whose signature and cover were checked.
pub struct Believed {
    pub checked: Checked,
    /// What of it came along.
    pub cover: Cover,
    pub envelope: String,
    pub body: String,
    pub evidence: Option<Vec<u8>>,
    /// `None` when the body is no event of this device.
    pub event: Option<Event>,
}

/// Why an item is not believed; any of them means that somebody changed something on the way or on the box.
#[derive(Debug, thiserror::Error)]
pub enum NotTrue {
    #[error("the device is registered without a usable key")]
    NoKey,
    #[error("{0}")]
    Statement(#[from] BadStatement),
    #[error("the statement is another device's")]
    OtherDevice,
    #[error("body or evidence is not what was signed")]
    NotCovered,
    #[error("the evidence is not base64")]
    Evidence,
    #[error("the envelope cannot be kept: {0}")]
    Envelope(serde_json::Error),
}

/// Checks one item with the registered key.
///
/// # Errors
/// [`NotTrue`].
pub fn believe(item: Item, device: &DeviceId, registered: &Registered) -> Result<Believed, NotTrue> {
    let key = registered.key.as_ref().ok_or(NotTrue::NoKey)?;
    let checked = check(&item.envelope, key)?;
    if checked.statement.device != *device {
        return Err(NotTrue::OtherDevice);
    }
    let evidence =
        item.evidence.map(|text| STANDARD.decode(text)).transpose().map_err(|_| NotTrue::Evidence)?;
    let cover = cover(&checked.statement, &item.body, evidence.as_deref()).ok_or(NotTrue::NotCovered)?;
    let envelope = serde_json::to_string(&item.envelope).map_err(NotTrue::Envelope)?;
    let event = readable(&item.body, device);
    Ok(Believed { checked, cover, envelope, body: item.body, evidence, event })
}

fn readable(body: &str, device: &DeviceId) -> Option<Event> {
    let event: Event = serde_json::from_str(body).ok()?;
    // The id becomes part of an address of the dashboard.
    let is_ours = event.source == event::source(device) && uuid::Uuid::try_parse(&event.id).is_ok();
    is_ours.then_some(event)
}

/// Where a statement belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Next,
    NewEpoch,
    Known,
    Fork,
    Ahead,
}

impl Place {
    pub fn fate(self) -> Fate {
        match self {
            Place::Next | Place::NewEpoch => Fate::Accepted,
            Place::Known => Fate::Duplicate,
            Place::Fork => Fate::Fork,
            Place::Ahead => Fate::OutOfOrder,
        }
    }
}

/// What is known about the statement's epoch.
pub struct Known<'a> {
    pub head: Option<&'a Head>,
    /// Whether a later epoch of the device has begun: then this one must not grow, or two boxes share a name.
    pub is_left: bool,
    /// The link accepted under the statement's number.
    pub stored: Option<&'a str>,
}

/// Decides by the table above.
pub fn place(known: &Known<'_>, seq: u64, prev: &str, link: &str) -> Place {
    let Some(head) = known.head else {
        return if seq == 1 && prev == NO_LINK { Place::NewEpoch } else { Place::Ahead };
    };
    if seq <= head.seq {
        return if known.stored == Some(link) { Place::Known } else { Place::Fork };
    }
    if seq > head.seq + 1 {
        Place::Ahead
    } else if known.is_left || prev != head.link {
        Place::Fork
    } else {
        Place::Next
    }
}

/// Finds the place of an item among what is stored.
pub fn find_place(
    tx: &Transaction<'_>,
    device: &DeviceId,
    current: Option<&str>,
    checked: &Checked,
) -> db::Result<Place> {
    let statement = &checked.statement;
    let head = head(tx, device, &statement.epoch)?;
    let stored: Option<String> = tx
        .query_row(
            "SELECT link FROM link WHERE device = ?1 AND epoch = ?2 AND seq = ?3",
            params![device.as_str(), statement.epoch, number(statement.seq)],
            |row| row.get(0),
        )
        .optional()?;
    let known = Known {
        head: head.as_ref(),
        is_left: current.is_some_and(|current| current != statement.epoch),
        stored: stored.as_deref(),
    };
    Ok(place(&known, statement.seq, &statement.prev, &checked.link))
}

/// The last safe link of an epoch.
pub fn head(tx: &Transaction<'_>, device: &DeviceId, epoch: &str) -> db::Result<Option<Head>> {
    tx.query_row(
        "SELECT seq, link FROM head WHERE device = ?1 AND epoch = ?2",
        [device.as_str(), epoch],
        |row| {
            let seq: i64 = row.get(0)?;
            Ok(Head { epoch: epoch.to_owned(), seq: seq.unsigned_abs(), link: row.get(1)? })
        },
    )
    .optional()
}

/// Appends an item; false when its event's id was used before, so that it must not be applied again.
pub fn append(tx: &Transaction<'_>, device: &DeviceId, item: &Believed, received: Wall) -> db::Result<bool> {
    let statement = &item.checked.statement;
    let id = item.event.as_ref().map(|event| event.id.as_str());
    let is_repeated = tx
        .query_row("SELECT 1 FROM link WHERE device = ?1 AND id = ?2", params![device.as_str(), id], |_| {
            Ok(())
        })
        .optional()?
        .is_some();
    let entry = Logged::Link {
        device: device.clone(),
        epoch: statement.epoch.clone(),
        seq: statement.seq,
        link: item.checked.link.clone(),
        at: received,
    };
    let logged = log::append(tx, &entry)?;
    tx.execute(
        "INSERT INTO link (device, epoch, seq, id, envelope, link, body, evidence, received_ms, logged)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            device.as_str(),
            statement.epoch,
            number(statement.seq),
            id.filter(|_| !is_repeated),
            item.envelope,
            item.checked.link,
            item.body,
            item.evidence,
            received.0,
            number(logged),
        ],
    )?;
    tx.execute(
        "INSERT INTO head VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (device, epoch) DO UPDATE SET seq = ?3, link = ?4",
        params![device.as_str(), statement.epoch, number(statement.seq), item.checked.link],
    )?;
    Ok(!is_repeated)
}

/// Keeps a contradiction as proof.
pub fn quarantine(
    tx: &Transaction<'_>,
    device: &DeviceId,
    item: &Believed,
    received: Wall,
) -> db::Result<()> {
    let statement = &item.checked.statement;
    tx.execute(
        "INSERT OR IGNORE INTO quarantine SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE (SELECT count(*) FROM quarantine WHERE device = ?1) < ?8",
        params![
            device.as_str(),
            statement.epoch,
            number(statement.seq),
            item.checked.link,
            item.envelope,
            item.body,
            received.0,
            MOST_QUARANTINED,
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_holds() {
        let head = Head { epoch: "e".into(), seq: 2, link: "l2".into() };
        let at = |stored, is_left| Known { head: Some(&head), is_left, stored };
        assert_eq!(place(&at(None, false), 3, "l2", "l3"), Place::Next);
        assert_eq!(place(&at(None, false), 3, "x2", "l3"), Place::Fork);
        assert_eq!(place(&at(Some("l2"), false), 2, "l1", "l2"), Place::Known);
        assert_eq!(place(&at(Some("l2"), false), 2, "l1", "x2"), Place::Fork);
        assert_eq!(place(&at(None, false), 4, "l3", "l4"), Place::Ahead);
        assert_eq!(place(&at(None, true), 3, "l2", "l3"), Place::Fork);
        assert_eq!(place(&at(Some("l2"), true), 2, "l1", "l2"), Place::Known);
        let unknown = Known { head: None, is_left: false, stored: None };
        assert_eq!(place(&unknown, 1, NO_LINK, "l1"), Place::NewEpoch);
        assert_eq!(place(&unknown, 1, "l0", "l1"), Place::Ahead);
        assert_eq!(place(&unknown, 5, "l4", "l5"), Place::Ahead);
    }

    #[test]
    fn an_event_that_is_said_again_in_another_chain_is_not_applied_again() {
        let folder = tempfile::tempdir().unwrap();
        let db = crate::platform::db::Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        let chance = crate::wire::event::Chance { id: uuid::Uuid::from_u128(7), salt: [0; 16] };
        let beat = crate::wire::event::Report::Beat(crate::wire::event::Beat::default());
        let event = Event::new(&device, Wall(1), chance, beat);
        let said = |epoch: &str| Believed {
            checked: Checked {
                statement: crate::wire::statement::Statement {
                    v: 1,
                    device: device.clone(),
                    epoch: epoch.into(),
                    seq: 1,
                    prev: NO_LINK.into(),
                    body_sha256: String::new(),
                    evidence_sha256: Vec::new(),
                    t_wall: Wall(1),
                    t_boot: 1,
                    boot_id: "b".into(),
                    anchor: String::new(),
                    digests: Default::default(),
                },
                link: format!("l-{epoch}"),
            },
            cover: Cover::Whole,
            envelope: String::new(),
            body: String::new(),
            evidence: None,
            event: Some(event.clone()),
        };
        db.write(|tx| {
            crate::platform::devices::enter(tx, &device)?;
            assert!(append(tx, &device, &said("one"), Wall(2))?);
            assert!(!append(tx, &device, &said("two"), Wall(3))?);
            Ok(())
        })
        .unwrap();
    }
}
