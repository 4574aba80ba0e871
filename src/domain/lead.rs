//! What people make of a lead of the screening (智慧筛查): handed out, told, followed up, answered and fed back.
//!
//! ```text
//!   found ─统筹─► coordinated ─信息─► informed ─落实─► acted ─反馈─► confirmed | refuted
//!     └────────────────┴── 反馈 (plainly true or plainly wrong) ──────────▲
//!                                            confirmed, refuted ─ reopen ─► coordinated
//! ```
//! An assignment and a spot check ordered from the lead are written down as steps and change no state. That a later run
//! finds the lead again moves nothing either: who refuted it was right or is asked to look again by reopening.

use serde::{Deserialize, Serialize};

use crate::domain::handling::{Reason, reason, told};
use crate::domain::role::Role;

/// Where a lead is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// 待统筹.
    Found,
    /// 已统筹: somebody has it.
    Coordinated,
    /// 已告知: the agency or institution was told.
    Informed,
    /// 已落实: it was looked into on the spot.
    Acted,
    /// 属实.
    Confirmed,
    /// 不属实.
    Refuted,
}

/// What somebody does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 统筹.
    Coordinate,
    /// 分派.
    Assign,
    /// 信息.
    Inform,
    /// 落实.
    Act,
    /// 现场抽查.
    SpotCheck,
    /// 反馈：属实.
    Confirm,
    /// 反馈：不属实.
    Refute,
    /// 重开.
    Reopen,
}

const OTHER: Reason = told("other", "其他（须写明）", "other, said in words");

const CONFIRMED: &[Reason] = &[
    reason("admitted", "当事机构或人员承认", "admitted by those concerned"),
    reason("records", "病历、费用与在院核实不符", "records contradict presence"),
    reason("on_the_spot", "现场核查属实", "found on the spot"),
    reason("refunded", "已退回基金", "paid back to the fund"),
    OTHER,
];

const REFUTED: &[Reason] = &[
    reason("relatives", "双胞胎或同住家人", "twins or people of one household"),
    reason("medically_needed", "确有医疗需要", "medically needed"),
    reason("transfer", "当日转院", "transferred on the day"),
    reason("wrong_data", "数据差错", "wrong data"),
    reason("excused", "请假等有据", "leave or another excuse in time"),
    OTHER,
];

const BUREAU: &[Role] = &[Role::Supervisor, Role::Reviewer];
const OPEN: &[State] = &[State::Found, State::Coordinated, State::Informed, State::Acted];
const DECIDED: &[State] = &[State::Confirmed, State::Refuted];

/// What may be done in which states, and what it is then; `None` stays where it is.
const STEPS: &[(Step, &[State], Option<State>)] = &[
    (Step::Coordinate, &[State::Found], Some(State::Coordinated)),
    (Step::Assign, OPEN, None),
    (Step::Inform, &[State::Coordinated], Some(State::Informed)),
    (Step::Act, &[State::Informed], Some(State::Acted)),
    (Step::SpotCheck, OPEN, None),
    (Step::Confirm, OPEN, Some(State::Confirmed)),
    (Step::Refute, OPEN, Some(State::Refuted)),
    (Step::Reopen, DECIDED, Some(State::Coordinated)),
];

/// Why somebody may not take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error("此状态下不能这样处理 / not in this state")]
    State,
    #[error("此角色无权这样处理 / not by this role")]
    Role,
    #[error("请从列表中选择理由 / choose a reason from the list")]
    Reason,
    #[error("所选理由须写明情况（4 至 500 字） / this reason needs 4 to 500 characters of text")]
    TextMissing,
    #[error("文字不得超过 500 字 / at most 500 characters of text")]
    TextTooLong,
}

/// The state after a step.
///
/// # Errors
/// [`NotAllowed`].
pub fn after(
    state: State,
    step: Step,
    role: Role,
    reason: Option<&str>,
    text: &str,
) -> Result<State, NotAllowed> {
    let (_, _, then) =
        STEPS.iter().find(|(of, from, _)| *of == step && from.contains(&state)).ok_or(NotAllowed::State)?;
    if !BUREAU.contains(&role) {
        return Err(NotAllowed::Role);
    }
    let length = text.trim().chars().count();
    if length > 500 {
        return Err(NotAllowed::TextTooLong);
    }
    match (step.reasons(), reason) {
        ([], None) => {}
        ([], Some(_)) | (_, None) => return Err(NotAllowed::Reason),
        (reasons, Some(name)) => {
            let reason = reasons.iter().find(|reason| reason.name == name).ok_or(NotAllowed::Reason)?;
            if reason.takes_text && length < 4 {
                return Err(NotAllowed::TextMissing);
            }
        }
    }
    Ok(then.unwrap_or(state))
}

/// What somebody of this role may do now.
pub fn steps(state: State, role: Role) -> impl Iterator<Item = Step> {
    STEPS
        .iter()
        .filter(move |(_, from, _)| from.contains(&state) && BUREAU.contains(&role))
        .map(|(step, _, _)| *step)
}

impl State {
    pub const ALL: [State; 6] =
        [State::Found, State::Coordinated, State::Informed, State::Acted, State::Confirmed, State::Refuted];

    pub fn name(self) -> &'static str {
        match self {
            State::Found => "found",
            State::Coordinated => "coordinated",
            State::Informed => "informed",
            State::Acted => "acted",
            State::Confirmed => "confirmed",
            State::Refuted => "refuted",
        }
    }

    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Chinese, then English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            State::Found => ("待统筹", "to be coordinated"),
            State::Coordinated => ("已统筹", "coordinated"),
            State::Informed => ("已告知", "informed"),
            State::Acted => ("已落实", "looked into"),
            State::Confirmed => ("属实", "confirmed"),
            State::Refuted => ("不属实", "refuted"),
        }
    }

    pub fn is_decided(self) -> bool {
        DECIDED.contains(&self)
    }
}

impl Step {
    pub const ALL: [Step; 8] = [
        Step::Coordinate,
        Step::Assign,
        Step::Inform,
        Step::Act,
        Step::SpotCheck,
        Step::Confirm,
        Step::Refute,
        Step::Reopen,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Step::Coordinate => "coordinate",
            Step::Assign => "assign",
            Step::Inform => "inform",
            Step::Act => "act",
            Step::SpotCheck => "spot_check",
            Step::Confirm => "confirm",
            Step::Refute => "refute",
            Step::Reopen => "reopen",
        }
    }

    pub fn named(name: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Chinese, then English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Step::Coordinate => ("统筹", "coordinate"),
            Step::Assign => ("分派", "assign"),
            Step::Inform => ("信息", "inform"),
            Step::Act => ("落实", "act"),
            Step::SpotCheck => ("现场抽查", "order a spot check"),
            Step::Confirm => ("反馈：属实", "feed back: confirmed"),
            Step::Refute => ("反馈：不属实", "feed back: refuted"),
            Step::Reopen => ("重开", "reopen"),
        }
    }

    /// Reasons to choose from; none for steps that need none.
    pub fn reasons(self) -> &'static [Reason] {
        match self {
            Step::Confirm => CONFIRMED,
            Step::Refute => REFUTED,
            Step::Coordinate | Step::Assign | Step::Inform | Step::Act | Step::SpotCheck | Step::Reopen => {
                &[]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_goes_round_the_closed_loop() {
        let mut state = State::Found;
        for (step, then) in [
            (Step::Coordinate, State::Coordinated),
            (Step::Assign, State::Coordinated),
            (Step::Inform, State::Informed),
            (Step::SpotCheck, State::Informed),
            (Step::Act, State::Acted),
        ] {
            state = after(state, step, Role::Supervisor, None, "").unwrap();
            assert_eq!(state, then);
        }
        state = after(state, Step::Confirm, Role::Reviewer, Some("on_the_spot"), "").unwrap();
        assert_eq!(state, State::Confirmed);
        assert_eq!(after(state, Step::Assign, Role::Supervisor, None, ""), Err(NotAllowed::State));
        assert_eq!(after(state, Step::Reopen, Role::Supervisor, None, ""), Ok(State::Coordinated));
    }

    #[test]
    fn a_decision_needs_the_bureau_and_a_reason_of_its_list() {
        let confirm = |role, reason, text| after(State::Found, Step::Confirm, role, reason, text);
        assert_eq!(confirm(Role::Officer, Some("records"), ""), Err(NotAllowed::Role));
        assert_eq!(confirm(Role::Supervisor, None, ""), Err(NotAllowed::Reason));
        assert_eq!(confirm(Role::Supervisor, Some("relatives"), ""), Err(NotAllowed::Reason));
        assert_eq!(confirm(Role::Supervisor, Some("other"), "是"), Err(NotAllowed::TextMissing));
        assert_eq!(confirm(Role::Supervisor, Some("other"), "查实为空挂床位"), Ok(State::Confirmed));
    }

    #[test]
    fn every_name_is_read_back() {
        assert!(State::ALL.into_iter().all(|state| State::named(state.name()) == Some(state)));
        assert!(Step::ALL.into_iter().all(|step| Step::named(step.name()) == Some(step)));
        assert_eq!(steps(State::Found, Role::Auditor).count(), 0);
        assert!(steps(State::Found, Role::Supervisor).any(|step| step == Step::Coordinate));
    }
}
