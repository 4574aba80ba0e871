//! The case page: what is claimed, what happened, what may be done now and by whom.

use std::sync::Arc;

use crate::platform::db::{self, Connection};
use askama::Template;
use axum::extract::{Extension, Form, Path, State as Of};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::base::clock::Wall;
use crate::domain::article::{self, Article};
use crate::domain::handling::{self, State, Step};
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::leads_page::{LeadLine, titles};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::timeline::{self, Event};
use crate::platform::dashboard::words::{self, Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble, case_words};
use crate::platform::handling::{Decision, NotTaken};
use crate::platform::keys::uri;
use crate::platform::sessions::Visitor;
use crate::platform::{handling as cases, rights, stay, view};

/// Leads that are shown beside a case.
const MOST_LEADS: i64 = 10;

#[derive(Template)]
#[template(path = "case.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    trouble: Option<String>,
    kind: Term,
    state: Term,
    chain: Term,
    is_over_at_device: bool,
    place: String,
    claim: String,
    numbers: Vec<(Term, String)>,
    due: Option<String>,
    is_overdue: bool,
    is_escalated: bool,
    next: Term,
    /// Nothing is advised of a closed case.
    advice: Option<Term>,
    article: Option<Article>,
    /// The one worth opening first, and the others.
    evidence: Vec<Sealed>,
    file: Option<String>,
    /// Where a spot check of this bed or ward is ordered, for whom may.
    order: Option<String>,
    events: Vec<Event>,
    /// What settlements say of the same stay.
    leads: Vec<LeadLine>,
    actions: Vec<Action>,
    path: String,
    version: i64,
}

/// A sealed picture that two people may open.
struct Sealed {
    page: String,
    when: String,
    verdict: Term,
}

/// One thing that may be done now.
struct Action {
    step: Step,
    label: Term,
    reasons: &'static [handling::Reason],
    takes_text: bool,
}

#[derive(Deserialize)]
pub struct Said {
    step: String,
    version: i64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    text: String,
}

/// `GET /exceptions/{device}/{id}`.
pub async fn show(
    Of(dashboard): Of<Arc<Dashboard>>,
    Path(place): Path<(String, String)>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    draw(&dashboard, place, visitor, lang_of(&headers), None).await
}

/// `POST /exceptions/{device}/{id}/step`.
pub async fn step(
    Of(dashboard): Of<Arc<Dashboard>>,
    Path(place): Path<(String, String)>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, Trouble> {
    let Some(step) = Step::named(&said.step) else {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, "没有这一步 / no such step").into_response());
    };
    let reason = Some(said.reason).filter(|reason| !reason.is_empty());
    let decision = Decision { step, version: said.version, reason, text: said.text };
    let (db, now, who) = (dashboard.db.clone(), dashboard.clock.now().wall, visitor.clone());
    let (device, id) = place.clone();
    let work = move || cases::take(&db, (&device, &id), &who, &decision, now);
    let trouble = match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        // Loading the page again must not decide again.
        Ok(_) => return Ok(Redirect::to(&path(&place)).into_response()),
        Err(NotTaken::Database(error)) => return Err(error.into()),
        Err(NotTaken::Unknown) => return Ok(missing()),
        Err(trouble @ NotTaken::Overtaken) => (StatusCode::CONFLICT, trouble.to_string()),
        Err(trouble @ NotTaken::NotAllowed(_)) => (StatusCode::UNPROCESSABLE_ENTITY, trouble.to_string()),
    };
    draw(&dashboard, place, visitor, lang_of(&headers), Some(trouble)).await
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此异常 / there is no such exception").into_response()
}

fn path((device, id): &(String, String)) -> String {
    format!("/exceptions/{}/{}", uri(device), uri(id))
}

async fn draw(
    dashboard: &Dashboard,
    place: (String, String),
    visitor: Visitor,
    l: Lang,
    trouble: Option<(StatusCode, String)>,
) -> Result<Response, Trouble> {
    let (now, who, of) = (dashboard.clock.now().wall, visitor.clone(), place.clone());
    let found = dashboard.read(move |connection| {
        let Some(known) = stay::around(connection, (&of.0, &of.1), &who, now)? else { return Ok(None) };
        let leads = leads(connection, l, &known, &who)?;
        Ok(Some((known, leads)))
    });
    let Some((known, leads)) = found.await? else { return Ok(missing()) };
    let path = path(&place);
    let (status, trouble) = trouble.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    let f = Frame::new(l, &visitor, "/exceptions", &path);
    let page = Page { leads, ..page(l, f, &visitor, known, (path, trouble), now) };
    Ok((status, Html(page.render()?)).into_response())
}

/// Leads of the screening about the stay, for those who may see them.
fn leads(connection: &Connection, l: Lang, known: &stay::Around, who: &Visitor) -> db::Result<Vec<LeadLine>> {
    let Some(stay) = &known.queued.row.stay else { return Ok(Vec::new()) };
    if !rights::may_read(who.role, "/screening/leads/{id}") {
        return Ok(Vec::new());
    }
    let rows = crate::platform::leads::of_stay(connection, stay, MOST_LEADS)?;
    // Most stays have none.
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let titles = titles(l, &crate::platform::leads::rules(connection)?);
    Ok(rows.iter().map(|row| LeadLine::new(l, row, &titles)).collect())
}

fn page(
    l: Lang,
    f: Frame,
    visitor: &Visitor,
    known: stay::Around,
    (path, trouble): (String, Option<String>),
    now: Wall,
) -> Page {
    let stay::Around { queued, handling, history, chain } = &known;
    let checks = &history.checks;
    let row = &queued.row;
    let name = row.masked_name.as_deref().map_or_else(String::new, |name| format!(" · {name}"));
    let case_file = format!("/case/{}/{}", uri(&row.device), uri(&row.id));
    let opens = rights::may_read(visitor.role, "/evidence/{device}/{id}");
    let evidence = if opens { evidence(row, checks) } else { Vec::new() };
    Page {
        l,
        f,
        trouble,
        kind: words::kind(&row.kind),
        state: case_words::state(handling.state),
        chain: words::chain(chain),
        is_over_at_device: row.state == "ended",
        place: format!("{} · {} · {}{name}", row.institution, row.ward, row.device),
        claim: words::claim(l, row),
        numbers: numbers(l, row, checks),
        due: handling.due.map(moment),
        is_overdue: handling.due.is_some_and(|due| due < now.0),
        is_escalated: handling.escalated,
        next: case_words::next(handling.state, handling.steps.iter().any(|taken| taken.step == Step::Appeal)),
        advice: (handling.state != State::Closed).then(|| words::next_step(&row.kind)),
        article: article::of(&row.kind),
        evidence,
        file: rights::may_read(visitor.role, "/case/{device}/{id}").then_some(case_file),
        events: timeline::events(l, queued, handling, history),
        leads: Vec::new(),
        order: order(row, visitor),
        actions: actions(handling.state, visitor),
        path,
        version: handling.version,
    }
}

/// Sealed pictures: first the newest of what the case says, which is the one to open; then the others, the newest first.
fn evidence(row: &view::ExceptionRow, checks: &[stay::Check]) -> Vec<Sealed> {
    let mut sealed: Vec<&stay::Check> = checks.iter().filter(|check| check.evidence.is_some()).collect();
    sealed.sort_by_key(|check| check.verdict != row.verdict);
    let link = |check: &stay::Check| {
        Some(Sealed {
            page: format!("/evidence/{}/{}", uri(&row.device), uri(check.evidence.as_ref()?)),
            when: moment(check.done.unwrap_or(check.due)),
            verdict: words::verdict(check.verdict.as_deref()),
        })
    };
    sealed.into_iter().filter_map(link).collect()
}

fn order(row: &view::ExceptionRow, visitor: &Visitor) -> Option<String> {
    let bed = row.bed.as_deref().map_or_else(String::new, |bed| format!("&beds={}", uri(bed)));
    rights::may_write(visitor.role, "/orders").then(|| format!("/orders?device={}{bed}", uri(&row.device)))
}

fn numbers(l: Lang, row: &view::ExceptionRow, checks: &[stay::Check]) -> Vec<(Term, String)> {
    let label = |zh, en| Term { zh, en, mark: "" };
    let count = |name: &str| checks.iter().filter(|check| check.verdict.as_deref() == Some(name)).count();
    let missed = checks.iter().filter(|check| check.state == "not_done").count();
    let mut numbers = vec![
        (label("出现轮次", "Rounds"), row.rounds.to_string()),
        (label("首次", "First"), moment(row.first)),
        (label("最近", "Latest"), moment(row.last)),
        (label("历时", "Age"), words::age(l, row.age_s)),
    ];
    if !checks.is_empty() {
        numbers.push((label("近期核查", "Recent checks"), checks.len().to_string()));
        numbers.push((label("已核实", "Verified"), count("Verified").to_string()));
        numbers.push((label("未执行", "Not done"), missed.to_string()));
    }
    numbers
}

fn actions(state: State, visitor: &Visitor) -> Vec<Action> {
    // A program's token has no form; it has the interface.
    handling::steps(state, visitor.role)
        .map(|step| Action {
            step,
            label: case_words::step(step),
            reasons: step.reasons(),
            takes_text: step.reasons().iter().any(|reason| reason.takes_text),
        })
        .collect()
}
