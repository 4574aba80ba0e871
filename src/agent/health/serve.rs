//! `/metrics` and `/healthz`. Loopback only: the figures say when a ward is being looked at.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::agent::health::{Health, STUCK};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn router(health: Health) -> Router {
    let (for_metrics, for_health) = (health.clone(), health);
    Router::new()
        .route("/metrics", get(async move || metrics(&for_metrics)))
        .route("/healthz", get(async move || healthz(&for_health)))
}

fn metrics(health: &Health) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    ([kind], health.metrics()).into_response()
}

/// 200 while the agent decides, 503 otherwise; the rest is for people and `bedcheck doctor`.
fn healthz(health: &Health) -> Response {
    let answer = health.answer();
    let status = if answer["deciding"] == true { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer)).into_response()
}

impl Health {
    fn answer(&self) -> Value {
        let shown = self.shown();
        let now = self.0.clock.now().mono;
        let age = |slot: &crate::base::slot::Slot| Some((now - slot.glance()?.taken).as_secs_f64());
        let cameras: Vec<Value> = shown
            .slots
            .iter()
            .map(
                |(id, slot)| json!({ "camera": id, "frames": slot.count(), "newest_age_seconds": age(slot) }),
            )
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "deciding": self.is_running() && self.since_turn() < STUCK,
            "turn_age_seconds": self.since_turn().as_secs_f64(),
            "config_good": !self.refuses_config(),
            "config_complaints": shown.config.complaints,
            "cameras": cameras,
        })
    }
}
