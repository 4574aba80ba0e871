//! A list of changes (delta), for systems that write out what happened instead of who is there: one row for each event.

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId, WardId};
use crate::base::redact::Private;
use crate::domain::facts::{Change, Excuse, Fact, Person, What};
use crate::domain::snapshot::Insured;
use crate::hospital::sheet::Sheet;
use crate::hospital::text::china_time;

/// Complaints shown of one file.
const MOST_COMPLAINTS: usize = 50;

const STAY: [&str; 3] = ["mdtrt_id", "就诊id", "就诊流水号"];
const CHANGE: [&str; 4] = ["change", "变更", "变动", "操作"];
const BED: [&str; 4] = ["adm_bed", "床号", "床位", "bed"];
const PERSON: [&str; 3] = ["psn_no", "人员编号", "医保编号"];
const NAME: [&str; 3] = ["psn_name", "姓名", "患者姓名"];
const TIME: [&str; 3] = ["time", "时间", "发生时间"];
const UNTIL: [&str; 3] = ["until", "至", "预计返回"];
const WARD: [&str; 3] = ["adm_dept_codg", "科室编码", "病区"];

/// What each word of the column `change` means.
const WORDS: [(&[&str], Word); 15] = [
    (&["admitted", "入院", "入科"], Word::Admitted),
    (&["moved", "转床", "换床", "转入"], Word::Moved),
    (&["moved_out", "转出", "转科"], Word::MovedOut),
    (&["corrected", "更正"], Word::Corrected),
    (&["discharged", "出院"], Word::Discharged),
    (&["leave", "请假"], Word::Left(Excuse::Leave)),
    (&["examination", "外出检查", "检查"], Word::Left(Excuse::Examination)),
    (&["surgery", "手术"], Word::Left(Excuse::Surgery)),
    (&["isolation", "隔离"], Word::Left(Excuse::Isolation)),
    (&["returned", "返回", "返床", "销假"], Word::Returned),
    (&["cancel_admission", "撤销入院"], Word::Cancelled(What::Admission)),
    (&["cancel_transfer", "撤销转床", "撤销转出"], Word::Cancelled(What::Transfer)),
    (&["cancel_discharge", "撤销出院", "召回"], Word::Cancelled(What::Discharge)),
    (&["cancel_leave", "撤销请假"], Word::Cancelled(What::Leave)),
    (&["cancel_return", "撤销返回"], Word::Cancelled(What::Return)),
];

#[derive(Clone, Copy)]
enum Word {
    Admitted,
    Moved,
    MovedOut,
    Corrected,
    Discharged,
    Left(Excuse),
    Returned,
    Cancelled(What),
}

/// The facts of a list of changes; `source` names the file, so that reading it again adds nothing.
///
/// # Errors
/// Every complaint, with row and column.
pub fn facts(sheet: &Sheet, received: Wall, source: &str) -> Result<Vec<Fact>, Vec<String>> {
    let columns = Columns::of(sheet);
    let missing: Vec<String> = [(columns.stay, STAY[0]), (columns.change, CHANGE[0])]
        .into_iter()
        .filter(|(place, _)| place.is_none())
        .map(|(_, name)| {
            format!("row 1: the column {name:?} is missing; the file has: {}", sheet.headings.join(", "))
        })
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let (mut facts, mut complaints) = (Vec::new(), Vec::new());
    for (row, cells) in &sheet.rows {
        let read = Row { row: *row, cells, columns: &columns }.fact(received, source);
        match read {
            Ok(fact) => facts.push(fact),
            Err(complaint) if complaints.len() < MOST_COMPLAINTS => complaints.push(complaint),
            Err(_) => break,
        }
    }
    if complaints.is_empty() { Ok(facts) } else { Err(complaints) }
}

/// The insurer's own list (5303) as a file; rows that name another ward are left out.
///
/// # Errors
/// Every complaint, with row and column.
pub fn insured(sheet: &Sheet, ward: &WardId) -> Result<Vec<Insured>, Vec<String>> {
    let columns = Columns::of(sheet);
    if columns.stay.is_none() {
        let seen = sheet.headings.join(", ");
        return Err(vec![format!("row 1: the column {:?} is missing; the file has: {seen}", STAY[0])]);
    }
    let rows = sheet.rows.iter().map(|(row, cells)| Row { row: *row, cells, columns: &columns });
    let ours = rows.filter(|row| row.is_of(ward));
    let read: Vec<_> = ours.map(|row| Ok(Insured { stay: row.stay()?, person: row.person() })).collect();
    let complaints: Vec<String> =
        read.iter().filter_map(|read: &Result<_, String>| read.as_ref().err().cloned()).collect();
    if complaints.is_empty() { Ok(read.into_iter().flatten().collect()) } else { Err(complaints) }
}

struct Columns {
    stay: Option<usize>,
    change: Option<usize>,
    bed: Option<usize>,
    person: Option<usize>,
    name: Option<usize>,
    time: Option<usize>,
    until: Option<usize>,
    ward: Option<usize>,
}

impl Columns {
    fn of(sheet: &Sheet) -> Columns {
        Columns {
            stay: sheet.column(&STAY),
            change: sheet.column(&CHANGE),
            bed: sheet.column(&BED),
            person: sheet.column(&PERSON),
            name: sheet.column(&NAME),
            time: sheet.column(&TIME),
            until: sheet.column(&UNTIL),
            ward: sheet.column(&WARD),
        }
    }
}

struct Row<'a> {
    row: u64,
    cells: &'a [String],
    columns: &'a Columns,
}

impl Row<'_> {
    fn value(&self, column: Option<usize>) -> &str {
        column.and_then(|column| self.cells.get(column)).map_or("", |cell| cell.trim())
    }

    fn is_of(&self, ward: &WardId) -> bool {
        matches!(self.value(self.columns.ward), named if named.is_empty() || named == ward.as_str())
    }

    fn stay(&self) -> Result<StayId, String> {
        StayId::new(self.value(self.columns.stay))
            .map_err(|_| self.bad("mdtrt_id", "use 1 to 64 letters, digits, '.', '_' or '-'"))
    }

    fn person(&self) -> Person {
        let private = |column| Private::new(self.value(column).to_owned());
        Person { psn_no: private(self.columns.person), psn_name: private(self.columns.name) }
    }

    fn bed(&self) -> Result<Option<BedId>, String> {
        match self.value(self.columns.bed) {
            "" => Ok(None),
            bed => BedId::new(bed)
                .map(Some)
                .map_err(|_| self.bad("adm_bed", "use 1 to 64 letters, digits, '.', '_' or '-'")),
        }
    }

    fn time(&self, column: Option<usize>, name: &str) -> Result<Option<Wall>, String> {
        match self.value(column) {
            "" => Ok(None),
            text => china_time(text)
                .map(Some)
                .ok_or_else(|| self.bad(name, "write a time such as 2026-11-23 08:30:00")),
        }
    }

    fn fact(&self, received: Wall, source: &str) -> Result<Fact, String> {
        let word = self.value(self.columns.change).to_lowercase();
        let known = WORDS.iter().find(|(words, _)| words.contains(&word.as_str()));
        let Some((_, word)) = known else {
            return Err(
                self.bad("change", "write 入院, 转床, 转出, 出院, 请假, 外出检查, 手术, 隔离, 返回 or 撤销…")
            );
        };
        let needed = |bed: Option<BedId>| bed.ok_or_else(|| self.bad("adm_bed", "the value is empty"));
        let change = match *word {
            Word::Admitted => Change::Admitted { person: self.person(), bed: Some(needed(self.bed()?)?) },
            Word::Moved => Change::Moved { bed: Some(needed(self.bed()?)?) },
            Word::MovedOut => Change::Moved { bed: None },
            Word::Corrected => Change::Corrected { person: self.person() },
            Word::Discharged => Change::Discharged,
            Word::Left(excuse) => Change::Left { excuse, until: self.time(self.columns.until, "until")? },
            Word::Returned => Change::Returned,
            Word::Cancelled(what) => Change::Cancelled { what },
        };
        let at = self.time(self.columns.time, "time")?.unwrap_or(received);
        Ok(Fact { id: format!("{source}/{:06}", self.row), stay: Some(self.stay()?), at, received, change })
    }

    /// The value itself may be personal and is not repeated.
    fn bad(&self, column: &str, remedy: &str) -> String {
        format!("row {}, column {column}: {remedy}", self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::fold;

    #[test]
    fn a_list_of_changes_becomes_facts_with_their_own_times() {
        let text = "就诊ID,变更,床号,人员编号,姓名,时间,至\n\
            M1,入院,01,P1,张三,2026-11-20 08:00:00,\nM1,请假,,,,2026-11-22 18:00,2026-11-23 08:00\nM1,返回,,,,2026-11-23 07:30,\n";
        let sheet = Sheet::read(text.as_bytes()).unwrap();
        let received = china_time("2026-11-23 09:00:00").unwrap();
        let facts = facts(&sheet, received, "file/x").unwrap();
        assert_eq!(facts.len(), 3);
        assert_eq!(facts[1].at, china_time("2026-11-22 18:00:00").unwrap());
        let history = fold(&facts).into_values().next().unwrap();
        assert_eq!(history.away[0].to, china_time("2026-11-23 07:30:00"));
    }

    #[test]
    fn an_unknown_word_and_a_missing_bed_are_named_with_their_rows() {
        let sheet =
            Sheet::read("mdtrt_id,change,adm_bed\nM1,升舱,\nM2,转床,\nM3,出院,\n".as_bytes()).unwrap();
        let complaints = facts(&sheet, Wall(0), "x").unwrap_err();
        assert!(
            complaints[0].starts_with("row 2, column change")
                && complaints[1].starts_with("row 3, column adm_bed")
        );
        assert_eq!(complaints.len(), 2);
    }

    #[test]
    fn the_insurers_list_keeps_to_this_ward() {
        let text = "mdtrt_id,psn_name,adm_dept_codg\nM1,张三,3A\nM2,李四,4B\nM3,王五,\n";
        let listed = insured(&Sheet::read(text.as_bytes()).unwrap(), &WardId::new("3A").unwrap()).unwrap();
        let stays: Vec<&str> = listed.iter().map(|row| row.stay.as_str()).collect();
        assert_eq!(stays, ["M1", "M3"]);
    }
}
