//! Blinks, from how open the eyes are over time.

use crate::base::clock::Mono;

/// Eye openness (height over width) from which an eye counts as open, and the share of the usual openness below which
/// it is closed. FaceMesh follows a lid only in part: a blink takes it from 0.35 to 0.27, its own jitter is 0.01 (the
/// demo's ward).
pub const OPEN: f32 = 0.16;
const CLOSED: f32 = 0.86;
/// From the last open frame to the next: two frames at 4 a second and the blink between them.
const LONGEST_BLINK_MS: u128 = 1_100;

/// How often the eyes closed and soon opened again, against how open they usually are. A head that nods changes the
/// openness too, but not for so short a time.
pub fn blinks(samples: &[(Mono, f32)]) -> u16 {
    let mut sorted: Vec<f32> = samples.iter().map(|(_, openness)| *openness).collect();
    sorted.sort_by(f32::total_cmp);
    let usual = sorted.get(sorted.len() * 3 / 4).copied().unwrap_or(0.0);
    if usual < OPEN {
        return 0;
    }
    let mut blinks = 0;
    let mut open_at: Option<Mono> = None;
    let mut has_closed = false;
    for (at, openness) in samples {
        if *openness < usual * CLOSED {
            has_closed = open_at.is_some();
        } else if *openness > usual * (CLOSED + 0.04) {
            if has_closed && open_at.is_some_and(|before| (*at - before).as_millis() <= LONGEST_BLINK_MS) {
                blinks += 1;
            }
            (open_at, has_closed) = (Some(*at), false);
        }
    }
    blinks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four samples a second.
    fn filmed(openness: &[f32]) -> Vec<(Mono, f32)> {
        openness.iter().enumerate().map(|(at, value)| (Mono(at as u64 * 250), *value)).collect()
    }

    #[test]
    fn a_blink_closes_and_opens_again() {
        assert_eq!(blinks(&filmed(&[0.35, 0.34, 0.27, 0.35, 0.35, 0.1, 0.09, 0.34, 0.35])), 2);
        assert_eq!(blinks(&filmed(&[0.35, 0.34, 0.36, 0.33, 0.35])), 0, "eyes are never quite still");
        assert_eq!(blinks(&filmed(&[0.08, 0.07, 0.09, 0.08])), 0, "a sleeper does not blink");
        assert_eq!(blinks(&filmed(&[0.35, 0.35, 0.35, 0.1])), 0, "closed at the end: asleep, perhaps");
        let nod = [0.35, 0.34, 0.29, 0.28, 0.27, 0.27, 0.28, 0.29, 0.34, 0.35, 0.35, 0.35];
        assert_eq!(blinks(&filmed(&nod)), 0, "a nod takes longer than a blink");
    }
}
