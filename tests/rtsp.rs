//! IP cameras, over real sockets: our own misbehaving one always, GStreamer's server where it is installed.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bedcheck::base::clock::Clock;
use bedcheck::base::frame::{Origin, Picture};
use bedcheck::base::login::Login;
use bedcheck::base::slot::Slot;
use bedcheck::base::supervise::{self, Stop};
use bedcheck::capture::address::Address;
use bedcheck::capture::broadcast::{Clip, Fault, Program, serve};
use bedcheck::capture::decoder;
use bedcheck::capture::rtsp::Rtsp;
use bedcheck::capture::{Attention, Camera, CameraError};

/// A bright square that moves by 16 pixels a frame over a grey ward.
fn pictures(count: u32) -> Vec<Picture> {
    let picture = |number: u32| {
        let mut rgb = vec![90; 320 * 240 * 3];
        for y in 100..140_u32 {
            for x in 0..40_u32 {
                let at = ((y * 320 + x + number * 16) * 3) as usize;
                rgb[at..at + 3].fill(220);
            }
        }
        Picture::new(320, 240, rgb).unwrap()
    };
    (0..count).map(picture).collect()
}

/// Where the bright square is.
fn square_at(picture: &Picture) -> u32 {
    let row = &picture.rgb()[120 * 320 * 3..121 * 320 * 3];
    row.chunks(3).position(|pixel| pixel[1] > 170).unwrap() as u32
}

struct Server {
    address: SocketAddr,
    _stop: Stop,
    _runtime: tokio::runtime::Runtime,
}

const PASSWORD: &str = "correct horse";

fn server(fault: Option<Fault>, with_login: bool) -> Server {
    let clip = Arc::new(Clip::encode(&pictures(16), 20.0, 4).unwrap());
    let login = with_login.then(|| Login::new("viewer", PASSWORD));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = supervise::shutdown();
    let inside = runtime.enter();
    supervise::task("server", serve(listener, Program { clip, login, fault }, stopping));
    drop(inside);
    Server { address, _stop: stop, _runtime: runtime }
}

fn camera(url: &str, password: Option<&str>) -> Rtsp {
    let address = Address::new(url, &["rtsp"], password.map(|_| "viewer"), password).unwrap();
    Rtsp::new(address, Origin::Live, decoder::Program::at(Path::new(env!("CARGO_BIN_EXE_bedcheck")))).unwrap()
}

fn watched() -> Attention {
    Attention::full(&Clock::system())
}

fn failure(fault: Fault) -> CameraError {
    let server = server(Some(fault), true);
    let mut camera = camera(&format!("rtsp://{}/ward", server.address), Some(PASSWORD));
    // Some faults come after a few good pictures.
    (0..200).find_map(|_| camera.next_picture(&watched()).err()).unwrap()
}

#[test]
fn a_watched_camera_brings_every_frame_and_one_on_patrol_only_keyframes() {
    let server = server(None, true);
    let mut camera = camera(&format!("rtsp://{}/ward", server.address), Some(PASSWORD));
    let attention = watched();
    let mut places: Vec<u32> = (0..8).map(|_| square_at(&camera.next_picture(&attention).unwrap())).collect();
    places.dedup();
    assert!(places.iter().any(|x| x % 64 > 2 && x % 64 < 62), "only keyframes came: {places:?}");
    assert!(camera.identity().unwrap().contains("320x240"));
    // Keyframes are every fourth frame: the square is at a multiple of 64 pixels.
    let patrol = Attention::of(&Slot::default(), &Clock::system());
    for _ in 0..3 {
        let x = square_at(&camera.next_picture(&patrol).unwrap());
        assert!(x % 64 <= 2 || x % 64 >= 62, "{x} is no keyframe");
    }
}

#[test]
fn a_wrong_password_is_said_plainly_and_never_repeated() {
    let server = server(None, true);
    let error = camera(&format!("rtsp://{}/ward", server.address), Some("guessed")).next_picture(&watched());
    let error = error.unwrap_err();
    assert!(matches!(error, CameraError::Refused { .. }), "{error}");
    assert!(error.words().chinese.contains("密码"));
    assert!(!format!("{error} {error:?}").contains("guessed"));
    let none = camera(&format!("rtsp://{}/ward", server.address), None).next_picture(&watched());
    assert!(matches!(none, Err(CameraError::Refused { .. })));
}

#[test]
fn a_camera_that_is_not_there_is_unreachable() {
    let error = camera("rtsp://127.0.0.1:9/ward", None).next_picture(&watched()).unwrap_err();
    assert!(matches!(error, CameraError::Unreachable { .. }), "{error}");
}

#[test]
fn a_nonce_that_is_never_accepted_ends_the_try() {
    let error = failure(Fault::BadNonce);
    assert!(matches!(error, CameraError::Refused { .. }), "{error}");
}

#[test]
fn a_camera_that_falls_silent_is_noticed_and_comes_back() {
    let server = server(Some(Fault::Stall { after: 6 }), false);
    let mut camera = camera(&format!("rtsp://{}/ward", server.address), None);
    let error = (0..20).find_map(|_| camera.next_picture(&watched()).err()).unwrap();
    assert!(matches!(error, CameraError::Stalled { .. }), "{error}");
    assert!(camera.next_picture(&watched()).is_ok(), "the next connection brings pictures again");
}

#[test]
fn a_camera_that_hangs_up_comes_back() {
    let server = server(Some(Fault::Hangup { after: 6 }), false);
    let mut camera = camera(&format!("rtsp://{}/ward", server.address), None);
    assert!((0..20).any(|_| camera.next_picture(&watched()).is_err()));
    assert!(camera.next_picture(&watched()).is_ok());
}

#[test]
fn answers_to_other_questions_and_other_protocols_are_refused() {
    for fault in [Fault::WrongCseq, Fault::Nonsense] {
        let error = failure(fault);
        assert!(
            matches!(
                error,
                CameraError::Protocol { .. } | CameraError::Unreachable { .. } | CameraError::Stalled { .. }
            ),
            "{fault:?}: {error}"
        );
    }
}

#[test]
fn silence_and_endless_headers_have_an_end() {
    for fault in [Fault::Mute, Fault::Endless] {
        let error = failure(fault);
        assert!(
            matches!(
                error,
                CameraError::Protocol { .. } | CameraError::Unreachable { .. } | CameraError::Stalled { .. }
            ),
            "{fault:?}: {error}"
        );
    }
}

#[test]
fn video_that_is_no_h264_is_named() {
    let error = failure(Fault::OtherCodec);
    assert!(matches!(&error, CameraError::NoH264 { offered, .. } if offered == "h265"), "{error}");
}

#[test]
fn a_stream_without_keyframes_is_named_and_no_smear_is_shown() {
    let error = failure(Fault::NoKeyframe);
    assert!(matches!(error, CameraError::NoKeyframe { .. }), "{error}");
}

#[test]
fn damaged_pictures_crash_nothing() {
    let server = server(Some(Fault::Damaged), false);
    let mut camera = camera(&format!("rtsp://{}/ward", server.address), None);
    for _ in 0..10 {
        // Whether a damaged slice decodes is the decoder's business; that it returns is ours.
        let _ = camera.next_picture(&watched());
    }
}

/// Debian's GStreamer behind a script; `None`, said by name, where it is not installed.
struct Gstreamer {
    child: Child,
    port: u16,
}

impl Gstreamer {
    fn start(test: &str, arguments: &[&str]) -> Option<Gstreamer> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtsp/gstreamer-camera");
        // Debian's Python has the bindings; another one in front of it has not.
        let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
            let mut probe = Command::new(python);
            probe.arg(&script).arg("--probe").stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        });
        let Some(python) = python else {
            eprintln!(
                "SKIPPED {test}: GStreamer's RTSP server is not installed; tests/rtsp/install brings it"
            );
            return None;
        };
        let mut child =
            Command::new(python).arg(&script).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Gstreamer { child, port: line.trim().parse().unwrap() })
    }

    fn camera(&self, password: Option<&str>) -> Rtsp {
        camera(&format!("rtsp://127.0.0.1:{}/ward", self.port), password)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        // The shell has its own kill; a minimal system has no other.
        Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    }
}

impl Drop for Gstreamer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn gstreamer_with_b_frames_is_decoded_in_both_ways_and_stays_one_camera() {
    let Some(server) = Gstreamer::start("gstreamer_with_b_frames", &["--b-frames", "2"]) else { return };
    let mut camera = server.camera(None);
    let attention = watched();
    for _ in 0..30 {
        let picture = camera.next_picture(&attention).unwrap();
        assert_eq!((picture.width(), picture.height()), (640, 480));
    }
    let identity = camera.identity().unwrap();
    let patrol = Attention::of(&Slot::default(), &Clock::system());
    for _ in 0..4 {
        camera.next_picture(&patrol).unwrap();
    }
    assert_eq!(camera.identity().unwrap(), identity);
}

#[test]
fn gstreamer_asks_for_a_digest_login() {
    let Some(server) = Gstreamer::start("gstreamer_asks_for_a_digest_login", &["--login", "viewer:secret"])
    else {
        return;
    };
    assert!(server.camera(Some("secret")).next_picture(&watched()).is_ok());
    for wrong in [Some("guessed"), None] {
        let error = server.camera(wrong).next_picture(&watched()).unwrap_err();
        assert!(matches!(error, CameraError::Refused { .. }), "{error}");
    }
}

#[test]
fn gstreamer_killed_and_started_again_is_one_interruption() {
    let test = "gstreamer_killed_and_started_again";
    let Some(server) = Gstreamer::start(test, &[]) else { return };
    let port = server.port.to_string();
    let mut camera = server.camera(None);
    assert!(camera.next_picture(&watched()).is_ok());
    drop(server);
    let error = (0..200).find_map(|_| camera.next_picture(&watched()).err()).unwrap();
    assert!(matches!(error, CameraError::Unreachable { .. } | CameraError::Protocol { .. }), "{error}");
    assert!(matches!(camera.next_picture(&watched()), Err(CameraError::Unreachable { .. })));
    let Some(_again) = Gstreamer::start(test, &["--port", &port]) else { return };
    assert!(camera.next_picture(&watched()).is_ok());
}

#[test]
fn gstreamer_stopped_in_its_tracks_is_a_stall_and_goes_on_afterwards() {
    let Some(server) = Gstreamer::start("gstreamer_stopped_in_its_tracks", &[]) else { return };
    let mut camera = server.camera(None);
    assert!(camera.next_picture(&watched()).is_ok());
    server.signal("STOP");
    let error = (0..200).find_map(|_| camera.next_picture(&watched()).err()).unwrap();
    assert!(matches!(error, CameraError::Stalled { .. }), "{error}");
    server.signal("CONT");
    assert!((0..5).any(|_| camera.next_picture(&watched()).is_ok()));
}
