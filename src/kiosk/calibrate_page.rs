//! The page `/calibrate`, the commissioning kit: living people and attacks are filmed with one camera, and its thresholds
//! follow with the intervals of their error rates. Behind the owner's link.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::base::health::Words;
use crate::kiosk::Kiosk;
use crate::kiosk::calibrate_view::{CalibrationNow, FilmedNow, SPECIES};
use crate::kiosk::pages::{blocking, closed, drawn, owner};

#[derive(Template)]
#[template(path = "calibrate.html", config = "src/kiosk/askama.toml")]
struct Page {
    token: String,
    now: CalibrationNow,
    species: [(&'static str, &'static str, &'static str); SPECIES.len()],
    chosen: String,
    complaint: Option<Words>,
    said: Option<Words>,
}

impl Page {
    fn is_chosen(&self, species: &str) -> bool {
        self.chosen == species
    }

    /// Chinese and English of a kind.
    fn kind<'a>(&self, filmed: &'a FilmedNow) -> (&'a str, &'a str) {
        let known = self.species.iter().find(|kind| kind.0 == filmed.species);
        known.map_or((&filmed.species, ""), |kind| (kind.1, kind.2))
    }

    /// The score as text, and in tenths for the bar.
    fn score(&self, filmed: &FilmedNow) -> (String, usize) {
        match filmed.score {
            Some(score) => (format!("{score:.3}"), (score * 20.0).round().clamp(0.0, 20.0) as usize),
            None => ("无人脸 no face".to_owned(), 0),
        }
    }

    fn rate(&self, rate: &(f64, f64, f64)) -> String {
        format!("{:.1} % ({:.1}–{:.1})", rate.0, rate.1, rate.2)
    }
}

#[derive(Deserialize)]
pub struct Which {
    #[serde(default)]
    camera: String,
}

/// `GET /calibrate`
pub async fn page(
    State(kiosk): State<Arc<Kiosk>>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Response {
    let Some(token) = owner(&kiosk, &headers) else { return closed() };
    draw(kiosk, token, which.camera, String::new(), Ok(None)).await
}

async fn draw(
    kiosk: Arc<Kiosk>,
    token: String,
    camera: String,
    chosen: String,
    said: Result<Option<Words>, Words>,
) -> Response {
    let found = match blocking(move || kiosk.desk.calibration(&camera)).await {
        Some(found) => found,
        None => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let (now, missing) = match found {
        Ok(now) => (now, None),
        Err(why) => (CalibrationNow::default(), Some(why)),
    };
    let (said, complaint) = match said {
        Ok(said) => (said, missing),
        Err(why) => (None, Some(why)),
    };
    let status = if complaint.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, drawn(&Page { token, now, species: SPECIES, chosen, complaint, said })).into_response()
}

#[derive(Deserialize)]
pub struct Act {
    token: String,
    camera: String,
    #[serde(default)]
    species: String,
    act: Acting,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Acting {
    Film,
    Settle,
    Discard,
}

/// `POST /calibrate`
pub async fn act(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap, Form(said): Form<Act>) -> Response {
    let Act { token, camera, species, act } = said;
    if owner(&kiosk, &headers).is_none_or(|own| own != token) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (desk, of, kind) = (kiosk.clone(), camera.clone(), species.clone());
    let done = blocking(move || match act {
        Acting::Film => desk.desk.film(&of, &kind),
        Acting::Settle => desk.desk.settle(&of),
        Acting::Discard => desk.desk.discard(&of),
    });
    match done.await {
        Some(said) => draw(kiosk, token, camera, species, said.map(Some)).await,
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
