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
        Need::Usual("roster.csv"),
        "名册（全量）：CSV、XLS 或 XLSX 文件，或存放它们的文件夹（取最新）；列 mdtrt_id,adm_bed,psn_no,psn_name[,enrol] 或 就诊ID,床号,人员编号,姓名[,参考照片]；由 [hl7]、[http] 或 [fhir] 提供时可不写",
        "the whole roster: a CSV, XLS or XLSX file, or a folder of them (the newest counts); columns mdtrt_id,adm_bed,psn_no,psn_name[,enrol]; not needed where [hl7], [http] or [fhir] say who is there",
    ),
    key(
        "changes",
        Kind::File,
        Need::Optional("changes"),
        "变更清单（增量）：文件或文件夹；列 mdtrt_id,change[,adm_bed,psn_no,psn_name,time,until] 或 就诊ID,变更,床号,…",
        "lists of changes: a file or a folder; columns mdtrt_id,change[,adm_bed,psn_no,psn_name,time,until]",
    ),
    key(
        "insurer",
        Kind::File,
        Need::Optional("5303.csv"),
        "医保在院名单（5303）文件或文件夹；与名册不符会报异常",
        "the insurer's own list of inpatients (5303); where it differs from the roster, that is reported",
    ),
];
