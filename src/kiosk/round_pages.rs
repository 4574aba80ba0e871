//! The round terminal's pages: a list in the drawn order, one bed at a time, for one thumb. Behind the staff's PIN.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::base::ids::BedId;
use crate::base::redact::Private;
use crate::domain::verdict::Verdict;
use crate::domain::walk::{Later, Stop, Walked};
use crate::kiosk::Kiosk;
use crate::kiosk::counter::Signed;
use crate::kiosk::counter_socket;
use crate::kiosk::pages::{COOKIE, blocking, drawn, fixed, jpeg, visit};
use crate::kiosk::rounds::{Said, Terminal};

#[derive(Template)]
#[template(path = "login.html", config = "src/kiosk/askama.toml")]
struct Login {
    complaint: Option<(&'static str, &'static str)>,
}

#[derive(Deserialize)]
pub struct Why {
    #[serde(default)]
    said: String,
}

/// `GET /login`
pub async fn login(Query(why): Query<Why>) -> Response {
    let complaint = match why.said.as_str() {
        "wrong" => Some(("姓名或密码不对", "Name or PIN is wrong")),
        "locked" => Some(("错误次数太多，请 15 分钟后再试", "Too many wrong PINs: wait 15 minutes")),
        _ => None,
    };
    drawn(&Login { complaint })
}

#[derive(Deserialize)]
pub struct Entering {
    name: String,
    pin: String,
}

/// `POST /login`
pub async fn enter(State(kiosk): State<Arc<Kiosk>>, Form(entering): Form<Entering>) -> Response {
    let asked = kiosk.clone();
    let Entering { name, pin } = entering;
    let pin = Private::new(pin);
    let signed = blocking(move || asked.desk.enter(name.trim(), &pin)).await.unwrap_or(Signed::Wrong);
    let cookie = match signed {
        Signed::Welcome => kiosk.sessions.welcome(),
        Signed::Wrong => return Redirect::to("/login?said=wrong").into_response(),
        Signed::Locked => return Redirect::to("/login?said=locked").into_response(),
    };
    let Some(cookie) = cookie else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict");
    let mut answer = Redirect::to("/round").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

#[derive(Template)]
#[template(path = "round.html", config = "src/kiosk/askama.toml")]
struct Page<'a> {
    list: List<'a>,
}

#[derive(Template)]
#[template(path = "round_list.html", config = "src/kiosk/askama.toml")]
struct List<'a> {
    terminal: &'a Terminal,
    token: String,
    done: usize,
    of: usize,
    next: Option<&'a Stop>,
    /// Neither done nor next.
    rest: Vec<&'a Stop>,
    finished: Vec<&'a Stop>,
    unresolved: usize,
    reasons: [Later; 7],
}

impl List<'_> {
    fn clock(&self) -> String {
        let seconds = self.terminal.left_ms / 1000;
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }

    fn is_ordered(&self) -> bool {
        self.terminal.sheet.as_ref().is_some_and(|sheet| sheet.nonce.is_some())
    }

    /// A sign, Chinese and English: never the colour alone.
    fn state(&self, stop: &Stop) -> (&'static str, String, &'static str) {
        match &stop.walked {
            Walked::Ahead => ("○", "未到".to_owned(), "to go"),
            Walked::Here { looks, of } => ("◉", format!("正在核查 {looks}/{of}"), "looking"),
            Walked::Later { why } => ("↻", why.chinese().to_owned(), why.english()),
            Walked::Done { verdict } if is_fine(verdict) => ("✓", verdict.chinese().to_owned(), "done"),
            Walked::Done { verdict } => ("!", verdict.chinese().to_owned(), verdict.name()),
        }
    }

    fn is_here(&self, stop: &Stop) -> bool {
        matches!(stop.walked, Walked::Here { .. })
    }
}

fn is_fine(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Verified | Verdict::Excused { .. })
}

fn list(terminal: &Terminal, token: String) -> List<'_> {
    let sheet = terminal.sheet.as_ref();
    let stops = sheet.map_or(&[][..], |sheet| &sheet.stops);
    let next = sheet.and_then(|sheet| sheet.next());
    let (done, of) = sheet.map_or((0, 0), |sheet| sheet.done());
    let is_done = |stop: &&Stop| matches!(stop.walked, Walked::Done { .. });
    let is_next = |stop: &&Stop| next.is_some_and(|next| next.bed == stop.bed);
    let rest = stops.iter().filter(|stop| !is_done(stop) && !is_next(stop)).collect();
    let mut finished: Vec<&Stop> = stops.iter().filter(is_done).collect();
    let is_open = |stop: &Stop| matches!(&stop.walked, Walked::Done { verdict } if !is_fine(verdict));
    finished.sort_by_key(|stop| !is_open(stop));
    let unresolved = finished.iter().filter(|stop| is_open(stop)).count();
    List { terminal, token, done, of, next, rest, finished, unresolved, reasons: Later::ALL }
}

/// `GET /round`
pub async fn page(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    let Some(token) = visit(&kiosk, &headers) else { return Redirect::to("/login").into_response() };
    let Some(terminal) = blocking(move || kiosk.desk.terminal()).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    drawn(&Page { list: list(&terminal, token) })
}

/// `GET /round/list`: the page's middle, for the script.
pub async fn part(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    let Some(token) = visit(&kiosk, &headers) else { return StatusCode::FORBIDDEN.into_response() };
    let Some(terminal) = blocking(move || kiosk.desk.terminal()).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    drawn(&list(&terminal, token))
}

/// `GET /round/aim.jpg`: the bed as the cart's camera has it.
pub async fn aim(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    if visit(&kiosk, &headers).is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let made = blocking(move || counter_socket::preview(&kiosk.desk.aim()?)).await.flatten();
    // None yet is no fault.
    jpeg(made).unwrap_or_else(|| StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
pub struct Told {
    token: String,
    bed: BedId,
    /// Absent: the nurse stands there.
    why: Option<Later>,
}

/// `POST /round`: what the nurse says of a bed.
pub async fn say(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap, Form(told): Form<Told>) -> Response {
    if visit(&kiosk, &headers).is_none_or(|token| token != told.token) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let said = match told.why {
        None => Said::Here(told.bed),
        Some(why) => Said::Later(told.bed, why),
    };
    match blocking(move || kiosk.desk.say(said)).await {
        Some(true) => Redirect::to("/round").into_response(),
        Some(false) | None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// `GET /round.css`
pub async fn style() -> Response {
    fixed("text/css; charset=utf-8", include_str!("templates/round.css"))
}

/// `GET /round.js`
pub async fn script() -> Response {
    fixed("text/javascript; charset=utf-8", include_str!("templates/round.js"))
}
