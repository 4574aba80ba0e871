//! Screening 智慧筛查: what each rule found and how right it was, and the leads, the most urgent first. For hospitals there
//! are only the contradictions between registers (`lists::contradictions`).

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::base::uri::query;
use crate::domain::lead::State as Stage;
use crate::platform::cursor;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::lead_words::{self, money, percent};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::keys::uri;
use crate::platform::leads::{self, Count, Filter, LeadRow, RulePrecision, RuleRow, RunRow};
use crate::platform::rights;
use crate::platform::sessions::Visitor;

/// Leads on a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "screening.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    run: Option<String>,
    rules: Vec<RuleLine>,
    filter: Filter,
    states: Vec<(&'static str, Term)>,
    rows: Vec<LeadLine>,
    next: Option<String>,
}

/// One rule with what came of it.
struct RuleLine {
    name: String,
    title: String,
    explanation: String,
    severity: Term,
    open: i64,
    amount: String,
    decided: String,
    /// As `83 % (65–93)`.
    precision: Option<String>,
    is_falling: bool,
    suggestion: Option<String>,
}

/// One lead of the list.
pub struct LeadLine {
    pub page: String,
    pub title: String,
    pub claim: String,
    pub place: String,
    pub severity: Term,
    pub priority: i64,
    pub amount: String,
    pub state: Term,
    pub assigned: Option<String>,
}

impl LeadLine {
    pub fn new(l: Lang, row: &LeadRow, titles: &BTreeMap<String, String>) -> LeadLine {
        let span = lead_words::days(row.begin_day, row.end_day);
        let of = [row.institution.as_deref(), row.dr_code.as_deref(), row.psn_no.as_deref()];
        let of: Vec<&str> = of.into_iter().flatten().chain([span.as_str()]).collect();
        LeadLine {
            page: format!("/screening/leads/{}", uri(&row.id)),
            title: titles.get(&row.rule).unwrap_or(&row.rule).clone(),
            claim: l.t(&row.claim_zh, &row.claim_en).to_owned(),
            place: of.join(" · "),
            severity: lead_words::severity(row.severity),
            priority: row.priority,
            amount: money(row.amount_fen),
            state: lead_words::state(row.state),
            assigned: row.assigned_to.clone(),
        }
    }
}

/// Titles of the rules in the reader's language.
pub fn titles(l: Lang, rules: &[RuleRow]) -> BTreeMap<String, String> {
    let title = |rule: &RuleRow| (rule.rule.clone(), l.t(&rule.title_zh, &rule.title_en).to_owned());
    rules.iter().map(title).collect()
}

#[derive(Clone, Default, Deserialize)]
pub struct Wish {
    #[serde(default)]
    rule: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    institution: String,
    #[serde(default)]
    psn_no: String,
    #[serde(default)]
    dr_code: String,
    #[serde(default)]
    assigned_to: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    after: String,
}

impl Wish {
    fn filter(&self) -> Filter {
        let text = |text: &String| text.trim().to_owned();
        Filter {
            rule: text(&self.rule),
            state: text(&self.state),
            institution: text(&self.institution),
            psn_no: text(&self.psn_no),
            dr_code: text(&self.dr_code),
            assigned_to: text(&self.assigned_to),
            severity: self.severity.trim().parse().unwrap_or(0),
        }
    }

    fn next(&self, after: &str) -> String {
        let Wish { rule, state, institution, psn_no, dr_code, assigned_to, severity, .. } = self;
        let said = query(&[
            ("rule", rule),
            ("state", state),
            ("institution", institution),
            ("psn_no", psn_no),
            ("dr_code", dr_code),
            ("assigned_to", assigned_to),
            ("severity", severity),
        ]);
        format!("/screening?{said}after={after}")
    }
}

/// `GET /screening`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if !rights::may_read(visitor.role, "/screening/leads/{id}") {
        return Ok(Redirect::to("/screening/contradictions").into_response());
    }
    let (l, filter) = (lang_of(&headers), wish.filter());
    let after = cursor::key(leads::LIST, &wish.after);
    let asked = filter.clone();
    let (rules, counts, precision, run, page) = dashboard
        .read(move |connection| {
            Ok((
                leads::rules(connection)?,
                leads::counts(connection)?,
                leads::precision(connection)?,
                leads::runs(connection, 1)?.pop(),
                leads::list(connection, &asked, (after, PAGE))?,
            ))
        })
        .await?;
    let titles = titles(l, &rules);
    let page = Page {
        l,
        f: Frame::new(l, &visitor, "/screening", "/screening"),
        run: run.map(|run| said(l, &run)),
        rules: rules.iter().map(|rule| rule_line(l, rule, &counts, &precision)).collect(),
        filter,
        states: Stage::ALL.map(|state| (state.name(), lead_words::state(state))).to_vec(),
        rows: page.rows.iter().map(|row| LeadLine::new(l, row, &titles)).collect(),
        next: page.next.map(|after| wish.next(&after)),
    };
    Ok(Html(page.render()?).into_response())
}

/// The newest run in one sentence.
fn said(l: Lang, run: &RunRow) -> String {
    let (at, seconds) = (moment(run.ended), (run.ended - run.started) / 1000);
    let span = run.since_day.map_or_else(
        || l.t("全部结算", "everything").to_owned(),
        |day| format!("{} {}", lead_words::day(day), l.t("起", "and later")),
    );
    match l {
        Lang::Zh => format!(
            "最近一次筛查 {at}，{span}，用时 {seconds} 秒：线索 {} 条，其中新 {} 条",
            run.found, run.fresh
        ),
        Lang::En => {
            format!("Last run {at}, {span}, took {seconds} s: {} leads, {} of them new", run.found, run.fresh)
        }
    }
}

fn rule_line(l: Lang, rule: &RuleRow, counts: &[Count], precision: &[RulePrecision]) -> RuleLine {
    let of = |count: &&Count| count.rule == rule.rule && !count.state.is_decided();
    let open: Vec<&Count> = counts.iter().filter(of).collect();
    let found = precision.iter().find(|one| one.rule == rule.rule);
    let (confirmed, refuted) = found.map_or((0, 0), |one| (one.confirmed, one.refuted));
    RuleLine {
        name: rule.rule.clone(),
        title: l.t(&rule.title_zh, &rule.title_en).to_owned(),
        explanation: l.t(&rule.explanation_zh, &rule.explanation_en).to_owned(),
        severity: lead_words::severity(rule.severity),
        open: open.iter().map(|count| count.leads).sum(),
        amount: money(open.iter().map(|count| count.amount_fen).sum()),
        decided: format!("{confirmed} / {refuted}"),
        precision: found.map(|one| percent(&one.precision)),
        is_falling: found.is_some_and(|one| one.falling),
        suggestion: found.and_then(|one| one.suggestion.as_ref()).map(|one| match l {
            Lang::Zh => format!(
                "建议 {} 改为 {}：少 {} 条误报，漏 {} 条属实",
                one.parameter, one.value, one.spared, one.lost
            ),
            Lang::En => format!(
                "set {} to {}: spares {} refuted leads, loses {} confirmed ones",
                one.parameter, one.value, one.spared, one.lost
            ),
        }),
    }
}
