//! How many beds are watched at once where the device is hot, or busy with something else.
//!
//! Every watched bed takes its share of the processor for seconds. Where the nets cannot keep up, all beds lose frames and
//! nobody's breath is seen any more; so fewer are watched at a time, each of them properly. A round's deadline goes first:
//! `Round::begins_next` begins another bed when what is left could not be done in time otherwise.

use serde::{Deserialize, Serialize};

/// Of five frames a second, fewer than about four miss blinks (`vision::watch`).
const LOST: f32 = 0.75;
const KEPT: f32 = 0.9;
/// So many samples in a row must be fine before one bed more is tried: a fan-less board cools slowly.
const CALM: u8 = 3;

/// How hot the board is, by its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    /// Also where nobody can tell.
    #[default]
    Fine,
    /// Near the point where the kernel slows it down: what goes on may go on, nothing is added.
    Warm,
    Hot,
}

/// What the device felt since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strain {
    pub heat: Heat,
    /// Share (0 to 1) of the frames worth watching that the nets got through; `None` where nothing was watched.
    pub kept: Option<f32>,
}

/// Why fewer beds are watched at once than the configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Burden {
    Heat,
    Load,
}

/// The work is eased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eased {
    /// Beds watched at once now, as long as the round's deadline allows it.
    pub beds_at_once: u8,
    /// What the configuration allows.
    pub of: u8,
    pub by: Burden,
}

/// Halves at once, grows slowly.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    full: u8,
    now: u8,
    by: Burden,
    calm: u8,
}

impl Effort {
    /// All that the configuration allows.
    pub fn full(beds_at_once: u8) -> Effort {
        Effort { full: beds_at_once, now: beds_at_once, by: Burden::Load, calm: 0 }
    }

    pub fn beds_at_once(&self) -> u8 {
        self.now
    }

    /// `None` at full effort.
    pub fn eased(&self) -> Option<Eased> {
        (self.now < self.full).then_some(Eased { beds_at_once: self.now, of: self.full, by: self.by })
    }

    pub fn feel(&mut self, strain: Strain) {
        let is_behind = strain.kept.is_some_and(|kept| kept < LOST);
        // While nothing is watched nobody knows whether the load is gone; heat tells at any time.
        let is_fine =
            strain.heat == Heat::Fine && strain.kept.map_or(self.by == Burden::Heat, |kept| kept >= KEPT);
        if strain.heat == Heat::Hot || is_behind {
            let down = if strain.heat == Heat::Hot { 1 } else { self.now / 2 };
            if self.now > 1 {
                self.by = if strain.heat == Heat::Hot { Burden::Heat } else { Burden::Load };
            }
            (self.now, self.calm) = (down.clamp(1, self.full.max(1)), 0);
        } else if is_fine && self.now < self.full {
            self.calm += 1;
            if self.calm >= CALM {
                (self.now, self.calm) = (self.now + 1, 0);
            }
        } else {
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(share: f32) -> Strain {
        Strain { heat: Heat::Fine, kept: Some(share) }
    }

    fn heat(heat: Heat) -> Strain {
        Strain { heat, kept: None }
    }

    #[test]
    fn lost_frames_halve_the_beds_and_three_calm_samples_bring_one_back() {
        let mut effort = Effort::full(8);
        assert_eq!(effort.eased(), None);
        effort.feel(kept(0.5));
        effort.feel(kept(0.7));
        assert_eq!(effort.eased(), Some(Eased { beds_at_once: 2, of: 8, by: Burden::Load }));
        (0..9).for_each(|_| effort.feel(kept(0.2)));
        assert_eq!(effort.beds_at_once(), 1, "one is always watched");
        // Neither behind nor well: it stays as it is, and calm begins anew.
        for share in [0.95, 0.95, 0.8, 0.95, 0.95] {
            effort.feel(kept(share));
        }
        assert_eq!(effort.beds_at_once(), 1);
        effort.feel(kept(0.95));
        assert_eq!(effort.beds_at_once(), 2);
        (0..30).for_each(|_| effort.feel(kept(1.0)));
        assert_eq!(effort.eased(), None);
    }

    #[test]
    fn a_hot_board_watches_one_bed_until_it_is_cool_though_nothing_is_watched_meanwhile() {
        let mut effort = Effort::full(4);
        effort.feel(heat(Heat::Warm));
        assert_eq!(effort.eased(), None, "warm adds nothing and takes nothing");
        effort.feel(heat(Heat::Hot));
        assert_eq!(effort.eased(), Some(Eased { beds_at_once: 1, of: 4, by: Burden::Heat }));
        (0..20).for_each(|_| effort.feel(heat(Heat::Warm)));
        assert_eq!(effort.beds_at_once(), 1);
        (0..9).for_each(|_| effort.feel(heat(Heat::Fine)));
        assert_eq!(effort.eased(), None);
    }

    #[test]
    fn a_load_is_not_taken_for_gone_because_nothing_was_watched() {
        let mut effort = Effort::full(4);
        effort.feel(kept(0.1));
        (0..50).for_each(|_| effort.feel(heat(Heat::Fine)));
        assert_eq!(effort.beds_at_once(), 2);
    }
}
