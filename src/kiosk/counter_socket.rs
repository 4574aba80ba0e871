//! The kiosk's moving picture: JPEG in binary messages, and on the same socket what the screen shows.
//!
//! ```text
//!   page ── "next" ──► text, "+" before it where a picture follows, else "-" ──► page draws ── "next" ──► …
//! ```
//! One picture is in flight: a slow browser gets fewer, never older ones. Pictures go out only while a face is looked for,
//! and nothing keeps them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;

use crate::base::clock::Mono;
use crate::base::frame::{Frame, Picture};
use crate::base::picture::{encode_jpeg, shrink};
use crate::domain::kiosk::screen::{Page, Screen};
use crate::kiosk::counter::Counter;
use crate::kiosk::counter_pages::CounterRoutes;
use crate::kiosk::pages::blocking;
use crate::kiosk::words;

/// Longest side of a preview and its quality: good enough to see oneself by, about 15 kB.
const SIDE: u32 = 480;
const QUALITY: u8 = 65;
/// Pictures nearer to each other than this cost and show nothing: ten a second at most.
const SPACING: Duration = Duration::from_millis(95);
const PATIENCE: Duration = Duration::from_millis(250);
/// A page says something at least so often, or is gone.
const SILENCE: Duration = Duration::from_secs(30);
const MOST_MESSAGE: usize = 64;

/// `GET /eyes`
pub async fn open(
    State(routes): State<Arc<CounterRoutes>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Browsers open sockets across origins; only our own page may.
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = text("host").is_some_and(|host| text("origin") == Some(&format!("http://{host}")));
    if !is_own {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let Ok(place) = routes.sockets.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    upgrade.max_message_size(MOST_MESSAGE).max_frame_size(MOST_MESSAGE).on_upgrade(async move |socket| {
        let _place = place;
        let mut eyes = Eyes { socket, screens: routes.counter.screens(), last: Mono::default(), sent: None };
        // Ends when the page goes or the agent does.
        while eyes.turn(&routes).await.is_some() {}
    })
}

struct Eyes {
    socket: WebSocket,
    screens: watch::Receiver<Screen>,
    /// When the picture that was shown last was taken.
    last: Mono,
    /// What was said last.
    sent: Option<String>,
}

impl Eyes {
    /// Waits for the page to ask, and answers; `None` when it is over.
    async fn turn(&mut self, routes: &CounterRoutes) -> Option<()> {
        loop {
            match tokio::time::timeout(SILENCE, self.socket.recv()).await.ok()??.ok()? {
                Message::Text(_) => break,
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => return None,
            }
        }
        loop {
            let screen = self.screens.borrow_and_update().clone();
            let said = said(&screen);
            let is_new = self.sent.as_ref() != Some(&said);
            let frame = match screen.page {
                Page::Face | Page::Challenge => frame(routes.counter.clone(), self.last).await,
                Page::Start
                | Page::Notice
                | Page::Claim
                | Page::Who
                | Page::Purchase
                | Page::Again
                | Page::Staff
                | Page::Result => None,
            };
            if is_new || frame.is_some() {
                let text = format!("{}{said}", if frame.is_some() { '+' } else { '-' });
                self.socket.send(Message::Text(text.into())).await.ok()?;
                self.sent = Some(said);
            }
            if let Some(frame) = frame {
                self.last = frame.taken.mono;
                let jpeg = blocking(move || preview(&frame.picture)).await.flatten()?;
                return self.socket.send(Message::Binary(Bytes::from(jpeg))).await.ok();
            }
            if is_new {
                return Some(());
            }
            // Nothing new: wait for it, or for the page to go.
            tokio::select! {
                changed = self.screens.changed() => changed.ok()?,
                asked = self.socket.recv() => match asked?.ok()? {
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
                    Message::Binary(_) | Message::Close(_) => return None,
                },
            }
        }
    }
}

/// A picture taken after that of `last`, where there is one soon.
async fn frame(counter: Arc<dyn Counter>, last: Mono) -> Option<Frame> {
    let after = if last == Mono::default() { last } else { last + SPACING };
    blocking(move || counter.picture(after, PATIENCE)).await.flatten()
}

/// What the page is told: which screen, and what changes within one.
fn said(screen: &Screen) -> String {
    let (chinese, english) = words::live(screen);
    json!({
        "screen": screen.number,
        "page": words::page_name(screen.page),
        "seconds": screen.left_ms.map(|ms| ms.div_ceil(1000)),
        "chinese": chinese,
        "english": english,
        "voice": words::spoken(screen),
        "good": screen.hint.is_some_and(|hint| hint == crate::domain::kiosk::attempt::Hint::Good),
        "done": screen.done,
        "of": screen.of,
        "place": screen.place,
    })
    .to_string()
}

/// A small JPEG of the picture.
pub fn preview(picture: &Picture) -> Option<Vec<u8>> {
    encode_jpeg(&shrink(picture, SIDE), QUALITY).ok()
}
