//! Everything the pages do, as JSON for programs (`/api/v1`): lists a page at a time, the life of a case, exports.
//!
//! A route and its lines in the OpenAPI document are one annotation beside the handler; the document is at
//! `/api/v1/openapi.json`, and `/api` is the same for people. Every error is a problem (`problem`). Who asks and what they
//! may do was settled at the dashboard's door before a handler runs.

mod cases;
mod document;
mod exports;
mod fhir;
mod leads;
mod lists;
mod national;
mod once;
mod orders;
pub mod problem;
mod scores;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::platform::dashboard::Dashboard;

/// The routes of the interface.
pub fn routes() -> Router<Arc<Dashboard>> {
    let (router, _) = described().split_for_parts();
    router.route("/api/v1/openapi.json", get(document::json)).route("/api", get(document::page))
}

/// The routes with what the document says of them.
fn described() -> OpenApiRouter<Arc<Dashboard>> {
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(lists::rows))
        .routes(routes!(lists::ledger))
        .routes(routes!(lists::verifications))
        .routes(routes!(lists::devices))
        .routes(routes!(lists::coverage))
        .routes(routes!(scores::show))
        .routes(routes!(lists::audit))
        .routes(routes!(lists::exceptions))
        .routes(routes!(cases::show))
        .routes(routes!(cases::step))
        .routes(routes!(cases::file))
        .routes(routes!(cases::evidence))
        .routes(routes!(orders::list, orders::place))
        .routes(routes!(orders::show))
        .routes(routes!(leads::list))
        .routes(routes!(leads::show))
        .routes(routes!(leads::step))
        .routes(routes!(leads::association))
        .routes(routes!(exports::exceptions))
        .routes(routes!(exports::score))
        .routes(routes!(fhir::issues))
        .routes(routes!(fhir::audit))
        .routes(routes!(national::exchange))
}
