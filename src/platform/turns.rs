//! Whose turn it is on the device port: how many batches of one device at once, and how many a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::ids::DeviceId;

/// An agent sends one batch after the other; a second may overlap after a lost answer.
const MOST_AT_ONCE: usize = 2;
/// Batches of one device that may come in a burst: so many seconds' worth.
const BURST_SECONDS: u32 = 8;
/// Batches of one device a second: an agent sends four at most (`agent::deliver`), and a flood costs nobody but its sender.
pub const USUAL_RATE: u32 = 5;

/// Why a device must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet {
    pub wait: Duration,
}

/// The turns of every device.
pub struct Turns {
    places: Mutex<BTreeMap<DeviceId, Place>>,
    /// Time one batch costs, and how much of it may be taken ahead.
    cost: Duration,
    ahead: Duration,
}

/// Token bucket (GCRA): `full_at` is when the bucket is full again.
#[derive(Clone, Copy, Default)]
struct Place {
    inside: usize,
    full_at: Mono,
}

impl Place {
    fn enter(&mut self, now: Mono, cost: Duration, most_ahead: Duration) -> Result<(), NotYet> {
        let full_at = self.full_at.max(now) + cost;
        if self.inside >= MOST_AT_ONCE {
            return Err(NotYet { wait: Duration::from_secs(1) });
        }
        if full_at - now > most_ahead {
            return Err(NotYet { wait: (full_at - now).saturating_sub(most_ahead) });
        }
        *self = Place { inside: self.inside + 1, full_at };
        Ok(())
    }

    /// Nothing needs to be remembered of a device that is not here and whose bucket is full.
    fn is_forgettable(&self, now: Mono) -> bool {
        self.inside == 0 && self.full_at <= now
    }
}

/// Devices remembered before those with a full bucket are forgotten.
const MANY: usize = 10_000;

impl Turns {
    /// `rate`: batches of one device a second, at least one.
    pub fn new(rate: u32) -> Arc<Turns> {
        let cost = Duration::from_secs(1) / rate.max(1);
        Arc::new(Turns { places: Mutex::default(), cost, ahead: Duration::from_secs(BURST_SECONDS.into()) })
    }

    /// A turn, given back when dropped.
    ///
    /// # Errors
    /// [`NotYet`].
    pub fn take(self: &Arc<Self>, device: &DeviceId, now: Mono) -> Result<Turn, NotYet> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MANY {
            places.retain(|_, place| !place.is_forgettable(now));
        }
        places.entry(device.clone()).or_default().enter(now, self.cost, self.ahead)?;
        Ok(Turn { turns: self.clone(), device: device.clone() })
    }
}

/// One of a device's places.
pub struct Turn {
    turns: Arc<Turns>,
    device: DeviceId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut places = self.turns.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(&self.device) {
            place.inside = place.inside.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_two_places_and_gets_them_back() {
        let turns = Turns::new(USUAL_RATE);
        let (one, other) = (DeviceId::new("a").unwrap(), DeviceId::new("b").unwrap());
        let first = turns.take(&one, Mono(0)).unwrap();
        let _second = turns.take(&one, Mono(0)).unwrap();
        assert!(turns.take(&one, Mono(0)).is_err());
        assert!(turns.take(&other, Mono(0)).is_ok());
        drop(first);
        assert!(turns.take(&one, Mono(0)).is_ok());
    }

    #[test]
    fn a_flood_is_told_how_long_to_wait_and_others_are_not() {
        let turns = Turns::new(USUAL_RATE);
        let (one, other) = (DeviceId::new("a").unwrap(), DeviceId::new("b").unwrap());
        let taken = (0..1000).filter(|_| turns.take(&one, Mono(5)).is_ok()).count();
        assert_eq!(taken, 40);
        let fifth = Duration::from_millis(200);
        assert_eq!(turns.take(&one, Mono(5)).err(), Some(NotYet { wait: fifth }));
        assert!(turns.take(&other, Mono(5)).is_ok());
        let later = Mono(5) + fifth;
        assert!(turns.take(&one, later).is_ok());
        assert!(turns.take(&one, later).is_err());
        let in_a_minute = later + Duration::from_secs(60);
        assert_eq!((0..1000).filter(|_| turns.take(&one, in_a_minute).is_ok()).count(), 40);
    }
}
