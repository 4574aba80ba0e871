//! What all pages share: the language, the events that say that something changed, the fixed files.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use crate::platform::dashboard::Dashboard;
use crate::platform::dashboard::words::Lang;

#[derive(Deserialize)]
pub struct Wish {
    lang: Option<String>,
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
