//! What people see: a page drawn on the server, live by events, and the same as JSON. Loopback only.
//!
//! Closed here: foreign pages that rebind their name to 127.0.0.1 (the `Host` header is checked), foreign pages that
//! point an image or frame here (`Sec-Fetch-Site`, `frame-ancestors`), injected text that would run (no inline
//! script or style is allowed, askama escapes), copies of evidence in a cache (`no-store`). Who asks and what they may
//! do is settled in `door`.

mod association_page;
pub mod case;
mod case_page;
pub(super) mod case_words;
mod contradictions;
mod door;
mod evidence;
pub(super) mod frame;
mod lead_page;
mod lead_words;
mod leads_page;
mod lists;
mod order_pages;
mod order_words;
mod overview;
mod page;
pub(super) mod pages;
mod queue_page;
mod score_page;
mod screen;
mod sign_in;
mod timeline;
mod ward_page;
mod watermark;
pub(super) mod words;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::watch;
use tracing::error;

use crate::base::clock::Clock;
use crate::net::server;
use crate::platform::api::{self, problem};
use crate::platform::db::{self, Database, DatabaseError};
use crate::platform::export::ExportError;
use crate::platform::keys::Keys;
use crate::platform::table::TableError;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A name, a passphrase and a reason.
const MOST_FORM: usize = 16 * 1024;

/// What the pages are drawn from.
pub struct Dashboard {
    pub(super) db: Database,
    pub(super) clock: Clock,
    pub keys: Arc<Keys>,
    changed: watch::Receiver<u64>,
    /// Enrolments refused since the start.
    pub(super) refused: Arc<AtomicU64>,
}

impl Dashboard {
    pub fn new(
        db: Database,
        clock: Clock,
        keys: Arc<Keys>,
        changed: watch::Receiver<u64>,
        refused: Arc<AtomicU64>,
    ) -> Dashboard {
        Dashboard { db, clock, keys, changed, refused }
    }

    /// The routes of the dashboard.
    pub fn router(self: Arc<Self>) -> Router {
        let people = middleware::from_fn_with_state(self.clone(), door::keep);
        Router::new()
            .merge(api::routes())
            .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
            .route("/welcome/{token}", get(sign_in::welcome).post(sign_in::follow))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/", get(overview::show))
            .route("/rows", get(overview::rows))
            .route("/wards/{device}", get(ward_page::show))
            .route("/wards/{device}/rows", get(ward_page::rows))
            .route("/screen", get(screen::show))
            .route("/screen/rows", get(screen::rows))
            .route("/orders", get(order_pages::list).post(order_pages::place))
            .route("/orders/{id}", get(order_pages::one))
            .route("/orders/{id}/rows", get(order_pages::rows))
            .route("/orders/{id}/draw.json", get(order_pages::draw))
            .route("/events", get(pages::events))
            .route("/style.css", get(pages::style))
            .route("/live.js", get(pages::script))
            .route("/icon.svg", get(pages::icon))
            .route("/evidence/{device}/{id}", get(evidence::sheet))
            .route("/evidence/{device}/{id}/ask", post(evidence::ask))
            .route("/evidence/{device}/{id}/approve", post(evidence::approve))
            .route("/evidence/look/{token}", get(evidence::look))
            .route("/verification", get(lists::checks))
            .route("/patrol", get(lists::patrol))
            .route("/screening", get(leads_page::show))
            .route("/screening/contradictions", get(lists::contradictions))
            .route("/screening/leads/{id}", get(lead_page::show))
            .route("/screening/leads/{id}/step", post(lead_page::step))
            .route("/screening/association", get(association_page::show))
            .route("/devices", get(lists::devices))
            .route("/audit", get(lists::audit))
            .route("/score", get(score_page::page))
            .route("/score.csv", get(score_page::table))
            .route("/exceptions", get(queue_page::show))
            .route("/exceptions/news", get(queue_page::news))
            .route("/exceptions/{device}/{id}", get(case_page::show))
            .route("/exceptions/{device}/{id}/step", post(case_page::step))
            .route("/case/{device}/{id}", get(case::show))
            .layer(DefaultBodyLimit::max(MOST_FORM))
            .layer(people)
            .layer(middleware::from_fn(pages::speak))
            .layer(middleware::from_fn(guard))
            .layer(middleware::from_fn(problem::everywhere))
            .with_state(self)
    }

    /// Reads on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&db::Connection) -> db::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let db = self.db.clone();
        let read = tokio::task::spawn_blocking(move || db.read(work)).await;
        read.map_err(|_| Trouble::Gone)?.map_err(Trouble::Database)
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the page could not be drawn: {0}")]
    Draw(#[from] askama::Error),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the work on a page ended early")]
    Gone,
    #[error("no random numbers: {0}")]
    Chance(getrandom::Error),
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        error!(error = %self, "A page could not be shown.");
        (StatusCode::INTERNAL_SERVER_ERROR, "暂时无法显示 / cannot be shown now").into_response()
    }
}

async fn guard(request: Request, next: Next) -> Response {
    let mut answer = if is_ours(request.headers(), request.uri().path()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this dashboard answers only under its own loopback address")
            .into_response()
    };
    server::close_to_others(&mut answer, POLICY);
    answer
}

/// A name that a foreign page rebinds to 127.0.0.1 stays in `Host`. The port may differ: a tunnel has its own.
fn is_ours(headers: &HeaderMap, path: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let name = text("host").map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    });
    // Only the page itself may be reached by a link on another site.
    let is_visit = path == "/" && text("sec-fetch-dest") == Some("document");
    let is_near = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    name.is_some_and(|name| matches!(name, "127.0.0.1" | "localhost" | "[::1]")) && (is_near || is_visit)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(headers: &[(&'static str, &'static str)], path: &str) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        is_ours(&map, path)
    }

    #[test]
    fn a_foreign_name_is_not_answered() {
        for host in ["127.0.0.1:8080", "localhost:9000", "[::1]:8080", "localhost", "[::1]"] {
            assert!(asked(&[("host", host)], "/rows"), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1:8080", ""]
        {
            assert!(!asked(&[("host", host)], "/rows"), "{host}");
        }
        assert!(!asked(&[], "/"));
    }

    #[test]
    fn a_foreign_page_may_link_to_the_page_and_take_nothing_from_it() {
        let host = ("host", "127.0.0.1:8080");
        let (cross, near) = (("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin"));
        assert!(asked(&[host, near], "/evidence/d/e"));
        assert!(!asked(&[host, cross, ("sec-fetch-dest", "image")], "/evidence/d/e"));
        assert!(!asked(&[host, cross, ("sec-fetch-dest", "document")], "/evidence/d/e"));
        assert!(asked(&[host, cross, ("sec-fetch-dest", "document")], "/"));
        assert!(!asked(&[host, cross, ("sec-fetch-dest", "iframe")], "/"));
    }
}
