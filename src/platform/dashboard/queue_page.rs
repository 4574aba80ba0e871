//! The queue of exceptions and the screening list: filters that work without script, a page at a time.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Html;

use crate::domain::handling;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{self, Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble, case_words};
use crate::platform::keys::uri;
use crate::platform::queue::{self, Filter, Queued};
use crate::platform::sessions::Visitor;

#[derive(Template)]
#[template(path = "queue.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    filter: Filter,
    institutions: Vec<String>,
    kinds: Vec<(String, Term)>,
    states: Vec<(&'static str, Term)>,
    rows: Vec<Line>,
    next: Option<String>,
}

struct Line {
    page: String,
    kind: Term,
    state: Term,
    claim: String,
    place: String,
    age: String,
    due: Option<String>,
    is_overdue: bool,
    is_escalated: bool,
    is_over: bool,
}

/// `GET /exceptions`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Query(filter): Query<Filter>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let (l, now) = (lang_of(&headers), dashboard.clock.now().wall);
    let (wanted, who) = (filter.clone(), visitor.clone());
    let (page, (institutions, kinds)) = dashboard
        .read(move |connection| {
            let page = queue::page(connection, &wanted, who.scope(), now)?;
            Ok((page, queue::choices(connection, who.scope())?))
        })
        .await?;
    let kinds = kinds.into_iter().map(|kind| (kind.clone(), words::kind(&kind))).collect();
    let page = Page {
        l,
        f: Frame::new(l, &visitor, "/exceptions", "/exceptions"),
        institutions,
        kinds,
        states: handling::State::ALL.map(|state| (state.name(), case_words::state(state))).to_vec(),
        rows: page.rows.iter().map(|queued| line(l, queued, now.0)).collect(),
        next: page.next.map(|after| next(&filter, &after)),
        filter,
    };
    Ok(Html(page.render()?))
}

fn next(filter: &Filter, after: &str) -> String {
    let Filter { kind, institution, state, overdue, text, after: _ } = filter;
    let pairs = [
        ("kind", kind),
        ("institution", institution),
        ("state", state),
        ("overdue", overdue),
        ("text", text),
    ];
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    let said: String = said.map(|(name, value)| format!("{name}={}&", uri(value))).collect();
    format!("/exceptions?{said}after={}", uri(after))
}

fn line(l: Lang, queued: &Queued, now: i64) -> Line {
    let row = &queued.row;
    let who = row.masked_name.as_deref().map_or_else(String::new, |name| format!(" · {name}"));
    Line {
        page: format!("/exceptions/{}/{}", uri(&row.device), uri(&row.id)),
        kind: words::kind(&row.kind),
        state: case_words::state(queued.handling),
        claim: words::claim(l, row),
        place: format!("{} · {}{who}", row.institution, row.ward),
        age: words::age(l, row.age_s),
        due: queued.due.map(moment),
        is_overdue: queued.due.is_some_and(|due| due < now),
        is_escalated: queued.escalated,
        is_over: row.state == "ended",
    }
}
