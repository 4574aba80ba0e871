//! The routes of the kiosk's screen (核查). No login: whoever stands there may verify themselves and nothing else; what
//! staff do takes their PIN, each time. Every page is drawn whole on the server, so that a browser without script shows the
//! same; the script adds the moving picture and changes pages by itself.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::base::clock::Mono;
use crate::base::redact::Private;
use crate::domain::kiosk::notice;
use crate::domain::kiosk::screen::{Page, Screen};
use crate::domain::kiosk::verification::{Document, Purchase, Purpose, Relation};
use crate::kiosk::counter::{Counter, Signed, Touch, TypedProxy};
use crate::kiosk::words::{self, Words};
use crate::kiosk::{counter_socket, guard_kiosk, pages, voice};

/// A proxy's number and name, drug codes of a long prescription.
const MOST_FORM: usize = 8 * 1024;
/// Screens that may show the moving picture at once; more would only be somebody's script.
const SOCKETS: usize = 4;
/// What may be typed into one field.
const MOST_TYPED: usize = 64;
/// How long a browser without script waits for a picture.
const STILL: Duration = Duration::from_secs(1);

/// Everything the routes need.
pub struct CounterRoutes {
    pub counter: Arc<dyn Counter>,
    pub sockets: Arc<Semaphore>,
}

/// The routes.
pub fn router(counter: impl Counter) -> Router {
    let sockets = Arc::new(Semaphore::new(SOCKETS));
    Router::new()
        .route("/", get(page))
        .route("/screen", get(fragment))
        .route("/touch", post(touch))
        .route("/sign", post(sign))
        .route("/eyes", get(counter_socket::open))
        .route("/still.jpg", get(still))
        .route("/voice/{name}", get(spoken))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route(
            "/kiosk.css",
            get(async || fixed("text/css; charset=utf-8", include_str!("templates/kiosk.css"))),
        )
        .route(
            "/kiosk.js",
            get(async || fixed("text/javascript; charset=utf-8", include_str!("templates/kiosk.js"))),
        )
        .layer(DefaultBodyLimit::max(MOST_FORM))
        .layer(middleware::from_fn(guard_kiosk))
        .with_state(Arc::new(CounterRoutes { counter: Arc::new(counter), sockets }))
}

/// What a page says beside the screen itself: which form is open, what was wrong with the last one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Beside {
    proxy: bool,
    said: Option<Said>,
}

/// Why a form was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    NotFound,
    Typed,
    Amount,
    Codes,
    Pin,
    Locked,
}

impl Said {
    fn name(self) -> &'static str {
        match self {
            Said::NotFound => "not_found",
            Said::Typed => "typed",
            Said::Amount => "amount",
            Said::Codes => "codes",
            Said::Pin => "pin",
            Said::Locked => "locked",
        }
    }
}

#[derive(Template)]
#[template(path = "kiosk.html", config = "src/kiosk/askama.toml")]
struct Whole<'a> {
    drawn: Fragment<'a>,
}

#[derive(Template)]
#[template(path = "screen.html", config = "src/kiosk/askama.toml")]
struct Fragment<'a> {
    screen: &'a Screen,
    words: Words,
    notice: &'a [(&'static str, &'static str)],
    proxy: bool,
    complaint: Option<(&'static str, &'static str)>,
}

impl Fragment<'_> {
    fn seconds(&self) -> u64 {
        self.screen.left_ms.unwrap_or(0).div_ceil(1000)
    }

    fn is(&self, page: &str) -> bool {
        words::page_name(self.screen.page) == page
    }

    fn name(&self) -> &'static str {
        words::page_name(self.screen.page)
    }
}

fn drawing<'a>(screen: &'a Screen, beside: Beside) -> Fragment<'a> {
    let proxy = beside.proxy && screen.page == Page::Who;
    let complaint = beside.said.map(words::complaint);
    Fragment { screen, words: words::of(screen, proxy), notice: &notice::TEXT, proxy, complaint }
}

/// `GET /`
async fn page(State(routes): State<Arc<CounterRoutes>>, Query(beside): Query<Beside>) -> Response {
    let screen = routes.counter.screens().borrow().clone();
    pages::drawn(&Whole { drawn: drawing(&screen, beside) })
}

/// `GET /screen`: the page's middle, for the script.
async fn fragment(State(routes): State<Arc<CounterRoutes>>, Query(beside): Query<Beside>) -> Response {
    let screen = routes.counter.screens().borrow().clone();
    pages::drawn(&drawing(&screen, beside))
}

/// A form of a page.
#[derive(Deserialize)]
struct Touched {
    screen: u64,
    #[serde(rename = "do")]
    what: What,
    #[serde(default)]
    number: String,
    #[serde(default)]
    name: String,
    relation: Option<Relation>,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    codes: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Admission,
    Settlement,
    Pickup,
    Agree,
    Decline,
    Claim,
    Myself,
    Proxy,
    Buys,
    NoReceipt,
    Retry,
    OtherWay,
    Cancel,
}

/// What a form means, or what is wrong with it.
fn meant(touched: Touched) -> Result<Touch, Said> {
    let typed = |text: String| {
        let text = text.trim().to_owned();
        let fits = (1..=MOST_TYPED).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Private::new(text)) } else { Err(Said::Typed) }
    };
    Ok(match touched.what {
        What::Admission => Touch::Begin(Purpose::Admission),
        What::Settlement => Touch::Begin(Purpose::Settlement),
        What::Pickup => Touch::Begin(Purpose::Pickup),
        What::Agree => Touch::Read { agrees: true },
        What::Decline => Touch::Read { agrees: false },
        What::Claim => Touch::Claim(typed(touched.number)?),
        What::Myself => Touch::Comes(None),
        What::Proxy => Touch::Comes(Some(TypedProxy {
            number: typed(touched.number)?,
            name: typed(touched.name)?,
            relation: touched.relation.ok_or(Said::Typed)?,
        })),
        What::Buys => Touch::Buys(Some(Purchase::parse(&touched.amount, &touched.codes).map_err(|bad| {
            use crate::domain::kiosk::verification::BadPurchase::{Amount, Codes};
            match bad {
                Amount => Said::Amount,
                Codes => Said::Codes,
            }
        })?)),
        What::NoReceipt => Touch::Buys(None),
        What::Retry => Touch::Retry,
        What::OtherWay => Touch::OtherWay,
        What::Cancel => Touch::Cancel,
    })
}

/// `POST /touch`
async fn touch(State(routes): State<Arc<CounterRoutes>>, Form(touched): Form<Touched>) -> Response {
    let (number, what) = (touched.screen, touched.what);
    let touch = match meant(touched) {
        Ok(touch) => touch,
        Err(said) => return back(Some(said), matches!(what, What::Proxy)),
    };
    let counter = routes.counter.clone();
    let shown = pages::blocking(move || counter.touch(Some(number), touch)).await.flatten();
    let is_same = shown.is_some_and(|screen| screen.number == number && screen.page == Page::Claim);
    back((is_same && matches!(what, What::Claim)).then_some(Said::NotFound), false)
}

#[derive(Deserialize)]
struct Signing {
    screen: u64,
    name: String,
    pin: String,
    document: Document,
}

/// `POST /sign`: a member of staff signs for what they saw.
async fn sign(State(routes): State<Arc<CounterRoutes>>, Form(signing): Form<Signing>) -> Response {
    let counter = routes.counter.clone();
    let Signing { screen, name, pin, document } = signing;
    let done = pages::blocking(move || {
        let pin = Private::new(pin);
        let signed = counter.enter(name.trim(), &pin);
        if signed == Signed::Welcome {
            counter.touch(Some(screen), Touch::Attested { staff: name.trim().to_owned(), document });
        }
        signed
    });
    back(
        match done.await {
            Some(Signed::Welcome) => None,
            Some(Signed::Wrong) | None => Some(Said::Pin),
            Some(Signed::Locked) => Some(Said::Locked),
        },
        false,
    )
}

fn back(said: Option<Said>, is_proxy: bool) -> Response {
    let said = said.map(|said| format!("said={}", said.name()));
    let proxy = is_proxy.then(|| "proxy=true".to_owned());
    let query: Vec<String> = said.into_iter().chain(proxy).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    Redirect::to(&format!("/{mark}{}", query.join("&"))).into_response()
}

/// `GET /still.jpg`: for browsers without script.
async fn still(State(routes): State<Arc<CounterRoutes>>) -> Response {
    let counter = routes.counter.clone();
    let made = pages::blocking(move || {
        let frame = counter.picture(Mono::default(), STILL)?;
        counter_socket::preview(&frame.picture)
    });
    match made.await.flatten() {
        Some(bytes) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))], bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no picture").into_response(),
    }
}

/// `GET /voice/NAME`: what the screen says aloud.
async fn spoken(Path(name): Path<String>) -> Response {
    match voice::of(&name) {
        Some(bytes) => {
            let cached = HeaderValue::from_static("private, max-age=86400");
            let kind = HeaderValue::from_static("audio/ogg");
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cached)], bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn fixed(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}
