//! Cameras that are asked for each picture over HTTP, against a server of ours that behaves as cameras do, well and badly.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use bedcheck::base::clock::Clock;
use bedcheck::base::files::sha256_hex;
use bedcheck::base::frame::Picture;
use bedcheck::base::picture::encode_jpeg;
use bedcheck::base::supervise::{Stop, shutdown};
use bedcheck::capture::address::Address;
use bedcheck::capture::snapshot::Snapshot;
use bedcheck::capture::{Attention, Camera, CameraError};

const USER: &str = "viewer";
const PASSWORD: &str = "窗口-7";
const NONCE: &str = "0a1b2c3d";

/// The server, until it is dropped, and how often it was asked for anything.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
    _stop: Stop,
}

fn picture() -> Vec<u8> {
    encode_jpeg(&Picture::new(64, 48, vec![120; 64 * 48 * 3]).unwrap(), 90).unwrap()
}

fn answer(status: StatusCode, kind: &str, body: Vec<u8>) -> Response<Body> {
    Response::builder().status(status).header("content-type", kind).body(Body::from(body)).unwrap()
}

fn challenge(text: &str) -> Response<Body> {
    Response::builder().status(401).header("www-authenticate", text).body(Body::empty()).unwrap()
}

async fn basic(State(asked): State<Arc<AtomicUsize>>, headers: HeaderMap) -> Response<Body> {
    use base64::Engine;
    asked.fetch_add(1, Ordering::SeqCst);
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let is_right = headers.get("authorization").is_some_and(|said| *said == format!("Basic {wanted}"));
    if is_right {
        answer(StatusCode::OK, "image/jpeg", picture())
    } else {
        challenge("Basic realm=\"camera\"")
    }
}

/// RFC 7616 with SHA-256, worked out here once more.
async fn digest(headers: HeaderMap) -> Response<Body> {
    let said = headers.get("authorization").map_or("", |said| said.to_str().unwrap());
    let fields: BTreeMap<&str, &str> = said
        .trim_start_matches("Digest ")
        .split(", ")
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let hash = |text: String| sha256_hex(text.as_bytes());
    let (user, action) =
        (hash(format!("{USER}:camera:{PASSWORD}")), hash("GET:/digest?channel=1".to_owned()));
    let expected = hash(format!("{user}:{NONCE}:{}:{}:auth:{action}", field("nc"), field("cnonce")));
    if field("response") == expected {
        answer(StatusCode::OK, "image/jpeg", picture())
    } else {
        challenge(&format!(
            "Digest realm=\"camera\", nonce=\"{NONCE}\", qop=\"auth\", algorithm=SHA-256, charset=UTF-8"
        ))
    }
}

fn serve() -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let (address, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::default());
    let mut huge = picture();
    // The frame header says 65,535 × 65,535 pixels.
    let at = huge.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    huge[at + 5..at + 9].fill(0xff);
    let fixed = [
        ("/plain", ("image/jpeg", picture())),
        ("/page", ("text/html", b"<h1>login</h1>".to_vec())),
        ("/half", ("image/jpeg", picture()[..400].to_vec())),
        ("/huge", ("image/jpeg", huge)),
        ("/long", ("image/jpeg", vec![0; 17 * 1024 * 1024])),
    ];
    let mut router = Router::new().route("/basic", get(basic)).route("/digest", get(digest));
    for (path, fixed) in fixed {
        router = router.route(path, get(async move || answer(StatusCode::OK, fixed.0, fixed.1)));
    }
    let elsewhere =
        || Response::builder().status(302).header("location", "/basic").body(Body::empty()).unwrap();
    let router = router.route("/moved", get(async move || elsewhere())).with_state(Arc::clone(&asked));
    let (stop, stopping) = shutdown();
    runtime.spawn(bedcheck::net::server::serve(listener, None, router, stopping));
    Server { address, asked, _runtime: runtime, _stop: stop }
}

fn camera(url: &str, password: &str) -> Snapshot {
    let address = Address::new(url, &["http", "https"], Some(USER), Some(password)).unwrap();
    Snapshot::new(address, Duration::from_millis(10), None).unwrap()
}

fn look(camera: &mut Snapshot) -> Result<(u32, u32), CameraError> {
    let picture = camera.next_picture(&Attention::full(&Clock::system()))?;
    Ok((picture.width(), picture.height()))
}

#[test]
fn a_picture_comes_from_an_open_camera_and_from_one_with_either_kind_of_login() {
    let server = serve();
    for path in ["/plain", "/basic", "/digest?channel=1"] {
        let mut camera = camera(&format!("{}{path}", server.address), PASSWORD);
        assert_eq!(look(&mut camera).unwrap(), (64, 48), "{path}");
        assert_eq!(look(&mut camera).unwrap(), (64, 48), "{path} again");
    }
    // The second picture cost one request: the login was remembered.
    assert_eq!(server.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn whatever_is_no_picture_is_named_for_what_it_is_without_the_password() {
    let server = serve();
    let at = |path: &str| format!("{}{path}?token=geheim", server.address);
    for (path, wanted) in [
        ("/page", "\"text/html\" instead of a picture"),
        ("/moved", "it answers 302"),
        ("/absent", "it answers 404"),
        ("/half", "cannot be decoded"),
        ("/huge", "cannot be decoded"),
        ("/long", "more than 16777216 bytes"),
    ] {
        let error = look(&mut camera(&at(path), PASSWORD)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{path}: {error}");
        assert!(!error.contains("geheim") && !error.contains(PASSWORD), "{path}: {error}");
    }
    // A camera that sends us elsewhere is not followed: the password would go there too.
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
    for path in ["/basic", "/digest?channel=1"] {
        let error = look(&mut camera(&format!("{}{path}", server.address), "falsch")).unwrap_err();
        assert!(matches!(error, CameraError::Refused { .. }), "{path}: {error}");
    }
}

#[test]
fn a_camera_that_is_switched_off_is_unreachable_and_works_once_it_is_back() {
    let server = serve();
    let url = format!("{}/plain", server.address);
    let mut camera = camera(&url, PASSWORD);
    look(&mut camera).unwrap();
    drop(server);
    let error = look(&mut camera).unwrap_err();
    assert!(matches!(error, CameraError::Unreachable { .. }), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener =
        runtime.block_on(tokio::net::TcpListener::bind(url[7..].trim_end_matches("/plain"))).unwrap();
    let (_stop, stopping) = shutdown();
    let router = Router::new().route("/plain", get(async || answer(StatusCode::OK, "image/jpeg", picture())));
    std::thread::spawn(move || {
        runtime.block_on(bedcheck::net::server::serve(listener, None, router, stopping))
    });
    assert_eq!(look(&mut camera).unwrap(), (64, 48));
}
