//! `[legal]`: why faces may be compared here. The measures on face recognition (in force 2025-06-01) ask for it at every
//! device, and a sick room is their grey zone: without it the agent does not start.

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;

pub const KEYS: &[Key] = &[
    key(
        "basis",
        Kind::Text,
        Need::Required("医院决定 2026-17 号；患者入院时签署的单独同意"),
        "依据：法规条款、医院决定文号或单独同意",
        "the basis: a law, a numbered decision of the hospital, or separate consent",
    ),
    key("decided", Kind::Text, Need::Required("2026-11-01"), "决定日期", "when it was decided"),
    key(
        "by",
        Kind::Text,
        Need::Required("医务处"),
        "决定部门（不写个人姓名）",
        "who decided (an office, not a name)",
    ),
    key(
        "notice",
        Kind::Text,
        Need::Optional("告知书 V1"),
        "向患者出示的告知书版本",
        "version of the notice that patients are shown",
    ),
];

/// The recorded basis; it is told to the platform with the first words of every start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legal {
    pub basis: String,
    pub decided: String,
    pub by: String,
    pub notice: Option<String>,
}

pub fn read(fields: &Fields) -> Option<Legal> {
    let text = |key| fields.text(key).map(str::to_owned);
    Some(Legal { basis: text("basis")?, decided: text("decided")?, by: text("by")?, notice: text("notice") })
}
