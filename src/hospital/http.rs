//! `POST /v1/national`: one message of the national interface as JSON, answered when it is safe.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::hospital::national::MOST_BYTES;
use crate::net::server::{PeerAddress, may_speak};

/// Messages read at once: each holds up to [`MOST_BYTES`].
const MOST_AT_ONCE: usize = 4;
const SLOW: Duration = Duration::from_secs(30);

/// Takes one message; `None` when it could not be made safe now: the sender repeats it. How many facts were new, or what
/// is wrong with it.
pub trait Desk: Clone + Send + Sync + 'static {
    fn take(&self, message: Vec<u8>) -> impl Future<Output = Option<Result<usize, String>>> + Send;
}

struct Port<D> {
    desk: D,
    allowed: Vec<IpAddr>,
    places: Semaphore,
}

/// The routes. Only addresses in `allowed` are listened to; loopback always is.
pub fn router<D: Desk>(desk: D, allowed: Vec<IpAddr>) -> Router {
    let places = Semaphore::new(MOST_AT_ONCE);
    Router::new().route("/v1/national", post(take::<D>)).with_state(Arc::new(Port { desk, allowed, places }))
}

async fn take<D: Desk>(State(port): State<Arc<Port<D>>>, request: Request) -> Response {
    let from = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    if !from.is_some_and(|from| may_speak(from, &port.allowed)) {
        warn!(
            ?from,
            "A message over HTTP was refused; add the address to http.allow if it is the hospital's."
        );
        return answer(StatusCode::FORBIDDEN, "1", "this address is not allowed");
    }
    let Ok(_place) = port.places.try_acquire() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "1", "busy: send it again");
    };
    let body = tokio::time::timeout(SLOW, to_bytes(request.into_body(), MOST_BYTES)).await;
    let Ok(Ok(bytes)) = body else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, "1", "the message is too large, or came too slowly");
    };
    match port.desk.take(bytes.into()).await {
        Some(Ok(_)) => answer(StatusCode::OK, "0", ""),
        Some(Err(reason)) => {
            warn!(%reason, "A message over HTTP was refused.");
            answer(StatusCode::BAD_REQUEST, "1", &reason)
        }
        None => answer(StatusCode::SERVICE_UNAVAILABLE, "1", "it could not be kept now: send it again"),
    }
}

/// The national interface's own way to answer: `infcode` 0 is success.
fn answer(status: StatusCode, infcode: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "infcode": infcode, "err_msg": message }))).into_response()
}
