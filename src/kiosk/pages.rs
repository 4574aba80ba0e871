//! The routes of the local page.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use crate::base::picture::encode_jpeg;
use crate::kiosk::{Kiosk, Refusal, Zone};

/// Good enough to see an edge by.
const QUALITY: u8 = 80;
pub const COOKIE: &str = "bedcheck_page";

#[derive(Template)]
#[template(path = "zones.html", config = "src/kiosk/askama.toml")]
struct Page {
    token: String,
}

#[derive(Template)]
#[template(path = "closed.html", config = "src/kiosk/askama.toml")]
struct Closed;

#[derive(Deserialize)]
pub struct Invitation {
    token: String,
}

/// `GET /enter?token=…`: the link that works once.
pub async fn enter(State(kiosk): State<Arc<Kiosk>>, Query(invitation): Query<Invitation>) -> Response {
    let Some(cookie) = kiosk.sessions.enter(&invitation.token) else { return closed() };
    let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict");
    let mut answer = Redirect::to("/").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// `GET /`
pub async fn page(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    let Some(token) = owner(&kiosk, &headers) else { return closed() };
    drawn(&Page { token })
}

/// `GET /zones`
pub async fn drawing(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    if owner(&kiosk, &headers).is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    match blocking(move || kiosk.desk.drawing()).await {
        Some(Ok(drawing)) => Json(drawing).into_response(),
        Some(Err(complaints)) => refused(&complaints),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    version: String,
    zones: Vec<Zone>,
}

/// `POST /zones`
pub async fn save(
    State(kiosk): State<Arc<Kiosk>>,
    headers: HeaderMap,
    wanted: Result<Json<Wanted>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let said = headers.get("x-bedcheck-token").and_then(|value| value.to_str().ok());
    if owner(&kiosk, &headers).is_none_or(|token| Some(token.as_str()) != said) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Json(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(rejection) => return (rejection.status(), "not understood").into_response(),
    };
    match blocking(move || kiosk.desk.save(&wanted.version, &wanted.zones)).await {
        Some(Ok(version)) => Json(json!({ "version": version })).into_response(),
        Some(Err(Refusal::Complaints(complaints))) => refused(&complaints),
        Some(Err(Refusal::Outdated)) => StatusCode::CONFLICT.into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /camera/NAME`: the newest picture, with its size in two headers.
pub async fn picture(
    State(kiosk): State<Arc<Kiosk>>,
    Path(camera): Path<String>,
    headers: HeaderMap,
) -> Response {
    if owner(&kiosk, &headers).is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let made = blocking(move || encode_jpeg(&kiosk.desk.picture(&camera)?, QUALITY).ok()).await.flatten();
    jpeg(made).unwrap_or_else(no_picture)
}

/// A picture as an answer.
pub fn jpeg(made: Option<Vec<u8>>) -> Option<Response> {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))];
    made.map(|bytes| (kind, bytes).into_response())
}

pub fn no_picture() -> Response {
    (StatusCode::NOT_FOUND, "no picture").into_response()
}

/// `GET /zones.css`
pub async fn style() -> Response {
    fixed("text/css; charset=utf-8", include_str!("templates/zones.css"))
}

/// `GET /zones.js`
pub async fn script() -> Response {
    fixed("text/javascript; charset=utf-8", include_str!("templates/zones.js"))
}

pub fn fixed(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

fn refused(complaints: &[String]) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "complaints": complaints }))).into_response()
}

pub fn closed() -> Response {
    (StatusCode::FORBIDDEN, drawn(&Closed)).into_response()
}

pub fn drawn(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The token of whoever asks, if they came in by a link.
pub fn owner(kiosk: &Kiosk, headers: &HeaderMap) -> Option<String> {
    who(kiosk, headers).filter(|(_, is_owner)| *is_owner).map(|(token, _)| token)
}

/// The token of whoever asks, if they came in by a link or a PIN.
pub fn visit(kiosk: &Kiosk, headers: &HeaderMap) -> Option<String> {
    who(kiosk, headers).map(|(token, _)| token)
}

fn who(kiosk: &Kiosk, headers: &HeaderMap) -> Option<(String, bool)> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let ours = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
    ours.filter(|(name, _)| *name == COOKIE).find_map(|(_, cookie)| kiosk.sessions.visitor(cookie))
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
