//! Spreadsheets: whole files, and the sheet inside a sound XLSX file, which a mutated zip would never reach.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::hospital::table;

const WORKBOOK: [(&str, &str); 4] = [
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#,
    ),
    (
        "_rels/.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="r3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#,
    ),
];

/// A compound file; whatever does not begin as one is tried as one all the same.
pub fn sheet_xls(data: &[u8]) {
    let mut bytes = data.to_vec();
    bytes.splice(..bytes.len().min(8), [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]);
    table(&bytes);
}

/// A zip file; else up to three parts of a workbook with a NUL between them: sheet, shared strings, styles.
pub fn sheet_xlsx(data: &[u8]) {
    if data.starts_with(b"PK\x03\x04") {
        return table(data);
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let names = ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"];
    let parts = names.into_iter().zip(data.splitn(3, |byte| *byte == 0));
    for (name, part) in WORKBOOK.into_iter().map(|(name, text)| (name, text.as_bytes())).chain(parts) {
        zip.start_file(name, stored).expect("a plain name");
        zip.write_all(part).expect("memory");
    }
    table(&zip.finish().expect("memory").into_inner());
}
