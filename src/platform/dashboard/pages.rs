//! The routes people use: the page, its live part, its events, its three fixed files.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use crate::domain::role::Role;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::page::{Board, Facts, Page, Rows};
use crate::platform::dashboard::words::Lang;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::sessions::Visitor;
use crate::platform::view;

#[derive(Deserialize)]
pub struct Wish {
    lang: Option<String>,
}

/// `GET /`.
pub async fn page(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let board = Board::new(l, &facts(&dashboard, &visitor).await?);
    let f = Frame::new(l, &visitor, "/", "/");
    Ok(Html(Page { l, f, board }.render()?).into_response())
}

/// Every page in the language that `?lang=en` or `?lang=zh` wishes, which is remembered.
pub async fn speak(Query(wish): Query<Wish>, mut request: Request, next: Next) -> Response {
    let Some(l) = wish.lang.as_deref().and_then(lang_named) else { return next.run(request).await };
    let wished = HeaderValue::from_static(l.t("lang=zh", "lang=en"));
    // The first cookie of a name counts.
    let others: Vec<HeaderValue> = request.headers().get_all(header::COOKIE).iter().cloned().collect();
    request.headers_mut().insert(header::COOKIE, wished);
    for other in others {
        request.headers_mut().append(header::COOKIE, other);
    }
    let mut answer = next.run(request).await;
    let cookie = l.t(
        "lang=zh; Path=/; Max-Age=31536000; SameSite=Strict; HttpOnly",
        "lang=en; Path=/; Max-Age=31536000; SameSite=Strict; HttpOnly",
    );
    answer.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    answer
}

/// `GET /rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    let board = Board::new(l, &facts(&dashboard, &visitor).await?);
    Ok(Html(Rows { l, board }.render()?))
}

/// `GET /events`: one `change` for every change, and one at once.
pub async fn events(
    State(dashboard): State<Arc<Dashboard>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = WatchStream::new(dashboard.changed.clone())
        .map(|count| Ok(Event::default().event("change").data(count.to_string())));
    Sse::new(changes).keep_alive(KeepAlive::default())
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("templates/style.css"))
}

pub async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("templates/live.js"))
}

pub async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("templates/icon.svg"))
}

async fn facts(dashboard: &Dashboard, visitor: &Visitor) -> Result<Facts, Trouble> {
    let now = dashboard.clock.now().wall;
    let visitor = visitor.clone();
    dashboard
        .read(move |connection| {
            let scope = visitor.scope();
            // Who looks after accounts and devices sees no patient.
            let sees_people = visitor.role != Role::Administrator;
            Ok(Facts {
                now,
                beds: if sees_people { view::beds(connection, scope, now)? } else { Vec::new() },
                exceptions: if sees_people { view::exceptions(connection, scope, now)? } else { Vec::new() },
                devices: view::devices(connection, scope)?,
                rounds: view::rounds(connection, scope)?,
            })
        })
        .await
}

fn lang_named(name: &str) -> Option<Lang> {
    match name {
        "zh" => Some(Lang::Zh),
        "en" => Some(Lang::En),
        _ => None,
    }
}

pub fn lang_of(headers: &HeaderMap) -> Lang {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| lang_named(cookie.trim().strip_prefix("lang=")?))
        .unwrap_or(Lang::Zh)
}
