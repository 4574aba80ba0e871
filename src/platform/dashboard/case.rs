//! The case of an exception as a file to take along.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::info;

use crate::base::ids::DeviceId;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::export::{ExportError, export};

/// `GET /case/{device}/{id}`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, exception)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let missing = || (StatusCode::NOT_FOUND, "没有此异常 / there is no such exception").into_response();
    Ok(file(dashboard, device, exception).await?.unwrap_or_else(missing))
}

/// The file as an answer; `None` where there is no such exception.
pub async fn file(
    dashboard: Arc<Dashboard>,
    device: String,
    exception: String,
) -> Result<Option<Response>, Trouble> {
    let Ok(device) = DeviceId::new(device) else { return Ok(None) };
    let now = dashboard.clock.now().wall;
    let work = move || {
        let file = export(&dashboard.db, &dashboard.keys, &device, &exception, now);
        if file.is_ok() {
            info!(%device, "A case was exported.");
        }
        file
    };
    match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        Err(ExportError::Unknown(..)) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(file) => {
            let headers = [
                (header::CONTENT_TYPE, "application/jsonl"),
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"case.bedcheck\""),
            ];
            Ok(Some((headers, file).into_response()))
        }
    }
}
