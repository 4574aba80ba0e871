//! What both ports for devices share: bodies read with a bound, refusals said shortly.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::wire::batch::Problem;

const BODY_WAIT: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// It came too slowly or broke off.
    Broken,
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// [`Unread`].
pub async fn body(body: Body, limit: usize) -> Result<Vec<u8>, Unread> {
    match tokio::time::timeout(BODY_WAIT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                if error.to_string().contains("length limit exceeded") {
                    return Err(Unread::TooLarge);
                }
                cause = error.source();
            }
            Err(Unread::Broken)
        }
        Err(_) => Err(Unread::Broken),
    }
}

/// A refusal as RFC 9457 has it; with `wait`, the seconds after which another try is welcome.
pub fn refusal(status: StatusCode, detail: String, wait: Option<u32>) -> Response {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("Refused").to_owned(),
        status: status.as_u16(),
        detail: Some(detail),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut answer = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
    if let Some(seconds) = wait {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    answer
}
