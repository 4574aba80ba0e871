//! XLSX files through calamine, with bounds set before it sees them: a zip file of a megabyte unpacks to a gigabyte, a
//! cell may say that it stands in row 1,048,576, and what calamine reserves by the file's own word is reserved first.

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, DataRef, Reader, Xlsx, XlsxError};
use zip::ZipArchive;

use crate::hospital::sheet::{Cells, Rows};

/// Of all parts together, unpacked.
const MOST_UNPACKED: u64 = 64 * 1024 * 1024;
const MOST_PARTS: usize = 1000;
/// Texts that a file may announce.
const MOST_STRINGS: usize = 1_000_000;

/// # Errors
/// What is wrong with it, with the remedy.
pub fn rows(bytes: &[u8]) -> Result<Rows, String> {
    check(bytes)?;
    // Arithmetic on cell names is unchecked in calamine: what panics in there is a damaged file, not our end.
    let read = catch_unwind(AssertUnwindSafe(|| first_sheet(bytes)));
    read.unwrap_or_else(|_| Err("it is damaged; save it again".to_owned()))
}

/// Unpacks everything once, for its size only.
fn check(bytes: &[u8]) -> Result<(), String> {
    let damaged = |error: &dyn std::fmt::Display| format!("it is damaged ({error}); save it again");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    if zip.len() > MOST_PARTS {
        return Err(format!("it has more than {MOST_PARTS} parts; save the list alone"));
    }
    let mut left = MOST_UNPACKED;
    for at in 0..zip.len() {
        let part = zip.by_index(at).map_err(|error| damaged(&error))?;
        let mut text = Vec::new();
        part.take(left + 1).read_to_end(&mut text).map_err(|error| damaged(&error))?;
        left = left
            .checked_sub(text.len() as u64)
            .ok_or("unpacked it has more than 64 MiB; save the list alone")?;
        if announces_too_much(&text) {
            return Err(format!("it announces more than {MOST_STRINGS} texts; save the list alone"));
        }
    }
    Ok(())
}

/// `uniqueCount="…"`, by which calamine reserves memory; in UTF-16 there are zeros in between.
fn announces_too_much(text: &[u8]) -> bool {
    const NAME: &[u8] = b"uniqueCount";
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    let counts = text.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    counts.into_iter().any(|(at, _)| {
        let behind = text[at + NAME.len()..].iter();
        let digits =
            behind.skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
        let count = digits
            .fold(0_usize, |count, digit| count.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        count > MOST_STRINGS
    })
}

/// The first sheet with anything in it, cell by cell: as a whole, calamine would make room for every cell between.
fn first_sheet(bytes: &[u8]) -> Result<Rows, String> {
    let damaged = |error: XlsxError| format!("it is damaged ({error}); save it again");
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    for name in book.sheet_names() {
        let mut cells = Cells::default();
        let mut reader = book.worksheet_cells_reader(&name).map_err(damaged)?;
        while let Some(cell) = reader.next_cell().map_err(damaged)? {
            let (row, column) = cell.get_position();
            // Not cloned before it is counted: a thousand cells may point to one text of a megabyte.
            if let DataRef::SharedString(text) = cell.get_value() {
                cells.put(row, column, text)?;
            } else {
                cells.put_data(row, column, &Data::from(cell.get_value().clone()))?;
            }
        }
        if !cells.is_empty() {
            return Ok(cells.rows());
        }
    }
    Err("it is empty".to_owned())
}
