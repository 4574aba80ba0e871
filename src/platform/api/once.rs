//! A write that is done once, however often it is sent.
//!
//! With an `Idempotency-Key` a request that is sent again, because its answer was lost, gets the first answer: what was
//! done and what was answered are one transaction, a refusal is kept as well.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::files::sha256_hex;
use crate::platform::answered;
use crate::platform::api::problem::{self, Problem};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::db::{self, Transaction};

/// Does `work` for `person` unless this very `request` was answered before, and answers.
///
/// # Errors
/// A key that is none or came with another request; a failing database, after which nothing counts.
pub async fn answer<T: Serialize>(
    dashboard: &Dashboard,
    headers: &HeaderMap,
    (person, request): (&str, &[u8]),
    work: impl FnOnce(&Transaction<'_>) -> db::Result<Result<T, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    let key = answered::key(headers).map_err(|detail| Problem::because(problem::BAD_REQUEST, detail))?;
    let (person, request) = (person.to_owned(), sha256_hex(request));
    let (db, now) = (dashboard.db.clone(), dashboard.clock.now().wall);
    let write = move || {
        db.write(|tx| {
            if let Some(key) = &key
                && let Some(first) = answered::find(tx, (&person, key), &request, now)?
            {
                return Ok(first);
            }
            let answer = match work(tx)? {
                Ok(done) => (200, serde_json::to_string(&done).unwrap_or_default()),
                Err(problem) => (problem.kind().status.as_u16(), problem.body()),
            };
            if let Some(key) = &key {
                answered::keep(tx, (&person, key), &request, &answer, now)?;
            }
            Ok(answered::Answer::Was(answer))
        })
    };
    match tokio::task::spawn_blocking(write).await.map_err(|_| Problem::from(Trouble::Gone))?? {
        answered::Answer::Was((status, body)) => {
            let kind = if status == 200 { "application/json" } else { problem::MEDIA_TYPE };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok((status, [(header::CONTENT_TYPE, kind)], body).into_response())
        }
        answered::Answer::OfAnother => Err(Problem::new(problem::KEY_REUSED)),
    }
}
