//! What cameras and their viewers send: pictures, compressed video, requests, challenges; and addresses.

use std::sync::OnceLock;

use bedcheck::base::jpeg::{jpeg_end, split_jpegs};
use bedcheck::base::login::Login;
use bedcheck::base::picture::{self as pictures, MOST_SIDE, encode_jpeg};
use bedcheck::capture::address::Address;
use bedcheck::capture::broadcast::message;
use bedcheck::capture::h264::{H264, MOST_PIXELS};
use bedcheck::capture::usb::pixels::{self, Layout, Raw};
use http_auth::{PasswordClient, PasswordParams};
use tokio::runtime::{Builder, Runtime};

const PASSWORD: &str = "kept-Secret-9";

pub fn jpeg_frame(data: &[u8]) {
    let _ = jpeg_end(data, 0);
    let cuts = split_jpegs(data, 50);
    assert!(cuts.len() <= 50 && cuts.is_sorted_by(|one, next| one.1 <= next.0), "pictures overlap");
    for (from, to) in cuts {
        let part = &data[from..to];
        assert!(part.starts_with(&[0xFF, 0xD8, 0xFF]) && part.ends_with(&[0xFF, 0xD9]));
        assert_eq!(jpeg_end(part, 0), Some(part.len()), "cut out, it ends elsewhere");
    }
}

pub fn picture(data: &[u8]) {
    let Ok(picture) = pictures::decode(data) else { return };
    let (width, height) = (picture.width(), picture.height());
    assert!(width <= MOST_SIDE && height <= MOST_SIDE);
    assert!(u64::from(width) * u64::from(height) <= pictures::MOST_PIXELS);
    assert_eq!(picture.rgb().len(), width as usize * height as usize * 3);
    if picture.rgb().len() <= 64 * 64 * 3 {
        let bytes = encode_jpeg(&picture, 80).expect("a small picture");
        let again = pictures::decode(&bytes).expect("our own JPEG");
        assert_eq!((again.width(), again.height()), (width, height));
    }
}

/// Access units with `FF FF FF FF` between them: first as a watch takes them, then each as a keyframe.
pub fn h264(data: &[u8]) {
    let mut units = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(4).position(|four| four == [0xFF; 4]) {
        units.push(&rest[..at]);
        rest = &rest[at + 4..];
    }
    units.push(rest);
    units.truncate(6);
    for is_watching in [true, false] {
        let mut decoder = H264::new().expect("memory for a decoder");
        for unit in &units {
            let seen = if is_watching {
                decoder.frame(unit, true).ok().flatten()
            } else {
                decoder.keyframe(unit).ok()
            };
            if let Some(picture) = seen {
                assert!(u64::from(picture.width()) * u64::from(picture.height()) <= MOST_PIXELS);
            }
        }
    }
}

pub fn rtsp_request(data: &[u8]) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().build().expect("a runtime"));
    let login = Login::new("viewer", PASSWORD);
    let (mut from, mut buffer) = (data, Vec::new());
    while let Ok(request) = runtime.block_on(message::read(&mut from, &mut buffer)) {
        assert!(buffer.capacity() <= 64 * 1024, "a viewer filled the memory");
        let _ = request.cseq();
        // libFuzzer reads the right answer off the comparison; it must be right for one nonce only.
        let allowed =
            ["0123456789abcdef", "another"].map(|nonce| message::is_allowed(&request, &login, nonce));
        assert_ne!(allowed, [true, true], "an answer counts twice");
    }
}

/// Lines: address, user. The password is ours and must show nowhere.
pub fn camera_address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (text, user) = text.split_once('\n').map_or((&*text, None), |(text, user)| (text, Some(user)));
    for password in [None, Some(PASSWORD)] {
        let shown = match Address::new(text, &["rtsp", "http", "https"], user, password) {
            Err(error) => format!("{error} {error:?}"),
            Ok(address) => {
                let place = address.place();
                let again = Address::new(&place, &["rtsp", "http", "https"], None, None);
                assert_eq!(
                    again.map(|again| again.place()).ok().as_ref(),
                    Some(&place),
                    "printed, it is another"
                );
                assert_eq!(address.login().is_some(), password.is_some());
                format!("{address} {address:?} {}", address.host())
            }
        };
        assert!(!shown.contains(PASSWORD), "a password was printed");
    }
}

/// What a camera asks for before it gives a picture, as `capture::snapshot` and retina hand it to the same crate.
pub fn camera_challenge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(mut client) = PasswordClient::builder().challenges(text).build() else { return };
    for _ in 0..2 {
        let params = PasswordParams {
            username: "viewer",
            password: PASSWORD,
            uri: "/snapshot.jpg",
            method: "GET",
            body: Some(&[]),
        };
        let _ = client.respond(&params);
    }
}

/// Layout, width, height (four bytes each, the lowest first), then the frame.
pub fn usb_frame(data: &[u8]) {
    let Some((head, bytes)) = data.split_at_checked(9) else { return };
    let side = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let layout = Layout::ALL[usize::from(head[0]) % Layout::ALL.len()];
    let raw = Raw { layout, width: side(1), height: side(5), bytes: bytes.to_vec() };
    if let Ok(picture) = pixels::picture(&raw)
        && layout != Layout::Mjpeg
    {
        assert_eq!((picture.width(), picture.height()), (raw.width, raw.height));
    }
}
