//! Enrolment: reference pictures to templates, refused with reasons a nurse can act on.

use std::path::{Path, PathBuf};

use crate::base::frame::Picture;
use crate::base::picture::{self, PictureError};
use crate::base::redact::Private;
use crate::domain::policy::{FaceRule, QualityRule};
use crate::domain::sighting::Reason;
use crate::domain::verify::{is_covered, weakness};
use crate::vision::eyes::{Eyes, Face};
use crate::vision::manifest::Metric;
use crate::vision::session::NetError;

/// One unlucky shot in three does not spoil a reference: three pictures instead of one take the FNMR from 4.6 to 0.4 %
/// (East Asian faces, FMR 1e-3, measured before the first line).
pub const MIN_SHOTS: usize = 3;
/// Reference pictures taken of one person at most.
const MOST_SHOTS: usize = 10;
/// Files of a person's folder that are looked at.
const MOST_FILES: usize = 1000;

/// Why a picture or a set of them cannot be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("{path}: {} / {}", .reason.0, .reason.1)]
    Unusable { path: PathBuf, reason: (&'static str, &'static str) },
    #[error("{0}: there is no picture (.jpg, .png) of this person")]
    NoPicture(PathBuf),
    #[error(
        "{folder}: 只有 {found} 张照片，至少需要 {MIN_SHOTS} 张（或一张身份证芯片照） / {found} pictures, at least {MIN_SHOTS} are needed, or one chip photo of an identity card (102 x 126 pixels)"
    )]
    TooFew { folder: PathBuf, found: usize },
    #[error(
        "{folder}: {a} and {b} show two different people (similarity {similarity:.2}, a match begins at {match_at:.2}); remove the wrong one"
    )]
    TwoPeople { folder: PathBuf, a: String, b: String, similarity: f32, match_at: f32 },
}

/// A reason in both languages, with what to do.
pub fn advice(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Dark => ("光线太暗，请开灯或面向光源", "too dark: switch on a light or face the window"),
        Reason::Blurred => ("画面模糊，请保持不动后重拍", "blurred: hold still and take it again"),
        Reason::TooSmall => ("人脸太小，请靠近摄像头", "the face is too small: come closer"),
        Reason::TurnedAway => ("人脸偏转，请正对摄像头", "turned away: face the camera"),
        Reason::CutOff => ("人脸不完整，请移到画面中间", "part of the face is cut off: move to the middle"),
        Reason::Covered => {
            ("口鼻被遮挡，请摘下口罩", "mouth and nose are covered: take off the mask if you can")
        }
        Reason::WeakDetection => ("未能可靠识别人脸，请露出整张脸", "not surely a face: show the whole face"),
        Reason::SeveralFaces => {
            ("画面中有多人，请只留本人", "several faces: only this person may be in the picture")
        }
        Reason::UncertainMatch => {
            ("相似度不足以判断，请重拍", "not similar enough to decide: take another picture")
        }
        Reason::NotEnrolled => ("未登记人脸，请先采集", "not enrolled: take reference pictures first"),
        Reason::NoEmptyReference => {
            ("缺少空床参考图", "no picture of the empty bed: take one at installation")
        }
        Reason::Tampered => ("摄像头异常，请检查镜头", "the camera is covered, moved or frozen: check it"),
        Reason::NoPicture => ("没有画面，请检查摄像头", "no picture: check the camera"),
        Reason::LifeUnproven => {
            ("活体证据不足，请继续观察", "not watched long enough for a sign of life: look again")
        }
        Reason::NotReached => {
            ("本轮时间内未轮到，请延长 check_within", "the round ended first: allow it more time")
        }
        Reason::Contradictory => ("各次结果不一致，请重试", "the looks contradict each other: try again"),
    }
}

const NO_FACE: (&str, &str) =
    ("未检测到人脸，请正对摄像头并露出整张脸", "no face found: face the camera and show the whole face");

/// A face at least this many times as wide as any other is the one the picture was taken of; the others pass by behind.
const FOREGROUND: f32 = 2.0;

/// Finds the one face of a picture that is good enough to be compared.
///
/// # Errors
/// The reason in both languages.
pub fn only_face(eyes: &mut Eyes, picture: &Picture, rule: &QualityRule) -> Result<Face, SoleFaceError> {
    let mut faces = eyes.faces(picture)?;
    faces.sort_by(|a, b| b.quality.width_px.total_cmp(&a.quality.width_px));
    let second = faces.get(1).map_or(0.0, |face| face.quality.width_px);
    let Some(face) = faces.into_iter().next() else { return Err(SoleFaceError::Unusable(NO_FACE)) };
    if face.quality.width_px < second * FOREGROUND {
        return Err(SoleFaceError::Unusable(advice(Reason::SeveralFaces)));
    }
    match weakness(&face.quality, rule) {
        Some(reason) => Err(SoleFaceError::Unusable(advice(reason))),
        None => Ok(face),
    }
}

/// Why there is not exactly one good face.
#[derive(Debug, thiserror::Error)]
pub enum SoleFaceError {
    #[error("{} / {}", .0.0, .0.1)]
    Unusable((&'static str, &'static str)),
    #[error(transparent)]
    Net(#[from] NetError),
}

/// Where a person's templates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// At least three pictures taken for the purpose.
    Shots,
    /// The one small photo of an identity card's chip: a weaker witness, and the only one there often is.
    Chip,
}

/// What the gate said about one picture.
pub struct Shot {
    pub path: PathBuf,
    pub picture: Picture,
    /// `Err`: why it cannot be used.
    pub face: Result<Face, (&'static str, &'static str)>,
}

/// One person's accepted reference.
pub struct Enrolment {
    pub reference: Reference,
    pub templates: Vec<Private<Vec<f32>>>,
}

/// The face of a picture that may be enrolled, or why there is none, in both languages.
///
/// # Errors
/// A net that fails.
pub fn gate(
    eyes: &mut Eyes,
    picture: &Picture,
    rule: &QualityRule,
) -> Result<Result<Face, (&'static str, &'static str)>, NetError> {
    match only_face(eyes, picture, rule) {
        Ok(face) if is_covered(&face.quality, rule) => Ok(Err(advice(Reason::Covered))),
        Ok(face) => Ok(Ok(face)),
        Err(SoleFaceError::Unusable(reason)) => Ok(Err(reason)),
        Err(SoleFaceError::Net(error)) => Err(error),
    }
}

/// Two of these templates that are not of one person, with their similarity.
pub fn strangers<'t>(
    metric: Metric,
    templates: impl Iterator<Item = &'t [f32]> + Clone,
    differs_below: f32,
) -> Option<(usize, usize, f32)> {
    templates.clone().enumerate().find_map(|(a, first)| {
        let mut later = templates.clone().enumerate().skip(a + 1);
        later.find_map(|(b, second)| {
            let similarity = metric.similarity(first, second);
            (similarity < differs_below).then_some((a, b, similarity))
        })
    })
}

/// Looks at every `enrol*` picture in `folder`, or at every picture when none is named so.
///
/// # Errors
/// A picture that cannot be read, a net that fails; a picture that is not good enough is no error yet.
pub fn inspect(eyes: &mut Eyes, folder: &Path) -> Result<Vec<Shot>, EnrolError> {
    let paths = pictures(folder)?;
    let alone = paths.len() == 1;
    let mut shots = Vec::new();
    for path in paths {
        let picture = picture::read(&path)?;
        let rule = if alone && is_chip(&picture) { chip_rule() } else { QualityRule::default() };
        let face = gate(eyes, &picture, &rule)?;
        shots.push(Shot { path, picture, face });
    }
    Ok(shots)
}

/// Templates from pictures that all passed the gate and show one person.
///
/// # Errors
/// [`EnrolError`]; nothing is enrolled then.
pub fn templates(
    eyes: &mut Eyes,
    folder: &Path,
    shots: &[Shot],
    face: &FaceRule,
) -> Result<Enrolment, EnrolError> {
    let mut named = Vec::new();
    for shot in shots {
        let found = shot.face.as_ref();
        let found =
            found.map_err(|reason| EnrolError::Unusable { path: shot.path.clone(), reason: *reason })?;
        let name = shot.path.file_name().map(|name| name.to_string_lossy().into_owned());
        named.push((name.unwrap_or_default(), eyes.embed(found)?));
    }
    let reference = match shots {
        [only] if is_chip(&only.picture) => Reference::Chip,
        _ if shots.len() < MIN_SHOTS => {
            return Err(EnrolError::TooFew { folder: folder.to_owned(), found: shots.len() });
        }
        _ => Reference::Shots,
    };
    let found = named.iter().map(|(_, template)| template.as_slice());
    if let Some((a, b, similarity)) = strangers(eyes.manifest.embedder.metric, found, face.differs_below) {
        let (a, b, match_at) = (named[a].0.clone(), named[b].0.clone(), face.match_at);
        return Err(EnrolError::TwoPeople { folder: folder.to_owned(), a, b, similarity, match_at });
    }
    let templates = named.into_iter().map(|(_, template)| Private::new(template)).collect();
    Ok(Enrolment { reference, templates })
}

/// The photo in the chip of a Chinese identity card has 102 x 126 pixels (GA 490); readers pad it a little.
fn is_chip(picture: &Picture) -> bool {
    (80..=130).contains(&picture.width()) && (100..=160).contains(&picture.height())
}

/// What such a photo can have: the face is about 60 pixels wide.
fn chip_rule() -> QualityRule {
    QualityRule { min_width_px: 36.0, ..QualityRule::default() }
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, EnrolError> {
    let empty = || EnrolError::NoPicture(folder.to_owned());
    let mut found = picture::in_folder(folder, MOST_FILES).map_err(|_| empty())?;
    let is_reference =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("enrol"));
    if found.iter().any(is_reference) {
        found.retain(is_reference);
    }
    found.truncate(MOST_SHOTS);
    if found.is_empty() { Err(empty()) } else { Ok(found) }
}
