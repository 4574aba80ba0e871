//! Opens a sealed crop for one look at it. Every opening is written down before the picture is shown.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rusqlite::{Connection, OptionalExtension, params};
use tracing::{info, warn};

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::db::{Database, DatabaseError, number};
use crate::platform::log;
use crate::wire::seal;
use crate::wire::tree::Logged;

const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// `GET /evidence/{device}/{id}`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, id)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let Ok(device) = DeviceId::new(device) else { return Ok(missing()) };
    let (db, key, now) = (dashboard.db.clone(), dashboard.keys.evidence_private, dashboard.clock.now().wall);
    let opened = tokio::task::spawn_blocking(move || open(&db, &key, &device, &id, now)).await;
    Ok(match opened.map_err(|_| Trouble::Gone)?? {
        Opened::Missing => missing(),
        Opened::Broken => {
            (StatusCode::UNPROCESSABLE_ENTITY, "证据无法打开 / the seal does not open").into_response()
        }
        Opened::Picture(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "image/jpeg"),
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_DISPOSITION, "inline"),
            ];
            (headers, bytes).into_response()
        }
    })
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此证据 / there is no such evidence").into_response()
}

enum Opened {
    Missing,
    Broken,
    Picture(Vec<u8>),
}

fn open(
    db: &Database,
    key: &[u8; 32],
    device: &DeviceId,
    id: &str,
    now: Wall,
) -> Result<Opened, DatabaseError> {
    let Some(sealed) = db.read(|connection| find(connection, device, id))? else {
        return Ok(Opened::Missing);
    };
    // What came from a device is shown as a picture only if it begins as one.
    let picture =
        seal::open(key, &seal::place(device, id), &sealed).ok().filter(|bytes| bytes.starts_with(&JPEG));
    db.write(|tx| {
        let opened = picture.is_some();
        let entry = Logged::Opened { device: device.clone(), event: id.to_owned(), opened, at: now };
        let logged = log::append(tx, &entry)?;
        tx.execute(
            "INSERT INTO opened VALUES (?1, ?2, ?3, ?4, ?5)",
            params![now.0, device.as_str(), id, opened, number(logged)],
        )
    })?;
    Ok(match picture {
        Some(bytes) => {
            info!(%device, event = id, "Evidence was opened.");
            Opened::Picture(bytes)
        }
        None => {
            warn!(%device, event = id, "Evidence did not open.");
            Opened::Broken
        }
    })
}

fn find(connection: &Connection, device: &DeviceId, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let found: Option<Option<Vec<u8>>> = connection
        .query_row("SELECT evidence FROM link WHERE device = ?1 AND id = ?2", [device.as_str(), id], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(found.flatten())
}
