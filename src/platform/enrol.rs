//! The door for new devices, on a port of its own: `POST /v1/enrol` with a token's proof, and `GET /crl`.
//!
//! No client certificate is asked for here, so nothing else is served here: bodies are small, connections are few, and
//! an address that keeps failing waits. Whoever does not prove to hold a token hears one sentence, whatever the reason.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use tracing::{error, info, warn};

use crate::base::clock::{Clock, Mono};
use crate::net::server::PeerAddress;
use crate::platform::answer::{self, Unread};
use crate::platform::db::Database;
use crate::platform::keys::{KeyError, Keys};
use crate::platform::tokens::{self, NotRedeemed};
use crate::wire::enrol::DeviceBundle;
use crate::wire::token::Enrolment;

/// Connections of this port at once: devices come here once in their life.
pub const MOST_CONNECTIONS: usize = 32;
const MOST_AT_ONCE: usize = 4;
/// A proof holds a request, which holds one certificate request and one key.
const MOST_BYTES: usize = 32 * 1024;
/// Failures of one address within [`WINDOW`]; chosen by feel: a person with a wrong token does not need more.
const MOST_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered. The limit spares the processor; what keeps strangers out is the proof.
const MOST_ADDRESSES: usize = 4096;
const NOT_ACCEPTED: &str = "令牌不被接受 · the token is not accepted";

/// What the door works with.
pub struct Door {
    db: Database,
    keys: Arc<Keys>,
    clock: Clock,
    /// The newest list of ended certificates, DER.
    crl: watch::Receiver<Arc<Vec<u8>>>,
    refused: Arc<AtomicU64>,
    failures: Mutex<BTreeMap<IpAddr, Failures>>,
    places: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    since: Mono,
}

/// Why nobody was admitted; the peer gets a short sentence, the log all of it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("too many failures of this address")]
    Slower,
    #[error("the enrolment is too large")]
    TooLarge,
    #[error("the enrolment came too slowly or broke off")]
    Broken,
    #[error("the enrolment is not understood: {0}")]
    Format(serde_json::Error),
    #[error(transparent)]
    Token(#[from] NotRedeemed),
    #[error("the platform is busy")]
    Busy,
}

impl Refusal {
    fn answer(&self) -> Response {
        let said = self.to_string();
        match self {
            Refusal::Slower => {
                answer::refusal(StatusCode::TOO_MANY_REQUESTS, said, Some(WINDOW.as_secs() as u32))
            }
            Refusal::TooLarge => answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, said, None),
            Refusal::Broken | Refusal::Format(_) => answer::refusal(StatusCode::BAD_REQUEST, said, None),
            Refusal::Busy => answer::refusal(StatusCode::SERVICE_UNAVAILABLE, said, Some(2)),
            Refusal::Token(why) => match why {
                // Nothing is told apart for those who have not proven to hold the token.
                NotRedeemed::Unknown | NotRedeemed::Proof => {
                    answer::refusal(StatusCode::FORBIDDEN, NOT_ACCEPTED.to_owned(), None)
                }
                NotRedeemed::Used
                | NotRedeemed::Expired
                | NotRedeemed::TooEarly
                | NotRedeemed::Foreign
                | NotRedeemed::OtherKey(_) => answer::refusal(StatusCode::FORBIDDEN, said, None),
                NotRedeemed::Version(_)
                | NotRedeemed::Request(_)
                | NotRedeemed::Keys(KeyError::Request(_)) => {
                    answer::refusal(StatusCode::BAD_REQUEST, said, None)
                }
                NotRedeemed::Keys(_) | NotRedeemed::Database(_) => {
                    let said = "the platform cannot admit anybody now".to_owned();
                    answer::refusal(StatusCode::SERVICE_UNAVAILABLE, said, Some(60))
                }
            },
        }
    }

    fn is_ours(&self) -> bool {
        match self {
            Refusal::Token(NotRedeemed::Keys(why)) => !matches!(why, KeyError::Request(_)),
            Refusal::Token(why) => matches!(why, NotRedeemed::Database(_)),
            Refusal::Busy => true,
            Refusal::Slower | Refusal::TooLarge | Refusal::Broken | Refusal::Format(_) => false,
        }
    }
}

impl Door {
    /// `refused` counts who was not admitted.
    pub fn new(
        db: Database,
        keys: Arc<Keys>,
        clock: Clock,
        crl: watch::Receiver<Arc<Vec<u8>>>,
        refused: Arc<AtomicU64>,
    ) -> Door {
        let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
        Door { db, keys, clock, crl, refused, failures: Mutex::default(), places }
    }

    /// The two routes of this port.
    pub fn router(self) -> Router {
        Router::new().route("/v1/enrol", post(take)).route("/crl", get(list)).with_state(Arc::new(self))
    }

    fn may_try(&self, from: IpAddr, now: Mono) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&from).is_none_or(|of| now - of.since >= WINDOW || of.count < MOST_FAILURES)
    }

    fn failed(&self, from: IpAddr, now: Mono) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST_ADDRESSES {
            failures.retain(|_, of| now - of.since < WINDOW);
        }
        if failures.len() >= MOST_ADDRESSES && !failures.contains_key(&from) {
            return;
        }
        let of = failures.entry(from).or_insert(Failures { count: 0, since: now });
        if now - of.since >= WINDOW {
            *of = Failures { count: 0, since: now };
        }
        of.count = of.count.saturating_add(1);
    }
}

async fn list(State(door): State<Arc<Door>>) -> Response {
    let crl = door.crl.borrow().as_ref().clone();
    let headers = [(header::CONTENT_TYPE, "application/pkix-crl"), (header::CACHE_CONTROL, "max-age=300")];
    (headers, crl).into_response()
}

async fn take(State(door): State<Arc<Door>>, request: Request) -> Response {
    let from = request.extensions().get::<PeerAddress>().map(|from| neighbourhood(from.0));
    let now = door.clock.now().mono;
    let outcome = if from.is_some_and(|from| !door.may_try(from, now)) {
        Err(Refusal::Slower)
    } else {
        receive(&door, request).await
    };
    match outcome {
        Ok(bundle) => {
            info!(device = %bundle.device, "A device was admitted by token.");
            axum::Json(bundle).into_response()
        }
        Err(refusal) if refusal.is_ours() => {
            error!(error = %refusal, "A device could not be admitted.");
            refusal.answer()
        }
        Err(refusal) => {
            let refused = door.refused.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(from) = from {
                door.failed(from, now);
            }
            warn!(error = %refusal, refused, "An enrolment was refused.");
            refusal.answer()
        }
    }
}

/// One household of IPv6 has 2^64 addresses: they count as one.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

async fn receive(door: &Arc<Door>, request: Request) -> Result<DeviceBundle, Refusal> {
    let place = door.places.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let bytes = answer::body(request.into_body(), MOST_BYTES).await.map_err(|unread| match unread {
        Unread::TooLarge => Refusal::TooLarge,
        Unread::Broken => Refusal::Broken,
    })?;
    let enrolment: Enrolment = serde_json::from_slice(&bytes).map_err(Refusal::Format)?;
    let door = door.clone();
    let work = move || {
        let _held = place;
        tokens::redeem(&door.db, &door.keys, &enrolment, door.clock.now().wall)
    };
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Busy)??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Wall;
    use crate::platform::keys;

    #[test]
    fn an_address_that_keeps_failing_waits_a_minute_and_nobody_else_does() {
        let folder = tempfile::tempdir().unwrap();
        keys::init(folder.path(), &["localhost".to_owned()], Wall(0)).unwrap();
        let keys = Arc::new(Keys::read(folder.path()).unwrap());
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let crl = watch::channel(Arc::default()).1;
        let door = Door::new(db, keys, Clock::system(), crl, Arc::default());
        let (bad, good) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MOST_FAILURES {
            assert!(door.may_try(bad, Mono(0)));
            door.failed(bad, Mono(0));
        }
        assert!(!door.may_try(bad, Mono(59_999)));
        assert!(door.may_try(good, Mono(0)));
        assert!(door.may_try(bad, Mono(60_000)));
        for at in 0..10_000_u32 {
            door.failed(IpAddr::from(at.to_be_bytes()), Mono(0));
        }
        assert_eq!(door.failures.lock().unwrap().len(), MOST_ADDRESSES);
        let (one, other): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        assert_eq!(neighbourhood(one), neighbourhood(other));
    }
}
