//! Screening from files to leads: rules find what they say, planted frauds are found, bad input is refused with its row,
//! column and reason while the rest loads, and nothing is doubled.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bedcheck::platform::association::{self, Kind, Node};
use bedcheck::platform::db::Database;
use bedcheck::platform::leads::{self, NewLead};
use bedcheck::platform::screening::engine::{self, Extent, Limits};
use bedcheck::platform::screening::folder::{Folder, day_of};
use bedcheck::platform::screening::generate::{self, Format};
use bedcheck::platform::screening::load::{self, LoadError, Outcome};
use bedcheck::platform::screening::measure::{Truth, measure};
use bedcheck::platform::screening::rules::{self, Rule, cases};
use bedcheck::platform::screening::tables;

/// The engine plans deeply nested; unoptimised that needs more stack than a test's thread has.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(64 * 1024 * 1024)
        .enable_all()
        .build()
        .unwrap()
}

fn take(folder: &Folder, path: &Path) -> Result<Outcome, LoadError> {
    load::load(folder, path, None, &mut |_| {})
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("truth.csv"));
    files.sort();
    files
}

fn found(folder: &Folder, rules: &[Rule], since: Option<i32>) -> BTreeMap<String, Vec<NewLead>> {
    let (parts, extent) = (folder.parts().unwrap(), Extent { since });
    let (folder, rules) = (folder.clone(), rules.to_vec());
    let runtime = runtime();
    let task = runtime.spawn(async move {
        let mut found = BTreeMap::new();
        for rule in &rules {
            let (ran, leads) = engine::run(&folder, &parts, rule, &extent, &Limits::default()).await.unwrap();
            assert!(!ran.cut);
            found.insert(rule.id.clone(), leads);
        }
        found
    });
    runtime.block_on(task).unwrap()
}

fn ids(leads: &BTreeMap<String, Vec<NewLead>>) -> BTreeSet<(String, String)> {
    leads.iter().flat_map(|(rule, leads)| leads.iter().map(|lead| (rule.clone(), lead.id.clone()))).collect()
}

#[test]
fn every_rule_finds_what_its_own_file_says_and_nothing_else() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut wrong = Vec::new();
        for rule in rules::read(None).unwrap() {
            for case in &rule.tests {
                wrong.extend(cases::run(&rule, case).await.err());
            }
        }
        wrong
    });
    let wrong = runtime.block_on(task).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planted_frauds_are_found_again_by_day_and_by_a_second_run_and_doubled_by_none() {
    // Given a province, loaded twice over, the last day after the others.
    let place = tempfile::tempdir().unwrap();
    let made =
        generate::generate(&place.path().join("in"), 120_000, 5, Format::Parquet, &mut |_| {}).unwrap();
    assert_eq!(made.settlements, 120_000);
    let (whole, daily) = (place.path().join("whole"), place.path().join("daily"));
    let (whole, daily) = (Folder::open(&whole).unwrap(), Folder::open(&daily).unwrap());
    let (last, before): (Vec<_>, Vec<_>) = files(&place.path().join("in"))
        .into_iter()
        .partition(|path| path.to_string_lossy().contains("2025-12-31"));
    let mut rows = 0;
    for path in before.iter().chain(&last) {
        let outcome = take(&whole, path).unwrap();
        assert_eq!(outcome.refused, 0, "{outcome:?}");
        rows += if outcome.table == "settlement" { outcome.rows } else { 0 };
        assert!(take(&whole, path).unwrap().known);
    }
    assert_eq!(rows, 120_000);
    // When all rules run over everything.
    let rules = rules::read(None).unwrap();
    let leads = found(&whole, &rules, None);
    // Then nearly all of what was planted is found, and most of what is found was planted.
    let truth = Truth::read(&place.path().join("in/truth.csv")).unwrap();
    let mut cases = (0, 0);
    for rule in &rules {
        let measured = measure(&truth, &rule.id, &leads[&rule.id]);
        assert!(measured.recall.n >= 6 && measured.recall.share >= 0.5, "{measured:?}");
        assert!(measured.precision.share >= 0.4, "{measured:?}");
        cases = (cases.0 + measured.recall.hits, cases.1 + measured.recall.n);
    }
    // One case in fourteen stays below what rules look for.
    assert!(cases.0 * 100 > cases.1 * 85 && cases.0 < cases.1, "{cases:?}");
    let precise: usize = leads.values().map(Vec::len).sum();
    assert!(precise > 100, "{precise}");
    // And a second run gives the same leads.
    assert_eq!(ids(&leads), ids(&found(&whole, &rules, None)));
    // And a run since a day in summer gives, of all leads, exactly those with a row of that day or later, as they are.
    let summer = found(&whole, &rules, Some(day_of(jiff::civil::Date::constant(2025, 7, 1))));
    let is_later = |lead: &&NewLead| {
        lead.proof.as_array().unwrap().iter().any(|row| row["seen"].as_str() >= Some("2025-07-01"))
    };
    for rule in rules.iter().filter(|rule| rule.incremental.is_some()) {
        let later: Vec<&NewLead> = leads[&rule.id].iter().filter(is_later).collect();
        assert_eq!(summer[&rule.id].iter().collect::<Vec<_>>(), later, "{}", rule.id);
    }
    assert!(summer.values().map(Vec::len).sum::<usize>() > 20);
    // And a run over the last day adds to the days before what the whole has.
    for path in &before {
        take(&daily, path).unwrap();
    }
    let mut known = found(&daily, &rules, None);
    for path in &last {
        take(&daily, path).unwrap();
    }
    let day = day_of(jiff::civil::Date::constant(2025, 12, 31));
    let fresh = found(&daily, &rules, Some(day));
    for rule in rules.iter().filter(|rule| rule.incremental.is_some()) {
        for lead in &fresh[&rule.id] {
            assert_eq!(leads[&rule.id].iter().find(|whole| whole.id == lead.id), Some(lead));
        }
    }
    for (rule, leads) in fresh {
        known.entry(rule).or_default().extend(leads);
    }
    assert_eq!(ids(&known), ids(&leads));
}

#[test]
fn leads_reach_the_platform_s_database_and_a_second_run_only_confirms_them() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let platform = |words: &[&str]| -> String {
        let run =
            std::process::Command::new(env!("CARGO_BIN_EXE_bedcheck-platform")).args(words).output().unwrap();
        assert!(run.status.success(), "{words:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    platform(&["init", "--dir", &at("platform")]);
    platform(&["screening", "generate", "--out", &at("in"), "--rows", "20000"]);
    let files = files(&place.path().join("in"));
    let data = at("data");
    let mut load = vec!["screening", "load", "--data", &data];
    load.extend(files.iter().map(|path| path.to_str().unwrap()));
    platform(&load);
    let run = || -> serde_json::Value {
        let said = platform(&["screening", "run", "--data", &data, "--dir", &at("platform"), "--json"]);
        serde_json::from_str(&said).unwrap()
    };
    let (first, second) = (run(), run());
    let count = |said: &serde_json::Value, name: &str| said["recorded"][name].as_i64().unwrap();
    assert!(count(&first, "fresh") > 50 && count(&first, "known") == 0, "{first}");
    assert_eq!((count(&second, "fresh"), count(&second, "known")), (0, count(&first, "fresh")));
    let db = Database::open(&place.path().join("platform/platform.db")).unwrap();
    let page = db.read(|connection| leads::list(connection, &leads::Filter::default(), (None, 500))).unwrap();
    let doctor = page.rows.iter().find(|lead| lead.rule == "doctor-day").unwrap();
    let node = Node { kind: Kind::Doctor, id: doctor.dr_code.clone().unwrap() };
    let beside = db.read(|connection| association::neighbours(connection, &node, 9)).unwrap();
    let house = beside.iter().find(|one| one.node.kind == Kind::Institution).unwrap();
    assert!(house.name.is_some() && house.visits > 0 && house.amount_fen > 0, "{beside:?}");
    let back = db.read(|connection| association::neighbours(connection, &house.node, 500)).unwrap();
    assert!(back.iter().any(|one| one.node == node && one.leads > 0));
}

const HEADING: &str = "setl_id,mdtrt_id,psn_no,certno_hash,fixmedins_code,med_type,insutype,begndate,enddate,setl_time,medfee_sumamt,fund_pay_sumamt";

fn line(id: &str) -> String {
    format!("{id},M{id},P1,c1,H1,21,310,2025-03-01,2025-03-08,2025-03-08 10:00:00,1200.50,800")
}

fn rejects(outcome: &Outcome) -> Vec<(u64, String, String)> {
    let text = fs::read_to_string(outcome.rejects.as_ref().unwrap()).unwrap();
    csv::Reader::from_reader(text.as_bytes())
        .records()
        .map(|row| row.unwrap())
        .map(|row| (row[0].parse().unwrap(), row[1].to_owned(), row[2].to_owned()))
        .collect()
}

struct Place {
    folder: tempfile::TempDir,
    data: Folder,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let data = Folder::open(&folder.path().join("data")).unwrap();
        Place { folder, data }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), bytes).unwrap();
        path
    }

    fn csv(&self, name: &str, lines: &[String]) -> Result<Outcome, LoadError> {
        let text = format!("{HEADING}\n{}\n", lines.join("\n"));
        take(&self.data, &self.file(name, text.as_bytes()))
    }
}

#[test]
fn what_is_wrong_is_refused_with_row_column_and_reason_and_the_rest_loads() {
    let place = Place::new();
    let wrong = [
        line("S2").replace("P1", "6.2E+17"),
        line("S3").replace("1200.50", "-3.00"),
        line("S4").replace("2025-03-08,", "2025-02-08,"),
        line("S1"),
        line("S5").replace("P1,", "P1,x,"),
        line("S6").replace("2025-03-01", "H1"),
        line("S7").replace("P1", ""),
        line("S8").replace("800", "8e2"),
        line("S9").replace("2025-03-01", "1025-03-01"),
    ];
    let lines: Vec<String> = [line("S1")].into_iter().chain(wrong).chain([line("S10")]).collect();
    let outcome = place.csv("settlement.csv", &lines).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (2, 9));
    let mut said = rejects(&outcome);
    said.sort();
    let expected = [
        (3, "psn_no", "E+17"),
        (4, "medfee_sumamt", "negative"),
        (5, "enddate", "before the beginning"),
        (6, "setl_id", "twice"),
        (7, "", "shifted"),
        (8, "begndate", "no day"),
        (9, "psn_no", "empty"),
        (10, "fund_pay_sumamt", "amount"),
        (11, "begndate", "1880"),
    ];
    assert_eq!(said.len(), expected.len());
    for ((row, column, reason), (at, of, words)) in said.iter().zip(expected) {
        assert!(*row == at && column == of && reason.contains(words), "{row} {column} {reason}");
    }
}

#[test]
fn a_row_of_a_former_file_is_refused_with_its_number_and_a_known_file_is_passed_over() {
    let place = Place::new();
    place.csv("settlement-1.csv", &[line("S1"), line("S2")]).unwrap();
    let outcome = place.csv("settlement-2.csv", &[line("S3"), line("S2"), line("S4")]).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (2, 1));
    let said = rejects(&outcome);
    assert!(said[0].0 == 3 && said[0].1 == "setl_id" && said[0].2.contains("loaded before"), "{said:?}");
    let again = place.csv("settlement-3.csv", &[line("S1"), line("S2")]).unwrap();
    assert!(again.known);
    assert_eq!(place.data.parts().unwrap().iter().map(|part| part.rows).sum::<u64>(), 4);
}

#[test]
fn gb18030_and_utf8_load_and_a_row_in_another_charset_is_refused() {
    let place = Place::new();
    let text =
        "定点医药机构编号,定点医药机构名称,机构类别,床位数,covered\nH1,示范医院,1,30,1\nH2,第二医院,1,30,0\n";
    let bytes = encoding_rs::GB18030.encode(text).0;
    let outcome = take(&place.data, &place.file("institution-gb.csv", &bytes)).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (2, 0));
    let mut mixed = text.replace("H1", "H3").replace("H2", "H4").into_bytes();
    mixed.extend(encoding_rs::GB18030.encode("H5,第三医院,1,30,0\n").0.iter());
    let outcome = take(&place.data, &place.file("institution-mixed.csv", &mixed)).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (2, 1));
    assert!(rejects(&outcome)[0].2.contains("charset"));
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let error = take(&place.data, &place.file("institution-utf16.csv", &utf16)).unwrap_err().to_string();
    assert!(error.contains("UTF-16"), "{error}");
}

#[test]
fn json_lines_load_and_a_damaged_line_is_refused() {
    let place = Place::new();
    let text = "{\"certno_hash\":\"c1\",\"die_date\":\"2025-03-01\"}\n{\"certno_hash\":\n{\"certno_hash\":6.2e17,\"die_date\":\"2025-03-01\"}\n";
    let outcome = take(&place.data, &place.file("deceased.jsonl", text.as_bytes())).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (1, 2));
    assert_eq!(rejects(&outcome)[0].0, 2);
}

#[test]
fn a_spreadsheet_loads_and_a_number_it_has_cut_is_refused() {
    let place = Place::new();
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in [["证件号码摘要", "死亡日期"], ["c1", "2025-03-01"]].iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            sheet.write(row as u32, column as u16, *cell).unwrap();
        }
    }
    sheet.write(2, 0, 6.201_020_250_101_123e17).unwrap();
    sheet.write(2, 1, "2025-03-01").unwrap();
    let outcome = take(&place.data, &place.file("deceased.xlsx", &book.save_to_buffer().unwrap())).unwrap();
    assert_eq!((outcome.rows, outcome.refused), (1, 1));
    let said = rejects(&outcome);
    assert!(said[0].1 == "certno_hash" && said[0].2.contains("E+17"), "{said:?}");
}

#[test]
fn a_parquet_file_of_another_schema_is_refused_with_its_columns() {
    let place = Place::new();
    let out = place.folder.path().join("in");
    generate::generate(&out, generate::LEAST_ROWS, 1, Format::Parquet, &mut |_| {}).unwrap();
    let other = place.folder.path().join("settlement-other.parquet");
    fs::copy(out.join("person.parquet"), &other).unwrap();
    let error = take(&place.data, &other).unwrap_err().to_string();
    assert!(error.contains("another schema") && error.contains("setl_id is missing"), "{error}");
    let damaged = place.file("settlement-cut.parquet", b"PAR1nothing of the kind");
    assert!(take(&place.data, &damaged).unwrap_err().to_string().contains("damaged"));
    let unknown = place.file("what.csv", b"a,b\n");
    assert!(take(&place.data, &unknown).unwrap_err().to_string().contains("--table"));
}

#[test]
fn a_load_that_was_cut_off_leaves_nothing_and_is_done_again() {
    let place = Place::new();
    // A part and keys as they lie there when the power goes, with no record that names them.
    let left = place.data.root().join("parts/inpatient/2025-03/0123-0.parquet");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::File::create(&left).unwrap();
    fs::create_dir_all(place.data.root().join("keys/settlement")).unwrap();
    fs::File::create(place.data.keys("settlement", "0123")).unwrap();
    assert!(place.data.parts().unwrap().is_empty());
    place.data.sweep().unwrap();
    assert!(!left.exists() && !place.data.keys("settlement", "0123").exists());
    assert_eq!(place.csv("settlement.csv", &[line("S1")]).unwrap().rows, 1);
    place.data.sweep().unwrap();
    assert_eq!(place.data.parts().unwrap().len(), 1);
}

#[test]
fn a_province_in_csv_loads_as_the_same_one_in_parquet() {
    let place = Place::new();
    let rows = |format, name: &str| {
        let (out, data) = (
            place.folder.path().join(name),
            Folder::open(&place.folder.path().join(format!("{name}-data"))).unwrap(),
        );
        generate::generate(&out, generate::LEAST_ROWS, 1, format, &mut |_| {}).unwrap();
        for path in files(&out) {
            assert_eq!(take(&data, &path).unwrap().refused, 0, "{}", path.display());
        }
        let parts = data.parts().unwrap();
        parts
            .into_iter()
            .map(|part| (part.table, part.month, part.rows, part.first_day, part.last_day))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(rows(Format::Csv, "csv"), rows(Format::Parquet, "parquet"));
    assert!(tables::named("settlement").is_some());
}
