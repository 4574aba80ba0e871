//! A table as hospitals write it: CSV (UTF-8 or GB18030) or a spreadsheet (XLS, XLSX), as rows of text.

use std::io::Cursor;

use calamine::{Data, Reader, Sheets, open_workbook_auto_from_rs};

use crate::hospital::text;

/// Rows of one table; a ward has less.
pub const MOST_ROWS: usize = 10_000;
/// Columns that are looked at.
const MOST_COLUMNS: usize = 200;
/// Whole numbers beyond this lose digits in a spreadsheet, as identity numbers do.
const EXACT: f64 = 999_999_999_999_999.0;

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
        let rows = match bytes {
            // A zip file, and Microsoft's compound file.
            [b'P', b'K', 3, 4, ..] | [0xD0, 0xCF, 0x11, 0xE0, ..] => spreadsheet(bytes)?,
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

type Rows = Vec<(u64, Vec<String>)>;

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
        rows.push((line, record.iter().map(str::to_owned).collect()));
    }
    Ok(rows)
}

/// The first sheet with anything in it.
fn spreadsheet(bytes: &[u8]) -> Result<Rows, Vec<String>> {
    let unreadable = |error: calamine::Error| vec![format!("the spreadsheet cannot be read: {error}")];
    let mut book: Sheets<_> = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(unreadable)?;
    for name in book.sheet_names() {
        let range = book.worksheet_range(&name).map_err(unreadable)?;
        if range.is_empty() {
            continue;
        }
        let first = range.start().map_or(0, |(row, _)| u64::from(row)) + 1;
        let cells = |row: &[Data]| row.iter().take(MOST_COLUMNS).map(written).collect();
        let rows = range.rows().take(MOST_ROWS + 2).zip(first..);
        return Ok(rows.map(|(row, number)| (number, cells(row))).collect());
    }
    Err(vec!["the spreadsheet is empty".to_owned()])
}

/// A cell as its text; a number that has lost digits as what a spreadsheet would export, so that it is refused as such.
fn written(cell: &Data) -> String {
    match cell {
        Data::Empty | Data::Error(_) => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.trim().to_owned(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) if number.abs() > EXACT => format!("{number:E}").replacen('E', "E+", 1),
        Data::Float(number) => number.to_string(),
        Data::Bool(flag) => flag.to_string(),
        Data::DateTime(moment) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
    }
}

#[cfg(test)]
mod tests {
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
