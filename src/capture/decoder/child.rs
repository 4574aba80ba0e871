//! The other end: the process that decodes and can do nothing else.

use std::io::{ErrorKind, Read, Write, stdin, stdout};

use crate::base::confine::confine;
use crate::base::frame::Picture;
use crate::capture::decoder::{Answer, Ask, MOST_TEXT};
use crate::capture::h264::{H264, H264Error, MOST_BYTES};

/// Sixteen reference pictures of 4096 × 2304 are 226 MB; with what the program itself maps it stays below this.
const MOST_MEMORY: u64 = 512 * 1024 * 1024;

/// Answers until its input ends. What the process was before, it cannot be again: call this from a fresh `main` only.
///
/// # Errors
/// When it cannot be shut in, and when input or output break; the process should end.
pub fn serve() -> std::io::Result<()> {
    let (mut questions, mut answers) = (stdin().lock(), stdout().lock());
    if let Err(error) = confine(MOST_MEMORY) {
        answer(&mut answers, Err(error.to_string()))?;
        return Err(std::io::Error::other(error));
    }
    answer(&mut answers, Ok(None))?;
    let mut decoder = None;
    loop {
        let mut header = [0; 5];
        match questions.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let [ask, a, b, c, d] = header;
        let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(ask) = Ask::of(ask).filter(|_| bytes <= MOST_BYTES) else {
            return Err(ErrorKind::InvalidData.into());
        };
        let mut unit = vec![0; bytes];
        questions.read_exact(&mut unit)?;
        answer(&mut answers, work(&mut decoder, ask, &unit).map_err(|error| error.to_string()))?;
    }
}

fn work(decoder: &mut Option<H264>, ask: Ask, unit: &[u8]) -> Result<Option<Picture>, H264Error> {
    if ask == Ask::Forget {
        *decoder = None;
        return Ok(None);
    }
    let decoder = match decoder {
        Some(decoder) => decoder,
        None => decoder.insert(H264::new()?),
    };
    match ask {
        Ask::Keyframe => decoder.keyframe(unit).map(Some),
        Ask::Frame | Ask::Unseen | Ask::Forget => decoder.frame(unit, ask == Ask::Frame),
    }
}

fn answer(to: &mut impl Write, said: Result<Option<Picture>, String>) -> std::io::Result<()> {
    match said {
        Ok(None) => to.write_all(&Answer::Nothing.bytes())?,
        Ok(Some(picture)) => {
            let header = Answer::Picture { width: picture.width(), height: picture.height() };
            to.write_all(&header.bytes())?;
            to.write_all(picture.rgb())?;
        }
        Err(text) => {
            let text = &text.as_bytes()[..text.len().min(MOST_TEXT as usize)];
            to.write_all(&Answer::Complaint { bytes: text.len() as u32 }.bytes())?;
            to.write_all(text)?;
        }
    }
    to.flush()
}
