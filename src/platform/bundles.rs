//! What devices say of their signed updates: a device that was turned back, or forgot whom it trusts, is a case; so is a
//! bundle that failed its probation, until a later one works.
//!
//! The device keeps its own highest version, and whoever owns the box can take that away. What it said before is here.

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::platform::cases::{self, Own};
use crate::platform::db::{self, OptionalExtension, Transaction, params};
use crate::wire::bundle::BundleBeat;

/// Takes what a heartbeat says. What it is held against stays until the device has caught up with it.
pub fn hear(tx: &Transaction<'_>, device: &DeviceId, said: Option<&BundleBeat>, now: Wall) -> db::Result<()> {
    let before: Option<String> = tx
        .query_row("SELECT bundle FROM device WHERE device = ?1", [device.as_str()], |row| row.get(0))
        .optional()?
        .flatten();
    let before: Option<BundleBeat> = before.and_then(|json| serde_json::from_str(&json).ok());
    let is_turned_back = before.as_ref().is_some_and(|before| is_behind(before, said));
    settle(tx, device, Own::BundleTurnedBack, is_turned_back, now)?;
    let is_given_up = said.is_some_and(|said| said.returned_from.is_some());
    settle(tx, device, Own::BundleGivenUp, is_given_up, now)?;
    if let Some(said) = said.filter(|_| !is_turned_back) {
        let json = serde_json::to_string(said).unwrap_or_default();
        tx.execute("UPDATE device SET bundle = ?2 WHERE device = ?1", params![device.as_str(), json])?;
    }
    Ok(())
}

/// A lower highest version, no trust any more, or another root: that comes only with a higher bundle.
fn is_behind(before: &BundleBeat, said: Option<&BundleBeat>) -> bool {
    match said {
        None => true,
        Some(said) => {
            said.highest < before.highest || (said.root != before.root && said.highest == before.highest)
        }
    }
}

/// The case is open exactly while `holds`; a minute's heartbeat is no further occurrence.
fn settle(tx: &Transaction<'_>, device: &DeviceId, kind: Own, holds: bool, now: Wall) -> db::Result<()> {
    match (holds, cases::is_open(tx, device, kind)?) {
        (true, false) => cases::raise(tx, device, kind, now).map(drop),
        (false, true) => cases::end(tx, device, kind, now).map(drop),
        (true, true) | (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(highest: u64, root: &str) -> BundleBeat {
        BundleBeat {
            version: Some(highest),
            highest,
            root: root.to_owned(),
            on_probation: false,
            returned_from: None,
        }
    }

    #[test]
    fn a_device_that_is_turned_back_is_a_case_until_it_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let db = crate::platform::db::Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        db.write(|tx| {
            crate::platform::devices::enter(tx, &device)?;
            let mut at = 0;
            let mut hear = |said: Option<BundleBeat>| {
                at += 60_000;
                hear(tx, &device, said.as_ref(), Wall(at))?;
                cases::is_open(tx, &device, Own::BundleTurnedBack)
            };
            assert!(!hear(None)?, "whoever never took one owes none");
            assert!(!hear(Some(beat(7, "r")))? && !hear(Some(beat(8, "r")))?);
            assert!(hear(Some(beat(7, "r")))? && hear(Some(beat(7, "r")))?);
            assert!(hear(None)?);
            assert!(!hear(Some(beat(8, "r")))?);
            assert!(hear(Some(beat(8, "another")))?);
            assert!(!hear(Some(beat(9, "another")))?, "keys change with a bundle that the old ones signed");

            let given_up = BundleBeat { version: Some(9), returned_from: Some(10), ..beat(10, "another") };
            assert!(!hear(Some(given_up))?);
            assert!(cases::is_open(tx, &device, Own::BundleGivenUp)?);
            assert!(!hear(Some(beat(11, "another")))?);
            assert!(!cases::is_open(tx, &device, Own::BundleGivenUp)?);
            Ok(())
        })
        .unwrap();
    }
}
