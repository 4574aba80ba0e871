//! What the screen shows now: one thing to do, how long there is for it, and what would help.

use serde::Serialize;

use crate::base::clock::Mono;
use crate::domain::challenge::Action;
use crate::domain::kiosk::attempt::{Hint, Setback};
use crate::domain::kiosk::verification::{Outcome, Purpose};
use crate::domain::kiosk::visit::{Case, Stage};
use crate::domain::kiosk::{Kiosk, WRONG_NUMBERS};

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    Start,
    Notice,
    Claim,
    Who,
    Purchase,
    Face,
    Challenge,
    Again,
    Staff,
    Result,
}

/// Everything a page is drawn from; nothing in it that a passer-by may not read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Screen {
    /// Changes with each page: what answers an older one is for nothing.
    pub number: u64,
    pub page: Page,
    pub purpose: Option<Purpose>,
    /// The first letter of the name and stars.
    pub masked_name: Option<String>,
    /// Milliseconds until the page gives up waiting.
    pub left_ms: Option<u64>,
    pub hint: Option<Hint>,
    /// What shall be done now, how many are done and how many there are.
    pub action: Option<Action>,
    pub done: usize,
    pub of: usize,
    /// Left, top, width and height of the face as shares of the picture.
    pub place: Option<[f32; 4]>,
    pub setback: Option<Setback>,
    pub outcome: Option<Outcome>,
    /// Numbers that may still be tried.
    pub tries: u8,
    pub is_proxy: bool,
}

impl Kiosk {
    /// What is shown at `now`.
    pub fn screen(&self, now: Mono) -> Screen {
        let left = |until: &Mono| u64::try_from((*until - now).as_millis()).unwrap_or(u64::MAX);
        let bare = Screen {
            number: self.screens,
            page: Page::Start,
            purpose: None,
            masked_name: None,
            left_ms: self.next_deadline().as_ref().map(left),
            hint: None,
            action: None,
            done: 0,
            of: 0,
            place: None,
            setback: None,
            outcome: None,
            tries: WRONG_NUMBERS,
            is_proxy: false,
        };
        match &self.stage {
            Stage::Idle => bare,
            Stage::Notice { visit, .. } => {
                Screen { page: Page::Notice, purpose: Some(visit.purpose), ..bare }
            }
            Stage::Claim { visit, wrong, .. } => Screen {
                page: Page::Claim,
                purpose: Some(visit.purpose),
                tries: WRONG_NUMBERS - wrong,
                ..bare
            },
            Stage::Who { case, .. } => of(case, Page::Who, bare),
            Stage::Purchase { case, .. } => of(case, Page::Purchase, bare),
            Stage::Facing { case, attempt, .. } => {
                Screen { hint: Some(attempt.hint()), place: attempt.place(), ..of(case, Page::Face, bare) }
            }
            Stage::Challenge { case, attempt, asking, .. } => Screen {
                hint: Some(attempt.hint()),
                place: attempt.place(),
                action: asking.challenge.0.get(asking.done).copied(),
                done: asking.done,
                of: asking.challenge.0.len(),
                ..of(case, Page::Challenge, bare)
            },
            Stage::Again { case, .. } => of(case, Page::Again, bare),
            Stage::Staff { case, signed, .. } => {
                Screen { done: signed.len(), of: case.signatures(), ..of(case, Page::Staff, bare) }
            }
            Stage::Done { case, outcome, .. } => {
                Screen { outcome: Some(outcome.clone()), ..of(case, Page::Result, bare) }
            }
        }
    }
}

fn of(case: &Case, page: Page, bare: Screen) -> Screen {
    Screen {
        page,
        purpose: Some(case.visit.purpose),
        masked_name: Some(case.claimed.masked_name.clone()),
        setback: case.setbacks.last().cloned(),
        is_proxy: case.proxy.is_some(),
        ..bare
    }
}
