//! What USB cameras send, as pictures.

use crate::base::frame::Picture;
use crate::base::jpeg::jpeg_end;
use crate::base::picture::{self, MOST_SIDE};

/// How the bytes of a frame are to be read. In the order in which they are asked for: JPEG leaves room on the bus for
/// others and goes on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Mjpeg,
    Yuyv,
    Nv12,
    Rgb,
    Bgr,
    Grey,
}

impl Layout {
    pub const ALL: [Layout; 6] =
        [Layout::Mjpeg, Layout::Yuyv, Layout::Nv12, Layout::Rgb, Layout::Bgr, Layout::Grey];

    pub fn fourcc(self) -> &'static str {
        match self {
            Layout::Mjpeg => "MJPG",
            Layout::Yuyv => "YUYV",
            Layout::Nv12 => "NV12",
            Layout::Rgb => "RGB3",
            Layout::Bgr => "BGR3",
            Layout::Grey => "GRAY",
        }
    }
}

/// One frame as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    pub layout: Layout,
    pub width: u32,
    pub height: u32,
    pub bytes: Vec<u8>,
}

/// The picture in a frame.
///
/// # Errors
/// What is wrong with it, in English.
pub fn picture(raw: &Raw) -> Result<Picture, String> {
    if raw.width > MOST_SIDE || raw.height > MOST_SIDE {
        return Err(format!("{} × {} pixels are no camera's", raw.width, raw.height));
    }
    let pixels = raw.width as usize * raw.height as usize;
    let need = |bytes: usize| {
        raw.bytes
            .get(..bytes)
            .ok_or_else(|| format!("a frame of {} bytes where {bytes} were due", raw.bytes.len()))
    };
    let rgb = match raw.layout {
        Layout::Mjpeg => return jpeg(&raw.bytes),
        Layout::Yuyv => from_yuyv(need(pixels * 2)?),
        Layout::Nv12 => from_nv12(need(pixels * 3 / 2)?, raw.width as usize, pixels),
        Layout::Rgb => need(pixels * 3)?.to_vec(),
        Layout::Bgr => need(pixels * 3)?.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect(),
        Layout::Grey => need(pixels)?.iter().flat_map(|grey| [*grey; 3]).collect(),
    };
    Picture::new(raw.width, raw.height, rgb).ok_or_else(|| "an impossible size".to_owned())
}

/// The buffer is longer than the picture in it; what stands behind its end is left from older ones.
fn jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let end = jpeg_end(bytes, 0).ok_or("a JPEG that was cut short on the bus")?;
    picture::decode(&bytes[..end]).map_err(|error| error.to_string())
}

fn from_yuyv(bytes: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(bytes.len() / 2 * 3);
    for pair in bytes.chunks_exact(4) {
        rgb.extend(colour(pair[0], pair[1], pair[3]));
        rgb.extend(colour(pair[2], pair[1], pair[3]));
    }
    rgb
}

fn from_nv12(bytes: &[u8], width: usize, pixels: usize) -> Vec<u8> {
    let (luma, chroma) = bytes.split_at(pixels);
    let mut rgb = Vec::with_capacity(pixels * 3);
    for (at, y) in luma.iter().enumerate() {
        let (row, column) = (at / width, at % width);
        let from = row / 2 * width + column / 2 * 2;
        let (u, v) = (chroma.get(from).unwrap_or(&128), chroma.get(from + 1).unwrap_or(&128));
        rgb.extend(colour(*y, *u, *v));
    }
    rgb
}

/// BT.601 with limited range, in 1/256.
fn colour(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) - 16) * 298, i32::from(u) - 128, i32::from(v) - 128);
    [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|value| ((value + 128) >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::picture::encode_jpeg;

    #[test]
    fn what_stands_behind_a_jpeg_in_the_buffer_is_left_out() {
        let grey = Picture::new(16, 16, vec![99; 16 * 16 * 3]).unwrap();
        let mut bytes = encode_jpeg(&grey, 90).unwrap();
        let whole = bytes.len();
        bytes.extend([0xFF, 0xD9, 0xFF, 0xD8, 1, 2, 3]);
        let raw = |bytes: &[u8]| Raw { layout: Layout::Mjpeg, width: 16, height: 16, bytes: bytes.to_vec() };
        assert_eq!(picture(&raw(&bytes)).unwrap().width(), 16);
        assert!(picture(&raw(&bytes[..whole - 3])).is_err());
    }

    #[test]
    fn colours_come_out_right_in_every_layout() {
        let red = [63, 102, 63, 240];
        let near = |bytes: &[u8], layout| {
            let raw = Raw { layout, width: 2, height: 2, bytes: bytes.to_vec() };
            let picture = picture(&raw).unwrap();
            let [r, g, b] = [picture.rgb()[9], picture.rgb()[10], picture.rgb()[11]];
            assert!(r > 180 && g < 25 && b < 25, "{layout:?}: {r} {g} {b}");
        };
        near(&[red, red].concat(), Layout::Yuyv);
        near(&[63, 63, 63, 63, 102, 240], Layout::Nv12);
        near(&[200, 9, 9].repeat(4), Layout::Rgb);
        near(&[9, 9, 200].repeat(4), Layout::Bgr);
        assert!(picture(&Raw { layout: Layout::Rgb, width: 2, height: 2, bytes: vec![0; 11] }).is_err());
    }

    #[test]
    fn a_size_that_no_camera_has_is_refused_in_every_layout() {
        for layout in Layout::ALL {
            let raw = Raw { layout, width: u32::MAX, height: u32::MAX, bytes: vec![0; 64] };
            assert!(picture(&raw).is_err(), "{layout:?}");
        }
    }
}
