//! An IP camera that plays a recording: RTSP 1.0 with H.264 over the same TCP connection, digest authentication.
//!
//! The demo shows a ward camera with it on a machine that has none, and the tests let it misbehave in the ways that real
//! cameras do ([`Fault`]). It is no product: one clip, no UDP, no TLS.

mod clip;
pub mod message;
mod rtp;
mod session;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::base::login::Login;
use crate::base::supervise::{self, Stopping};

pub use clip::{Clip, ClipError};

/// How a camera misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered by a new nonce.
    BadNonce,
    /// Falls silent after so many frames, with the connection open.
    Stall { after: u32 },
    /// Closes the connection after so many frames.
    Hangup { after: u32 },
    /// Answers with the number of another request.
    WrongCseq,
    /// Sends what lies between keyframes only.
    NoKeyframe,
    /// The same picture for ever.
    Frozen,
    /// Flips bits in every fragment after the first.
    Damaged,
    /// Says that its video is H.265.
    OtherCodec,
    /// Answers nothing at all.
    Mute,
    /// Answers with something that is no RTSP.
    Nonsense,
    /// A header without an end.
    Endless,
}

/// What the camera shows, to whom, and how it misbehaves.
#[derive(Clone, Debug)]
pub struct Program {
    pub clip: Arc<Clip>,
    pub login: Option<Login>,
    pub fault: Option<Fault>,
}

/// Viewers at the same time.
const MOST_VIEWERS: usize = 16;

/// Serves viewers until shutdown.
pub async fn serve(listener: TcpListener, program: Program, mut stopping: Stopping) {
    let seats = Arc::new(Semaphore::new(MOST_VIEWERS));
    loop {
        let accepted = tokio::select! {
            () = stopping.begun() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, viewer)) = accepted else { continue };
        // A viewer too many is closed at once.
        let Ok(seat) = seats.clone().try_acquire_owned() else { continue };
        let (program, mut stopping) = (program.clone(), stopping.clone());
        supervise::task("broadcast", async move {
            let _seat = seat;
            tokio::select! {
                () = stopping.begun() => {}
                ended = session::play(stream, &program) => {
                    if let Err(error) = ended {
                        debug!(%viewer, %error, "A viewer left.");
                    }
                }
            }
        });
    }
}
