//! Thresholds of the passive score for one camera, from presentations filmed with it (ISO/IEC 30107-3 terms).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::evaluate::pad::{Figures, Presentation, figures};
use crate::agent::evaluate::{Rate, clopper_pearson};
use crate::base::exit::Ending;
use crate::base::files::{read_at_most, write_owner_only};
use crate::base::ids::CameraId;
use crate::domain::liveness::PassiveRule;

/// Fewer than these say too little: no error in 20 still allows 17 % (95 %).
pub const LIVE_WANTED: usize = 20;
pub const ATTACKS_WANTED: usize = 10;
const MOST_BYTES: u64 = 64 * 1024;

/// What was measured, as it lies in the state folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// SHA-256 of the PAD net: another net needs another calibration.
    pub net: String,
    pub passive: PassiveRule,
    pub live: usize,
    pub attacks: usize,
    /// Live presentations called attacks at `attack_below`, with the Clopper–Pearson interval, 95 %.
    pub bpcer: f64,
    pub bpcer_interval: [f64; 2],
    /// The worst species called live at `live_at`, likewise.
    pub apcer_max: f64,
    pub apcer_interval: [f64; 2],
}

/// Places the thresholds: nobody living is called an attack, no attack is called live; where the two groups stand apart,
/// the middle between them is the border of both.
///
/// # Errors
/// When one group is missing.
pub fn fit(set: &[Presentation], net: &str) -> anyhow::Result<Calibration> {
    let scores = |is_live| set.iter().filter(move |p| p.is_live == is_live).filter_map(|p| p.score);
    let lowest_live = scores(true).reduce(f32::min);
    let highest_attack = scores(false).reduce(f32::max);
    let (Some(lowest_live), Some(highest_attack)) = (lowest_live, highest_attack) else {
        return Err(Ending::failed(
            "both living people and attacks are needed, with a face that is found; film more",
        )
        .into());
    };
    let middle = (lowest_live + highest_attack) / 2.0;
    let passive = PassiveRule {
        live_at: highest_attack.next_up().max(middle).min(1.0),
        attack_below: lowest_live.min(middle),
    };
    let (live, attacks) = (scores(true).count(), scores(false).count());
    let worst = worst(&figures(set, passive.live_at));
    let bpcer = figures(set, passive.attack_below).bpcer;
    Ok(Calibration {
        net: net.to_owned(),
        passive,
        live,
        attacks,
        bpcer: bpcer.value,
        bpcer_interval: clopper_pearson(hits(&bpcer), bpcer.n),
        apcer_max: worst.value,
        apcer_interval: clopper_pearson(hits(&worst), worst.n),
    })
}

fn hits(rate: &Rate) -> usize {
    (rate.value * rate.n as f64).round() as usize
}

/// The species most often let in; among equals the one least tried.
fn worst(found: &Figures) -> Rate {
    let rates = found.apcer.values().cloned();
    rates.max_by(|a, b| a.value.total_cmp(&b.value).then(b.n.cmp(&a.n))).unwrap_or_else(|| Rate::new(0, 0))
}

fn path_of(state: &Path, camera: &CameraId) -> PathBuf {
    state.join("calibration").join(format!("{camera}.toml"))
}

/// Writes a camera's calibration into the state folder.
///
/// # Errors
/// When it cannot be written.
pub fn write(state: &Path, camera: &CameraId, calibration: &Calibration) -> anyhow::Result<PathBuf> {
    let path = path_of(state, camera);
    crate::base::files::make_owner_only_folder(&state.join("calibration"))?;
    write_owner_only(&path, toml::to_string(calibration)?.as_bytes())?;
    Ok(path)
}

/// The calibration of a camera for this net, where there is one.
///
/// # Errors
/// A file that is there and cannot be understood: thresholds that silently vanish would open the door.
pub fn read(state: &Path, camera: &CameraId, net: &str) -> anyhow::Result<Option<Calibration>> {
    let path = path_of(state, camera);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_at_most(&path, MOST_BYTES)?;
    let calibration: Calibration = toml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        Ending::config(format!("{}: {error}run `bedcheck calibrate fit` again", path.display()))
    })?;
    Ok((calibration.net == net).then_some(calibration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(live: &[f32], prints: &[f32]) -> Vec<Presentation> {
        let one = |score: &f32, is_live: bool| Presentation {
            path: PathBuf::new(),
            is_live,
            species: if is_live { String::new() } else { "print".to_owned() },
            score: Some(*score),
        };
        live.iter()
            .map(|score| one(score, true))
            .chain(prints.iter().map(|score| one(score, false)))
            .collect()
    }

    #[test]
    fn groups_that_stand_apart_share_the_middle() {
        let found = fit(&set(&[0.8, 0.9, 0.95], &[0.1, 0.2]), "net").unwrap();
        assert!(
            (found.passive.live_at - 0.5).abs() < 1e-6 && (found.passive.attack_below - 0.5).abs() < 1e-6
        );
        assert_eq!((found.bpcer, found.apcer_max), (0.0, 0.0));
        assert!((found.bpcer_interval[1] - 0.7076).abs() < 1e-3, "three people prove little");
    }

    #[test]
    fn groups_that_overlap_leave_a_band_without_a_decision() {
        let found = fit(&set(&[0.4, 0.9, 0.95], &[0.1, 0.7]), "net").unwrap();
        assert!(found.passive.live_at > 0.7 && found.passive.live_at < 0.71);
        assert_eq!(found.passive.attack_below, 0.4);
    }

    #[test]
    fn a_calibration_belongs_to_its_net() {
        let folder = tempfile::tempdir().unwrap();
        let camera = CameraId::new("cam-1").unwrap();
        let made = fit(&set(&[0.8], &[0.1]), "one").unwrap();
        write(folder.path(), &camera, &made).unwrap();
        assert_eq!(read(folder.path(), &camera, "one").unwrap(), Some(made));
        assert_eq!(read(folder.path(), &camera, "two").unwrap(), None);
        assert!(fit(&set(&[0.8], &[]), "one").is_err());
    }
}
