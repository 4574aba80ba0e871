//! A recording as a camera: a folder of pictures or a `.mjpeg` file (JPEGs one after another), played in a loop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::clock::Mono;
use crate::base::files::read_at_most;
use crate::base::frame::{Origin, Picture};
use crate::base::jpeg::split_jpegs;
use crate::base::picture::{self, PictureError};
use crate::base::slot::Pace;
use crate::capture::{Attention, Camera, CameraError, REST_SPACING};

/// Largest recording that is held, and most pictures of a folder.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
const MOST_PICTURES: usize = 10_000;

/// Where the pictures are.
#[derive(Debug)]
enum Pictures {
    Files(Vec<PathBuf>),
    /// One file and where each JPEG in it begins and ends.
    Stream {
        path: PathBuf,
        bytes: Vec<u8>,
        cuts: Vec<(usize, usize)>,
    },
}

/// Plays a recording. Its frames are `Synthetic`: their evidence can never count as real.
#[derive(Debug)]
pub struct Recorded {
    pictures: Pictures,
    pause: Duration,
    at: usize,
    last: Option<Mono>,
}

impl Recorded {
    /// Opens a folder or a `.mjpeg` file, to be played at `fps` pictures per second (0.01 to 120).
    ///
    /// # Errors
    /// [`CameraError`] when there is nothing to play.
    pub fn open(path: &Path, fps: f32) -> Result<Recorded, CameraError> {
        let source = |complaint: &str| CameraError::Source {
            path: path.display().to_string(),
            complaint: complaint.to_owned(),
        };
        let pictures = if path.is_dir() {
            let files =
                picture::in_folder(path, MOST_PICTURES).map_err(|error| source(&error.to_string()))?;
            if files.is_empty() {
                return Err(source("the folder holds no .jpg, .jpeg, .png, .bmp or .webp picture"));
            }
            Pictures::Files(files)
        } else {
            let bytes = read_at_most(path, MOST_BYTES)?;
            let cuts = split_jpegs(&bytes, MOST_PICTURES);
            if cuts.is_empty() {
                return Err(source("there is no whole JPEG picture in this file"));
            }
            Pictures::Stream { path: path.to_owned(), bytes, cuts }
        };
        Ok(Recorded {
            pictures,
            pause: Duration::from_secs_f32(1.0 / fps.clamp(0.01, 120.0)),
            at: 0,
            last: None,
        })
    }

    /// How many pictures one loop has.
    pub fn len(&self) -> usize {
        match &self.pictures {
            Pictures::Files(files) => files.len(),
            Pictures::Stream { cuts, .. } => cuts.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes picture `at` (counted from 0, around the loop).
    ///
    /// # Errors
    /// [`CameraError::Picture`] naming the picture.
    pub fn picture(&self, at: usize) -> Result<Picture, CameraError> {
        match &self.pictures {
            Pictures::Files(files) => Ok(picture::read(&files[at % files.len()])?),
            Pictures::Stream { path, bytes, cuts } => {
                let (from, to) = cuts[at % cuts.len()];
                picture::decode(&bytes[from..to]).map_err(|cause| {
                    let path = format!("{}, picture {}", path.display(), at % cuts.len() + 1);
                    CameraError::Picture(PictureError::Content { path, cause })
                })
            }
        }
    }
}

impl Camera for Recorded {
    fn next_picture(&mut self, attention: &Attention) -> Result<Picture, CameraError> {
        attention.pause(self.last, |pace| match pace {
            Pace::Watch | Pace::Patrol => self.pause,
            Pace::Rest => self.pause.max(REST_SPACING),
        });
        self.last = Some(attention.now());
        let at = self.at;
        self.at = self.at.wrapping_add(1);
        self.picture(at)
    }

    fn origin(&self) -> Origin {
        Origin::Synthetic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::picture::encode_jpeg;

    fn jpeg(shade: u8) -> Vec<u8> {
        encode_jpeg(&Picture::new(16, 16, vec![shade; 16 * 16 * 3]).unwrap(), 90).unwrap()
    }

    #[test]
    fn a_stream_of_jpegs_is_cut_where_each_ends_and_garbage_is_skipped() {
        let mut stream = b"garbage".to_vec();
        for shade in [10, 120, 240] {
            stream.extend(jpeg(shade));
            stream.extend([0, 0, 7]);
        }
        stream.extend(&jpeg(1)[..40]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cam.mjpeg");
        crate::base::files::write_owner_only(&path, &stream).unwrap();
        let recorded = Recorded::open(&path, 5.0).unwrap();
        assert_eq!(recorded.len(), 3);
        let shades: Vec<u8> = (0..4).map(|at| recorded.picture(at).unwrap().rgb()[0] / 100).collect();
        assert_eq!(shades, [0, 1, 2, 0]);
    }

    #[test]
    fn an_empty_folder_is_no_camera() {
        let folder = tempfile::tempdir().unwrap();
        let error = Recorded::open(folder.path(), 1.0).unwrap_err().to_string();
        assert!(error.contains("no .jpg"), "{error}");
    }
}
