//! How many of the frames worth watching the nets get through: what a device that is too busy loses first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Fewer frames say nothing: two seconds of one bed.
const LEAST: u64 = 10;

/// Counted by the thread that watches, asked by whoever eases its work.
#[derive(Clone, Default)]
pub struct Kept(Arc<Counts>);

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    worth: AtomicU64,
}

impl Kept {
    /// One frame was taken, of so many worth it since the one before of the same bed.
    pub fn took_one_of(&self, worth: u64) {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        self.0.worth.fetch_add(worth, Ordering::Relaxed);
    }

    /// The share (0 to 1) since the last answer; `None` where too few were worth it, which then count for the next.
    pub fn share(&self) -> Option<f32> {
        if self.0.worth.load(Ordering::Relaxed) < LEAST {
            return None;
        }
        // A frame between the two swaps counts for this answer once and is missing in the next: one of at least ten.
        let (worth, taken) =
            (self.0.worth.swap(0, Ordering::Relaxed), self.0.taken.swap(0, Ordering::Relaxed));
        Some((taken as f32 / worth as f32).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_what_came_since_it_was_last_asked_for() {
        let kept = Kept::default();
        (0..9).for_each(|_| kept.took_one_of(1));
        assert_eq!(kept.share(), None);
        kept.took_one_of(11);
        assert_eq!(kept.share(), Some(0.5));
        assert_eq!(kept.share(), None);
    }
}
