//! What is reported as suspicious, and how it moves. The platform owns the case; the agent only says what it sees.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::domain::verdict::{CheckResult, Verdict};

/// The frauds and failures that a bed can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionKind {
    /// 挂床住院: absent over several independent rounds.
    HangingBed,
    /// 冒名住院: somebody else in the bed.
    Impersonation,
    /// 床位不符: another patient of this ward in the bed.
    WrongBed,
    /// 疑似照片或假体冒充: the patient's face, but not on a living person, in several rounds.
    PresentationAttack,
    /// 未能核实: several rounds without a usable view.
    NotVerified,
    /// 事后补假: a reason for an absence that was reported only after the absence was seen.
    RetroactiveLeave,
}

impl ExceptionKind {
    pub fn name(self) -> &'static str {
        match self {
            ExceptionKind::HangingBed => "hanging_bed",
            ExceptionKind::Impersonation => "impersonation",
            ExceptionKind::WrongBed => "wrong_bed",
            ExceptionKind::PresentationAttack => "presentation_attack",
            ExceptionKind::NotVerified => "not_verified",
            ExceptionKind::RetroactiveLeave => "retroactive_leave",
        }
    }
}

/// How an exception moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    Raised,
    /// A further independent round says the same.
    Confirmed,
    /// The patient was verified in the bed.
    Ended,
}

/// An exception that was raised and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenException {
    pub kind: ExceptionKind,
    pub first: Wall,
    pub rounds: u8,
    /// Names the exception together with bed, stay and kind.
    pub raised_in: u64,
}

/// One move, as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExceptionChange {
    /// The same for every move of one exception.
    pub exception: String,
    pub kind: ExceptionKind,
    #[serde(rename = "move")]
    pub moved: Move,
    pub bed: BedId,
    pub stay: StayId,
    pub masked_name: String,
    /// Rounds that support it, the first of them, and the check that moved it.
    pub rounds: u8,
    pub first: Wall,
    pub last: Wall,
    pub round: u64,
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl OpenException {
    pub fn change(&self, moved: Move, result: &CheckResult, rounds: u8) -> ExceptionChange {
        ExceptionChange {
            exception: format!("{}.{}.{}.{}", result.stay, result.bed, self.kind.name(), self.raised_in),
            kind: self.kind,
            moved,
            bed: result.bed.clone(),
            stay: result.stay.clone(),
            masked_name: result.masked_name.clone(),
            rounds,
            first: self.first,
            last: result.done,
            round: result.round,
            verdict: result.verdict.clone(),
        }
    }
}
