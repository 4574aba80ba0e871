//! Tables for spreadsheets, as CSV and XLSX. What came from outside stays text: no cell of it becomes a formula.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    Number(f64),
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Cell {
        text.map_or(Cell::Empty, Cell::Text)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Cell {
        number.map_or(Cell::Empty, Cell::Number)
    }
}

/// A moment as people in China write it, to the second.
pub fn china_time(ms: i64) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::new(), |time| time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A table with the names of its columns.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub head: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

/// Why a table could not be written: never for what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the CSV could not be written: {0}")]
    Csv(#[from] csv::Error),
    #[error("the XLSX could not be written: {0}")]
    Xlsx(#[from] XlsxError),
}

/// A spreadsheet that reads CSV would run what begins like a formula; an apostrophe makes it text.
pub fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

impl Table {
    /// As CSV, with a mark that tells spreadsheets it is UTF-8.
    ///
    /// # Errors
    /// [`TableError::Csv`].
    pub fn csv(&self) -> Result<Vec<u8>, TableError> {
        let mut text = csv::Writer::from_writer(vec![0xef, 0xbb, 0xbf]);
        text.write_record(self.head)?;
        for row in &self.rows {
            text.write_record(row.iter().map(|cell| match cell {
                Cell::Empty => String::new(),
                Cell::Text(text) => guarded(text),
                Cell::Number(number) => number.to_string(),
            }))?;
        }
        text.into_inner().map_err(|error| TableError::Csv(error.into_error().into()))
    }

    /// As XLSX. Texts are written as strings, which no program reads as a formula, however they begin.
    ///
    /// # Errors
    /// [`TableError::Xlsx`].
    pub fn xlsx(&self) -> Result<Vec<u8>, TableError> {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name(self.name)?;
        sheet.set_freeze_panes(1, 0)?;
        let bold = Format::new().set_bold();
        for (column, name) in (0_u16..).zip(self.head) {
            sheet.write_string_with_format(0, column, *name, &bold)?;
            sheet.set_column_width(column, 18)?;
        }
        for (line, row) in (1_u32..).zip(&self.rows) {
            for (column, cell) in (0_u16..).zip(row) {
                match cell {
                    Cell::Empty => {}
                    Cell::Text(text) => {
                        sheet.write_string(line, column, text)?;
                    }
                    Cell::Number(number) => {
                        sheet.write_number(line, column, *number)?;
                    }
                }
            }
        }
        Ok(book.save_to_buffer()?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader, Xlsx};

    use super::*;

    fn table() -> Table {
        let text = |text: &str| Cell::Text(text.to_owned());
        let rows = ["=1+1", "+1", "-1", "@x", "\t=1", "示范医院"];
        Table {
            name: "异常",
            head: &["name 名称", "count 数"],
            rows: rows
                .iter()
                .map(|name| vec![text(name), Cell::Number(2.5)])
                .chain([vec![Cell::Empty; 2]])
                .collect(),
        }
    }

    #[test]
    fn no_cell_of_an_xlsx_is_a_formula_and_every_text_comes_back() {
        let bytes = table().xlsx().unwrap();
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
        assert!(book.worksheet_formula("异常").unwrap().is_empty());
        let sheet = book.worksheet_range("异常").unwrap();
        for (row, wanted) in sheet.rows().skip(1).zip(table().rows) {
            if let [Cell::Text(text), Cell::Number(number)] = wanted.as_slice() {
                assert_eq!(row, [Data::String(text.clone()), Data::Float(*number)]);
            }
        }
        assert_eq!(sheet.rows().count(), 7);
    }

    #[test]
    fn no_cell_of_a_csv_begins_like_a_formula() {
        let bytes = table().csv().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("\u{feff}name 名称,count 数\n"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let firsts: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        assert_eq!(firsts, ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "示范医院", ""]);
    }
}
