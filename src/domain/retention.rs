//! How long something has been waited for, by clocks that nobody can set.
//!
//! What is erased by mistake does not come back, so a wall clock that jumps must not bring the moment nearer. Within one
//! run of the machine only the time since it started counts. Across a restart there is nothing but the wall clock; it is
//! believed for the time since it was last looked at ([`Waiting::later`] is kept every few minutes) and never backwards. A
//! box that was off with a clock that stood still erases later, never earlier.

use std::time::Duration;

use crate::base::clock::Wall;
use crate::base::redact::Private;
use crate::domain::facts::Change;

/// Templates and names of a stay are kept this long after its discharge was received: a discharge by mistake is taken
/// back within a day.
pub const KEEP: Duration = Duration::from_secs(24 * 3600);

/// A moment on the clocks that count here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub wall: Wall,
    /// Milliseconds since the machine started.
    pub boot: u64,
    /// Which start that was.
    pub boot_id: String,
}

/// A wait that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Until `seen`, in milliseconds.
    pub waited_ms: u64,
    pub seen: Moment,
}

impl Waiting {
    /// Begins now.
    pub fn since(now: Moment) -> Waiting {
        Waiting { waited_ms: 0, seen: now }
    }

    /// How long it has been.
    pub fn waited(&self, now: &Moment) -> Duration {
        let more = if now.boot_id == self.seen.boot_id {
            Duration::from_millis(now.boot.saturating_sub(self.seen.boot))
        } else {
            now.wall.since(self.seen.wall)
        };
        Duration::from_millis(self.waited_ms).saturating_add(more)
    }

    /// The same wait as seen from `now`; the wall clock counts anew from here on.
    pub fn later(&self, now: Moment) -> Waiting {
        let waited_ms = u64::try_from(self.waited(&now).as_millis()).unwrap_or(u64::MAX);
        Waiting { waited_ms, seen: now }
    }
}

impl Change {
    /// Everybody it names.
    fn people(&mut self) -> Vec<&mut Private<String>> {
        match self {
            Change::Admitted { person, .. }
            | Change::Corrected { person }
            | Change::Insured { person, .. } => {
                vec![&mut person.psn_no, &mut person.psn_name]
            }
            Change::Merged { psn_no, into } => vec![psn_no, into],
            Change::Moved { .. }
            | Change::Left { .. }
            | Change::Returned
            | Change::Discharged
            | Change::Cancelled { .. } => Vec::new(),
        }
    }

    /// The same without names and numbers; `None` where there are none. What happened in which bed stays: a departure
    /// that is taken back must still be seen, and a fact that comes again must still be known.
    pub fn without_person(&self) -> Option<Change> {
        let mut change = self.clone();
        let mut people = change.people();
        if people.iter().all(|text| text.reveal().is_empty()) {
            return None;
        }
        people.iter_mut().for_each(|text| **text = Private::default());
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn moment(wall_hours: i64, boot_hours: u64, boot_id: &str) -> Moment {
        Moment { wall: Wall(wall_hours * HOUR as i64), boot: boot_hours * HOUR, boot_id: boot_id.to_owned() }
    }

    fn hours(waiting: &Waiting, now: &Moment) -> u64 {
        waiting.waited(now).as_secs() / 3600
    }

    #[test]
    fn a_clock_that_jumps_brings_nothing_nearer() {
        let waiting = Waiting::since(moment(100, 1, "a"));
        assert_eq!(hours(&waiting, &moment(100_000, 2, "a")), 1);
        assert_eq!(hours(&waiting, &moment(0, 3, "a")), 2);
        let kept = waiting.later(moment(100_000, 3, "a"));
        assert_eq!(hours(&kept, &moment(100_010, 0, "b")), 12, "off for ten hours, after the jump was seen");
        assert_eq!(hours(&kept, &moment(50, 0, "b")), 2, "a clock without a battery");
    }

    #[test]
    fn a_wait_goes_on_through_restarts() {
        let waiting = Waiting::since(moment(0, 5, "a"));
        let waiting = waiting.later(moment(3, 0, "b"));
        let waiting = waiting.later(moment(10, 7, "b"));
        assert_eq!(hours(&waiting, &moment(24, 1, "c")), 24);
    }
}
