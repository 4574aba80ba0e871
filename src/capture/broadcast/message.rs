//! RTSP requests as they come, and who may see the pictures.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::{PasswordClient, PasswordParams};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::base::login::Login;
use crate::capture::broadcast::Clip;

/// Longest request.
const MOST_REQUEST: usize = 8 * 1024;

/// One request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub uri: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn cseq(&self) -> u32 {
        self.header("CSeq").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Reads one request; what receivers report about the stream in between is skipped.
///
/// # Errors
/// When the viewer hangs up or sends something else.
pub async fn read(from: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Request> {
    loop {
        if let Some(request) = take(buffer)? {
            return Ok(request);
        }
        if buffer.len() > MOST_REQUEST || from.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn take(buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    if buffer.first() == Some(&b'$') {
        let Some(length) = buffer.get(2..4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) else {
            return Ok(None);
        };
        if buffer.len() < 4 + length {
            return Ok(None);
        }
        buffer.drain(..4 + length);
        return take(buffer);
    }
    let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(uri)) = (first.next(), first.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let request = Request { method: method.to_owned(), uri: uri.to_owned(), headers };
    let body = request.header("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0_usize);
    if buffer.len() < end + 4 + body.min(MOST_REQUEST) {
        return Ok(None);
    }
    buffer.drain(..end + 4 + body.min(MOST_REQUEST));
    Ok(Some(request))
}

/// The question a viewer has to answer.
pub fn challenge(nonce: &str) -> String {
    format!("Digest realm=\"bedcheck\", nonce=\"{nonce}\"")
}

/// Whether the request carries the right answer. Without `qop` there is one right answer, so it can be compared.
pub fn is_allowed(request: &Request, login: &Login, nonce: &str) -> bool {
    let Some(given) = request.header("Authorization") else { return false };
    let Ok(mut client) = PasswordClient::try_from(challenge(nonce).as_str()) else { return false };
    let params = PasswordParams {
        username: login.user(),
        password: login.reveal_password(),
        uri: &request.uri,
        method: &request.method,
        body: Some(&[]),
    };
    let Ok(wanted) = client.respond(&params) else { return false };
    let part = |text: &str, name: &str| {
        let at = text.find(&format!("{name}=\""))? + name.len() + 2;
        text[at..].split('"').next().map(str::to_owned)
    };
    part(given, "nonce").as_deref() == Some(nonce)
        && part(given, "username").as_deref() == Some(login.user())
        && part(given, "response").is_some_and(|answer| Some(answer) == part(&wanted, "response"))
}

/// What there is to see.
pub fn description(clip: &Clip, encoding: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bedcheck\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {encoding}/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id={};sprop-parameter-sets={},{}\r\na=control:track1\r\n",
        clip.profile(),
        STANDARD.encode(&clip.sps),
        STANDARD.encode(&clip.pps),
    )
}
