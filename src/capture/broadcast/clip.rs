//! A few pictures as H.264 that can be played round and round: it begins with a keyframe.

use std::time::Duration;

use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameRate, IntraFramePeriod, QpRange, RateControlMode};
use openh264::formats::{RgbSliceU8, YUVBuffer};

use crate::base::frame::Picture;
use crate::capture::CameraError;

/// Longest clip.
const MOST_FRAMES: usize = 1000;

/// Why a clip cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    #[error("a clip has 1 to {MOST_FRAMES} pictures, this one {0}")]
    Length(usize),
    #[error("the pictures of a clip must have one even size; picture {0} differs")]
    Size(usize),
    #[error("the encoder failed: {0}")]
    Encoder(#[from] openh264::Error),
    #[error(transparent)]
    Picture(#[from] CameraError),
}

/// One frame: its NAL units without start codes.
#[derive(Clone, Debug)]
pub struct Unit {
    pub nals: Vec<Vec<u8>>,
    pub is_key: bool,
}

/// An encoded loop.
#[derive(Debug)]
pub struct Clip {
    pub units: Vec<Unit>,
    pub sps: Vec<u8>,
    pub pps: Vec<u8>,
    pub spacing: Duration,
}

impl Clip {
    /// Encodes `pictures`, to be played at `fps` frames a second with a keyframe every `keyframe_every` frames.
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn encode(pictures: &[Picture], fps: f32, keyframe_every: u32) -> Result<Clip, ClipError> {
        let first = pictures.first().ok_or(ClipError::Length(0))?;
        if pictures.len() > MOST_FRAMES {
            return Err(ClipError::Length(pictures.len()));
        }
        let (width, height) = (first.width(), first.height());
        let config = EncoderConfig::new()
            // Constant quality, fine enough that breath and blinks survive: they are half a pixel and one frame.
            .rate_control_mode(RateControlMode::Off)
            .qp(QpRange::new(16, 24))
            .max_frame_rate(FrameRate::from_hz(fps))
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(keyframe_every.max(1)));
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
        let mut clip = Clip {
            units: Vec::with_capacity(pictures.len()),
            sps: Vec::new(),
            pps: Vec::new(),
            spacing: Duration::from_secs_f32(1.0 / fps.clamp(0.1, 60.0)),
        };
        for (number, picture) in pictures.iter().enumerate() {
            let (w, h) = (picture.width(), picture.height());
            if (w, h) != (width, height) || w % 2 != 0 || h % 2 != 0 {
                return Err(ClipError::Size(number + 1));
            }
            let yuv = YUVBuffer::from_rgb8_source(RgbSliceU8::new(picture.rgb(), (w as usize, h as usize)));
            let bytes = encoder.encode(&yuv)?.to_vec();
            clip.take(&bytes);
        }
        Ok(clip)
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut unit = Unit { nals: Vec::new(), is_key: false };
        for nal in openh264::nal_units(bytes) {
            let nal = without_start_code(nal);
            match nal.first().map(|head| head & 0x1F) {
                Some(7) => self.sps = nal.to_vec(),
                Some(8) => self.pps = nal.to_vec(),
                Some(kind) => {
                    unit.is_key |= kind == 5;
                    unit.nals.push(nal.to_vec());
                }
                None => {}
            }
        }
        self.units.push(unit);
    }

    /// `profile-level-id` of the SDP.
    pub fn profile(&self) -> String {
        hex::encode_upper(self.sps.get(1..4).unwrap_or(&[0x42, 0xC0, 0x1F]))
    }
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().take_while(|byte| **byte == 0).count();
    nal.get(zeros + 1..).unwrap_or_default()
}
