//! What is suspicious without a look at a bed: a camera that is kept from seeing, a clock that jumped, a roster that
//! contradicts itself.
//!
//! What lasts is told after it lasted for a while, and told again when it ends: two messages of one exchange of beds
//! may be seconds apart. What happened once is told once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::{Mono, Wall};
use crate::base::frame::Tamper;
use crate::base::ids::{BedId, CameraId, StayId};
use crate::domain::exception::Move;

/// One irregularity. `PartialOrd` only makes it a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Irregularity {
    /// 摄像头异常
    CameraTampered { camera: CameraId, tamper: Tamper, beds: Vec<BedId> },
    /// 时钟异常: the wall clock moved by so much beyond what had passed.
    ClockStepped { by_ms: i64 },
    /// 时钟偏差: the wall clock differs from the platform's by more than two minutes.
    ClockOff { is_ahead: bool },
    /// 设备存储已满: no more crops are kept, and of the oldest routine reports only their digests.
    StoreFull,
    /// 一床多人: several stays claim one bed.
    TwoInBed { bed: BedId, stays: Vec<StayId> },
    /// 一人多床: one person lies in several beds at once.
    TwoBeds { masked_name: String, stays: Vec<StayId>, beds: Vec<BedId> },
    /// 巡查前后撤销: said before a round and taken back after it, so that nothing was due or counted in it.
    TakenBack { what: Escape, bed: BedId, stay: StayId, masked_name: String, said: Wall, taken_back: Wall },
    /// 事后补办: a discharge or transfer that was said to be earlier than an absence that had been seen.
    RetroactiveDeparture {
        how: Departing,
        bed: BedId,
        stay: StayId,
        masked_name: String,
        at: Wall,
        heard: Wall,
    },
    /// 与医保在院名单不符: the hospital's roster and the insurer's list (5303) differ.
    InsurerMismatch { stay: StayId, bed: Option<BedId>, masked_name: String, side: Side },
}

/// What was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    Discharge,
    Transfer,
    Leave,
}

/// How a patient left a bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departing {
    Discharge,
    Transfer,
}

/// Who does not know of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Paid for as an inpatient of this ward, and in no bed of it: 虚假住院 begins so.
    UnknownToHospital,
    /// In a bed, and not in hospital according to the insurer.
    UnknownToInsurer,
}

impl Irregularity {
    /// The name in tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Irregularity::CameraTampered { .. } => "camera_tampered",
            Irregularity::ClockStepped { .. } => "clock_stepped",
            Irregularity::StoreFull => "store_full",
            Irregularity::ClockOff { .. } => "clock_off",
            Irregularity::TwoInBed { .. } => "two_in_bed",
            Irregularity::TwoBeds { .. } => "two_beds",
            Irregularity::TakenBack { .. } => "taken_back",
            Irregularity::RetroactiveDeparture { .. } => "retroactive_departure",
            Irregularity::InsurerMismatch { .. } => "insurer_mismatch",
        }
    }

    /// The bed, the stay and the masked name it is about, where it is about one.
    pub fn about(&self) -> (Option<&BedId>, Option<&StayId>, Option<&str>) {
        match self {
            Irregularity::CameraTampered { beds, .. } => (beds.first(), None, None),
            Irregularity::ClockStepped { .. } | Irregularity::ClockOff { .. } | Irregularity::StoreFull => {
                (None, None, None)
            }
            Irregularity::TwoInBed { bed, stays } => (Some(bed), stays.first(), None),
            Irregularity::TwoBeds { masked_name, stays, beds } => {
                (beds.first(), stays.first(), Some(masked_name))
            }
            Irregularity::TakenBack { bed, stay, masked_name, .. }
            | Irregularity::RetroactiveDeparture { bed, stay, masked_name, .. } => {
                (Some(bed), Some(stay), Some(masked_name))
            }
            Irregularity::InsurerMismatch { stay, bed, masked_name, .. } => {
                (bed.as_ref(), Some(stay), Some(masked_name))
            }
        }
    }
}

/// One move of an irregularity, as reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IrregularityChange {
    /// The same for every move of one irregularity.
    pub irregularity: String,
    #[serde(rename = "move")]
    pub moved: Move,
    pub first: Wall,
    pub last: Wall,
    #[serde(flatten)]
    pub what: Irregularity,
}

/// How long each lasting kind must have lasted before it is told.
#[derive(Clone, Copy, Debug)]
struct Lasting {
    since: Mono,
    first: Wall,
    is_told: bool,
}

/// What was told and not ended; survives a restart, so that nothing is told twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told(Vec<IrregularityChange>);

/// Things told once are remembered this long, so that the same facts read again tell nothing.
const MOST_TOLD: usize = 256;

/// Everything irregular now.
#[derive(Default)]
pub struct Irregular {
    lasting: BTreeMap<Irregularity, Lasting>,
    once: Vec<IrregularityChange>,
}

impl Irregular {
    /// Goes on with what a former life told.
    pub fn recall(&mut self, told: Told, now: Mono) {
        for change in told.0 {
            if change.moved == Move::Raised && change.what.lasts() {
                let lasting = Lasting { since: now, first: change.first, is_told: true };
                self.lasting.insert(change.what, lasting);
            } else {
                self.once.push(change);
            }
        }
    }

    /// What must survive a restart.
    pub fn told(&self) -> Told {
        let open = self.lasting.iter().filter(|(_, lasting)| lasting.is_told);
        let open =
            open.map(|(what, lasting)| change(what.clone(), Move::Raised, lasting.first, lasting.first));
        Told(open.chain(self.once.iter().cloned()).collect())
    }

    /// Replaces what is so now among the lasting things that `is_meant`; the ends of what was told.
    pub fn replace(
        &mut self,
        mono: Mono,
        wall: Wall,
        is_meant: impl Fn(&Irregularity) -> bool,
        current: Vec<Irregularity>,
    ) -> Vec<IrregularityChange> {
        let mut ended = Vec::new();
        self.lasting.retain(|what, lasting| {
            let stays = !is_meant(what) || current.contains(what);
            if !stays && lasting.is_told {
                ended.push(change(what.clone(), Move::Ended, lasting.first, wall));
            }
            stays
        });
        for what in current {
            self.lasting.entry(what).or_insert(Lasting { since: mono, first: wall, is_told: false });
        }
        ended
    }

    /// What has lasted long enough to be told at `now`.
    pub fn due(
        &mut self,
        mono: Mono,
        wall: Wall,
        patience: impl Fn(&Irregularity) -> std::time::Duration,
    ) -> Vec<IrregularityChange> {
        let mut raised = Vec::new();
        for (what, lasting) in &mut self.lasting {
            if !lasting.is_told && lasting.since + patience(what) <= mono {
                lasting.is_told = true;
                raised.push(change(what.clone(), Move::Raised, lasting.first, wall));
            }
        }
        raised
    }

    /// When [`Irregular::due`] will next have something.
    pub fn next_due(&self, patience: impl Fn(&Irregularity) -> std::time::Duration) -> Option<Mono> {
        let waiting = self.lasting.iter().filter(|(_, lasting)| !lasting.is_told);
        waiting.map(|(what, lasting)| lasting.since + patience(what)).min()
    }

    /// Tells of something that happened once; `None` when that was told before.
    pub fn once(&mut self, what: Irregularity, first: Wall, last: Wall) -> Option<IrregularityChange> {
        if self.once.iter().any(|told| told.what == what) {
            return None;
        }
        let change = once(what, first, last);
        self.once.push(change.clone());
        let excess = self.once.len().saturating_sub(MOST_TOLD);
        self.once.drain(..excess);
        Some(change)
    }
}

impl Irregularity {
    /// The camera it is about.
    pub fn camera(&self) -> Option<&CameraId> {
        match self {
            Irregularity::CameraTampered { camera, .. } => Some(camera),
            Irregularity::ClockStepped { .. }
            | Irregularity::ClockOff { .. }
            | Irregularity::StoreFull
            | Irregularity::TwoInBed { .. }
            | Irregularity::TwoBeds { .. }
            | Irregularity::TakenBack { .. }
            | Irregularity::RetroactiveDeparture { .. }
            | Irregularity::InsurerMismatch { .. } => None,
        }
    }

    /// Whether a belief about the ward says anew whether this is so.
    pub fn is_of_roster(&self) -> bool {
        matches!(
            self,
            Irregularity::TwoInBed { .. }
                | Irregularity::TwoBeds { .. }
                | Irregularity::InsurerMismatch { .. }
        )
    }

    fn lasts(&self) -> bool {
        match self {
            Irregularity::CameraTampered { .. }
            | Irregularity::ClockOff { .. }
            | Irregularity::StoreFull
            | Irregularity::TwoInBed { .. }
            | Irregularity::TwoBeds { .. }
            | Irregularity::InsurerMismatch { .. } => true,
            Irregularity::ClockStepped { .. }
            | Irregularity::TakenBack { .. }
            | Irregularity::RetroactiveDeparture { .. } => false,
        }
    }
}

/// Tells of something that happened once, however often.
pub fn once(what: Irregularity, first: Wall, last: Wall) -> IrregularityChange {
    change(what, Move::Raised, first, last)
}

fn change(what: Irregularity, moved: Move, first: Wall, last: Wall) -> IrregularityChange {
    let (bed, stay, _) = what.about();
    let place = what.camera().map(CameraId::as_str).or(bed.map(BedId::as_str)).unwrap_or("-");
    let stay = stay.map_or("-", StayId::as_str);
    IrregularityChange {
        irregularity: format!("{}.{place}.{stay}.{}", what.name(), first.0),
        moved,
        first,
        last,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn twice(bed: &str) -> Irregularity {
        let stays = ["S1", "S2"].map(|id| StayId::new(id).unwrap()).to_vec();
        Irregularity::TwoInBed { bed: BedId::new(bed).unwrap(), stays }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn what_passes_quickly_is_never_told() {
        let mut irregular = Irregular::default();
        irregular.replace(Mono(0), Wall(0), |_| true, vec![twice("1")]);
        assert_eq!(irregular.next_due(|_| PATIENCE), Some(Mono(60_000)));
        assert_eq!(irregular.due(Mono(59_999), Wall(59_999), |_| PATIENCE), []);
        assert_eq!(irregular.replace(Mono(59_999), Wall(59_999), |_| true, vec![]), []);
        assert_eq!(irregular.next_due(|_| PATIENCE), None);
    }

    #[test]
    fn what_lasts_is_told_once_and_its_end_too_over_a_restart() {
        let mut irregular = Irregular::default();
        irregular.replace(Mono(0), Wall(7), |_| true, vec![twice("1")]);
        let told = irregular.due(Mono(60_000), Wall(60_007), |_| PATIENCE);
        assert_eq!((told.len(), told[0].moved, told[0].first), (1, Move::Raised, Wall(7)));
        let mut irregular = {
            let text = serde_json::to_string(&irregular.told()).unwrap();
            let mut again = Irregular::default();
            again.recall(serde_json::from_str(&text).unwrap(), Mono(5));
            again
        };
        irregular.replace(Mono(5), Wall(9), |_| true, vec![twice("1")]);
        assert_eq!(irregular.due(Mono(90_000), Wall(90_000), |_| PATIENCE), []);
        let ended = irregular.replace(Mono(6), Wall(10), |_| true, vec![]);
        assert_eq!((ended[0].moved, &ended[0].irregularity), (Move::Ended, &told[0].irregularity));
    }

    #[test]
    fn what_happened_once_is_told_once() {
        let mut irregular = Irregular::default();
        let step = Irregularity::ClockStepped { by_ms: 5 };
        assert!(irregular.once(step.clone(), Wall(1), Wall(1)).is_some());
        assert!(irregular.once(step, Wall(1), Wall(1)).is_none());
    }
}
