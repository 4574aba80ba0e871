//! A table as hospitals write it: CSV (UTF-8 or GB18030) or a spreadsheet (XLS, XLSX), as rows of text.

use std::collections::BTreeMap;
use std::ops::Range;

use calamine::Data;

use crate::hospital::{text, xls, xlsx};

/// Rows of one table; a ward has less.
pub const MOST_ROWS: usize = 10_000;
/// Columns that are looked at.
const MOST_COLUMNS: usize = 200;
/// Whole numbers beyond this lose digits in a spreadsheet, as identity numbers do.
const EXACT: f64 = 999_999_999_999_999.0;
/// Text of one spreadsheet.
const MOST_TEXT: usize = 32 * 1024 * 1024;
/// Days since 1900 up to the year 9999: beyond them a spreadsheet's date is a number.
const DAYS: Range<f64> = 0.0..2_958_466.0;

/// A heading and the rows under it, each with its number in the file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    pub headings: Vec<String>,
    pub rows: Vec<(u64, Vec<String>)>,
}

impl Sheet {
    /// Reads what `bytes` holds, by what they begin with: a spreadsheet, else text. Empty rows are left out.
    ///
    /// # Errors
    /// What is wrong with the file as a whole, with the remedy.
    pub fn read(bytes: &[u8]) -> Result<Sheet, Vec<String>> {
        let unreadable = |complaint| vec![format!("the spreadsheet cannot be read: {complaint}")];
        let rows = match bytes {
            // A zip file, and Microsoft's compound file.
            [b'P', b'K', 3, 4, ..] => xlsx::rows(bytes).map_err(unreadable)?,
            [0xD0, 0xCF, 0x11, 0xE0, ..] => xls::rows(bytes).map_err(unreadable)?,
            _ => comma_separated(bytes)?,
        };
        let mut rows = rows.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()));
        let (_, headings) = rows.next().ok_or_else(|| vec!["the file has no heading".to_owned()])?;
        let rows: Vec<_> = rows.take(MOST_ROWS + 1).collect();
        if rows.len() > MOST_ROWS {
            return Err(vec![format!("the file has more than {MOST_ROWS} rows: it is not one ward's")]);
        }
        Ok(Sheet { headings, rows })
    }

    /// Where the column stands that is called one of `names`.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        self.headings.iter().position(|heading| names.contains(&heading.to_lowercase().as_str()))
    }
}

/// Rows with their numbers, counted from 1.
pub type Rows = Vec<(u64, Vec<String>)>;

fn comma_separated(bytes: &[u8]) -> Result<Rows, Vec<String>> {
    let text = text::decode(bytes)
        .map_err(|complaint| vec![format!("{complaint}; save the file as \"CSV UTF-8\"")])?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let (mut at, mut line) = (0, 1);
    let mut rows = Vec::new();
    for (number, record) in reader.records().take(MOST_ROWS + 2).enumerate() {
        let record = record.map_err(|error| vec![format!("row {}: {error}", number + 1)])?;
        // The reader's position lies before the empty lines that it skips.
        let said = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(at);
        let empty = text.bytes().skip(said).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let before = text.as_bytes().get(at..said + empty).unwrap_or_default();
        line += before.iter().filter(|byte| **byte == b'\n').count() as u64;
        at = said + empty;
        rows.push((line, record.iter().take(MOST_COLUMNS).map(str::to_owned).collect()));
    }
    Ok(rows)
}

/// The cells of one spreadsheet as they come, bounded before they are kept.
#[derive(Default)]
pub struct Cells {
    rows: BTreeMap<u32, BTreeMap<u32, String>>,
    /// Bytes of text so far: a file says a long text once and points to it a million times.
    text: usize,
}

impl Cells {
    /// Takes the text of one cell; an empty one, and one beyond the columns that are looked at, is left out.
    ///
    /// # Errors
    /// When it is no ward's list any more.
    pub fn put(&mut self, row: u32, column: u32, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() || column as usize >= MOST_COLUMNS {
            return Ok(());
        }
        self.text += text.len();
        self.rows.entry(row).or_default().insert(column, text.to_owned());
        // One row more than is allowed shows that there are too many.
        if self.rows.len() > MOST_ROWS + 2 || self.text > MOST_TEXT {
            return Err(format!(
                "it has more than {MOST_ROWS} rows or {MOST_TEXT} bytes: it is not one ward's"
            ));
        }
        Ok(())
    }

    /// The same for a value.
    ///
    /// # Errors
    /// As above.
    pub fn put_data(&mut self, row: u32, column: u32, data: &Data) -> Result<(), String> {
        self.put(row, column, &written(data))
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// From the leftmost column in use to the rightmost, every row as wide as the widest.
    pub fn rows(self) -> Rows {
        let columns = || self.rows.values().flat_map(|row| row.keys().copied());
        let (first, last) = (columns().min().unwrap_or(0), columns().max().unwrap_or(0));
        let cells = |mut row: BTreeMap<u32, String>| {
            (first..=last).map(|column| row.remove(&column).unwrap_or_default()).collect()
        };
        self.rows.into_iter().map(|(number, row)| (u64::from(number) + 1, cells(row))).collect()
    }
}

/// A cell as its text; a number that has lost digits as what a spreadsheet would export, so that it is refused as such.
fn written(cell: &Data) -> String {
    match cell {
        Data::Empty | Data::Error(_) => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => in_digits(*number),
        Data::Bool(flag) => flag.to_string(),
        Data::DateTime(moment) if DAYS.contains(&moment.as_f64()) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
        Data::DateTime(moment) => in_digits(moment.as_f64()),
    }
}

fn in_digits(number: f64) -> String {
    if number.abs() > EXACT { format!("{number:E}").replacen('E', "E+", 1) } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The smallest workbook that spreadsheets open, with one inline sheet.
    fn xlsx(cells: &str) -> Vec<u8> {
        use std::io::Write;
        let parts = [
            ("[Content_Types].xml", r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#.to_owned()),
            ("_rels/.rels", r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#.to_owned()),
            ("xl/workbook.xml", r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="病区" sheetId="1" r:id="r1"/></sheets></workbook>"#.to_owned()),
            ("xl/_rels/workbook.xml.rels", r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#.to_owned()),
            ("xl/worksheets/sheet1.xml", format!(r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{cells}</sheetData></worksheet>"#)),
        ];
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn row(number: u32, cells: &[&str]) -> String {
        let cell = |(at, value): (usize, &&str)| {
            let place = format!("{}{number}", char::from(b'A' + at as u8));
            match value.parse::<f64>() {
                Ok(_) => format!(r#"<c r="{place}"><v>{value}</v></c>"#),
                Err(_) => format!(r#"<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>"#),
            }
        };
        format!(r#"<row r="{number}">{}</row>"#, cells.iter().enumerate().map(cell).collect::<String>())
    }

    #[test]
    fn a_spreadsheet_and_a_csv_file_say_the_same() {
        let cells = row(1, &["就诊ID", "床号"]) + &row(3, &["M1", "12"]);
        let sheet = Sheet::read(&xlsx(&cells)).unwrap();
        assert_eq!(sheet.headings, ["就诊ID", "床号"]);
        assert_eq!(sheet.rows, [(3, vec!["M1".to_owned(), "12".to_owned()])]);
        assert_eq!(Sheet::read("就诊ID,床号\n\nM1,12\n".as_bytes()).unwrap(), sheet);
        assert_eq!(sheet.column(&["adm_bed", "床号"]), Some(1));
    }

    #[test]
    fn an_identity_number_kept_as_a_number_is_damaged() {
        let cells = row(1, &["psn_no"]) + &row(2, &["510000199001011234"]);
        let sheet = Sheet::read(&xlsx(&cells)).unwrap();
        assert!(sheet.rows[0].1[0].contains("E+"), "{:?}", sheet.rows);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(Sheet::read(b"").is_err());
        assert!(Sheet::read(b"PK\x03\x04nonsense").is_err());
    }
}
