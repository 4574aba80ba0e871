//! Opens a sealed crop for one look at it: one asks, another approves, and the opening is in the log before anything is
//! shown. The picture carries the opening's number and moment.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use tracing::{info, warn};

use crate::base::clock::Wall;
use crate::base::frame::Picture;
use crate::base::ids::DeviceId;
use crate::base::picture;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, moment};
use crate::platform::dashboard::{Dashboard, Trouble, watermark};
use crate::platform::db::{self, Connection, OptionalExtension};
use crate::platform::keys::uri;
use crate::platform::people::{self, Asked, NotShown};
use crate::platform::sessions::Visitor;
use crate::wire::seal;

const QUALITY: u8 = 88;

#[derive(Template)]
#[template(path = "evidence.html", config = "src/platform/dashboard/askama.toml")]
struct Sheet {
    l: Lang,
    device: String,
    event: String,
    path: String,
    csrf: String,
    name: String,
    trouble: Option<String>,
    asked: Option<Waiting>,
    shown: Option<Shown>,
}

/// [`Asked`] with its moment as text.
struct Waiting {
    id: String,
    by: String,
    reason: String,
    at: String,
}

struct Shown {
    token: String,
    first: String,
    second: String,
    reason: String,
}

#[derive(Deserialize)]
pub struct Request {
    name: String,
    passphrase: String,
    #[serde(default)]
    reason: String,
    /// The request that is approved.
    #[serde(default)]
    asked: String,
}

/// `GET /evidence/{device}/{event}`: what must be done to see it.
pub async fn sheet(
    State(dashboard): State<Arc<Dashboard>>,
    Path(place): Path<(String, String)>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    draw(dashboard, place, (lang_of(&headers), visitor), |_, _| Ok(None)).await
}

/// `POST /evidence/{device}/{event}/ask`.
pub async fn ask(
    State(dashboard): State<Arc<Dashboard>>,
    Path(place): Path<(String, String)>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Result<Response, Trouble> {
    let path = path(&place);
    let work = move |dashboard: &Dashboard, (device, event): (&DeviceId, &str)| {
        let now = dashboard.clock.now().wall;
        people::opener(&dashboard.db, &request.name, &request.passphrase, now)?;
        people::ask(&dashboard.db, (device, event), &request.name, &request.reason, now)?;
        info!(%device, event, "Somebody asks to see evidence.");
        Ok(None)
    };
    let answer = draw(dashboard, place, (lang_of(&headers), visitor), work).await?;
    // Loading the page again must not ask again.
    Ok(if answer.status() == StatusCode::OK { Redirect::to(&path).into_response() } else { answer })
}

/// `POST /evidence/{device}/{event}/approve`: the page with the picture in it.
pub async fn approve(
    State(dashboard): State<Arc<Dashboard>>,
    Path(place): Path<(String, String)>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Result<Response, Trouble> {
    let work = move |dashboard: &Dashboard, (device, event): (&DeviceId, &str)| {
        let (db, now) = (&dashboard.db, dashboard.clock.now().wall);
        people::opener(db, &request.name, &request.passphrase, now)?;
        let asked = db.read(|connection| people::asked(connection, device, event, now))?;
        let asked = asked.filter(|asked| asked.id == request.asked).ok_or(NotShown::NothingAsked)?;
        let opens = db.read(|connection| find(connection, device, event))?;
        let opens = opens.and_then(|sealed| opened(dashboard, device, event, &sealed)).is_some();
        let token = people::approve(db, (device, event), &asked, &request.name, opens, now)?;
        info!(%device, event, opens, "Evidence was opened.");
        let Asked { by: first, reason, .. } = asked;
        Ok(Some(Shown { token, first, second: request.name, reason }))
    };
    draw(dashboard, place, (lang_of(&headers), visitor), work).await
}

/// `GET /evidence/look/{token}`: the picture, once.
pub async fn look(
    State(dashboard): State<Arc<Dashboard>>,
    Path(token): Path<String>,
) -> Result<Response, Trouble> {
    let work = move || {
        let now = dashboard.clock.now().wall;
        let (device, event, opening) = people::look(&dashboard.db, &token, now)?;
        let sealed = dashboard.db.read(|connection| find(connection, &device, &event))?;
        let picture = sealed.and_then(|sealed| opened(&dashboard, &device, &event, &sealed));
        if picture.is_none() {
            warn!(%device, event, "Evidence did not open.");
        }
        Ok(picture.and_then(|picture| marked(&picture, &opening, now)))
    };
    let found: Result<Option<Vec<u8>>, NotShown> =
        tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)?;
    Ok(match found {
        Err(NotShown::Database(error)) => return Err(error.into()),
        Err(_) => (StatusCode::NOT_FOUND, "已看过或已过期 / seen already, or too late").into_response(),
        Ok(None) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "证据无法打开 / the seal does not open").into_response()
        }
        Ok(Some(bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, "image/jpeg"),
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_DISPOSITION, "inline"),
            ];
            (headers, bytes).into_response()
        }
    })
}

/// Does `work` where there is evidence of this event, and draws the page as it is then.
async fn draw(
    dashboard: Arc<Dashboard>,
    (device, event): (String, String),
    (l, visitor): (Lang, Visitor),
    work: impl FnOnce(&Dashboard, (&DeviceId, &str)) -> Result<Option<Shown>, NotShown> + Send + 'static,
) -> Result<Response, Trouble> {
    let missing = || (StatusCode::NOT_FOUND, "没有此证据 / there is no such evidence").into_response();
    let Ok(device) = DeviceId::new(device) else { return Ok(missing()) };
    let drawn = tokio::task::spawn_blocking(move || {
        if dashboard.db.read(|connection| find(connection, &device, &event))?.is_none() {
            return Ok(None);
        }
        let (shown, trouble) = match work(&dashboard, (&device, &event)) {
            Ok(shown) => (shown, None),
            Err(NotShown::Database(error)) => return Err(error.into()),
            Err(trouble) => (None, Some(trouble.to_string())),
        };
        let status = if trouble.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
        let now = dashboard.clock.now().wall;
        let asked = dashboard.db.read(|connection| people::asked(connection, &device, &event, now))?;
        let asked = asked.map(|asked| Waiting {
            id: asked.id,
            by: asked.by,
            reason: asked.reason,
            at: moment(asked.at.0),
        });
        let (device, path) = (device.to_string(), path(&(device.to_string(), event.clone())));
        let (csrf, name) = (visitor.form_token.unwrap_or_default(), visitor.name);
        let page = Sheet { l, device, event, path, csrf, name, trouble, asked, shown }.render()?;
        Ok::<_, Trouble>(Some((status, Html(page)).into_response()))
    });
    Ok(drawn.await.map_err(|_| Trouble::Gone)??.unwrap_or_else(missing))
}

fn path((device, event): &(String, String)) -> String {
    format!("/evidence/{}/{}", uri(device), uri(event))
}

/// What a seal holds, if it opens and holds a picture: what came from a device is looked at before it is shown.
fn opened(dashboard: &Dashboard, device: &DeviceId, event: &str, sealed: &[u8]) -> Option<Picture> {
    let place = seal::place(device, event);
    let keys = &dashboard.keys.evidence_private;
    let bytes = keys.iter().find_map(|key| seal::open(key, &place, sealed).ok())?;
    picture::decode(&bytes).ok()
}

fn marked(picture: &Picture, opening: &str, now: Wall) -> Option<Vec<u8>> {
    let text = format!("{} #{}", now, opening.get(..8)?);
    picture::encode_jpeg(&watermark::over(picture, &text)?, QUALITY).ok()
}

fn find(connection: &Connection, device: &DeviceId, event: &str) -> db::Result<Option<Vec<u8>>> {
    let found: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT evidence FROM link WHERE device = ?1 AND id = ?2")?
        .query_row([device.as_str(), event], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}
