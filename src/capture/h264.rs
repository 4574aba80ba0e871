//! H.264 to pictures. One keyframe alone for the patrol (4 % of a core at 1080p against 28 % for every frame,
//! measured), or every frame in turn while somebody watches. openh264 is C++: outside tests this runs in the process that
//! [`crate::capture::decoder`] shuts in.

use openh264::decoder::{DecodeOptions, DecodedYUV, Decoder, Flush};
use openh264::formats::YUVSource;

use crate::base::frame::Picture;

/// Largest compressed picture that is decoded: a 4K keyframe has about 1 MB (chosen by feel).
pub const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Most pixels: level 5.2, which is what openh264 decodes (4096 × 2304).
pub const MOST_PIXELS: u64 = 4096 * 2304;

/// Why one compressed picture gives none.
#[derive(Debug, thiserror::Error)]
pub enum H264Error {
    #[error("{0}")]
    Damaged(#[from] openh264::Error),
    #[error("a compressed picture of {0} bytes is larger than the {MOST_BYTES} allowed")]
    TooManyBytes(usize),
    #[error("{0} × {1} pixels are not possible; set the camera to at most 4096 × 2304")]
    Size(usize, usize),
    #[error("the keyframe held no picture")]
    Nothing,
}

/// A decoder. Between keyframes it forgets nothing, so it must be given every frame or keyframes only.
pub struct H264(Decoder);

impl H264 {
    /// # Errors
    /// When the decoder has no memory.
    pub fn new() -> Result<H264, H264Error> {
        Ok(H264(Decoder::new()?))
    }

    /// The picture of one keyframe with its parameter sets, in Annex B.
    ///
    /// # Errors
    /// [`H264Error`]; the next keyframe may do.
    pub fn keyframe(&mut self, unit: &[u8]) -> Result<Picture, H264Error> {
        // Flushing: a stream with B-frames would hold the picture back until others come, and none do.
        let decoded = self.decode(unit, Flush::Flush)?;
        decoded.map_or(Err(H264Error::Nothing), |yuv| picture(&yuv))
    }

    /// Takes the next frame; a picture comes out where one is finished and `wanted`. With B-frames it is an earlier one.
    ///
    /// # Errors
    /// [`H264Error`]: what follows is smeared until the next keyframe.
    pub fn frame(&mut self, unit: &[u8], wanted: bool) -> Result<Option<Picture>, H264Error> {
        // Not flushing: with B-frames it gave 82 errors in 100 frames (measured).
        let decoded = self.decode(unit, Flush::NoFlush)?;
        decoded.filter(|_| wanted).map(|yuv| picture(&yuv)).transpose()
    }

    fn decode(&mut self, unit: &[u8], flush: Flush) -> Result<Option<DecodedYUV<'_>>, H264Error> {
        if unit.len() > MOST_BYTES {
            return Err(H264Error::TooManyBytes(unit.len()));
        }
        Ok(self.0.decode_with_options(unit, DecodeOptions::new().flush_after_decode(flush))?)
    }
}

fn picture(yuv: &DecodedYUV<'_>) -> Result<Picture, H264Error> {
    let (width, height) = yuv.dimensions();
    let size = || H264Error::Size(width, height);
    // The converter takes pairs of columns and rows; 4:2:0 has nothing else.
    if width % 2 != 0 || height % 2 != 0 || (width as u64 * height as u64) > MOST_PIXELS {
        return Err(size());
    }
    let mut rgb = vec![0; width * height * 3];
    yuv.write_rgb8(&mut rgb);
    Picture::new(width as u32, height as u32, rgb).ok_or_else(size)
}
