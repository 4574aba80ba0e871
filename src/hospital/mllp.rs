//! MLLP: HL7 v2 messages one after another over TCP, each answered only when whoever takes it says that it is safe.
//!
//! ```text
//! <0x0B> message <0x1C><0x0D>      ──►
//!                                  ◄──   <0x0B> MSH … MSA|AA|… <0x1C><0x0D>
//! ```
//! Without an answer the sender repeats the message: a crash between arrival and disk loses nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::base::clock::Wall;
use crate::base::supervise::{self, Stopping};
use crate::hospital::adt::{Header, MOST_BYTES, Refused};
use crate::net::server::{accept, may_speak, shake_hands};

const START: u8 = 0x0B;
const END: [u8; 2] = [0x1C, 0x0D];
/// Interface engines of one hospital.
const MOST_CONNECTIONS: usize = 16;
/// A connection without a message for so long is closed; engines open another.
const IDLE: Duration = Duration::from_secs(600);
/// A message that has begun must be whole after this.
const SLOW: Duration = Duration::from_secs(30);
const CHUNK: usize = 16 * 1024;

/// Takes one message; `None` when it could not be made safe now: the connection ends and the sender repeats it.
pub trait Taker: Clone + Send + Sync + 'static {
    fn take(&self, message: Vec<u8>) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

/// Serves until shutdown. Only addresses in `allowed` are listened to; loopback always is. With `tls`, only clients that
/// pass its handshake are.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    allowed: Vec<IpAddr>,
    taker: impl Taker,
    mut stopping: Stopping,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Some((stream, peer, place)) = accept(&listener, &places, &mut stopping).await {
        let from = peer.ip().to_canonical();
        if !may_speak(from, &allowed) {
            warn!(%from, "An HL7 connection was refused; add the address to hl7.allow if it is the hospital's.");
            continue;
        }
        let (tls, taker, mut stopping) = (tls.clone(), taker.clone(), stopping.clone());
        supervise::task("hl7", async move {
            let _place = place;
            let talk = async {
                let Some(tls) = tls else { return converse(stream, taker).await };
                if let Some(stream) = shake_hands(tls, stream).await {
                    converse(stream, taker).await;
                }
            };
            tokio::select! {
                () = talk => {}
                () = stopping.begun() => {}
            }
        });
    }
}

/// Takes message after message from one sender.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, taker: impl Taker) {
    let mut frames = Frames::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let message = match frames.take() {
            Ok(Some(message)) => message,
            Ok(None) => {
                let wait = if frames.has_begun() { SLOW } else { IDLE };
                match tokio::time::timeout(wait, stream.read(&mut chunk)).await {
                    Ok(Ok(n)) if n > 0 => frames.push(&chunk[..n]),
                    Ok(_) => return,
                    Err(_) => {
                        debug!(begun = frames.has_begun(), "An HL7 connection said nothing for too long.");
                        return;
                    }
                }
                continue;
            }
            Err(TooLong) => {
                warn!("An HL7 message is longer than {MOST_BYTES} bytes; the connection is closed.");
                return;
            }
        };
        let Some(answer) = taker.take(message).await else { return };
        let framed = [&[START], answer.as_slice(), &END].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

/// A message beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts a stream of bytes into messages. Bytes between two of them are dropped.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Up to here no end was found.
    searched: usize,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.first() != Some(&START) {
            let begin = self.bytes.iter().position(|byte| *byte == START).unwrap_or(self.bytes.len());
            self.bytes.drain(..begin);
        }
    }

    /// Whether part of a message has come.
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The next whole message.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let from = self.searched.max(1).min(self.bytes.len());
        let end = self.bytes[from..].windows(2).position(|pair| pair == END).map(|at| from + at);
        let Some(end) = end else {
            self.searched = self.bytes.len().saturating_sub(1);
            return if self.bytes.len() > MOST_BYTES { Err(TooLong) } else { Ok(None) };
        };
        if end > MOST_BYTES {
            return Err(TooLong);
        }
        let message = self.bytes[1..end].to_vec();
        let rest = self.bytes.split_off(end + END.len());
        self.bytes.clear();
        self.searched = 0;
        self.push(&rest);
        Ok(Some(message))
    }
}

/// The answer to a message: AA taken, AE a field is at fault, AR not for us. HL7 2.5, chapter 2.9.
pub fn acknowledge(header: &Header, outcome: Result<(), &Refused>, now: Wall) -> Vec<u8> {
    let time = Timestamp::from_millisecond(now.0).unwrap_or_default().strftime("%Y%m%d%H%M%S+0000");
    let code = match outcome {
        Ok(()) => "AA",
        Err(refused) if (200..=203).contains(&refused.code) => "AR",
        Err(_) => "AE",
    };
    let escaped = |text: &str| {
        let mut out = String::new();
        for letter in text.chars().take(200) {
            match letter {
                '|' => out.push_str("\\F\\"),
                '^' => out.push_str("\\S\\"),
                '~' => out.push_str("\\R\\"),
                '&' => out.push_str("\\T\\"),
                '\\' => out.push_str("\\E\\"),
                letter if letter.is_control() => out.push(' '),
                letter => out.push(letter),
            }
        }
        out
    };
    let or = |text: &str, other: &str| escaped(if text.is_empty() { other } else { text });
    let mut answer = format!(
        "MSH|^~\\&|bedcheck||{}|{}|{time}||ACK|{}|{}|{}|||||UNICODE UTF-8\rMSA|{code}|{}\r",
        escaped(&header.application),
        escaped(&header.facility),
        now.0,
        or(&header.processing, "P"),
        or(&header.version, "2.5"),
        escaped(&header.control_id),
    );
    if let Err(refused) = outcome {
        answer.push_str(&format!("ERR|||{}|E||||{}\r", refused.code, escaped(&refused.text)));
    }
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        [&[START], text.as_bytes(), &END].concat()
    }

    #[test]
    fn messages_are_found_wherever_the_bytes_are_cut() {
        let stream =
            [frame("one"), b"\r\nnoise".to_vec(), frame("two\rlines"), frame(""), frame("last")].concat();
        for step in 1..stream.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for part in stream.chunks(step) {
                frames.push(part);
                while let Some(message) = frames.take().unwrap() {
                    found.push(String::from_utf8(message).unwrap());
                }
            }
            assert_eq!(found, ["one", "two\rlines", "", "last"], "{step} bytes at a time");
            assert!(!frames.has_begun());
        }
    }

    #[test]
    fn a_message_without_an_end_is_bounded() {
        let mut frames = Frames::default();
        frames.push(&frame("x")[..2]);
        assert_eq!(frames.take(), Ok(None));
        frames.push(&vec![b'x'; MOST_BYTES]);
        assert_eq!(frames.take(), Err(TooLong));
    }

    #[test]
    fn an_answer_repeats_the_number_and_cannot_be_torn_open() {
        let header = Header { control_id: "7|8".into(), application: "HIS".into(), ..Header::default() };
        let text = |outcome| String::from_utf8(acknowledge(&header, outcome, Wall(0))).unwrap();
        assert!(text(Ok(())).contains("\rMSA|AA|7\\F\\8\r"), "{}", text(Ok(())));
        assert!(text(Ok(())).starts_with("MSH|^~\\&|bedcheck||HIS||19700101000000+0000||ACK|0|P|2.5|"));
        let refused = Refused { code: 101, text: "PV1-19 is missing".into() };
        assert!(
            text(Err(&refused)).contains("MSA|AE|") && text(Err(&refused)).contains("ERR|||101|E||||PV1-19")
        );
        let foreign = Refused { code: 200, text: String::new() };
        assert!(text(Err(&foreign)).contains("MSA|AR|"));
    }
}
