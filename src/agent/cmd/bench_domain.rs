//! `bedcheck bench --domain`: what deciding costs without cameras, nets and disk.

use std::time::Duration;

use crate::base::clock::{Mono, Now, Wall};
use crate::base::frame::Origin;
use crate::base::ids::{BedId, CameraId, StayId};
use crate::base::redact::Private;
use crate::domain::facts::{Change, Excuse, Fact, Person, fold};
use crate::domain::patrol::LookId;
use crate::domain::policy::{FaceRule, Policy};
use crate::domain::roster::Roster;
use crate::domain::sighting::{FaceQuality, FaceSeen, Scene, Sighting};
use crate::domain::{Domain, Effect, Finding, Input};

/// A large hospital's day in one box.
pub const BEDS: usize = 1000;
pub const FACTS: usize = 10_000;

const START: Wall = Wall(1_790_000_000_000);

/// Facts of a day: everybody is admitted, and then moves out and in again and goes on leave.
pub fn facts() -> anyhow::Result<Vec<Fact>> {
    let fact = |n: usize| -> anyhow::Result<Fact> {
        let (bed, turn) = (n % BEDS, n / BEDS);
        let person =
            Person { psn_no: Private::new(format!("P{bed}")), psn_name: Private::new("张三".to_owned()) };
        let change = match turn % 4 {
            0 if turn == 0 => Change::Admitted { person, bed: Some(BedId::new(format!("{bed}"))?) },
            1 => Change::Left { excuse: Excuse::Examination, until: None },
            2 => Change::Returned,
            _ => Change::Moved { bed: Some(BedId::new(format!("{bed}"))?) },
        };
        let at = Wall(START.0 - 86_400_000 + n as i64 * 1000);
        Ok(Fact {
            id: format!("{n:06}"),
            stay: Some(StayId::new(format!("S{bed}"))?),
            at,
            received: at,
            change,
        })
    };
    (0..FACTS).map(fact).collect()
}

/// Who lies where, from the facts.
pub fn believe(facts: &[Fact]) -> anyhow::Result<Roster> {
    Ok(Roster::believed(&fold(facts), START, |_| 3))
}

/// Folds the facts into a roster and takes one round over all beds, each recognised at the first look. How many checks
/// were concluded.
pub fn round(facts: &[Fact]) -> anyhow::Result<usize> {
    let mut now = Now { mono: Mono(1), wall: START, boot: 1 };
    let roster = believe(facts)?;
    let camera = CameraId::new("cam")?;
    let views = roster.stays().map(|stay| (stay.bed.clone(), camera.clone())).collect();
    let face = FaceRule { fmr: "1e-3".into(), match_at: 0.5, differs_below: 0.3, typical: None };
    let policy = Policy { life: None, round_jitter: 0.0, ..Policy::ordinary(face) };
    let mut domain = Domain::new(policy, views, [1; 32], now);
    let mut checks = 0;
    let mut inputs = vec![Input::Recall(Vec::new()), Input::Roster(roster)];
    inputs.reverse();
    while let Some(input) = inputs.pop() {
        domain.handle(now, input);
        while let Some(effect) = domain.poll_effect() {
            match effect {
                Effect::Look { look, .. } => inputs.push(seen(look, &camera, now)),
                Effect::Report { finding: Finding::Checked(_), .. } => checks += 1,
                Effect::Report { .. } => {}
            }
        }
        now.mono = now.mono + Duration::from_millis(1);
        now.wall = now.wall.plus(Duration::from_millis(1));
        now.boot += 1;
    }
    Ok(checks)
}

fn seen(look: LookId, camera: &CameraId, taken: Now) -> Input {
    let quality = FaceQuality {
        score: 0.9,
        width_px: 120.0,
        sharpness: 80.0,
        luma: 120.0,
        mouth: 0.7,
        ..FaceQuality::default()
    };
    let best = FaceSeen { quality, claimed: Some(0.9), nearest_other: None, common: None };
    let (camera, life) = (camera.clone(), Box::default());
    let scene = Scene::Faces { count: 1, best };
    Input::Seen(Sighting { look, camera, taken, origin: Origin::Live, tamper: None, scene, life })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bed_is_decided_once() {
        assert_eq!(round(&facts().unwrap()).unwrap(), BEDS);
    }
}
