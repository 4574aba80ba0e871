//! What the chain says of somebody's face data: that it was erased, and on which ground it was kept. Never whose: a stay
//! is named by a salted digest that only its own box can compute.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;

/// Why templates were erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// 出院: a day after the discharge was received.
    Discharged,
    /// 无对应住院: enrolled for a stay that nobody spoke of for a day.
    UnknownStay,
    /// 更换模型: of a pack of nets that is not used any more.
    Models,
    /// 本人请求
    Request,
    /// 撤回同意
    Withdrawn,
}

/// The ground on which a face is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// 单独同意
    Consent,
    /// 法定职责
    Statute,
    /// 合同必需
    Contract,
}

/// What happened to a ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Step {
    Recorded { basis: Basis },
    Withdrawn,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum PrivacyNote {
    Erased(Erased),
    Ledger(LedgerNote),
}

/// An erasure that is done: the bytes were gone when this was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Of all erasures of this box, from 1.
    pub number: u64,
    /// Salted digest of the stay.
    pub subject: String,
    pub why: Why,
    /// Templates that were erased.
    pub templates: u64,
    /// Facts whose name and number were erased.
    pub facts: u64,
    pub at: Wall,
}

/// An entry of the ledger of grounds; with its link a ledger that was changed or cut later shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerNote {
    /// From 1, without gaps.
    pub number: u64,
    pub link: String,
    /// Salted digest of the stay.
    pub subject: String,
    #[serde(flatten)]
    pub step: Step,
    pub at: Wall,
}

impl Why {
    pub const ALL: [Why; 5] = [Why::Discharged, Why::UnknownStay, Why::Models, Why::Request, Why::Withdrawn];

    pub fn name(self) -> &'static str {
        match self {
            Why::Discharged => "discharged",
            Why::UnknownStay => "unknown_stay",
            Why::Models => "models",
            Why::Request => "request",
            Why::Withdrawn => "withdrawn",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Why::Discharged => "出院满 24 小时",
            Why::UnknownStay => "无对应住院满 24 小时",
            Why::Models => "更换模型",
            Why::Request => "本人请求",
            Why::Withdrawn => "撤回同意",
        }
    }

    pub fn of(name: &str) -> Option<Why> {
        Why::ALL.into_iter().find(|why| why.name() == name)
    }
}

impl Basis {
    pub const ALL: [Basis; 3] = [Basis::Consent, Basis::Statute, Basis::Contract];

    pub fn name(self) -> &'static str {
        match self {
            Basis::Consent => "consent",
            Basis::Statute => "statute",
            Basis::Contract => "contract",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Basis::Consent => "单独同意",
            Basis::Statute => "法定职责",
            Basis::Contract => "合同必需",
        }
    }
}
