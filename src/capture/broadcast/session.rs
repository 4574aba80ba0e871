//! One viewer: requests are answered, and after PLAY the clip runs on the same connection.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::base::backoff::draw;
use crate::capture::broadcast::message::{self, Request};
use crate::capture::broadcast::rtp::Packets;
use crate::capture::broadcast::{Fault, Program};

/// A viewer that does not take what is sent is let go.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// RTP's clock of video.
const TICKS_PER_SECOND: f32 = 90_000.0;
const SESSION: &str = "12345678";

/// Serves one viewer to the end.
///
/// # Errors
/// When the viewer leaves.
pub async fn play(stream: TcpStream, program: &Program) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut buffer = Vec::new();
    let mut nonce = nonce();
    loop {
        let request = message::read(&mut read, &mut buffer).await?;
        if program.fault == Some(Fault::BadNonce) {
            nonce = self::nonce();
        }
        answer(&mut write, program, &request, &nonce).await?;
        if request.method == "PLAY" && allowed(program, &request, &nonce) {
            break;
        }
    }
    let mut ticks = interval(program.clip.spacing);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut show = Show::new(program);
    loop {
        tokio::select! {
            request = message::read(&mut read, &mut buffer) => {
                let request = request?;
                answer(&mut write, program, &request, &nonce).await?;
                if request.method == "TEARDOWN" {
                    return Ok(());
                }
            }
            _ = ticks.tick() => match show.next() {
                Some(bytes) => send(&mut write, &bytes).await?,
                None => return Ok(()),
            },
        }
    }
}

/// Which frame is next, and what a fault makes of it.
struct Show<'a> {
    program: &'a Program,
    packets: Packets,
    number: u32,
}

impl<'a> Show<'a> {
    fn new(program: &'a Program) -> Show<'a> {
        let damage = program.fault == Some(Fault::Damaged);
        let packets = Packets { sequence: draw() as u16, time: draw(), ssrc: draw(), damage };
        Show { program, packets, number: 0 }
    }

    /// The bytes of the next frame, possibly none; `None` is the end.
    fn next(&mut self) -> Option<Vec<u8>> {
        let Program { clip, fault, .. } = self.program;
        let number = self.number;
        self.number = number.wrapping_add(1);
        let mut bytes = Vec::new();
        let unit = match fault {
            Some(Fault::Hangup { after }) if number >= *after => return None,
            Some(Fault::Stall { after }) if number >= *after => return Some(bytes),
            // The first one is a keyframe, which needs no other.
            Some(Fault::Frozen) => &clip.units[0],
            _other => &clip.units[number as usize % clip.units.len()],
        };
        self.packets.time =
            self.packets.time.wrapping_add((clip.spacing.as_secs_f32() * TICKS_PER_SECOND) as u32);
        if *fault != Some(Fault::NoKeyframe) || !unit.is_key {
            self.packets.frame(unit, [&clip.sps, &clip.pps], &mut bytes);
        }
        Some(bytes)
    }
}

fn nonce() -> String {
    format!("{:08x}{:08x}", draw(), draw())
}

fn allowed(program: &Program, request: &Request, nonce: &str) -> bool {
    program.login.as_ref().is_none_or(|login| message::is_allowed(request, login, nonce))
}

async fn answer(
    write: &mut (impl AsyncWrite + Unpin),
    program: &Program,
    request: &Request,
    nonce: &str,
) -> io::Result<()> {
    let cseq = request.cseq() + if program.fault == Some(Fault::WrongCseq) { 7 } else { 0 };
    let mut text = match program.fault {
        Some(Fault::Mute) => return Ok(()),
        Some(Fault::Nonsense) => "HTTP/1.1 418 I am a teapot\r\n\r\n".to_owned(),
        Some(Fault::Endless) => format!("RTSP/1.0 200 OK\r\nX: {}", "x".repeat(1 << 20)),
        _other if !allowed(program, request, nonce) => {
            format!(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\nWWW-Authenticate: {}\r\n\r\n",
                message::challenge(nonce)
            )
        }
        _other => format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n"),
    };
    if text.starts_with("RTSP/1.0 200") && !text.contains("X: ") {
        text += &details(program, request);
    }
    send(write, text.as_bytes()).await
}

fn details(program: &Program, request: &Request) -> String {
    match request.method.as_str() {
        "DESCRIBE" => {
            let encoding = if program.fault == Some(Fault::OtherCodec) { "H265" } else { "H264" };
            let body = message::description(&program.clip, encoding);
            format!(
                "Content-Base: {}/\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
                request.uri.trim_end_matches('/'),
                body.len()
            )
        }
        "SETUP" => {
            format!("Session: {SESSION};timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
        }
        "OPTIONS" => "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN\r\n\r\n"
            .to_owned(),
        _other => format!("Session: {SESSION}\r\n\r\n"),
    }
}

async fn send(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_WITHIN, write.write_all(bytes)).await?
}
