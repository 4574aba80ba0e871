//! The local web pages: bed zones are drawn on a live picture, cameras and roster are looked at, people are enrolled and
//! cameras calibrated. On loopback, for whoever may enter the state folder.
//!
//! Other users of the same machine reach loopback too, so the page opens only to a link that works once
//! ([`session::invite`]); it is made by writing into a folder only the agent's owner may write into. After that a cookie
//! counts. Nurses come in by name and PIN, and see the round and no zones. Closed here as well: foreign pages that rebind a name to 127.0.0.1 (`Host`), that post (`Origin`, a token in a
//! header, `SameSite`), that frame (`frame-ancestors`), that read (`Cross-Origin-Resource-Policy`); bodies are bounded.
//! Pictures are made for this page only, never stored.

mod calibrate_page;
pub mod calibrate_view;
pub mod counter;
pub mod counter_pages;
mod counter_socket;
mod enrol_page;
pub mod enrol_view;
mod pages;
mod round_pages;
pub mod rounds;
pub mod session;
mod voice;
mod ward_page;
pub mod ward_view;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::base::clock::Clock;
use crate::base::frame::{Head, Picture};
use crate::kiosk::calibrate_view::Calibrating;
use crate::kiosk::enrol_view::Enrolling;
use crate::kiosk::rounds::Rounds;
use crate::kiosk::session::Sessions;
use crate::kiosk::ward_view::WardView;
use crate::net::server;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// 512 beds with long names take half of it.
const MOST_BODY: usize = 128 * 1024;

/// A bed's place in a camera's picture, in pixels, as the page draws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub bed: String,
    pub camera: String,
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub head: Head,
}

/// What is drawn now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drawing {
    /// Changes whenever the files do.
    pub version: String,
    /// Cameras that see beds.
    pub cameras: Vec<String>,
    pub zones: Vec<Zone>,
    /// Beds of the roster that have no zone.
    pub missing: Vec<String>,
}

/// Why nothing was saved. Each line says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Complaints(Vec<String>),
    /// Somebody else changed the files meanwhile.
    Outdated,
}

/// What the page shows and where it saves: the agent's part.
pub trait Desk: Rounds + WardView + Enrolling + Calibrating {
    /// # Errors
    /// Complaints about the configuration as it is on the disk.
    fn drawing(&self) -> Result<Drawing, Vec<String>>;

    /// The newest picture of a camera.
    fn picture(&self, camera: &str) -> Option<Picture>;

    /// Puts `zones` in place of all that were there, if the files are still those of `version`.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    fn save(&self, version: &str, zones: &[Zone]) -> Result<String, Refusal>;
}

/// Everything the routes need.
struct Kiosk {
    desk: Box<dyn Desk>,
    sessions: Sessions,
}

/// The routes; `invitations` is the folder of [`session::invite`].
pub fn router(desk: impl Desk, invitations: PathBuf, clock: Clock) -> Router {
    let kiosk = Kiosk { desk: Box::new(desk), sessions: Sessions::new(invitations, clock) };
    Router::new()
        .route("/", get(pages::page))
        .route("/enter", get(pages::enter))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route("/zones.css", get(pages::style))
        .route("/zones.js", get(pages::script))
        .route("/zones", get(pages::drawing).post(pages::save))
        .route("/camera/{camera}", get(pages::picture))
        .route("/ward", get(ward_page::page))
        .route("/ward.css", get(ward_page::style))
        .route("/camera.js", get(enrol_page::script))
        .route("/enrol", get(enrol_page::page).post(enrol_page::act))
        .route("/enrol/shot/{number}", get(enrol_page::shot))
        .route("/calibrate", get(calibrate_page::page).post(calibrate_page::act))
        .route("/login", get(round_pages::login).post(round_pages::enter))
        .route("/round", get(round_pages::page).post(round_pages::say))
        .route("/round/list", get(round_pages::part))
        .route("/round/aim.jpg", get(round_pages::aim))
        .route("/round.css", get(round_pages::style))
        .route("/round.js", get(round_pages::script))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(kiosk))
}

/// The kiosk's pages post forms, speak and open one socket to themselves.
const KIOSK_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' blob:; \
                            media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                            frame-ancestors 'none'";

async fn guard(request: Request, next: Next) -> Response {
    guarded(request, next, POLICY).await
}

async fn guard_kiosk(request: Request, next: Next) -> Response {
    guarded(request, next, KIOSK_POLICY).await
}

async fn guarded(request: Request, next: Next, policy: &'static str) -> Response {
    let mut answer = if is_ours(request.headers(), request.method(), request.uri().path()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this page answers only under its own loopback address")
            .into_response()
    };
    server::close_to_others(&mut answer, policy);
    // Without any referrer a browser calls the origin of a form "null", and ours would be turned away with the foreign ones.
    answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Our own name, and asked for by our own page; only the link may be opened from elsewhere.
fn is_ours(headers: &HeaderMap, method: &Method, path: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text("host") else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let is_local = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    let is_near = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let is_visit =
        matches!(path, "/" | "/enter" | "/login" | "/round") && text("sec-fetch-dest") == Some("document");
    // Whatever changes something says where it comes from.
    let is_own = method == Method::GET || text("origin") == Some(&format!("http://{host}"));
    is_local && (is_near || is_visit) && is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        is_ours(&map, method, path)
    }

    #[test]
    fn foreign_names_and_foreign_pages_are_turned_away() {
        let host = ("host", "127.0.0.1:8470");
        assert!(asked(&Method::GET, "/", &[host]));
        assert!(!asked(&Method::GET, "/", &[("host", "evil.example:8470")]));
        assert!(!asked(&Method::GET, "/camera/cam-1", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(asked(
            &Method::GET,
            "/enter",
            &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")]
        ));
        assert!(!asked(&Method::POST, "/zones", &[host]));
        assert!(!asked(&Method::POST, "/zones", &[host, ("origin", "http://127.0.0.1:9999")]));
        assert!(asked(&Method::POST, "/zones", &[host, ("origin", "http://127.0.0.1:8470")]));
    }
}
