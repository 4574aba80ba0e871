//! A ward's roster as a file: a whole list (snapshot), a list of changes (delta), or the insurer's own list (5303); CSV
//! or spreadsheet, with the national field names or their Chinese headings.
//!
//! Complaints name row, column and remedy, all at once.

use std::path::{Path, PathBuf};

use crate::base::clock::Wall;
use crate::base::files::{FileError, read_at_most, sha256_hex};
use crate::base::ids::{BedId, StayId};
use crate::base::redact::Private;
use crate::hospital::sheet::Sheet;

const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// Files of a watched folder that are looked at.
const MOST_FILES: usize = 10_000;
/// Complaints shown of one file.
const MOST_COMPLAINTS: usize = 50;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct RosterEntry {
    pub stay: StayId,
    pub bed: BedId,
    pub psn_no: Private<String>,
    pub psn_name: Private<String>,
    /// Folder of reference pictures, relative to the roster, where the file names one.
    pub enrol: Option<PathBuf>,
}

/// A whole file.
#[derive(Clone, Debug)]
pub struct RosterFile {
    pub entries: Vec<RosterEntry>,
    pub digest: String,
    pub received: Wall,
}

/// Why a roster is refused: all reasons at once. The former roster stays in force.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} cannot be used:\n{}", .complaints.join("\n"))]
    Content { path: PathBuf, complaints: Vec<String> },
}

struct Column {
    name: &'static str,
    aliases: &'static [&'static str],
    required: bool,
}

const COLUMNS: [Column; 6] = [
    Column { name: "mdtrt_id", aliases: &["就诊id", "就诊流水号"], required: true },
    Column { name: "adm_bed", aliases: &["床号", "床位", "bed"], required: true },
    Column { name: "psn_no", aliases: &["人员编号", "医保编号"], required: true },
    Column { name: "psn_name", aliases: &["姓名", "患者姓名"], required: true },
    Column { name: "certno", aliases: &["身份证号", "证件号码"], required: false },
    Column { name: "enrol", aliases: &["参考照片"], required: false },
];

/// The file itself, or the newest one of a watched folder.
pub fn newest(path: &Path) -> PathBuf {
    files_in(path).pop().unwrap_or_else(|| path.to_owned())
}

/// The files of a watched folder that are no longer being written to by name (`.tmp`, `~`, hidden ones), the oldest
/// first; none for a file.
pub fn files_in(path: &Path) -> Vec<PathBuf> {
    let is_ready =
        |name: &str| !name.starts_with(['.', '~']) && !name.ends_with('~') && !name.ends_with(".tmp");
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().take(MOST_FILES);
    let mut files: Vec<_> = entries
        .filter(|entry| is_ready(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| {
            Some((entry.metadata().ok().filter(std::fs::Metadata::is_file)?.modified().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// A table and the digest of its file.
///
/// # Errors
/// [`RosterError`].
pub fn sheet(path: &Path) -> Result<(Sheet, String), RosterError> {
    let bytes = read_at_most(path, MOST_BYTES)?;
    let sheet = Sheet::read(&bytes)
        .map_err(|complaints| RosterError::Content { path: path.to_owned(), complaints })?;
    Ok((sheet, sha256_hex(&bytes)))
}

/// SHA-256 of the file as it is now; `None` while it cannot be read.
pub fn digest(path: &Path) -> Option<String> {
    read_at_most(&newest(path), MOST_BYTES).ok().map(|bytes| sha256_hex(&bytes))
}

/// Reads a roster file, or the newest one of a folder.
///
/// # Errors
/// [`RosterError`] with row, column and remedy of every complaint.
pub fn read(path: &Path, received: Wall) -> Result<RosterFile, RosterError> {
    let path = newest(path);
    let (sheet, digest) = sheet(&path)?;
    let entries = parse(&sheet).map_err(|complaints| RosterError::Content { path, complaints })?;
    Ok(RosterFile { entries, digest, received })
}

/// The rows of a whole list.
///
/// # Errors
/// Every complaint, with row and column.
pub fn parse(sheet: &Sheet) -> Result<Vec<RosterEntry>, Vec<String>> {
    let places = places(sheet)?;
    let mut complaints = Vec::new();
    let mut entries: Vec<(u64, RosterEntry)> = Vec::new();
    for (row, cells) in &sheet.rows {
        if complaints.len() >= MOST_COMPLAINTS {
            complaints.push(format!("row {row}: reading stopped here"));
            break;
        }
        match entry(*row, cells, sheet.headings.len(), &places) {
            Ok(entry) => {
                if let Some((other, _)) = entries.iter().find(|(_, known)| known.bed == entry.bed) {
                    complaints.push(format!(
                        "row {row}, column adm_bed: bed {:?} is already given to another stay in row {other}; one of them must be corrected",
                        entry.bed.as_str()
                    ));
                } else if let Some((other, _)) = entries.iter().find(|(_, known)| known.stay == entry.stay) {
                    complaints.push(format!(
                        "row {row}, column mdtrt_id: the stay of row {other} appears again with another bed"
                    ));
                } else {
                    entries.push((*row, entry));
                }
            }
            Err(found) => complaints.extend(found),
        }
    }
    if complaints.is_empty() {
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    } else {
        Err(complaints)
    }
}

/// Where each column stands.
fn places(sheet: &Sheet) -> Result<[Option<usize>; COLUMNS.len()], Vec<String>> {
    let is = |heading: &str, column: &Column| {
        let heading = heading.to_lowercase();
        heading == column.name || column.aliases.contains(&heading.as_str())
    };
    let places =
        COLUMNS.each_ref().map(|column| sheet.headings.iter().position(|heading| is(heading, column)));
    let missing: Vec<String> = COLUMNS
        .iter()
        .zip(&places)
        .filter(|(column, place)| column.required && place.is_none())
        .map(|(column, _)| {
            format!(
                "row 1: the column {:?} (or {}) is missing; the file has: {}",
                column.name,
                column.aliases.join(", "),
                sheet.headings.join(", ")
            )
        })
        .collect();
    if missing.is_empty() { Ok(places) } else { Err(missing) }
}

fn entry(
    row: u64,
    cells: &[String],
    width: usize,
    places: &[Option<usize>; COLUMNS.len()],
) -> Result<RosterEntry, Vec<String>> {
    if cells.len() != width {
        return Err(vec![format!(
            "row {row}: {} values where the heading has {width}; a separator is missing or too many",
            cells.len()
        )]);
    }
    let value = |column: usize| places[column].and_then(|place| cells.get(place)).map_or("", String::as_str);
    let mut complaints = Vec::new();
    for (at, column) in COLUMNS.iter().enumerate() {
        if column.required && value(at).is_empty() {
            complaints.push(format!("row {row}, column {}: the value is empty", column.name));
        }
    }
    // Spreadsheets turn long numbers into 5.1E+17: the last digits are lost for ever.
    for at in [0, 2, 4] {
        let text = value(at).to_uppercase();
        if text.contains("E+") {
            complaints.push(format!(
                "row {row}, column {}: the number was damaged by a spreadsheet (E+); format the column as text and export again",
                COLUMNS[at].name
            ));
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let stay = StayId::new(value(0)).map_err(|_| vec![bad_id(row, "mdtrt_id")])?;
    let bed = BedId::new(value(1)).map_err(|_| vec![bad_id(row, "adm_bed")])?;
    let enrol = Some(value(5)).filter(|text| !text.is_empty()).map(PathBuf::from);
    Ok(RosterEntry {
        stay,
        bed,
        psn_no: Private::new(value(2).to_owned()),
        psn_name: Private::new(value(3).to_owned()),
        enrol,
    })
}

/// The value itself may be personal and is not repeated.
fn bad_id(row: u64, column: &str) -> String {
    format!("row {row}, column {column}: use 1 to 64 letters, digits, '.', '_' or '-'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_rows(bytes: &[u8]) -> Result<Vec<RosterEntry>, Vec<String>> {
        Sheet::read(bytes).and_then(|sheet| parse(&sheet))
    }

    const GOOD: &str = "就诊ID,床号,人员编号,姓名\nM1,01,P1,张三\nM2,02床,P2,李四\n";

    #[test]
    fn chinese_headings_and_gb18030_are_read() {
        let (bytes, _, _) = encoding_rs::GB18030.encode(GOOD);
        let entries = read_rows(&bytes).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].psn_name.reveal(), "李四");
        assert_eq!(read_rows(GOOD.as_bytes()).unwrap(), entries);
    }

    #[test]
    fn every_complaint_comes_at_once_with_its_row() {
        let text =
            "mdtrt_id,adm_bed,psn_no,psn_name\nM1,01,P1,A\nM2,01,P2,B\nM3,03,5.1E+17,C\nM4,04,,D\nM5,05\n";
        let complaints = read_rows(text.as_bytes()).unwrap_err();
        for (at, wanted) in ["row 3, column adm_bed", "row 4, column psn_no", "row 5, column psn_no", "row 6"]
            .iter()
            .enumerate()
        {
            assert!(complaints[at].starts_with(wanted), "{complaints:?}");
        }
    }

    #[test]
    fn a_missing_column_and_an_undecodable_byte_are_named() {
        let missing = read_rows(b"mdtrt_id,psn_no,psn_name\n").unwrap_err();
        assert!(missing[0].contains("adm_bed") && missing[0].contains("床号"), "{missing:?}");
        let complaint = read_rows(b"mdtrt_id,adm_bed\nM1,\xFF\xFF\n").unwrap_err().join(";");
        assert!(complaint.contains("row 2") && complaint.contains("0xFF"), "{complaint}");
    }
}
