//! The queue of exceptions and the screening list: filters that work without script, a page at a time.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Html;
use serde::Deserialize;

use crate::base::uri::query;
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
    /// Where the line about newer ones is fetched from, on the first page.
    live: Option<String>,
    /// Of that line.
    here: String,
    count: i64,
}

/// The line that says how many are newer.
#[derive(Template)]
#[template(path = "news.html", config = "src/platform/dashboard/askama.toml")]
struct News {
    l: Lang,
    here: String,
    count: i64,
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
        live: filter.after.is_empty().then(|| {
            let since = page.first.unwrap_or_else(|| NOTHING.to_owned());
            format!("{}since={}", path("/exceptions/news", &filter), uri(&since))
        }),
        next: page.next.map(|after| format!("{}after={}", path("/exceptions", &filter), uri(&after))),
        here: path("/exceptions", &filter),
        count: 0,
        filter,
    };
    Ok(Html(page.render()?))
}

/// Where an empty page began: whatever comes is newer.
const NOTHING: &str = "0.0";

#[derive(Deserialize)]
pub struct Since {
    since: String,
}

/// `GET /exceptions/news`: how many of what a page shows came after it was drawn. The rows stay where they are until
/// somebody asks for the new ones: nothing moves under the hand of who is reading.
pub async fn news(
    State(dashboard): State<Arc<Dashboard>>,
    Query(filter): Query<Filter>,
    Query(Since { since }): Query<Since>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let (l, now) = (lang_of(&headers), dashboard.clock.now().wall);
    let wanted = filter.clone();
    let count = dashboard
        .read(move |connection| queue::newer(connection, &wanted, visitor.scope(), &since, now))
        .await?;
    Ok(Html(News { l, here: path("/exceptions", &filter), count }.render()?))
}

/// A page with the same filter, open for one more parameter.
fn path(page: &str, filter: &Filter) -> String {
    let Filter { kind, institution, device, state, overdue, text, after: _ } = filter;
    let said = query(&[
        ("kind", kind),
        ("institution", institution),
        ("device", device),
        ("state", state),
        ("overdue", overdue),
        ("text", text),
    ]);
    format!("{page}?{said}")
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
