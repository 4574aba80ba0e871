//! `[ward]`

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;

pub const KEYS: &[Key] = &[
    key(
        "id",
        Kind::Id,
        Need::Required("3A"),
        "病区编号，与平台登记的一致",
        "the ward as the platform knows it",
    ),
    key(
        "roster",
        Kind::File,
        Need::Required("roster.csv"),
        "名册 CSV：mdtrt_id,adm_bed,psn_no,psn_name[,enrol] 或 就诊ID,床号,人员编号,姓名[,参考照片]",
        "roster as CSV: mdtrt_id,adm_bed,psn_no,psn_name[,enrol]",
    ),
];
