//! Stands between the round terminal's pages and the task that decides. The page outlives the agent's restarts; the link
//! to whoever decides now is in [`Health::shown`].

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::agent::health::Health;
use crate::agent::zones::ZoneDesk;
use crate::base::clock::Wall;
use crate::base::frame::Picture;
use crate::base::redact::Private;
use crate::domain::Input;
use crate::domain::walk::{Sheet, Walked};
use crate::kiosk::counter::Signed;
use crate::kiosk::rounds::{Rounds, Said, Terminal};
use crate::store::staff::{Entry, Staff};

/// Without a receipt for so long the terminal calls itself offline: three heartbeats.
const OFFLINE: Duration = Duration::from_secs(180);
/// The page asks anew long before.
const AIMED: Duration = Duration::from_secs(5);

/// The link to the task that decides.
#[derive(Clone)]
pub struct Walk {
    pub says: mpsc::Sender<Input>,
    pub sheet: watch::Receiver<Option<Sheet>>,
    /// Whether any bed is walked to.
    pub has_beds: bool,
}

/// The other end of it.
pub struct Walking {
    pub said: mpsc::Receiver<Input>,
    pub sheet: watch::Sender<Option<Sheet>>,
}

/// Both ends.
pub fn link(has_beds: bool) -> (Walk, Walking) {
    let (says, said) = mpsc::channel(8);
    let (shown, sheet) = watch::channel(None);
    (Walk { says, sheet, has_beds }, Walking { said, sheet: shown })
}

/// A name and a PIN against the device's list.
pub fn enter(staff: &Staff, name: &str, pin: &Private<String>, now: Wall) -> Signed {
    match staff.enter(name, pin.reveal(), now) {
        Ok(Entry::Welcome) => Signed::Welcome,
        Ok(Entry::Wrong) => Signed::Wrong,
        Ok(Entry::Locked) => {
            warn!("A locked member of staff tried to get in.");
            Signed::Locked
        }
        Err(error) => {
            error!(%error, "The list of staff cannot be used; nobody gets in.");
            Signed::Wrong
        }
    }
}

impl Rounds for ZoneDesk {
    fn terminal(&self) -> Terminal {
        let Some(walk) = self.health.shown().walk else { return Terminal::default() };
        let sheet = walk.sheet.borrow().clone();
        let now = self.clock.now();
        let left = sheet.as_ref().map(|sheet| sheet.until - now.mono).unwrap_or_default();
        Terminal {
            sheet,
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            is_offline: is_offline(&self.health, now.wall),
            has_beds: walk.has_beds,
        }
    }

    fn say(&self, said: Said) -> bool {
        let Some(walk) = self.health.shown().walk else { return false };
        let input = match said {
            Said::Here(bed) => Input::Here { bed },
            Said::Later(bed, why) => Input::Later { bed, why },
        };
        walk.says.blocking_send(input).is_ok()
    }

    fn aim(&self) -> Option<Picture> {
        let shown = self.health.shown();
        let sheet = shown.walk?.sheet.borrow().clone()?;
        let here = sheet.stops.into_iter().find(|stop| matches!(stop.walked, Walked::Here { .. }))?;
        let settings = shown.settings?;
        let bed = settings.beds.iter().find(|bed| bed.id == here.bed)?;
        let slot = shown.slots.get(&bed.camera)?;
        // At rest a camera's picture is not kept.
        slot.watch_until(self.clock.now().mono + AIMED);
        slot.newest()?.picture.cut(bed.zone)
    }

    fn enter(&self, name: &str, pin: &Private<String>) -> Signed {
        let Some(settings) = self.health.shown().settings else { return Signed::Wrong };
        enter(&Staff::of(&settings.state), name, pin, self.clock.now().wall)
    }
}

pub fn is_offline(health: &Health, now: Wall) -> bool {
    health.acknowledged().is_none_or(|last| now.since(last) > OFFLINE)
}
