//! `manifest.toml` of a face pack: which nets, how they are fed, and at which similarity they can be believed.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::domain::operating::Impostors;
use crate::domain::policy::FaceRule;

/// Largest net and manifest that are read.
const MOST_NET: u64 = 128 * 1024 * 1024;
const MOST_MANIFEST: u64 = 256 * 1024;

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{0}; a face pack is a folder with manifest.toml and its nets (--models DIR)")]
    File(#[from] FileError),
    #[error("{path}: {cause}")]
    Format { path: PathBuf, cause: Box<toml::de::Error> },
    #[error("{path}: {complaint}")]
    Content { path: PathBuf, complaint: String },
    #[error(
        "{path} has SHA-256 {found}, the manifest says {wanted}: the file was changed or damaged; install the pack again"
    )]
    Digest { path: PathBuf, found: String, wanted: String },
    #[error(
        "the pack {pack:?} is a pilot pack and refused in production: {reason} Install a production pack or set mode = \"pilot\""
    )]
    Pilot { pack: String, reason: String },
}

/// A whole pack as its manifest tells it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    pub pack: String,
    pub version: String,
    pub detector: Detector,
    pub mesh: Mesh,
    pub embedder: Embedder,
    /// A pack without one sees no passive liveness; everything else works.
    pub pad: Option<Pad>,
    #[serde(skip)]
    pub folder: PathBuf,
    /// SHA-256 of the manifest, which holds the digests of every net.
    #[serde(skip)]
    pub digest: String,
}

/// How fit a net is for use on people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    Production,
    Pilot,
}

/// How a picture becomes the input tensor: (pixel − mean) × scale, per channel in the net's order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetInput {
    pub name: String,
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    pub layout: Layout,
    pub colour: Colour,
    /// In the order of the net's channels.
    pub mean: [f32; 3],
    pub scale: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Nchw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    Rgb,
    Bgr,
}

/// What the net answers to the synthetic test picture; see `session`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub tolerance: f32,
    pub values: Vec<f32>,
}

/// What every net has.
#[derive(Clone, Debug)]
pub struct NetFile {
    pub path: PathBuf,
    pub sha256: String,
    pub input: NetInput,
    pub outputs: Vec<String>,
    pub golden: Golden,
}

macro_rules! net_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            pub file: String,
            pub sha256: String,
            pub licence: String,
            pub source: String,
            pub grade: Grade,
            pub input: NetInput,
            pub outputs: Vec<String>,
            pub golden: Golden,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The parts every net has.
            pub fn net(&self, folder: &Path) -> NetFile {
                NetFile {
                    path: folder.join(&self.file),
                    sha256: self.sha256.clone(),
                    input: self.input.clone(),
                    outputs: self.outputs.clone(),
                    golden: self.golden.clone(),
                }
            }
        }
    };
}

net_table!(
    /// BlazeFace-short: 896 raw boxes and scores.
    Detector { min_score: f32 }
);
net_table!(
    /// FaceMesh: 468 points and a face flag.
    Mesh { min_flag: f32, flag_is_logit: bool }
);
net_table!(
    /// The net that tells people apart.
    Embedder {
        metric: Metric,
        dimensions: usize,
        /// Which mesh points go where in the chip.
        alignment: Vec<Anchor>,
        operating_points: Vec<OperatingPoint>,
        /// In the unit of the metric: two pictures of one person are hardly ever farther apart.
        differs: f32,
        /// Mean and deviation of impostors' similarities where the operating points were measured.
        impostors: Option<Impostors>,
        #[serde(default)]
        pilot_reason: String,
    }
);
net_table!(
    /// The net that tells living faces from pictures of faces; answers with a logit.
    Pad {
        /// Side of the crop in longer sides of the mesh's box.
        crop: f32,
        /// P(live) from which a frame counts as live where no camera's own threshold is known (`eval pad`).
        live_at: f32,
        #[serde(default)]
        pilot_reason: String,
    }
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Distance of the raw vectors; similarity = 1 − distance / 2.
    Euclidean,
    /// Cosine of the angle; similarity is the cosine.
    Cosine,
}

/// The mean of some mesh vertices belongs at `to` in the chip.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub vertices: Vec<usize>,
    pub to: [f32; 2],
}

/// A false match rate with the threshold, in the unit of the metric, at which it was measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    pub fmr: String,
    pub threshold: f32,
}

impl Metric {
    /// The similarity of two vectors: 1 for the same, smaller for less alike.
    pub fn similarity(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Metric::Euclidean => {
                let squares: f32 = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
                self.of(squares.sqrt())
            }
            Metric::Cosine => {
                let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::EPSILON);
                dot / (norm(a) * norm(b))
            }
        }
    }

    /// A threshold in the unit of the metric as a similarity.
    pub fn of(self, threshold: f32) -> f32 {
        match self {
            Metric::Euclidean => 1.0 - threshold / 2.0,
            Metric::Cosine => threshold,
        }
    }
}

/// Reads and checks the manifest of the pack in `folder`; the nets are checked when they are loaded.
///
/// # Errors
/// [`PackError`] with the file and what is wrong in it.
pub fn read(folder: &Path) -> Result<Manifest, PackError> {
    parse(&read_at_most(&folder.join("manifest.toml"), MOST_MANIFEST)?, folder)
}

/// Checks the bytes of a manifest that lies in `folder`.
///
/// # Errors
/// [`PackError`] with what is wrong in it.
pub fn parse(bytes: &[u8], folder: &Path) -> Result<Manifest, PackError> {
    let path = folder.join("manifest.toml");
    let text = String::from_utf8_lossy(bytes);
    let mut manifest: Manifest = toml::from_str(&text)
        .map_err(|cause| PackError::Format { path: path.clone(), cause: Box::new(cause) })?;
    manifest.folder = folder.to_owned();
    manifest.digest = sha256_hex(bytes);
    match complaint(&manifest) {
        Some(complaint) => Err(PackError::Content { path, complaint }),
        None => Ok(manifest),
    }
}

fn complaint(manifest: &Manifest) -> Option<String> {
    let embedder = &manifest.embedder;
    if manifest.schema != 1 {
        return Some(format!("schema {} is not understood, 1 is", manifest.schema));
    }
    let mut inputs = vec![
        ("detector", &manifest.detector.input),
        ("mesh", &manifest.mesh.input),
        ("embedder", &embedder.input),
    ];
    inputs.extend(manifest.pad.iter().map(|pad| ("pad", &pad.input)));
    for (table, input) in inputs {
        let [batch, channels, height, width] = input.shape;
        if batch != 1 || channels != 3 || height != width || !(16..=1024).contains(&width) {
            return Some(format!(
                "[{table}] input.shape {:?} is not 1 × 3 × a square of 16 to 1024",
                input.shape
            ));
        }
    }
    let files = [&manifest.detector.file, &manifest.mesh.file, &embedder.file];
    for file in files.into_iter().chain(manifest.pad.iter().map(|pad| &pad.file)) {
        if Path::new(file).components().count() != 1 || file.starts_with('.') {
            return Some(format!("file {file:?} must be a plain name in the pack's folder"));
        }
    }
    if embedder.alignment.len() < 2
        || embedder.alignment.iter().any(|a| a.vertices.is_empty() || a.vertices.iter().any(|v| *v >= 468))
    {
        return Some("[embedder] alignment needs at least 2 rows with vertices from 0 to 467".to_owned());
    }
    if embedder.operating_points.is_empty() {
        return Some("[embedder] operating_points is empty".to_owned());
    }
    if let Some(pad) = &manifest.pad
        && !((1.0..=8.0).contains(&pad.crop) && (0.0..=1.0).contains(&pad.live_at))
    {
        return Some("[pad] crop must lie between 1 and 8, live_at between 0 and 1".to_owned());
    }
    if embedder.grade == Grade::Pilot && embedder.pilot_reason.is_empty() {
        return Some("[embedder] grade = \"pilot\" needs a pilot_reason".to_owned());
    }
    None
}

impl Manifest {
    /// The operating point for a false match rate as people write it (`1e-3`).
    ///
    /// # Errors
    /// [`PackError::Content`] naming the rates the pack was measured at.
    pub fn face_rule(&self, fmr: &str) -> Result<FaceRule, PackError> {
        let embedder = &self.embedder;
        let point = embedder.operating_points.iter().find(|point| point.fmr == fmr);
        let point = point.ok_or_else(|| {
            let known: Vec<&str> = embedder.operating_points.iter().map(|point| point.fmr.as_str()).collect();
            PackError::Content {
                path: self.folder.join("manifest.toml"),
                complaint: format!(
                    "no operating point for match.fmr = {fmr:?}; the pack has {}",
                    known.join(", ")
                ),
            }
        })?;
        let match_at = embedder.metric.of(point.threshold);
        let differs_below = embedder.metric.of(embedder.differs).min(match_at);
        let typical = self.embedder.impostors.map(|impostors| impostors.mean);
        Ok(FaceRule { fmr: fmr.to_owned(), match_at, differs_below, typical })
    }

    /// Refuses a pilot pack where people can be accused by it.
    ///
    /// # Errors
    /// [`PackError::Pilot`].
    pub fn demand_production(&self) -> Result<(), PackError> {
        let mut grades = vec![
            ("detector", self.detector.grade, ""),
            ("mesh", self.mesh.grade, ""),
            ("embedder", self.embedder.grade, self.embedder.pilot_reason.as_str()),
        ];
        grades.extend(self.pad.iter().map(|pad| ("pad", pad.grade, pad.pilot_reason.as_str())));
        grades.retain(|(_, grade, _)| *grade == Grade::Pilot);
        if grades.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> = grades.iter().map(|(net, _, reason)| format!("{net}: {reason}")).collect();
        Err(PackError::Pilot { pack: self.pack.clone(), reason: reasons.join(" ") })
    }
}

impl NetFile {
    /// The bytes of the net, if they are those the manifest speaks of.
    ///
    /// # Errors
    /// [`PackError::File`], [`PackError::Digest`].
    pub fn read(&self) -> Result<Vec<u8>, PackError> {
        let bytes = read_at_most(&self.path, MOST_NET)?;
        let found = sha256_hex(&bytes);
        if found != self.sha256 {
            return Err(PackError::Digest { path: self.path.clone(), found, wanted: self.sha256.clone() });
        }
        Ok(bytes)
    }
}
