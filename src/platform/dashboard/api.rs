//! The dashboard's content as JSON, for programs on the same machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Extension, State};
use serde_json::{Value, json};

use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::sessions::Visitor;
use crate::platform::{verifications, view};

type Answer = Result<Json<Value>, Trouble>;

pub async fn rows(State(dashboard): State<Arc<Dashboard>>, Extension(who): Extension<Visitor>) -> Answer {
    let now = dashboard.clock.now().wall;
    let rows = dashboard.read(move |connection| view::beds(connection, who.scope(), now)).await?;
    Ok(Json(json!({ "now": now, "rows": rows })))
}

pub async fn exceptions(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(who): Extension<Visitor>,
) -> Answer {
    let now = dashboard.clock.now().wall;
    let exceptions = dashboard.read(move |connection| view::exceptions(connection, who.scope(), now)).await?;
    Ok(Json(json!({ "now": now, "exceptions": exceptions })))
}

pub async fn devices(State(dashboard): State<Arc<Dashboard>>, Extension(who): Extension<Visitor>) -> Answer {
    let now = dashboard.clock.now().wall;
    let devices = dashboard.read(move |connection| view::devices(connection, who.scope())).await?;
    let refused = dashboard.refused.load(Ordering::Relaxed);
    Ok(Json(json!({ "now": now, "devices": devices, "enrolments_refused": refused })))
}

pub async fn ledger(State(dashboard): State<Arc<Dashboard>>, Extension(who): Extension<Visitor>) -> Answer {
    let now = dashboard.clock.now().wall;
    let ledger = dashboard.read(move |connection| view::ledger(connection, who.scope())).await?;
    Ok(Json(json!({ "now": now, "ledger": ledger })))
}

pub async fn verifications(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(who): Extension<Visitor>,
) -> Answer {
    let now = dashboard.clock.now().wall;
    let read = move |connection: &rusqlite::Connection| verifications::latest(connection, who.scope());
    let verifications = dashboard.read(read).await?;
    Ok(Json(json!({ "now": now, "verifications": verifications })))
}
