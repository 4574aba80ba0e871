//! One lead: what is claimed, the rows that prove it, who has it, what was done with it and what may be done now.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::handling::Reason;
use crate::domain::lead::{self, Step};
use crate::domain::role::Role;
use crate::platform::association::{Kind, Node};
use crate::platform::dashboard::association_page::page_of;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::lead_words::{self, days, money};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::keys::uri;
use crate::platform::lead_checks::{self, Done, NotOrdered};
use crate::platform::leads::{self, Decision, Lead, LeadRow, NotTaken, RuleRow};
use crate::platform::sessions::Visitor;
use crate::platform::{people, rights};

#[derive(Template)]
#[template(path = "lead.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    trouble: Option<String>,
    path: String,
    version: i64,
    rule: Option<RuleRow>,
    claim: String,
    severity: Term,
    state: Term,
    numbers: Vec<(Term, String)>,
    /// Nodes of the association view, with what they are.
    nodes: Vec<(Term, String, String)>,
    fields: Vec<(String, String)>,
    columns: Vec<String>,
    proof: Vec<Vec<String>>,
    proving_rows: i64,
    steps: Vec<Past>,
    actions: Vec<Action>,
    people: Vec<String>,
    may_check: bool,
    /// Where a spot check would look.
    target: Option<String>,
}

/// One step that was taken.
struct Past {
    when: String,
    what: String,
    detail: String,
    /// The spot check that was ordered.
    page: Option<String>,
}

struct Action {
    step: Step,
    label: Term,
    reasons: &'static [Reason],
}

/// `GET /screening/leads/{id}`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    draw(&dashboard, id, visitor, lang_of(&headers), None).await
}

#[derive(Deserialize)]
pub struct Said {
    step: String,
    version: i64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    assignee: String,
}

/// `POST /screening/leads/{id}/step`.
pub async fn step(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, Trouble> {
    let Some(step) = Step::named(&said.step) else {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, "没有这一步 / no such step").into_response());
    };
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let decision = Decision {
        step,
        version: said.version,
        reason: text(said.reason),
        text: said.text,
        assignee: text(said.assignee),
    };
    let (db, now, who, of) = (dashboard.db.clone(), dashboard.clock.now().wall, visitor.clone(), id.clone());
    let keys = dashboard.keys.clone();
    let work = move || lead_checks::take(&db, &keys, &of, &who, &decision, now);
    let trouble = match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        // Loading the page again must not decide again.
        Ok(Done { order: Some(order), .. }) => {
            return Ok(Redirect::to(&format!("/orders/{order}")).into_response());
        }
        Ok(Done { order: None, .. }) => {
            return Ok(Redirect::to(&format!("/screening/leads/{}", uri(&id))).into_response());
        }
        Err(NotOrdered::Lead(NotTaken::Database(error))) => return Err(error.into()),
        Err(NotOrdered::Lead(NotTaken::Unknown)) => return Ok(missing()),
        Err(trouble @ NotOrdered::Lead(NotTaken::Overtaken)) => (StatusCode::CONFLICT, trouble.to_string()),
        Err(trouble) => (StatusCode::UNPROCESSABLE_ENTITY, trouble.to_string()),
    };
    draw(&dashboard, id, visitor, lang_of(&headers), Some(trouble)).await
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此线索 / there is no such lead").into_response()
}

async fn draw(
    dashboard: &Dashboard,
    id: String,
    visitor: Visitor,
    l: Lang,
    trouble: Option<(StatusCode, String)>,
) -> Result<Response, Trouble> {
    let found = dashboard
        .read(move |connection| {
            let Some(lead) = leads::find(connection, &id)? else { return Ok(None) };
            let rule = leads::rules(connection)?.into_iter().find(|rule| rule.rule == lead.row.rule);
            let target = lead_checks::target(connection, &lead.row)?;
            let people = people::of_roles(connection, &[Role::Supervisor, Role::Reviewer])?;
            Ok(Some((lead, rule, target, people)))
        })
        .await?;
    let Some((lead, rule, target, people)) = found else { return Ok(missing()) };
    let (status, trouble) = trouble.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    let mut page = page(l, &visitor, &lead, rule, trouble);
    page.target = target.map(|target| lead_words::target(l, &target));
    page.people = people;
    Ok((status, Html(page.render()?)).into_response())
}

fn page(l: Lang, visitor: &Visitor, lead: &Lead, rule: Option<RuleRow>, trouble: Option<String>) -> Page {
    let row = &lead.row;
    let path = format!("/screening/leads/{}", uri(&row.id));
    let (columns, proof) = table(&lead.proof);
    let steps = lead.steps.iter().map(|taken| {
        let reason = taken.reason.as_deref().and_then(|name| {
            taken.step.reasons().iter().find(|one| one.name == name).map(|one| l.t(one.zh, one.en).to_owned())
        });
        let detail: Vec<String> = reason.into_iter().chain(taken.remark.clone()).collect();
        let (done, then) = (lead_words::step(taken.step).main(&l), lead_words::state(taken.state).main(&l));
        let order = taken.remark.as_ref().filter(|_| taken.step == Step::SpotCheck);
        Past {
            when: moment(taken.at),
            what: format!("{} · {done} → {then}", taken.person),
            detail: detail.join("："),
            page: order.map(|order| format!("/orders/{}", uri(order))),
        }
    });
    let may = rights::may_write(visitor.role, "/screening/leads/{id}/step");
    // A spot check has a button of its own.
    let actions = lead::steps(row.state, visitor.role).filter(|step| may && *step != Step::SpotCheck);
    Page {
        l,
        f: Frame::new(l, visitor, "/screening", &path),
        trouble,
        version: row.version,
        claim: l.t(&row.claim_zh, &row.claim_en).to_owned(),
        severity: lead_words::severity(row.severity),
        state: lead_words::state(row.state),
        numbers: numbers(row),
        nodes: nodes(row),
        fields: lead
            .fields
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        columns,
        proof,
        proving_rows: row.proving_rows,
        steps: steps.collect(),
        actions: actions
            .map(|step| Action { step, label: lead_words::step(step), reasons: step.reasons() })
            .collect(),
        people: Vec::new(),
        may_check: rights::may_write(visitor.role, "/orders")
            && lead::steps(row.state, visitor.role).any(|step| step == Step::SpotCheck),
        target: None,
        rule,
        path,
    }
}

fn numbers(row: &LeadRow) -> Vec<(Term, String)> {
    let label = |zh, en| Term { zh, en, mark: "" };
    let mut numbers = vec![
        (label("涉及金额", "Amount"), money(row.amount_fen)),
        (label("期间", "Period"), days(row.begin_day, row.end_day)),
        (label("优先级", "Priority"), row.priority.to_string()),
        (label("首次发现", "First found"), moment(row.first_found)),
        (label("最近发现", "Last found"), moment(row.last_found)),
    ];
    if let Some(name) = &row.assigned_to {
        numbers.push((label("承办人", "Assigned to"), name.clone()));
    }
    numbers
}

/// Who it is about, each a node that can be walked from.
fn nodes(row: &LeadRow) -> Vec<(Term, String, String)> {
    let node = |kind: Kind, id: &Option<String>| {
        let id = id.clone()?;
        let (zh, en) = kind.words();
        let page = page_of(&Node { kind, id: id.clone() });
        Some((Term { zh, en, mark: "" }, id, page))
    };
    [
        node(Kind::Institution, &row.institution),
        node(Kind::Doctor, &row.dr_code),
        node(Kind::Patient, &row.psn_no),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A JSON array of objects as a table: its columns in the order they come up.
fn table(rows: &Value) -> (Vec<String>, Vec<Vec<String>>) {
    let rows: Vec<&serde_json::Map<String, Value>> =
        rows.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    let mut columns: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let line = |row: &&serde_json::Map<String, Value>| {
        columns.iter().map(|name| row.get(name).map_or_else(String::new, plain)).collect()
    };
    let lines = rows.iter().map(line).collect();
    (columns, lines)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
