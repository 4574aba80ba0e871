//! Foreign bytes to pixels, with limits: camera and operator pictures are untrusted.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::base::files::{FileError, read_at_most};
use crate::base::frame::Picture;
use crate::base::jpeg::jpeg_end;

/// Largest file that is opened as a picture.
pub const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// Longest side of a picture; 8K cameras have 7680.
pub const MOST_SIDE: u32 = 8192;

/// Most pixels: an 8K camera's. A progressive JPEG of 200 bytes can announce as many, and its decoder makes room for six
/// bytes each.
pub const MOST_PIXELS: u64 = 8192 * 4320;

/// Memory the decoder may take: an 8192 × 4320 RGB picture and its scratch.
const MOST_MEMORY: u64 = 256 * 1024 * 1024;

/// Why bytes are no usable picture; says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BadPicture {
    #[error("the picture is empty (0 bytes): record or copy it again")]
    Empty,
    #[error("this is not a picture in a format understood here (JPEG, PNG, BMP, WebP)")]
    NotAPicture,
    #[error(
        "the picture has {width} × {height} pixels; at most {MOST_SIDE} on a side and 8192 × 4320 in all are taken: scale it down"
    )]
    TooLarge { width: u32, height: u32 },
    #[error("the picture is damaged or cut short ({0}): record or copy it again")]
    Damaged(String),
}

/// A picture file that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}: {cause}")]
    Content { path: String, cause: BadPicture },
}

/// Reads and decodes a picture file.
///
/// # Errors
/// [`PictureError`] with the path.
pub fn read(path: &Path) -> Result<Picture, PictureError> {
    let bytes = read_at_most(path, MOST_BYTES)?;
    decode(&bytes).map_err(|cause| PictureError::Content { path: path.display().to_string(), cause })
}

/// Width and height that a picture file announces, without decoding it; `None` when it is no picture.
pub fn size(path: &Path) -> Option<(u32, u32)> {
    ImageReader::open(path).ok()?.with_guessed_format().ok()?.into_dimensions().ok()
}

/// At most `most` picture files of a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn in_folder(folder: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(most) {
        let path = entry?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png" | "bmp" | "webp")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Decodes JPEG, PNG, BMP or WebP to upright 8-bit RGB; grey, 16-bit and CMYK are converted, EXIF rotation is applied.
///
/// # Errors
/// [`BadPicture`].
pub fn decode(bytes: &[u8]) -> Result<Picture, BadPicture> {
    if bytes.is_empty() {
        return Err(BadPicture::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| BadPicture::NotAPicture)?;
    if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Bmp | ImageFormat::WebP) {
        return Err(BadPicture::NotAPicture);
    }
    // The decoder fills what is missing with grey: a half picture of a bed would be judged.
    if format == ImageFormat::Jpeg && jpeg_end(bytes, 0).is_none() {
        return Err(BadPicture::Damaged("it ends in the middle".to_owned()));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width > MOST_SIDE || height > MOST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(BadPicture::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(BadPicture::Damaged("no pixels".to_owned()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    Picture::new(rgb.width(), rgb.height(), rgb.into_raw())
        .ok_or_else(|| BadPicture::Damaged("fewer pixels than announced".to_owned()))
}

fn damaged(error: ImageError) -> BadPicture {
    BadPicture::Damaged(error.to_string())
}

/// A picture scaled down so that no side is longer than `side`, for evidence and comparisons with the empty bed.
pub fn shrink(picture: &Picture, side: u32) -> Picture {
    let factor = f64::from(side) / f64::from(picture.width().max(picture.height()));
    if factor >= 1.0 {
        return picture.clone();
    }
    let scaled = |length: u32| ((f64::from(length) * factor).round() as u32).max(1);
    resize(picture, scaled(picture.width()), scaled(picture.height())).unwrap_or_else(|| picture.clone())
}

/// Area-correct scaling to exactly `width` × `height`.
pub fn resize(picture: &Picture, width: u32, height: u32) -> Option<Picture> {
    let source =
        images::ImageRef::new(picture.width(), picture.height(), picture.rgb(), PixelType::U8x3).ok()?;
    let mut target = images::Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).ok()?;
    Picture::new(width, height, target.into_vec())
}

/// JPEG bytes of a picture.
///
/// # Errors
/// When the encoder refuses, which it does only for sizes above 65,535.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode(
        picture.rgb(),
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// PNG bytes of a picture.
///
/// # Errors
/// When the encoder refuses, which it does only when memory is short.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(
        picture.rgb(),
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Picture {
        let rgb = (0..64 * 48 * 3).map(|at| (at / 40) as u8).collect();
        Picture::new(64, 48, rgb).unwrap()
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_size() {
        let bytes = encode_jpeg(&sample(), 90).unwrap();
        let picture = decode(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 48));
    }

    #[test]
    fn bad_bytes_are_named_for_what_they_are() {
        assert!(matches!(decode(b""), Err(BadPicture::Empty)));
        assert!(matches!(decode(b"<html>no picture</html>"), Err(BadPicture::NotAPicture)));
        let bytes = encode_jpeg(&sample(), 90).unwrap();
        assert!(matches!(decode(&bytes[..bytes.len() - 2]), Err(BadPicture::Damaged(_))));
        let wide = image::RgbImage::new(20_000, 2);
        let mut png = Vec::new();
        wide.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        assert!(matches!(decode(&png), Err(BadPicture::TooLarge { width: 20_000, .. })));
        let mut announced = bytes;
        let size = announced.windows(4).position(|four| four == [0, 48, 0, 64]).unwrap();
        announced[size..size + 4].copy_from_slice(&[0x20, 0, 0x20, 0]);
        assert!(matches!(decode(&announced), Err(BadPicture::TooLarge { width: 8192, height: 8192 })));
    }
}
