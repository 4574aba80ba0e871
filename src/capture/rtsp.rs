//! An IP camera over RTSP. The patrol decodes keyframes only; while somebody watches, every frame is decoded.
//!
//! retina speaks the protocol (RTP over the same TCP connection); a process of its own decodes ([`crate::capture::decoder`]). retina waits for ever and has no
//! notion of a camera that sends nothing, so every wait here has its own limit; each failure ends the connection, and
//! the loop of the camera's thread opens the next one.

use std::time::Duration;

use futures_util::StreamExt;
use retina::client::{
    Credentials, Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionOptions, SetupOptions,
    TcpTransportOptions, Transport,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tracing::debug;

use crate::base::clock::Mono;
use crate::base::files::sha256_hex;
use crate::base::frame::{Origin, Picture};
use crate::base::health::Words;
use crate::base::slot::Pace;
use crate::capture::address::Address;
use crate::capture::decoder::{Decoder, Program};
use crate::capture::h264::MOST_PIXELS;
use crate::capture::{Attention, Camera, CameraError, REST_SPACING};

/// The handshake: connect, DESCRIBE twice with a login, SETUP, PLAY.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// A camera that sends nothing for so long has stalled; the slowest ones send one frame a second.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Without a keyframe for so long the connection is opened again: that makes most cameras send one.
const KEYFRAME_WITHIN: Duration = Duration::from_secs(20);
/// Keyframes farther apart than this make looks stale; reported as something to set right.
const RARE_KEYFRAMES: Duration = Duration::from_secs(6);
/// Nearer keyframes are skipped on patrol: some cameras send nothing else.
const PATROL_SPACING: Duration = Duration::from_millis(900);
/// Pictures nearer than this are decoded but not converted: the watch of a bed takes five a second.
const BURST_SPACING: Duration = Duration::from_millis(95);
/// So many keyframes in a row that cannot be decoded end the connection.
const MOST_BAD: u32 = 3;

/// An IP camera.
pub struct Rtsp {
    address: Address,
    origin: Origin,
    decoder: Program,
    runtime: Runtime,
    stream: Option<Stream>,
    identity: Option<String>,
    /// The longest of the last intervals between keyframes.
    keyframe_gap: Duration,
}

impl Rtsp {
    /// Prepares a camera whose pictures `decoder` decodes; nothing is connected or started yet.
    ///
    /// # Errors
    /// When the system has no runtime for it.
    pub fn new(address: Address, origin: Origin, decoder: Program) -> Result<Rtsp, CameraError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| CameraError::Device { place: address.place(), cause: error.to_string() })?;
        Ok(Rtsp {
            address,
            origin,
            decoder,
            runtime,
            stream: None,
            identity: None,
            keyframe_gap: Duration::ZERO,
        })
    }

    /// Says goodbye and closes the connection.
    fn close(&mut self) {
        // Within the runtime: retina sends its TEARDOWN in a task.
        let _inside = self.runtime.enter();
        self.stream = None;
    }
}

impl Camera for Rtsp {
    fn next_picture(&mut self, attention: &Attention) -> Result<Picture, CameraError> {
        let Rtsp { address, decoder, runtime, stream, .. } = self;
        let result = runtime.block_on(async {
            if stream.is_none() {
                let opening = timeout(OPEN_WITHIN, Stream::open(address, decoder, attention.now()));
                let opened = opening
                    .await
                    .map_err(|_| CameraError::Stalled { place: address.place(), after: OPEN_WITHIN })??;
                *stream = Some(opened);
            }
            match stream {
                Some(stream) => stream.picture(address, attention).await,
                None => Err(CameraError::Stalled { place: address.place(), after: OPEN_WITHIN }),
            }
        });
        if let Some(stream) = &self.stream {
            self.keyframe_gap = stream.gap;
            self.identity = stream.identity(&self.address).or(self.identity.take());
        }
        if result.is_err() {
            self.close();
        }
        result
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn identity(&self) -> Option<String> {
        self.identity.clone()
    }

    fn keyframe_gap(&self) -> Option<Duration> {
        (!self.keyframe_gap.is_zero()).then_some(self.keyframe_gap)
    }

    fn remark(&self) -> Option<Words> {
        (self.keyframe_gap > RARE_KEYFRAMES).then(|| {
            let seconds = self.keyframe_gap.as_secs();
            Words::new(
                format!("关键帧间隔 {seconds} 秒，请在摄像头设置中改为 2 秒"),
                format!("keyframes come every {seconds} s; set the camera's keyframe interval to 2 s"),
            )
        })
    }
}

impl Drop for Rtsp {
    fn drop(&mut self) {
        self.close();
    }
}

/// One connection.
struct Stream {
    demuxed: Demuxed,
    index: usize,
    decoder: Decoder,
    /// Whether the decoder was given everything since a keyframe.
    is_primed: bool,
    last_keyframe: Mono,
    has_keyframe: bool,
    last_picture: Option<Mono>,
    gap: Duration,
    bad: u32,
}

impl Stream {
    async fn open(address: &Address, decoder: &Program, now: Mono) -> Result<Stream, CameraError> {
        let failed = |error: retina::Error| failure(address, &error);
        let login = address.login().map(|login| Credentials {
            username: login.user().to_owned(),
            password: login.reveal_password().to_owned(),
        });
        let options = SessionOptions::default().creds(login).user_agent("bedcheck".to_owned());
        let mut session = Session::describe(address.url().clone(), options).await.map_err(failed)?;
        let is_ours =
            |stream: &retina::client::Stream| stream.media() == "video" && stream.encoding_name() == "h264";
        let Some(index) = session.streams().iter().position(is_ours) else {
            let names = session.streams().iter().map(|stream| stream.encoding_name().to_owned());
            let offered = names.take(8).collect::<Vec<_>>().join(", ");
            return Err(CameraError::NoH264 { place: address.place(), offered });
        };
        let setup = SetupOptions::default()
            .transport(Transport::Tcp(TcpTransportOptions::default()))
            .frame_format(FrameFormat::SIMPLE);
        session.setup(index, setup).await.map_err(failed)?;
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let demuxed = session.play(play).await.and_then(Session::demuxed).map_err(failed)?;
        let decoder = Decoder::start(decoder).await.map_err(|error| undecodable(address, error))?;
        Ok(Stream {
            demuxed,
            index,
            decoder,
            is_primed: false,
            last_keyframe: now,
            has_keyframe: false,
            last_picture: None,
            gap: Duration::ZERO,
            bad: 0,
        })
    }

    /// The next picture that is worth handing on.
    async fn picture(&mut self, address: &Address, attention: &Attention) -> Result<Picture, CameraError> {
        loop {
            let unit = self.unit(address).await?;
            let (now, is_key) = (attention.now(), unit.is_random_access_point());
            if is_key {
                self.note_keyframe(now);
            } else if now - self.last_keyframe > KEYFRAME_WITHIN {
                return Err(CameraError::NoKeyframe { place: address.place(), after: KEYFRAME_WITHIN });
            }
            if let Some(picture) = self.take(&unit, is_key, attention.pace(), now, address).await? {
                self.last_picture = Some(now);
                return Ok(picture);
            }
        }
    }

    /// The next compressed picture. What bounds its size while it arrives is the time: retina gathers until it is whole.
    async fn unit(&mut self, address: &Address) -> Result<VideoFrame, CameraError> {
        let stalled = || CameraError::Stalled { place: address.place(), after: READ_WITHIN };
        let reading = async {
            loop {
                match self.demuxed.next().await {
                    Some(Ok(CodecItem::VideoFrame(frame))) => return Ok(frame),
                    // Sound, metadata and sender reports are not asked for.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(failure(address, &error)),
                    None => {
                        let cause = "it closed the connection".to_owned();
                        return Err(CameraError::Unreachable { place: address.place(), cause });
                    }
                }
            }
        };
        timeout(READ_WITHIN, reading).await.map_err(|_| stalled())?
    }

    fn note_keyframe(&mut self, now: Mono) {
        if self.has_keyframe {
            // Rises at once, falls slowly: one scene change must not hide a long interval.
            self.gap = (now - self.last_keyframe).max(self.gap.mul_f32(0.8));
        }
        self.has_keyframe = true;
        self.last_keyframe = now;
    }

    async fn take(
        &mut self,
        unit: &VideoFrame,
        is_key: bool,
        pace: Pace,
        now: Mono,
        address: &Address,
    ) -> Result<Option<Picture>, CameraError> {
        if unit.loss() > 0 {
            // What is decoded across a gap is smeared, and a smear proves nothing.
            self.is_primed = false;
        }
        let is_near = |spacing| self.last_picture.is_some_and(|last| now - last < spacing);
        let is_asked = pace == Pace::Watch;
        if !is_asked {
            self.is_primed = false;
            let spacing = if pace == Pace::Rest { REST_SPACING } else { PATROL_SPACING };
            if !is_key || is_near(spacing) {
                return Ok(None);
            }
        }
        if !is_key && !self.is_primed {
            return Ok(None);
        }
        if is_key {
            self.check_size(address)?;
            if !self.is_primed {
                self.decoder.forget().await.map_err(|error| undecodable(address, error))?;
            }
        }
        let decoded = if is_asked {
            let wanted = !is_near(BURST_SPACING);
            self.is_primed = true;
            self.decoder.frame(unit.data(), wanted).await
        } else {
            self.decoder.keyframe(unit.data()).await.map(Some)
        };
        match decoded {
            Ok(picture) => {
                self.bad = 0;
                Ok(picture)
            }
            Err(error) if !error.is_of_the_picture() => Err(undecodable(address, error)),
            Err(error) => {
                debug!(%error, "A compressed picture could not be decoded.");
                self.is_primed = false;
                self.bad += u32::from(is_key);
                if self.bad >= MOST_BAD { Err(undecodable(address, error)) } else { Ok(None) }
            }
        }
    }

    /// Refuses a size before the decoder makes room for it.
    fn check_size(&self, address: &Address) -> Result<(), CameraError> {
        if let Some(ParametersRef::Video(video)) = self.demuxed.streams()[self.index].parameters() {
            let (width, height) = video.pixel_dimensions();
            if u64::from(width) * u64::from(height) > MOST_PIXELS {
                let cause = format!("{width} × {height} pixels are more than 4096 × 2304");
                return Err(undecodable(address, cause));
            }
        }
        Ok(())
    }

    /// Host, and what the stream's parameters are: another camera in its place, or other settings, give another text.
    fn identity(&self, address: &Address) -> Option<String> {
        let Some(ParametersRef::Video(video)) = self.demuxed.streams().get(self.index)?.parameters() else {
            return None;
        };
        let (width, height) = video.pixel_dimensions();
        let digest = sha256_hex(video.extra_data());
        Some(format!("rtsp {} {width}x{height} {}", address.host(), &digest[..16]))
    }
}

fn undecodable(address: &Address, cause: impl std::fmt::Display) -> CameraError {
    CameraError::Undecodable { place: address.place(), cause: cause.to_string() }
}

/// retina has one error type and keeps its kinds to itself; the first line of its text says what happened.
fn failure(address: &Address, error: &retina::Error) -> CameraError {
    let place = address.place();
    if matches!(error.status_code(), Some(401 | 403)) {
        return CameraError::Refused { place };
    }
    let text = error.to_string();
    let cause = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
    if error.status_code().is_none()
        && (text.starts_with("Unable to connect") || text.starts_with("Error reading"))
    {
        return CameraError::Unreachable { place, cause };
    }
    CameraError::Protocol { place, cause }
}
