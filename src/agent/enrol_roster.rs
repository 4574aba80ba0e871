//! Enrolment of a whole roster: every person gated, compared with everybody else, sealed.

use std::path::{Path, PathBuf};

use crate::agent::config::Settings;
use crate::agent::enrol::{self, Reference};
use crate::agent::tasks;
use crate::base::clock::Clock;
use crate::base::exit::Ending;
use crate::base::frame::Picture;
use crate::base::ids::{BedId, StayId};
use crate::base::picture::encode_jpeg;
use crate::hospital::roster_file::{self, RosterEntry, RosterFile};
use crate::store::{Privacy, TemplateStore};
use crate::vision::eyes::{Eyes, Face};
use crate::vision::geometry::{Similarity, warp};
use crate::wire::privacy::Step;

/// Side of one face on a preview.
const TILE: usize = 180;
const FRAME: usize = 6;
/// How much wider than the face a preview's crop is.
const AROUND: f32 = 1.6;

/// What came of one row.
pub struct Row {
    pub bed: BedId,
    /// `Err`: why this person was not enrolled, one reason per line.
    pub outcome: Result<Reference, String>,
    pub shots: usize,
    /// This person does not want it: no picture was looked at.
    pub is_held_back: bool,
}

/// Enrols everybody whose row names a folder of reference pictures. With `preview`, writes a contact sheet per person.
/// Rows that fail leave the former templates alone. Whose templates were erased on request is enrolled again only as one
/// of `again`, whose consent was withdrawn not before another ground is written down.
///
/// # Errors
/// Configuration, models or store that cannot be used (exit 78).
pub fn enrol_roster(
    settings: &Settings,
    eyes: &mut Eyes,
    clock: &Clock,
    preview: Option<&Path>,
    again: &[StayId],
    mut progress: impl FnMut(&BedId),
) -> anyhow::Result<Vec<Row>> {
    let (file, path) = listed(settings, clock)?;
    let mut store = TemplateStore::open(&settings.state).map_err(Ending::config)?;
    let privacy = Privacy::open(&settings.state).map_err(Ending::config)?;
    let base = roster_file::newest(path).parent().map(PathBuf::from).unwrap_or_default();
    let mut rows = Vec::new();
    for entry in &file.entries {
        let Some(folder) = &entry.enrol else { continue };
        progress(&entry.bed);
        if let Some(reason) = held_back(&privacy, &entry.stay, again)? {
            rows.push(Row { bed: entry.bed.clone(), outcome: Err(reason), shots: 0, is_held_back: true });
            continue;
        }
        let row = one(settings, eyes, &mut store, entry, &base.join(folder), preview)?;
        if row.outcome.is_ok() {
            privacy.unbar(&entry.stay).map_err(Ending::failed)?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Why this person must not be enrolled.
pub fn held_back(privacy: &Privacy, stay: &StayId, again: &[StayId]) -> Result<Option<String>, Ending> {
    if privacy.ground(stay).map_err(Ending::failed)? == Some(Step::Withdrawn) {
        let text = "已撤回同意；记录新的依据后才能登记 · consent was withdrawn; another ground first: bedcheck privacy consent add";
        return Ok(Some(text.to_owned()));
    }
    if privacy.is_barred(stay).map_err(Ending::failed)? && !again.contains(stay) {
        return Ok(Some(format!(
            "已应本人请求删除；本人要求恢复时 · erased on request; if this person wants it again: bedcheck enrol --again {stay}"
        )));
    }
    Ok(None)
}

/// The roster and where it lies.
fn listed<'s>(settings: &'s Settings, clock: &Clock) -> Result<(RosterFile, &'s Path), Ending> {
    let path = settings.roster.as_deref().ok_or_else(|| {
        Ending::config("配置中没有 ward.roster · no ward.roster is configured: pictures are enrolled by its column enrol")
    })?;
    Ok((roster_file::read(path, clock.now().wall).map_err(Ending::config)?, path))
}

fn one(
    settings: &Settings,
    eyes: &mut Eyes,
    store: &mut TemplateStore,
    entry: &RosterEntry,
    folder: &Path,
    preview: Option<&Path>,
) -> anyhow::Result<Row> {
    let rule = eyes.rule(&settings.fmr).map_err(Ending::config)?;
    let row = |outcome, shots| Row { bed: entry.bed.clone(), outcome, shots, is_held_back: false };
    let shots = match enrol::inspect(eyes, folder) {
        Ok(shots) => shots,
        Err(error) => return Ok(row(Err(error.to_string()), 0)),
    };
    if let Some(preview) = preview {
        let path = preview.join(format!("bed-{}.jpg", entry.bed));
        let faces: Vec<(&Picture, Option<&Face>)> =
            shots.iter().map(|shot| (&shot.picture, shot.face.as_ref().ok())).collect();
        let sheet = contact_sheet(&faces).and_then(|sheet| encode_jpeg(&sheet, 88).ok());
        if let Some(jpeg) = sheet {
            crate::base::files::write_owner_only(&path, &jpeg).map_err(Ending::failed)?;
        }
    }
    let refused: Vec<String> = shots
        .iter()
        .filter_map(|shot| {
            shot.face.as_ref().err().map(|(zh, en)| format!("{}: {zh} / {en}", shot.path.display()))
        })
        .collect();
    if !refused.is_empty() {
        return Ok(row(Err(refused.join("\n")), shots.len()));
    }
    match enrol::templates(eyes, folder, &shots, &rule) {
        Ok(enrolment) => {
            let models = &eyes.manifest.embedder.sha256;
            store.replace(&entry.stay, models, &enrolment.templates).map_err(Ending::config)?;
            Ok(row(Ok(enrolment.reference), shots.len()))
        }
        Err(error) => Ok(row(Err(error.to_string()), shots.len())),
    }
}

/// Two beds whose patients look like one person.
pub struct Duplicate {
    pub beds: [BedId; 2],
    pub similarity: f32,
    pub match_at: f32,
}

/// The same face under two identities, at the pack's operating point.
///
/// # Errors
/// As [`enrol_roster`].
pub fn duplicates(settings: &Settings, eyes: &Eyes, clock: &Clock) -> anyhow::Result<Vec<Duplicate>> {
    let (file, _) = listed(settings, clock)?;
    let gallery = tasks::faces(settings, eyes)?.gallery;
    // Not the calibrated threshold: it rises over a twin as over anybody, and twice the same person must not hide itself.
    let match_at = eyes.rule(&settings.fmr).map_err(Ending::config)?.match_at;
    let bed = |stay| file.entries.iter().find(|entry| entry.stay == stay).map(|entry| entry.bed.clone());
    let found = gallery.duplicates(match_at).into_iter();
    Ok(found
        .filter_map(|(a, b, similarity)| Some(Duplicate { beds: [bed(a)?, bed(b)?], similarity, match_at }))
        .collect())
}

/// The faces side by side as the nets see them, framed green where accepted and red where not.
pub fn contact_sheet(shots: &[(&Picture, Option<&Face>)]) -> Option<Picture> {
    let width = TILE * shots.len();
    let mut rgb = vec![24_u8; width * TILE * 3];
    for (at, (picture, face)) in shots.iter().enumerate() {
        let (tile, colour) = match face {
            Some(face) => {
                let (center, w, h, angle) = face.mesh.extent();
                let crop = Similarity::square(center, w.max(h) * AROUND, angle, TILE as f32);
                (warp(picture, &crop, TILE), [30, 160, 70])
            }
            None => {
                let (w, h) = (picture.width() as f32, picture.height() as f32);
                let whole = Similarity::square([w / 2.0, h / 2.0], w.max(h), 0.0, TILE as f32);
                (warp(picture, &whole, TILE), [200, 40, 40])
            }
        };
        for (y, line) in tile.chunks_exact(TILE * 3).enumerate() {
            for (x, pixel) in line.chunks_exact(3).enumerate() {
                let edge = x.min(y).min(TILE - 1 - x).min(TILE - 1 - y) < FRAME;
                let to = (y * width + at * TILE + x) * 3;
                for channel in 0..3 {
                    rgb[to + channel] = if edge { colour[channel] } else { pixel[channel] as u8 };
                }
            }
        }
    }
    Picture::new(width as u32, TILE as u32, rgb)
}
