//! A challenge at the kiosk: two or three small actions, drawn from a nonce, that no photo and no canned video answers.
//!
//! The draw is SHA-256 of the nonce, so the platform can repeat it. Nobody is forced: who cannot turn the head or close
//! the eyes goes another way (`liveness`: colour flash, high passive score, or two members of staff), and a challenge
//! that was not finished is no failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::clock::Mono;

/// What the screen asks for; left and right are the person's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    TurnLeft,
    TurnRight,
    Blink,
    OpenMouth,
}

impl Action {
    /// What the screen shows: Chinese, English.
    pub fn prompt(self) -> (&'static str, &'static str) {
        match self {
            Action::TurnLeft => ("请向左转头", "turn your head to the left"),
            Action::TurnRight => ("请向右转头", "turn your head to the right"),
            Action::Blink => ("请眨眨眼", "blink"),
            Action::OpenMouth => ("请张开嘴", "open your mouth"),
        }
    }
}

/// Actions in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge(pub Vec<Action>);

/// One frame of the face that answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaceFrame {
    pub at: Mono,
    /// Degrees, positive towards the picture's right, which is the person's left.
    pub yaw: f32,
    /// Eye aspect ratio, about 0.3 open.
    pub eyes: f32,
    /// Inner height of the mouth over its width: about 0 closed.
    pub mouth: f32,
}

/// How a challenge went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Passed,
    /// Another action came than the one asked for.
    Wrong {
        asked: Action,
        seen: Action,
    },
    /// Time ran out; no accusation.
    Unfinished {
        done: usize,
    },
}

// Degrees and ratios from which an action counts. A head at rest stays within half of them.
const TURN: f32 = 18.0;
const CLOSED: f32 = 0.82;
const MOUTH: f32 = 0.30;
/// Frames from which the person's own resting face is taken.
const REST: usize = 3;

impl Challenge {
    /// Draws `count` (2 or 3) different actions from the platform's nonce. At least one of them is a turn, because
    /// blinks and open mouths are in many canned videos.
    pub fn draw(nonce: &[u8], count: usize) -> Challenge {
        let digest = Sha256::new().chain_update(b"bedcheck-challenge-v1").chain_update(nonce).finalize();
        let mut left = vec![Action::TurnLeft, Action::TurnRight, Action::Blink, Action::OpenMouth];
        let mut drawn = Vec::new();
        for byte in digest.iter().take(count.clamp(2, 3)) {
            drawn.push(left.swap_remove(usize::from(*byte) % left.len()));
        }
        let turns = [Action::TurnLeft, Action::TurnRight];
        if !drawn.iter().any(|action| turns.contains(action)) {
            let at = usize::from(digest[8]) % drawn.len();
            drawn[at] = turns[usize::from(digest[9]) % 2];
        }
        Challenge(drawn)
    }

    /// Judges the frames filmed since the first prompt; each action has `each` for itself.
    pub fn judge(&self, frames: &[FaceFrame], each: Duration) -> Answer {
        let Some(rest) = Rest::of(frames) else { return Answer::Unfinished { done: 0 } };
        let (mut done, mut since) = (0, frames[0].at);
        let mut is_at_rest = true;
        for frame in &frames[REST..] {
            let Some(asked) = self.0.get(done) else { break };
            if frame.at - since > each {
                return Answer::Unfinished { done };
            }
            match rest.action(frame) {
                None => is_at_rest = true,
                // The former action may still be going on.
                Some(_) if !is_at_rest => {}
                Some(seen) if seen == *asked => {
                    (done, since, is_at_rest) = (done + 1, frame.at, false);
                }
                // People blink whenever they like.
                Some(Action::Blink) => {}
                Some(seen) => return Answer::Wrong { asked: *asked, seen },
            }
        }
        if done == self.0.len() { Answer::Passed } else { Answer::Unfinished { done } }
    }
}

/// The face before anything was asked of it.
struct Rest {
    yaw: f32,
    eyes: f32,
    mouth: f32,
}

impl Rest {
    fn of(frames: &[FaceFrame]) -> Option<Rest> {
        let first = frames.get(..REST)?;
        let mean = |value: fn(&FaceFrame) -> f32| first.iter().map(value).sum::<f32>() / REST as f32;
        Some(Rest { yaw: mean(|f| f.yaw), eyes: mean(|f| f.eyes), mouth: mean(|f| f.mouth) })
    }

    fn action(&self, frame: &FaceFrame) -> Option<Action> {
        let turned = frame.yaw - self.yaw;
        if turned >= TURN {
            Some(Action::TurnLeft)
        } else if turned <= -TURN {
            Some(Action::TurnRight)
        } else if frame.mouth - self.mouth >= MOUTH {
            Some(Action::OpenMouth)
        } else if frame.eyes < self.eyes * CLOSED {
            Some(Action::Blink)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Duration = Duration::from_secs(4);

    /// Ten frames a second; each letter is one: `.` rest, `l` `r` turned, `b` eyes closed, `o` mouth open.
    fn filmed(story: &str) -> Vec<FaceFrame> {
        let frame = |(at, letter)| FaceFrame {
            at: Mono(at as u64 * 100),
            yaw: match letter {
                'l' => 27.0,
                'r' => -25.0,
                _ => 2.0,
            },
            eyes: if letter == 'b' { 0.2 } else { 0.31 },
            mouth: if letter == 'o' { 0.6 } else { 0.05 },
        };
        story.chars().enumerate().map(frame).collect()
    }

    #[test]
    fn actions_in_order_pass_and_a_still_photo_never_does() {
        let asked = Challenge(vec![Action::TurnLeft, Action::Blink, Action::OpenMouth]);
        assert_eq!(asked.judge(&filmed("....lll...bb..ooo.."), EACH), Answer::Passed);
        assert_eq!(asked.judge(&filmed(&".".repeat(200)), EACH), Answer::Unfinished { done: 0 });
        assert_eq!(asked.judge(&filmed(".."), EACH), Answer::Unfinished { done: 0 });
    }

    #[test]
    fn a_canned_video_answers_another_question() {
        let asked = Challenge(vec![Action::TurnLeft, Action::OpenMouth]);
        let wrong = Answer::Wrong { asked: Action::TurnLeft, seen: Action::TurnRight };
        assert_eq!(asked.judge(&filmed("....rrr...ooo"), EACH), wrong);
        assert_eq!(asked.judge(&filmed("..b.bb.lll.b.ooo"), EACH), Answer::Passed, "blinks are free");
    }

    #[test]
    fn too_slow_is_unfinished_and_no_failure() {
        let asked = Challenge(vec![Action::TurnRight, Action::Blink]);
        let story = format!("...rr{}bb", ".".repeat(60));
        assert_eq!(asked.judge(&filmed(&story), EACH), Answer::Unfinished { done: 1 });
    }

    #[test]
    fn a_nonce_always_draws_the_same_and_every_draw_has_a_turn() {
        assert_eq!(Challenge::draw(b"n1", 3), Challenge::draw(b"n1", 3));
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200_u32 {
            let drawn = Challenge::draw(&number.to_be_bytes(), 2 + number as usize % 2).0;
            assert!(drawn.contains(&Action::TurnLeft) || drawn.contains(&Action::TurnRight));
            assert_eq!(drawn.len(), 2 + number as usize % 2);
            seen.insert(format!("{drawn:?}"));
        }
        assert!(seen.len() > 12, "{} different challenges", seen.len());
    }
}
