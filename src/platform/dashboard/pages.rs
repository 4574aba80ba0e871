//! The routes people use: the page, its live part, its events, its three fixed files.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use crate::platform::dashboard::page::{Board, Facts, Page, Rows};
use crate::platform::dashboard::words::Lang;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::view;

#[derive(Deserialize)]
pub struct Wish {
    lang: Option<String>,
}

/// `GET /`; `?lang=en` or `?lang=zh` is remembered.
pub async fn page(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let wished = wish.lang.as_deref().and_then(lang_named);
    let l = wished.unwrap_or_else(|| lang_of(&headers));
    let board = Board::new(l, &facts(&dashboard).await?);
    let mut answer = Html(Page { l, board }.render()?).into_response();
    if wished.is_some() {
        let cookie = l.t(
            "lang=zh; Path=/; Max-Age=31536000; SameSite=Strict; HttpOnly",
            "lang=en; Path=/; Max-Age=31536000; SameSite=Strict; HttpOnly",
        );
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
    }
    Ok(answer)
}

/// `GET /rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    let board = Board::new(l, &facts(&dashboard).await?);
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

async fn facts(dashboard: &Dashboard) -> Result<Facts, Trouble> {
    let now = dashboard.clock.now().wall;
    dashboard
        .read(move |connection| {
            Ok(Facts {
                now,
                beds: view::beds(connection, now)?,
                exceptions: view::exceptions(connection, now)?,
                devices: view::devices(connection)?,
                rounds: view::rounds(connection)?,
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
