//! One ward: its floor, its open cases and its beds one by one, live.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::page::{self, Beds, Case};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{self, Lang};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::keys::uri;
use crate::platform::sessions::Visitor;
use crate::platform::{queue, rights, view};

/// Beds in the table of one page; the floor shows all of them.
const MOST_LINES: usize = 40;
const MOST_CASES: usize = 12;

#[derive(Template)]
#[template(path = "ward.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    board: Board,
    live: String,
}

#[derive(Template)]
#[template(path = "ward_rows.html", config = "src/platform/dashboard/askama.toml")]
struct Rows {
    l: Lang,
    board: Board,
}

struct Board {
    drawn: String,
    institution: String,
    institution_page: String,
    ward: String,
    beds: Beds,
    next: Option<String>,
    cases: Vec<Case>,
    all_cases: String,
    checks: String,
    /// Where a spot check of this ward is ordered, for whom may.
    order: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
pub struct Wish {
    #[serde(default)]
    page: usize,
}

/// `GET /wards/{device}`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path(device): Path<String>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let path = format!("/wards/{}", uri(&device));
    let live = format!("{path}/rows?page={}", wish.page);
    let Some(board) = board(&dashboard, &visitor, device, wish, l).await? else { return Ok(missing()) };
    let f = Frame::new(l, &visitor, "/", &path);
    Ok(Html(Page { l, f, board, live }.render()?).into_response())
}

/// `GET /wards/{device}/rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Path(device): Path<String>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let Some(board) = board(&dashboard, &visitor, device, wish, l).await? else { return Ok(missing()) };
    Ok(Html(Rows { l, board }.render()?).into_response())
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此病区 / there is no such ward").into_response()
}

async fn board(
    dashboard: &Dashboard,
    visitor: &Visitor,
    device: String,
    wish: Wish,
    l: Lang,
) -> Result<Option<Board>, Trouble> {
    let (now, who) = (dashboard.clock.now().wall, visitor.clone());
    let found = dashboard.read(move |connection| {
        let scope = who.scope();
        let devices: Vec<_> = view::device(connection, scope, &device)?.into_iter().collect();
        let device = Some(device.as_str());
        let rounds = view::rounds(connection, scope, device)?;
        let beds = view::beds_of(connection, scope, device, now)?;
        Ok((devices, rounds, beds, queue::seen(connection, scope, device, MOST_CASES, now)?))
    });
    let (devices, rounds, beds, exceptions) = found.await?;
    let Some(of) = devices.first() else { return Ok(None) };
    let mut shown = Beds::new(l, now, &beds, &rounds, &devices);
    let begin = wish.page.saturating_mul(MOST_LINES).min(shown.lines.len());
    let has_more = shown.lines.len() - begin > MOST_LINES;
    shown.lines = shown.lines.drain(begin..).take(MOST_LINES).collect();
    let place = uri(&of.device);
    Ok(Some(Board {
        drawn: words::moment(now.0),
        institution: of.institution.clone(),
        institution_page: format!("/?institution={}", uri(&of.institution)),
        ward: of.ward.clone(),
        beds: shown,
        next: has_more.then(|| format!("/wards/{place}?page={}", wish.page + 1)),
        cases: exceptions.iter().map(|row| page::case(l, row)).collect(),
        all_cases: format!("/exceptions?device={place}"),
        checks: format!("/verification?device={place}"),
        order: rights::may_write(visitor.role, "/orders").then(|| format!("/orders?device={place}")),
    }))
}
