//! XLS files (Excel 97 to 2003, BIFF8): the first sheet with anything in it.
//!
//! Written here because calamine, which reads XLSX for us, takes every size in an XLS file on trust: one record of 14
//! bytes makes it reserve 100 GB, and what is reserved in vain ends the process.

use calamine::{Data, ExcelDateTime, ExcelDateTimeType};

use crate::hospital::compound;
use crate::hospital::sheet::{Cells, Rows};

const BOF: u16 = 0x0809;
const EOF: u16 = 0x000A;
const CONTINUE: u16 = 0x003C;
const BIFF8: u16 = 0x0600;

/// # Errors
/// What is wrong with it, with the remedy.
pub fn rows(bytes: &[u8]) -> Result<Rows, String> {
    let stream = compound::stream(bytes, &["Workbook", "Book"]);
    let stream = stream.ok_or("it is damaged, or no Excel file; save it again as XLSX or CSV UTF-8")?;
    let book = Book::read(&stream)?;
    for start in &book.sheets {
        let records = Records { stream: &stream, at: *start };
        let cells = book.cells(records)?;
        if !cells.is_empty() {
            return Ok(cells.rows());
        }
    }
    Err("it is empty".to_owned())
}

/// What all sheets share.
#[derive(Default)]
struct Book {
    /// Where each sheet begins in the stream.
    sheets: Vec<usize>,
    strings: Vec<String>,
    /// Number formats that show a date.
    dates: Vec<u16>,
    /// The number format of each cell format.
    formats: Vec<u16>,
    begins_1904: bool,
}

impl Book {
    fn read(stream: &[u8]) -> Result<Book, String> {
        let mut book = Book::default();
        for record in (Records { stream, at: 0 }) {
            match record.kind {
                BOF if record.short(0) != Some(BIFF8) => {
                    return Err("it is of an Excel before 97; save it as XLSX or CSV UTF-8".to_owned());
                }
                0x002F => return Err("it has a password; save it without one".to_owned()),
                0x0022 => book.begins_1904 = record.short(0) == Some(1),
                // A sheet of cells, not a chart.
                0x0085 if record.data().get(5) == Some(&0) => {
                    book.sheets.extend(record.long(0).and_then(|start| usize::try_from(start).ok()));
                }
                0x041E if record.text(2).is_some_and(|format| is_date(&format)) => {
                    book.dates.extend(record.short(0));
                }
                0x00E0 => book.formats.push(record.short(2).unwrap_or(0)),
                0x00FC => book.strings = strings(&record),
                EOF => break,
                _ => {}
            }
        }
        Ok(book)
    }

    fn cells(&self, records: Records<'_>) -> Result<Cells, String> {
        let mut cells = Cells::default();
        // Charts within a sheet are streams within the stream.
        let mut depth = 0_usize;
        let mut formula = None;
        for record in records {
            match record.kind {
                BOF => depth += 1,
                EOF if depth <= 1 => break,
                EOF => depth -= 1,
                _ if depth > 1 => {}
                // The text that a formula gave comes after it.
                0x0207 => {
                    if let Some((text, (row, column))) = record.text(0).zip(formula.take()) {
                        cells.put(row, column, &text)?;
                    }
                }
                // Several numbers side by side.
                0x00BD => {
                    let Some((row, first)) = record.place() else { continue };
                    for (column, number) in (first..).zip(record.data()[4..].chunks_exact(6)) {
                        let rk = u32::from_le_bytes([number[2], number[3], number[4], number[5]]);
                        let format = u16::from_le_bytes([number[0], number[1]]);
                        cells.put_data(row, column, &self.number(unpacked(rk), Some(format)))?;
                    }
                }
                _ => {
                    let Some((row, column)) = record.place() else { continue };
                    formula = (record.kind == 0x0006).then_some((row, column));
                    match self.value(&record) {
                        Some(Value::Shared(text)) => cells.put(row, column, text)?,
                        Some(Value::Own(data)) => cells.put_data(row, column, &data)?,
                        None => {}
                    }
                }
            }
        }
        Ok(cells)
    }

    fn value(&self, record: &Record<'_>) -> Option<Value<'_>> {
        let format = record.short(4);
        let own = match record.kind {
            0x00FD => return self.strings.get(record.long(6)? as usize).map(|text| Value::Shared(text)),
            0x0203 => self.number(record.float(6)?, format),
            0x027E => self.number(unpacked(record.long(6)?), format),
            0x0204 | 0x00D6 => Data::String(record.text(6)?),
            0x0205 if record.data().get(7) == Some(&0) => Data::Bool(*record.data().get(6)? != 0),
            // The value a formula had: a number, or what the first byte says.
            0x0006 if record.short(12)? != 0xFFFF => self.number(record.float(6)?, format),
            0x0006 if record.data().get(6) == Some(&1) => Data::Bool(*record.data().get(8)? != 0),
            _ => return None,
        };
        Some(Value::Own(own))
    }

    fn number(&self, number: f64, format: Option<u16>) -> Data {
        let format = format.and_then(|format| self.formats.get(usize::from(format))).copied().unwrap_or(0);
        let is_built_in_date = matches!(format, 14..=22 | 27..=36 | 45..=47 | 50..=58);
        if is_built_in_date || self.dates.contains(&format) {
            return Data::DateTime(ExcelDateTime::new(number, ExcelDateTimeType::DateTime, self.begins_1904));
        }
        Data::Float(number)
    }
}

enum Value<'book> {
    Shared(&'book str),
    Own(Data),
}

/// A number in 30 bits, whole or the upper half of a float, perhaps a hundred times too large.
fn unpacked(rk: u32) -> f64 {
    let number =
        if rk & 2 != 0 { f64::from(rk.cast_signed() >> 2) } else { f64::from_bits(u64::from(rk & !3) << 32) };
    if rk & 1 != 0 { number / 100.0 } else { number }
}

/// Whether a number format shows days or hours; what stands in quotes or brackets shows itself.
fn is_date(format: &str) -> bool {
    let mut closing = None;
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match (closing, letter) {
            (Some(end), _) if letter == end => closing = None,
            (Some(_), _) => {}
            (None, '"') => closing = Some('"'),
            (None, '[') => closing = Some(']'),
            (None, '\\' | '_' | '*') => drop(letters.next()),
            (None, 'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' | 'S') => return true,
            (None, _) => {}
        }
    }
    false
}

/// The table of texts that cells point to.
fn strings(record: &Record<'_>) -> Vec<String> {
    let mut reader = Reader { pieces: &record.pieces, piece: 0, at: 8 };
    std::iter::from_fn(|| reader.rich_text()).collect()
}

/// A record with what continues it.
struct Record<'stream> {
    kind: u16,
    /// The first is its own, those after it begin where a limit of 8224 bytes was reached.
    pieces: Vec<&'stream [u8]>,
}

impl<'stream> Record<'stream> {
    fn data(&self) -> &'stream [u8] {
        self.pieces.first().copied().unwrap_or_default()
    }

    fn short(&self, at: usize) -> Option<u16> {
        self.data().get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]))
    }

    fn long(&self, at: usize) -> Option<u32> {
        Some(u32::from(self.short(at)?) | u32::from(self.short(at + 2)?) << 16)
    }

    fn float(&self, at: usize) -> Option<f64> {
        Some(f64::from_bits(u64::from(self.long(at)?) | u64::from(self.long(at + 4)?) << 32))
    }

    /// Row and column, with which every cell begins.
    fn place(&self) -> Option<(u32, u32)> {
        Some((u32::from(self.short(0)?), u32::from(self.short(2)?)))
    }

    fn text(&self, at: usize) -> Option<String> {
        Reader { pieces: &self.pieces, piece: 0, at }.text()
    }
}

struct Records<'stream> {
    stream: &'stream [u8],
    at: usize,
}

impl<'stream> Records<'stream> {
    fn one(&mut self) -> Option<(u16, &'stream [u8])> {
        let rest = self.stream.get(self.at..)?;
        let head = rest.get(..4)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let data = rest.get(4..4 + length)?;
        self.at += 4 + length;
        Some((u16::from_le_bytes([head[0], head[1]]), data))
    }
}

impl<'stream> Iterator for Records<'stream> {
    type Item = Record<'stream>;

    fn next(&mut self) -> Option<Record<'stream>> {
        let (kind, data) = self.one()?;
        let mut pieces = vec![data];
        loop {
            let before = self.at;
            match self.one() {
                Some((CONTINUE, more)) => pieces.push(more),
                _ => {
                    self.at = before;
                    return Some(Record { kind, pieces });
                }
            }
        }
    }
}

/// Reads on from one piece of a record into the next.
struct Reader<'record> {
    pieces: &'record [&'record [u8]],
    piece: usize,
    at: usize,
}

impl Reader<'_> {
    /// The next byte, and whether it is the first of a further piece.
    fn byte(&mut self) -> Option<(u8, bool)> {
        let mut is_first = false;
        loop {
            if let Some(byte) = self.pieces.get(self.piece)?.get(self.at) {
                self.at += 1;
                return Some((*byte, is_first));
            }
            (self.piece, self.at, is_first) = (self.piece + 1, 0, true);
        }
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?.0, self.byte()?.0]))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        (0..bytes).try_for_each(|_| self.byte().map(drop))
    }

    /// Length, one byte of flags, letters.
    fn text(&mut self) -> Option<String> {
        let length = self.short()?;
        let (flags, _) = self.byte()?;
        self.letters(length, flags & 1 != 0)
    }

    /// The same with fonts and readings, which are left out.
    fn rich_text(&mut self) -> Option<String> {
        let length = self.short()?;
        let (flags, _) = self.byte()?;
        let fonts = if flags & 8 != 0 { usize::from(self.short()?) * 4 } else { 0 };
        let low = if flags & 4 != 0 { usize::from(self.short()?) } else { 0 };
        let high = if flags & 4 != 0 { usize::from(self.short()?) } else { 0 };
        let text = self.letters(length, flags & 1 != 0)?;
        self.skip(fonts + low + (high << 16))?;
        Some(text)
    }

    /// Letters of one or two bytes; a piece that begins among them says anew which.
    fn letters(&mut self, length: u16, mut is_wide: bool) -> Option<String> {
        let mut units = Vec::new();
        for _ in 0..length {
            let (mut low, is_first) = self.byte()?;
            if is_first {
                is_wide = low & 1 != 0;
                low = self.byte()?.0;
            }
            let high = if is_wide { self.byte()?.0 } else { 0 };
            units.push(u16::from_le_bytes([low, high]));
        }
        Some(String::from_utf16_lossy(&units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hospital::compound::tests::compound;

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&kind.to_le_bytes(), &length.to_le_bytes(), data].concat()
    }

    fn bof(kind: u16) -> Vec<u8> {
        record(BOF, &[BIFF8.to_le_bytes(), kind.to_le_bytes()].concat())
    }

    fn place(row: u16, column: u16, format: u16) -> Vec<u8> {
        [row, column, format].into_iter().flat_map(u16::to_le_bytes).collect()
    }

    /// A workbook with these texts and the records of one sheet.
    fn workbook(texts: &[&[u8]], sheet: &[Vec<u8>]) -> Vec<u8> {
        let mut table = record(0x00FC, &[&[0; 8], texts[0]].concat());
        table.extend(texts[1..].iter().flat_map(|more| record(CONTINUE, more)));
        let formats = [record(0x00E0, &[0, 0, 0, 0]), record(0x00E0, &[0, 0, 14, 0])].concat();
        let name = |start: u32| record(0x0085, &[&start.to_le_bytes()[..], &[0, 0, 1, 0, b'a']].concat());
        let head = [bof(5), formats, table].concat();
        let start = u32::try_from(head.len() + name(0).len() + 4).unwrap();
        let book = [head, name(start), record(EOF, &[]), bof(16), sheet.concat(), record(EOF, &[])];
        compound("Workbook", &book.concat())
    }

    #[test]
    fn texts_numbers_dates_and_formulas_are_read() {
        let texts: &[u8] = b"\x04\0\0name\x01\0\x01\x8A\x5E";
        let sheet = [
            record(0x00FD, &[place(0, 1, 0), vec![0, 0, 0, 0]].concat()),
            record(0x00FD, &[place(0, 2, 0), vec![1, 0, 0, 0]].concat()),
            record(0x0203, &[place(2, 1, 0), 12.5_f64.to_le_bytes().to_vec()].concat()),
            record(0x027E, &[place(2, 2, 1), (46_000_u32 << 2 | 2).to_le_bytes().to_vec()].concat()),
            record(0x0006, &[place(3, 1, 0), vec![0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0]].concat()),
            record(0x0207, b"\x02\0\0M1"),
            record(0x00BD, &[&[4, 0, 1, 0][..], &[0, 0, 6, 0, 0, 0], &[0, 0, 10, 0, 0, 0], &[2, 0]].concat()),
        ];
        let rows = rows(&workbook(&[texts], &sheet)).unwrap();
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let wanted = [
            (1, row(["name", "床"])),
            (3, row(["12.5", "2025-12-09 00:00:00"])),
            (4, row(["M1", ""])),
            (5, row(["1", "2"])),
        ];
        assert_eq!(rows, wanted);
    }

    #[test]
    fn a_text_that_goes_on_in_the_next_record_may_change_its_width() {
        let sheet = [record(0x00FD, &[place(0, 0, 0), vec![0, 0, 0, 0]].concat())];
        let rows = rows(&workbook(&[b"\x04\0\0ab", b"\x01\x0A\x5E\x8A\x5E"], &sheet)).unwrap();
        assert_eq!(rows, [(1, vec!["ab帊床".to_owned()])]);
    }

    #[test]
    fn sizes_that_no_ward_has_cost_nothing() {
        // The whole of a sheet of 2^32 rows, and one text on each of its last cells.
        let dimensions =
            record(0x0200, &[[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0xFF, 0xFF, 0, 0, 0, 0]].concat());
        let cells = [place(0, 0, 0), place(65_535, 65_535, 0)];
        let cells = cells.map(|cell| record(0x00FD, &[cell, vec![0, 0, 0, 0]].concat()));
        let rows = rows(&workbook(&[b"\x01\0\0a"], &[vec![dimensions], cells.to_vec()].concat())).unwrap();
        assert_eq!(rows, [(1, vec!["a".to_owned()])]);
    }
}
