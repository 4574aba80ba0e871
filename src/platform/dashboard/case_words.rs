//! The words for what people do with a case, and for what the audit trail says they did.

use crate::domain::handling::{State, Step};
use crate::domain::lead;
use crate::domain::role::Role;
use crate::platform::dashboard::lead_words;
use crate::platform::dashboard::words::Term;

const fn term(zh: &'static str, en: &'static str, mark: &'static str) -> Term {
    Term { zh, en, mark }
}

pub fn state(state: State) -> Term {
    match state {
        State::Raised => term("待核定", "To be confirmed", "raised"),
        State::Confirmed => term("已核定，待通知", "Confirmed, hospital not yet told", "raised"),
        State::Notified => term("已通知，待答复", "Hospital notified", "raised"),
        State::Answered => term("已答复，待认定", "Answered, to be decided", "raised"),
        State::Upheld => term("认定成立", "Upheld", "confirmed"),
        State::Dismissed => term("认定不成立", "Dismissed", "ended"),
        State::Appealed => term("申诉中", "Appealed", "raised"),
        State::Closed => term("已结案", "Closed", "ended"),
    }
}

/// As a button.
pub fn step(step: Step) -> Term {
    match step {
        Step::Confirm => term("核定", "Confirm", ""),
        Step::Notify => term("通知医院", "Notify the hospital", ""),
        Step::Answer => term("答复", "Answer", ""),
        Step::Uphold => term("认定成立", "Uphold", ""),
        Step::Dismiss => term("认定不成立", "Dismiss", ""),
        Step::Appeal => term("申诉", "Appeal", ""),
        Step::Escalate => term("上报上级", "Escalate", ""),
        Step::Close => term("结案", "Close", ""),
    }
}

/// A reason of a step; reasons of newer programs keep their name.
pub fn reason(of: Step, name: &str) -> Option<Term> {
    let reason = of.reasons().iter().find(|reason| reason.name == name)?;
    Some(term(reason.zh, reason.en, ""))
}

/// What is to be done next, and by whom; of appeals there is one.
pub fn next(state: State, has_appealed: bool) -> Term {
    match state {
        State::Raised => term(
            "监管员：看证据与时间线，核定或认定不成立",
            "Supervisor: look at evidence and timeline, then confirm or dismiss",
            "",
        ),
        State::Confirmed => term("监管员：通知医院答复", "Supervisor: notify the hospital", ""),
        State::Notified => term(
            "医保员：从列表中选择理由答复；逾期可直接认定",
            "Hospital officer: answer with a reason; upheld without one when overdue",
            "",
        ),
        State::Answered => term(
            "监管员：对照证据认定成立或不成立",
            "Supervisor: hold the answer against the evidence, then uphold or dismiss",
            "",
        ),
        State::Upheld if has_appealed => {
            term("申诉已复核，监管员：结案", "The appeal is decided. Supervisor: close", "")
        }
        State::Upheld => term(
            "医保员可申诉一次；否则监管员结案",
            "The officer may appeal once; else the supervisor closes",
            "",
        ),
        State::Appealed => {
            term("复核员（非原认定人）：复核", "A reviewer who did not uphold it decides the appeal", "")
        }
        State::Dismissed => term("监管员：结案", "Supervisor: close", ""),
        State::Closed => term("无需处理", "Nothing is left to do", ""),
    }
}

/// The role in a line of the trail; nobody's where somebody was refused before it was known who it is.
pub fn role(name: &str) -> Term {
    Role::named(name).map_or(term("–", "–", ""), |role| term(role.chinese(), role.name(), ""))
}

/// What a line of the trail says was done.
pub fn act(name: &str) -> Term {
    if let Some(taken) = Step::named(name) {
        return step(taken);
    }
    if let Some(taken) = lead::Step::named(name) {
        return lead_words::step(taken);
    }
    match name {
        "signed in" => term("登录", "signed in", ""),
        "signed out" => term("退出", "signed out", ""),
        "refused" => term("被拒绝", "was refused", ""),
        "asked to open" => term("申请启封", "asked to open", ""),
        "approved opening" => term("批准启封", "approved an opening", ""),
        "ward" => term("查看病区", "saw a ward", ""),
        "spot checks" => term("查看抽查", "saw spot checks", ""),
        "ordered a spot check" => term("下达抽查", "ordered a spot check", ""),
        "overview" => term("查看总览", "saw the overview", ""),
        "exceptions" => term("查看异常", "saw exceptions", ""),
        "case" => term("查看案件", "saw a case", ""),
        "coverage" => term("查看覆盖", "saw the coverage", ""),
        "checks" => term("查看核查", "saw checks", ""),
        "screening" => term("查看筛查", "saw the screening", ""),
        "lead" => term("查看线索", "saw a lead", ""),
        "associations" => term("查看关联图", "saw associations", ""),
        "rows" => term("查看床位", "saw beds", ""),
        "evidence" => term("查看启封页", "saw the page of evidence", ""),
        "picture" => term("查看图像", "saw a picture", ""),
        "webhook added" => term("登记回调", "registered a webhook", ""),
        "webhook removed" => term("撤销回调", "removed a webhook", ""),
        "exchange" => term("数据交换", "exchanged data", ""),
        "export" => term("导出数据", "exported data", ""),
        "case file" => term("导出案卷", "took a case file", ""),
        // The table of rights names every one of them; the test below holds them together.
        _ => term("其他", "something else", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_kept_has_a_word() {
        for kept in crate::platform::rights::RIGHTS.iter().filter_map(|right| right.kept) {
            assert_ne!(act(kept).en, "something else", "{kept}");
        }
    }
}
