//! H.264 decoded in a process of its own ([`child`]), because openh264 is C++ and an IP camera's bytes are anybody's.
//!
//! The process has neither keys nor files nor network ([`crate::base::confine`]). What it answers is believed as little as
//! what the camera sends: sizes are bounded, waits too, and whatever else it does ends the connection to the camera.
//!
//! Over its input and output, numbers big-endian:
//!
//! | | bytes | |
//! |---|---|---|
//! | question | 1 + 4 + n | what to do ([`Ask`]), length of the compressed picture, the picture in Annex B |
//! | answer | 1 + 4 + 4 + n | [`Answer`]: nothing, or width and height and RGB, or length and text of a complaint |
//!
//! The first answer comes unasked, when the process is shut in.

mod child;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::base::environment;
use crate::base::frame::Picture;
use crate::capture::h264::{H264Error, MOST_BYTES, MOST_PIXELS};

pub use child::serve;

/// The subcommand that [`serve`]s.
pub const SUBCOMMAND: &str = "decode-h264";

/// A terminal under load starts a process in less (chosen by feel).
const START_WITHIN: Duration = Duration::from_secs(10);
/// A 4K keyframe takes 0.2 s on the machine of the README.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Longest complaint, in bytes.
const MOST_TEXT: u32 = 200;

/// What the process is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// One keyframe alone, with its parameter sets.
    Keyframe = 1,
    /// The next frame, and a picture where one is finished.
    Frame = 2,
    /// The next frame; no picture is wanted.
    Unseen = 3,
    /// Frames were missed: the frames to come belong to a new beginning.
    Forget = 4,
}

impl Ask {
    fn of(byte: u8) -> Option<Ask> {
        [Ask::Keyframe, Ask::Frame, Ask::Unseen, Ask::Forget].into_iter().find(|ask| *ask as u8 == byte)
    }
}

/// How an answer begins.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    Picture { width: u32, height: u32 },
    Complaint { bytes: u32 },
}

impl Answer {
    const BYTES: usize = 9;

    fn bytes(&self) -> [u8; Answer::BYTES] {
        let (kind, first, second) = match *self {
            Answer::Nothing => (0, 0, 0),
            Answer::Picture { width, height } => (1, width, height),
            Answer::Complaint { bytes } => (2, bytes, 0),
        };
        let mut header = [kind; Answer::BYTES];
        header[1..5].copy_from_slice(&u32::to_be_bytes(first));
        header[5..].copy_from_slice(&u32::to_be_bytes(second));
        header
    }

    /// `None` for what no honest process says.
    fn of([kind, a, b, c, d, e, f, g, h]: [u8; Answer::BYTES]) -> Option<Answer> {
        match (kind, u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])) {
            (0, 0, 0) => Some(Answer::Nothing),
            (1, width, height)
                if width > 0 && height > 0 && u64::from(width) * u64::from(height) <= MOST_PIXELS =>
            {
                Some(Answer::Picture { width, height })
            }
            (2, bytes, 0) if bytes <= MOST_TEXT => Some(Answer::Complaint { bytes }),
            _ => None,
        }
    }
}

/// Why a compressed picture gave none.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// This picture; the next keyframe may do.
    #[error("{0}")]
    Picture(String),
    #[error("the decoder's process cannot be started: {0}")]
    Start(std::io::Error),
    #[error("the decoder's process has ended: {0}")]
    Ended(String),
    #[error("the decoder's process gave no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the decoder's process gave an answer that is none")]
    Nonsense,
}

impl DecoderError {
    /// Whether the process can be asked again.
    pub fn is_of_the_picture(&self) -> bool {
        matches!(self, DecoderError::Picture(_))
    }
}

/// The program whose [`SUBCOMMAND`] decodes.
#[derive(Debug, Clone)]
pub struct Program(PathBuf);

impl Program {
    /// The one that runs, even when its file was replaced meanwhile.
    pub fn own() -> Program {
        Program(PathBuf::from("/proc/self/exe"))
    }

    pub fn at(path: &Path) -> Program {
        Program(path.to_owned())
    }
}

/// A running process that decodes one stream. Dropped, it is killed.
pub struct Decoder {
    process: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl Decoder {
    /// Starts the process and waits until it is shut in. Within a tokio runtime.
    ///
    /// # Errors
    /// [`DecoderError`]; also when the system does not let it be shut in.
    pub async fn start(program: &Program) -> Result<Decoder, DecoderError> {
        let mut command = Command::new(&program.0);
        command.arg(SUBCOMMAND).env_clear().envs(environment::wanted()).current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(DecoderError::Start)?;
        let (Some(questions), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(DecoderError::Nonsense);
        };
        let mut decoder = Decoder { process, questions, answers };
        match decoder.within(START_WITHIN, None).await? {
            None => Ok(decoder),
            Some(_) => Err(DecoderError::Nonsense),
        }
    }

    /// The picture of one keyframe with its parameter sets, in Annex B.
    ///
    /// # Errors
    /// [`DecoderError`].
    pub async fn keyframe(&mut self, unit: &[u8]) -> Result<Picture, DecoderError> {
        self.within(ANSWER_WITHIN, Some((Ask::Keyframe, unit))).await?.ok_or(DecoderError::Nonsense)
    }

    /// Takes the next frame; a picture comes out where one is finished and `wanted`. With B-frames it is an earlier one.
    ///
    /// # Errors
    /// [`DecoderError`]: what follows is smeared until the next keyframe.
    pub async fn frame(&mut self, unit: &[u8], wanted: bool) -> Result<Option<Picture>, DecoderError> {
        let ask = if wanted { Ask::Frame } else { Ask::Unseen };
        self.within(ANSWER_WITHIN, Some((ask, unit))).await
    }

    /// Forgets the frames so far: some were missed, and a decoder that missed frames is confused about those to come.
    ///
    /// # Errors
    /// [`DecoderError`].
    pub async fn forget(&mut self) -> Result<(), DecoderError> {
        self.within(ANSWER_WITHIN, Some((Ask::Forget, &[]))).await.map(drop)
    }

    /// The process's number, for whoever looks whether it is shut in.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    async fn within(
        &mut self,
        limit: Duration,
        question: Option<(Ask, &[u8])>,
    ) -> Result<Option<Picture>, DecoderError> {
        if let Some((_, unit)) = question.filter(|(_, unit)| unit.len() > MOST_BYTES) {
            return Err(DecoderError::Picture(H264Error::TooManyBytes(unit.len()).to_string()));
        }
        let talk = async {
            if let Some((ask, unit)) = question {
                self.ask(ask, unit).await?;
            }
            self.answer().await
        };
        match timeout(limit, talk).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => Err(self.why_ended(&error).await),
            Err(_) => Err(DecoderError::Late(limit)),
        }
    }

    async fn ask(&mut self, ask: Ask, unit: &[u8]) -> std::io::Result<()> {
        self.questions.write_u8(ask as u8).await?;
        self.questions.write_u32(unit.len() as u32).await?;
        self.questions.write_all(unit).await
    }

    async fn answer(&mut self) -> std::io::Result<Result<Option<Picture>, DecoderError>> {
        let mut header = [0; Answer::BYTES];
        self.answers.read_exact(&mut header).await?;
        Ok(match Answer::of(header) {
            None => Err(DecoderError::Nonsense),
            Some(Answer::Nothing) => Ok(None),
            Some(Answer::Complaint { bytes }) => {
                let text = self.bytes(bytes as usize).await?;
                let text = String::from_utf8_lossy(&text).replace(|sign: char| sign.is_control(), " ");
                Err(DecoderError::Picture(text))
            }
            Some(Answer::Picture { width, height }) => {
                let rgb = self.bytes(width as usize * height as usize * 3).await?;
                Picture::new(width, height, rgb).map(Some).ok_or(DecoderError::Nonsense)
            }
        })
    }

    async fn bytes(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.answers.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Its pipes are closed: how it ended, if it did.
    async fn why_ended(&mut self, error: &std::io::Error) -> DecoderError {
        match timeout(Duration::from_secs(1), self.process.wait()).await {
            Ok(Ok(status)) => DecoderError::Ended(status.to_string()),
            _ => DecoderError::Ended(error.to_string()),
        }
    }
}
