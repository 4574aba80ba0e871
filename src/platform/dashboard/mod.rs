//! What people see: a page drawn on the server, live by events, and the same as JSON. Loopback only.
//!
//! Closed here: foreign pages that rebind their name to 127.0.0.1 (the `Host` header is checked), foreign pages that
//! point an image or frame here (`Sec-Fetch-Site`, `frame-ancestors`), injected text that would run (no inline
//! script or style is allowed, askama escapes), copies of evidence in a cache (`no-store`).

mod api;
mod evidence;
mod page;
mod pages;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tracing::error;

use crate::base::clock::Clock;
use crate::platform::db::{Database, DatabaseError};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the pages are drawn from.
pub struct Dashboard {
    db: Database,
    clock: Clock,
    evidence_key: [u8; 32],
    changed: watch::Receiver<u64>,
    /// The only values of `Host` that are answered.
    hosts: Vec<String>,
}

impl Dashboard {
    pub fn new(
        db: Database,
        clock: Clock,
        evidence_key: [u8; 32],
        changed: watch::Receiver<u64>,
        port: u16,
    ) -> Dashboard {
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")).to_vec();
        Dashboard { db, clock, evidence_key, changed, hosts }
    }

    /// The routes of the dashboard.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(pages::page))
            .route("/rows", get(pages::rows))
            .route("/events", get(pages::events))
            .route("/style.css", get(pages::style))
            .route("/live.js", get(pages::script))
            .route("/icon.svg", get(pages::icon))
            .route("/api/v1/rows", get(api::rows))
            .route("/api/v1/exceptions", get(api::exceptions))
            .route("/api/v1/devices", get(api::devices))
            .route("/api/v1/ledger", get(api::ledger))
            .route("/evidence/{device}/{id}", get(evidence::show))
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }

    /// Reads on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let db = self.db.clone();
        let read = tokio::task::spawn_blocking(move || db.read(work)).await;
        read.map_err(|_| Trouble::Gone)?.map_err(Trouble::Database)
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the page could not be drawn: {0}")]
    Draw(#[from] askama::Error),
    #[error("the work on a page ended early")]
    Gone,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        error!(error = %self, "A page could not be shown.");
        (StatusCode::INTERNAL_SERVER_ERROR, "暂时无法显示 / cannot be shown now").into_response()
    }
}

async fn guard(State(dashboard): State<Arc<Dashboard>>, request: Request, next: Next) -> Response {
    let mut answer = if is_ours(request.headers(), &dashboard.hosts) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this dashboard answers only under its own loopback address")
            .into_response()
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

fn is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let from = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    host.is_some_and(|host| hosts.iter().any(|known| known == host))
        && from.is_none_or(|from| matches!(from, "same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_name_or_page_is_not_answered() {
        let hosts = vec!["127.0.0.1:8080".to_owned()];
        let asked = |host: &'static str, from: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(from) = from {
                headers.insert("sec-fetch-site", HeaderValue::from_static(from));
            }
            is_ours(&headers, &hosts)
        };
        assert!(asked("127.0.0.1:8080", None));
        assert!(asked("127.0.0.1:8080", Some("same-origin")));
        assert!(!asked("evil.example:8080", None));
        assert!(!asked("127.0.0.1:80", None));
        assert!(!asked("127.0.0.1:8080", Some("cross-site")));
        assert!(!is_ours(&HeaderMap::new(), &hosts));
    }
}
