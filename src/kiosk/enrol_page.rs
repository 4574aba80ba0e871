//! The page `/enrol`: one person of the roster is enrolled with a camera of this device. Behind the owner's link. Works
//! without a script; with one the picture moves.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::base::health::Words;
use crate::base::picture::encode_jpeg;
use crate::base::uri::uri;
use crate::kiosk::Kiosk;
use crate::kiosk::enrol_view::SittingNow;
use crate::kiosk::pages::{blocking, closed, drawn, fixed, jpeg, no_picture, owner};

const QUALITY: u8 = 85;

#[derive(Template)]
#[template(path = "enrol.html", config = "src/kiosk/askama.toml")]
struct Page {
    token: String,
    bed: String,
    /// The camera that is used.
    camera: String,
    sitting: Option<SittingNow>,
    complaint: Option<Words>,
    said: Option<Words>,
}

#[derive(Deserialize)]
pub struct Whom {
    #[serde(default)]
    bed: String,
    #[serde(default)]
    camera: String,
}

/// `GET /enrol?bed=…`
pub async fn page(State(kiosk): State<Arc<Kiosk>>, Query(whom): Query<Whom>, headers: HeaderMap) -> Response {
    let Some(token) = owner(&kiosk, &headers) else { return closed() };
    draw(kiosk, token, whom, Ok(None)).await
}

/// The page with what is to be said, or with a complaint.
async fn draw(
    kiosk: Arc<Kiosk>,
    token: String,
    Whom { bed, camera }: Whom,
    said: Result<Option<Words>, Words>,
) -> Response {
    let asked = bed.clone();
    let found = blocking(move || kiosk.desk.sitting(&asked)).await;
    let (sitting, missing) = match found {
        Some(Ok(sitting)) => (Some(sitting), None),
        Some(Err(why)) => (None, Some(why)),
        None => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let known = sitting.as_ref().map_or(&[][..], |sitting| &sitting.cameras);
    let camera = known.iter().find(|name| **name == camera).or(known.first()).cloned().unwrap_or_default();
    let (said, complaint) = match said {
        Ok(said) => (said, missing),
        Err(why) => (None, Some(why)),
    };
    let status = if complaint.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, drawn(&Page { token, bed, camera, sitting, complaint, said })).into_response()
}

#[derive(Deserialize)]
pub struct Act {
    token: String,
    bed: String,
    #[serde(default)]
    camera: String,
    /// `take`, `finish`, `forget`, or the number of a picture to forget.
    act: String,
}

/// `POST /enrol`
pub async fn act(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap, Form(said): Form<Act>) -> Response {
    let Act { token, bed, camera, act } = said;
    if owner(&kiosk, &headers).is_none_or(|own| own != token) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (desk, whom) = (kiosk.clone(), Whom { bed: bed.clone(), camera: camera.clone() });
    let done = blocking(move || match act.as_str() {
        "take" => desk.desk.take(&bed, &camera).map(|()| None),
        "finish" => desk.desk.finish(&bed).map(Some),
        "forget" => {
            desk.desk.forget(&bed, None);
            Ok(None)
        }
        number => {
            if let Ok(number) = number.parse() {
                desk.desk.forget(&bed, Some(number));
            }
            Ok(None)
        }
    });
    match done.await {
        // Loading the page again must not take another picture.
        Some(Ok(None)) => {
            Redirect::to(&format!("/enrol?bed={}&camera={}", uri(&whom.bed), uri(&whom.camera)))
                .into_response()
        }
        Some(said) => draw(kiosk, token, whom, said).await,
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /enrol/shot/N`: the face of a picture that was taken.
pub async fn shot(
    State(kiosk): State<Arc<Kiosk>>,
    Path(number): Path<usize>,
    headers: HeaderMap,
) -> Response {
    if owner(&kiosk, &headers).is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let made = blocking(move || encode_jpeg(&kiosk.desk.shot(number)?, QUALITY).ok()).await.flatten();
    jpeg(made).unwrap_or_else(no_picture)
}

/// `GET /camera.js`
pub async fn script() -> Response {
    fixed("text/javascript; charset=utf-8", include_str!("templates/camera.js"))
}
