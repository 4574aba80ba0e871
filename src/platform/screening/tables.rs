//! The tables rules may read: what their columns are called, and what a file of them may hold.
//!
//! Names are those of the national interface (接口字段). Money comes in yuan (`medfee_sumamt`) and is kept in fen
//! (`medfee_sumamt_fen`), so that sums are exact; moments are kept as China's days and minutes, as they were said.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// What a cell holds and how it is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier: digits and letters, never a spreadsheet's `E+17`.
    Id,
    /// Free text, as a name.
    Text,
    /// Whole days, `2026-11-29` or `20261129`; a time of day after it is left out.
    Day,
    /// `2026-11-29 08:15:00`.
    Moment,
    /// Yuan with two decimals, not negative.
    Money,
    /// A number that is not negative.
    Count,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// In the data folder and in rules.
    pub name: &'static str,
    /// In files: the national name first, then what it is called in Chinese exports.
    pub names: &'static [&'static str],
    pub kind: Kind,
    pub required: bool,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Identifies a row: a second one is refused.
    pub key: &'static str,
    /// The day a row belongs to: what months are cut by and what a run of one day looks at. Reference lists have none.
    pub day: Option<&'static str>,
    /// Column pairs of which the second must not be before the first.
    pub ordered: Option<(&'static str, &'static str)>,
}

const fn id(name: &'static str, names: &'static [&'static str]) -> Column {
    Column { name, names, kind: Kind::Id, required: true }
}

const fn maybe(column: Column) -> Column {
    Column { required: false, ..column }
}

const fn of(kind: Kind, name: &'static str, names: &'static [&'static str]) -> Column {
    Column { name, names, kind, required: true }
}

const PSN_NO: Column = id("psn_no", &["psn_no", "人员编号"]);
const CERTNO_HASH: Column = id("certno_hash", &["certno_hash", "证件号码摘要"]);
const FIXMEDINS_CODE: Column = id("fixmedins_code", &["fixmedins_code", "定点医药机构编号"]);
const MDTRT_ID: Column = id("mdtrt_id", &["mdtrt_id", "就诊id"]);
const DR_CODE: Column = id("dr_code", &["dr_code", "atddr_no", "医师编码"]);
const BEGNDATE: Column = of(Kind::Day, "begndate", &["begndate", "begntime", "开始日期", "入院时间"]);
const ENDDATE: Column = of(Kind::Day, "enddate", &["enddate", "endtime", "结束日期", "出院时间"]);

/// 结算. Inpatient stays, outpatient visits and purchases at pharmacies are kept apart by `med_type`.
pub const SETTLEMENT: Table = Table {
    name: "settlement",
    columns: &[
        id("setl_id", &["setl_id", "结算id"]),
        MDTRT_ID,
        PSN_NO,
        CERTNO_HASH,
        FIXMEDINS_CODE,
        id("med_type", &["med_type", "医疗类别"]),
        id("insutype", &["insutype", "险种类型"]),
        BEGNDATE,
        ENDDATE,
        of(Kind::Day, "setl_date", &["setl_time", "setl_date", "结算时间"]),
        maybe(DR_CODE),
        maybe(id("dscg_maindiag_code", &["dscg_maindiag_code", "dise_codg", "主诊断编码"])),
        maybe(id("hilist_code", &["hilist_code", "医保目录编码"])),
        of(Kind::Money, "medfee_sumamt_fen", &["medfee_sumamt", "医疗费总额"]),
        of(Kind::Money, "fund_pay_sumamt_fen", &["fund_pay_sumamt", "基金支付总额"]),
    ],
    key: "setl_id",
    day: Some("setl_date"),
    ordered: Some(("begndate", "enddate")),
};

/// 在院名单 as the insurer has it (5303).
pub const ADMISSION: Table = Table {
    name: "admission",
    columns: &[
        MDTRT_ID,
        PSN_NO,
        CERTNO_HASH,
        FIXMEDINS_CODE,
        maybe(DR_CODE),
        maybe(of(Kind::Text, "adm_dept_codg", &["adm_dept_codg", "入院科室编码"])),
        maybe(of(Kind::Text, "adm_bed", &["adm_bed", "入院床位"])),
        maybe(id("coner_hash", &["coner_hash", "联系人摘要"])),
        of(Kind::Day, "begndate", &["begndate", "begntime", "入院时间"]),
        maybe(of(Kind::Moment, "begntime", &["begntime", "入院时间"])),
        maybe(of(Kind::Day, "enddate", &["enddate", "endtime", "出院时间"])),
    ],
    key: "mdtrt_id",
    day: Some("begndate"),
    ordered: Some(("begndate", "enddate")),
};

/// What this platform knows of a stay that ended: days checks were due on, and what came of them.
pub const PRESENCE: Table = Table {
    name: "presence",
    columns: &[
        MDTRT_ID,
        FIXMEDINS_CODE,
        of(Kind::Day, "enddate", &["enddate", "出院时间"]),
        of(Kind::Count, "days_due", &["days_due"]),
        of(Kind::Count, "days_verified", &["days_verified"]),
        of(Kind::Count, "days_excused", &["days_excused"]),
        of(Kind::Count, "days_absent", &["days_absent"]),
        of(Kind::Count, "rounds_absent", &["rounds_absent"]),
        maybe(of(Kind::Day, "last_verified", &["last_verified"])),
    ],
    key: "mdtrt_id",
    day: Some("enddate"),
    ordered: None,
};

/// Stays on the rosters of wards with devices.
pub const ROSTER: Table = Table {
    name: "roster",
    columns: &[
        MDTRT_ID,
        maybe(PSN_NO),
        FIXMEDINS_CODE,
        BEGNDATE,
        maybe(of(Kind::Day, "enddate", &["enddate", "endtime", "结束日期", "出院时间"])),
    ],
    key: "mdtrt_id",
    day: Some("begndate"),
    ordered: Some(("begndate", "enddate")),
};

/// What devices reported: a face shown with the card of one person resembled another one's. No template leaves a device.
pub const FACE_LINK: Table = Table {
    name: "face_link",
    columns: &[
        id("event", &["event"]),
        of(Kind::Day, "done_date", &["done_date"]),
        of(Kind::Text, "purpose", &["purpose"]),
        FIXMEDINS_CODE,
        PSN_NO,
        id("resembles_psn_no", &["resembles_psn_no"]),
    ],
    key: "event",
    day: Some("done_date"),
    ordered: None,
};

/// 参保人: household and place.
pub const PERSON: Table = Table {
    name: "person",
    columns: &[
        PSN_NO,
        CERTNO_HASH,
        id("addr_hash", &["addr_hash", "地址摘要"]),
        maybe(id("nursing_home_code", &["nursing_home_code", "养老机构编码"])),
        of(Kind::Day, "brdy", &["brdy", "出生日期"]),
    ],
    key: "psn_no",
    day: None,
    ordered: None,
};

/// 死亡名单.
pub const DECEASED: Table = Table {
    name: "deceased",
    columns: &[CERTNO_HASH, of(Kind::Day, "die_date", &["die_date", "死亡日期"])],
    key: "certno_hash",
    day: None,
    ordered: None,
};

/// 定点医药机构. `covered`: 1 where wards have devices.
pub const INSTITUTION: Table = Table {
    name: "institution",
    columns: &[
        FIXMEDINS_CODE,
        of(Kind::Text, "fixmedins_name", &["fixmedins_name", "定点医药机构名称"]),
        id("fixmedins_type", &["fixmedins_type", "机构类别"]),
        of(Kind::Count, "beds", &["beds", "床位数"]),
        of(Kind::Count, "covered", &["covered"]),
    ],
    key: "fixmedins_code",
    day: None,
    ordered: None,
};

/// 医师.
pub const DOCTOR: Table = Table {
    name: "doctor",
    columns: &[DR_CODE, of(Kind::Text, "dr_name", &["dr_name", "医师姓名"]), FIXMEDINS_CODE],
    key: "dr_code",
    day: None,
    ordered: None,
};

/// 养老机构.
pub const NURSING_HOME: Table = Table {
    name: "nursing_home",
    columns: &[
        id("nursing_home_code", &["nursing_home_code", "养老机构编码"]),
        of(Kind::Text, "nursing_home_name", &["nursing_home_name", "养老机构名称"]),
        id("addr_hash", &["addr_hash", "地址摘要"]),
    ],
    key: "nursing_home_code",
    day: None,
    ordered: None,
};

/// 医保药品目录.
pub const DRUG: Table = Table {
    name: "drug",
    columns: &[
        id("hilist_code", &["hilist_code", "医保目录编码"]),
        of(Kind::Text, "hilist_name", &["hilist_name", "医保目录名称"]),
    ],
    key: "hilist_code",
    day: None,
    ordered: None,
};

/// Every table.
pub const TABLES: [&Table; 11] = [
    &SETTLEMENT,
    &ADMISSION,
    &PRESENCE,
    &ROSTER,
    &FACE_LINK,
    &PERSON,
    &DECEASED,
    &INSTITUTION,
    &DOCTOR,
    &NURSING_HOME,
    &DRUG,
];

/// What settlements are kept apart by: a rule about stays need not read the purchases of a province.
pub const CLASSES: [&str; 3] = ["inpatient", "outpatient", "pharmacy"];

/// The class of a settlement by the first digits of 医疗类别: 2x stays, 41 purchases at pharmacies, all else visits.
pub fn class_of(med_type: &str) -> &'static str {
    match med_type.as_bytes() {
        [b'2', ..] => "inpatient",
        [b'4', b'1', ..] => "pharmacy",
        _ => "outpatient",
    }
}

/// The tables SQL with these names reads, with each folder of them: `settlement` is all three classes.
pub fn read_by(names: &BTreeSet<String>) -> impl Iterator<Item = (&'static Table, String)> {
    let folders = |table: &'static Table| table.folders().into_iter().map(move |folder| (table, folder));
    TABLES
        .into_iter()
        .flat_map(folders)
        .filter(|(table, folder)| names.contains(table.name) || names.contains(folder))
}

/// The table of that name.
pub fn named(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.name == name)
}

impl Kind {
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Id | Kind::Text => DataType::Utf8,
            Kind::Day => DataType::Date32,
            Kind::Moment => DataType::Timestamp(TimeUnit::Millisecond, None),
            Kind::Money => DataType::Int64,
            Kind::Count => DataType::Int32,
        }
    }
}

impl Table {
    /// As the data folder holds it.
    pub fn schema(&self) -> SchemaRef {
        let fields = self
            .columns
            .iter()
            .map(|column| Field::new(column.name, column.kind.data_type(), !column.required));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Where a column stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The folders it lies in: settlements in one of each class.
    pub fn folders(&self) -> Vec<String> {
        if self.name == SETTLEMENT.name {
            CLASSES.iter().map(|class| (*class).to_owned()).collect()
        } else {
            vec![self.name.to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_days_and_orders_are_columns() {
        for table in TABLES {
            assert!(table.place(table.key).is_some(), "{}", table.name);
            for name in table.day.into_iter().chain(table.ordered.into_iter().flat_map(|(a, b)| [a, b])) {
                assert!(table.place(name).is_some(), "{}.{name}", table.name);
            }
        }
        assert_eq!((class_of("21"), class_of("41"), class_of("11")), ("inpatient", "pharmacy", "outpatient"));
    }
}
