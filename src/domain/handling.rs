//! What people make of an exception: from raised to closed, each step by a role, with a reason and a time to do it in.
//!
//! ```text
//!   raised ─► confirmed ─► notified ─► answered ─► upheld ─► closed
//!     │           │           │ (silent: upheld)   │  │ ▲
//!     └───────────┴───────────┴────────────────────┤  ▼ │
//!                                        dismissed ◄─ appealed
//! ```
//! An escalation changes no state: it says that somebody above must look. What a device says of the same exception
//! (reproduced, over) is another matter and never moves a case.

use serde::{Deserialize, Serialize};

use crate::domain::role::Role;

/// Where a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Raised,
    Confirmed,
    Notified,
    Answered,
    Upheld,
    Dismissed,
    Appealed,
    Closed,
}

/// What somebody does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Confirm,
    Notify,
    Answer,
    Uphold,
    Dismiss,
    Appeal,
    Escalate,
    Close,
}

/// What may be done in which state, by whom, and what it is then.
const STEPS: &[(State, Step, &[Role], State)] = &[
    (State::Raised, Step::Confirm, BUREAU, State::Confirmed),
    (State::Raised, Step::Dismiss, BUREAU, State::Dismissed),
    (State::Confirmed, Step::Notify, BUREAU, State::Notified),
    (State::Confirmed, Step::Dismiss, BUREAU, State::Dismissed),
    (State::Notified, Step::Answer, HOSPITAL, State::Answered),
    (State::Notified, Step::Uphold, BUREAU, State::Upheld),
    (State::Notified, Step::Escalate, BUREAU, State::Notified),
    (State::Answered, Step::Uphold, BUREAU, State::Upheld),
    (State::Answered, Step::Dismiss, BUREAU, State::Dismissed),
    (State::Answered, Step::Escalate, BUREAU, State::Answered),
    (State::Upheld, Step::Appeal, HOSPITAL, State::Appealed),
    (State::Upheld, Step::Close, BUREAU, State::Closed),
    (State::Appealed, Step::Uphold, REVIEW, State::Upheld),
    (State::Appealed, Step::Dismiss, REVIEW, State::Dismissed),
    (State::Appealed, Step::Escalate, REVIEW, State::Appealed),
    (State::Dismissed, Step::Close, BUREAU, State::Closed),
];

const BUREAU: &[Role] = &[Role::Supervisor, Role::Reviewer];
const HOSPITAL: &[Role] = &[Role::Officer];
/// An appeal is not decided by the desk it goes against.
const REVIEW: &[Role] = &[Role::Reviewer];

/// Why somebody may not take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error("此状态下不能这样处理 / not in this state")]
    State,
    #[error("此角色无权这样处理 / not by this role")]
    Role,
    #[error("申诉须由原决定人以外的人复核 / an appeal is decided by somebody else than who upheld the case")]
    SamePerson,
    #[error("已经申诉过一次 / a case is appealed once")]
    AppealedBefore,
    #[error("请从列表中选择理由 / choose a reason from the list")]
    Reason,
    #[error("所选理由须写明情况（4 至 500 字） / this reason needs 4 to 500 characters of text")]
    TextMissing,
    #[error("所选理由不附文字 / this reason takes no text")]
    TextUnwanted,
}

/// What is known of a case before a step.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    pub state: State,
    /// Who upheld it last.
    pub upheld_by: Option<&'a str>,
    pub was_appealed: bool,
}

/// A step somebody wants to take.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub step: Step,
    pub person: &'a str,
    pub role: Role,
    pub reason: Option<&'a str>,
    pub text: &'a str,
}

/// The state after a step.
///
/// # Errors
/// [`NotAllowed`].
pub fn after(before: Before<'_>, wish: Wish<'_>) -> Result<State, NotAllowed> {
    let (_, _, roles, then) = STEPS
        .iter()
        .find(|(from, step, _, _)| (*from, *step) == (before.state, wish.step))
        .ok_or(NotAllowed::State)?;
    if !roles.contains(&wish.role) {
        return Err(NotAllowed::Role);
    }
    let is_review = before.state == State::Appealed && matches!(wish.step, Step::Uphold | Step::Dismiss);
    if is_review && before.upheld_by == Some(wish.person) {
        return Err(NotAllowed::SamePerson);
    }
    if wish.step == Step::Appeal && before.was_appealed {
        return Err(NotAllowed::AppealedBefore);
    }
    check_reason(wish)?;
    Ok(*then)
}

fn check_reason(wish: Wish<'_>) -> Result<(), NotAllowed> {
    let reasons = wish.step.reasons();
    let text = wish.text.trim().chars().count();
    if reasons.is_empty() {
        return if wish.reason.is_none() && text == 0 { Ok(()) } else { Err(NotAllowed::TextUnwanted) };
    }
    let name = wish.reason.ok_or(NotAllowed::Reason)?;
    let reason = reasons.iter().find(|reason| reason.name == name).ok_or(NotAllowed::Reason)?;
    match (reason.takes_text, text) {
        (true, 4..=500) | (false, 0) => Ok(()),
        (true, _) => Err(NotAllowed::TextMissing),
        (false, _) => Err(NotAllowed::TextUnwanted),
    }
}

/// What somebody of this role may do now.
pub fn steps(state: State, role: Role) -> impl Iterator<Item = Step> {
    STEPS
        .iter()
        .filter(move |(from, _, roles, _)| *from == state && roles.contains(&role))
        .map(|(_, step, _, _)| *step)
}

/// A reason out of a closed list. Free text goes only with an emergency and with what no list foresees: it is where
/// names of patients would end up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub name: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
    pub takes_text: bool,
}

pub(super) const fn reason(name: &'static str, zh: &'static str, en: &'static str) -> Reason {
    Reason { name, zh, en, takes_text: false }
}

/// One that needs free text.
pub(super) const fn told(name: &'static str, zh: &'static str, en: &'static str) -> Reason {
    Reason { name, zh, en, takes_text: true }
}

const OTHER: Reason = told("other", "其他（须说明）", "other (say what)");

const ANSWERS: &[Reason] = &[
    reason("on_leave", "已批准请假", "leave was granted"),
    reason("examination", "外出检查或治疗", "away for examination or treatment"),
    reason("bed_changed", "已换床未更新名册", "bed was changed, roster was not"),
    reason("discharged", "已出院未登记", "discharged, not yet registered"),
    reason("register_wrong", "身份或床位登记有误", "identity or bed was registered wrongly"),
    reason("device_fault", "设备或网络故障", "device or network failed"),
    reason("admitted", "情况属实，接受处理", "it is true"),
    told("emergency", "急救或转运（须说明）", "emergency (say what)"),
    OTHER,
];
const UPHOLDING: &[Reason] = &[
    reason("no_ground", "无有效离床依据", "no valid ground for the absence"),
    reason("other_person", "住院者非参保人本人", "the person in the bed is not the insured"),
    reason("paper_stay", "无实际住院", "the stay exists on paper only"),
    reason("records_false", "补登或篡改记录", "records were written afterwards or changed"),
    reason("unanswered", "逾期未答复", "no answer in time"),
    OTHER,
];
const DISMISSING: &[Reason] = &[
    reason("excused", "有据离床", "absence was excused"),
    reason("identity_shown", "已核实为本人", "identity was shown"),
    reason("technical", "设备或画面原因", "device or picture was at fault"),
    reason("insufficient", "证据不足", "evidence does not suffice"),
    OTHER,
];
const APPEALING: &[Reason] = &[
    reason("new_proof", "有新的证据", "there is new proof"),
    reason("facts_wrong", "认定事实有误", "the facts were taken wrongly"),
    OTHER,
];
const ESCALATING: &[Reason] = &[
    reason("overdue", "逾期未答复", "overdue"),
    reason("repeated", "同一机构多次发生", "repeated at this institution"),
    reason("grave", "涉嫌骗保，情节严重", "suspected fraud of weight"),
    OTHER,
];

impl State {
    pub const ALL: [State; 8] = [
        State::Raised,
        State::Confirmed,
        State::Notified,
        State::Answered,
        State::Upheld,
        State::Dismissed,
        State::Appealed,
        State::Closed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Raised => "raised",
            State::Confirmed => "confirmed",
            State::Notified => "notified",
            State::Answered => "answered",
            State::Upheld => "upheld",
            State::Dismissed => "dismissed",
            State::Appealed => "appealed",
            State::Closed => "closed",
        }
    }

    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Hours until the next step is due; chosen by feel, the bureau's own rules of procedure should say.
    pub fn hours(self) -> Option<i64> {
        match self {
            State::Raised | State::Confirmed => Some(24),
            State::Notified => Some(72),
            State::Answered => Some(5 * 24),
            State::Upheld | State::Appealed => Some(10 * 24),
            State::Dismissed => Some(24),
            State::Closed => None,
        }
    }
}

impl Step {
    pub const ALL: [Step; 8] = [
        Step::Confirm,
        Step::Notify,
        Step::Answer,
        Step::Uphold,
        Step::Dismiss,
        Step::Appeal,
        Step::Escalate,
        Step::Close,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Step::Confirm => "confirm",
            Step::Notify => "notify",
            Step::Answer => "answer",
            Step::Uphold => "uphold",
            Step::Dismiss => "dismiss",
            Step::Appeal => "appeal",
            Step::Escalate => "escalate",
            Step::Close => "close",
        }
    }

    pub fn named(name: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.name() == name)
    }

    /// The closed list to choose from; empty where no reason is given.
    pub fn reasons(self) -> &'static [Reason] {
        match self {
            Step::Confirm | Step::Notify | Step::Close => &[],
            Step::Answer => ANSWERS,
            Step::Uphold => UPHOLDING,
            Step::Dismiss => DISMISSING,
            Step::Appeal => APPEALING,
            Step::Escalate => ESCALATING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(state: State) -> Before<'static> {
        Before { state, upheld_by: Some("王五"), was_appealed: false }
    }

    fn wish(step: Step, role: Role, reason: Option<&'static str>, text: &'static str) -> Wish<'static> {
        Wish { step, person: "王五", role, reason, text }
    }

    #[test]
    fn a_case_goes_from_raised_to_closed_and_every_step_has_its_role() {
        let (bureau, hospital) = (Role::Supervisor, Role::Officer);
        let way = [
            (Step::Confirm, bureau, None, State::Confirmed),
            (Step::Notify, bureau, None, State::Notified),
            (Step::Answer, hospital, Some("on_leave"), State::Answered),
            (Step::Uphold, bureau, Some("no_ground"), State::Upheld),
            (Step::Close, bureau, None, State::Closed),
        ];
        let mut state = State::Raised;
        for (step, role, reason, then) in way {
            let other = if role == bureau { hospital } else { bureau };
            assert_eq!(after(before(state), wish(step, other, reason, "")), Err(NotAllowed::Role));
            for nobody in [Role::Auditor, Role::Administrator] {
                assert_eq!(after(before(state), wish(step, nobody, reason, "")), Err(NotAllowed::Role));
            }
            state = after(before(state), wish(step, role, reason, "")).unwrap();
            assert_eq!(state, then);
        }
        for step in Step::ALL {
            assert_eq!(after(before(State::Closed), wish(step, bureau, None, "")), Err(NotAllowed::State));
        }
    }

    #[test]
    fn free_text_goes_only_with_an_emergency_or_another_reason() {
        let answer =
            |reason, text| after(before(State::Notified), wish(Step::Answer, Role::Officer, reason, text));
        assert_eq!(answer(Some("on_leave"), "患者姓名"), Err(NotAllowed::TextUnwanted));
        assert_eq!(answer(Some("emergency"), ""), Err(NotAllowed::TextMissing));
        assert_eq!(answer(Some("emergency"), "夜间急救转运"), Ok(State::Answered));
        assert_eq!(answer(None, ""), Err(NotAllowed::Reason));
        assert_eq!(answer(Some("made up"), ""), Err(NotAllowed::Reason));
        let close = after(before(State::Upheld), wish(Step::Close, Role::Supervisor, None, "text"));
        assert_eq!(close, Err(NotAllowed::TextUnwanted));
    }

    #[test]
    fn an_appeal_is_decided_once_by_a_reviewer_who_did_not_uphold_the_case() {
        let dismiss = wish(Step::Dismiss, Role::Reviewer, Some("identity_shown"), "");
        assert_eq!(after(before(State::Appealed), dismiss), Err(NotAllowed::SamePerson));
        assert_eq!(after(before(State::Appealed), Wish { person: "李四", ..dismiss }), Ok(State::Dismissed));
        let by_supervisor = Wish { role: Role::Supervisor, person: "李四", ..dismiss };
        assert_eq!(after(before(State::Appealed), by_supervisor), Err(NotAllowed::Role));
        let again = Before { was_appealed: true, ..before(State::Upheld) };
        let appeal = wish(Step::Appeal, Role::Officer, Some("new_proof"), "");
        assert_eq!(after(again, appeal), Err(NotAllowed::AppealedBefore));
        assert_eq!(after(before(State::Upheld), appeal), Ok(State::Appealed));
    }

    #[test]
    fn from_every_state_a_case_can_still_be_closed() {
        for start in State::ALL {
            let mut reached = vec![start];
            for _ in State::ALL {
                for (from, _, _, to) in STEPS {
                    if reached.contains(from) && !reached.contains(to) {
                        reached.push(*to);
                    }
                }
            }
            assert!(reached.contains(&State::Closed), "{start:?}");
        }
    }
}
