//! The timeline of a case: what the platform knows of the stay, the oldest first, each with the clock it is on.

use crate::platform::dashboard::case_words;
use crate::platform::dashboard::words::{self, Lang, moment};
use crate::platform::handling::Handling;
use crate::platform::queue::Queued;
use crate::platform::stay::{History, Lying, Spot};

/// One line of the timeline.
pub struct Event {
    pub at: i64,
    pub when: String,
    pub what: String,
    pub detail: String,
    pub mark: &'static str,
    /// A page with more of it.
    pub page: Option<String>,
}

fn line(at: i64, what: String, detail: String, mark: &'static str) -> Event {
    Event { at, when: moment(at), what, detail, mark, page: None }
}

fn received(l: Lang, at: i64) -> String {
    format!("{} {}", l.t("平台收到", "received by the platform"), moment(at))
}

/// The timeline, the oldest first.
pub fn events(l: Lang, queued: &Queued, handling: &Handling, history: &History) -> Vec<Event> {
    let mut events = Vec::new();
    for lying in &history.lying {
        events.extend(on_roster(l, lying));
    }
    for spot in &history.spots {
        events.extend(spot_check(l, spot));
    }
    for check in &history.checks {
        let name = check.verdict.as_deref().or((check.state == "not_done").then_some("NotDone"));
        let term = words::verdict(name);
        let received = check.received.map(|at| received(l, at));
        let excuse = check.excuse.map(|excuse| words::excuse(excuse).main(&l).to_owned());
        let detail = excuse.into_iter().chain(received).collect::<Vec<_>>().join(" · ");
        let what = format!("{} {}", l.t("核查：", "Check:"), term.main(&l));
        events.push(line(check.done.unwrap_or(check.due), what, detail, term.mark));
    }
    for opening in &history.openings {
        let what = format!("{} {}", opening.first, l.t("申请启封证据", "asked to open evidence"));
        events.push(line(opening.asked, what, String::new(), "chain"));
        if let (Some(second), Some(at)) = (&opening.second, opening.approved) {
            let what = format!("{second} {}", l.t("批准启封", "approved the opening"));
            events.push(line(at, what, String::new(), "chain"));
        }
    }
    let kind = words::kind(&queued.row.kind);
    events.push(line(
        queued.row.first,
        l.t("异常产生", "Exception raised").to_owned(),
        kind.main(&l).to_owned(),
        kind.mark,
    ));
    if let Some(ended) = queued.row.ended {
        let what = l.t("现场情况已解除", "No longer seen in the ward").to_owned();
        events.push(line(ended, what, String::new(), "verified"));
    }
    // Read in the order of time; what people decided stays in their order where the moment is the same.
    for taken in &handling.steps {
        let reason = taken.reason.as_deref().map_or_else(String::new, |name| {
            case_words::reason(taken.step, name)
                .map_or_else(|| name.to_owned(), |term| term.main(&l).to_owned())
        });
        let remark = taken.remark.as_deref().map_or_else(String::new, |text| format!("：{text}"));
        let (done, then) = (case_words::step(taken.step).main(&l), case_words::state(taken.state).main(&l));
        let what = format!("{} · {done} → {then}", taken.person);
        events.push(line(taken.at, what, format!("{reason}{remark}"), "waiting"));
    }
    events.sort_by_key(|event| event.at);
    events
}

/// Admission and leaving, as far as rosters tell: on the hospital's clock, with the time it was received here.
fn on_roster(l: Lang, lying: &Lying) -> Vec<Event> {
    let bed = words::bed(l, &lying.bed);
    let (at, said) = lying.since;
    let what = format!("{} {bed}", l.t("名册列入", "On the roster:"));
    let mut events = vec![line(said, what, received(l, at), "waiting")];
    if let Some((at, said)) = lying.gone {
        let what = format!(
            "{bed} {}",
            l.t("名册不再列出（出院或转床）", "no longer listed (discharged or transferred)")
        );
        events.push(line(said, what, received(l, at), "absent"));
    }
    events
}

fn spot_check(l: Lang, spot: &Spot) -> Vec<Event> {
    let page = spot.order.as_ref().map(|order| format!("/orders/{order}"));
    let until = format!("{} {}", l.t("期限", "until"), moment(spot.until));
    let ordered = line(spot.issued, l.t("下达抽查", "Spot check ordered").to_owned(), until, "chain");
    let mut events = vec![Event { page: page.clone(), ..ordered }];
    if let Some(at) = spot.answered {
        let (what, mark) = if at > spot.until {
            (l.t("抽查逾期才执行", "Spot check answered too late"), "notdone")
        } else {
            (l.t("抽查已执行", "Spot check answered"), "verified")
        };
        events.push(Event { page, ..line(at, what.to_owned(), String::new(), mark) });
    }
    events
}
