//! What a value was read from: a file, an environment variable or the command line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::agent::config::check::Complaints;
use crate::base::files::{FileError, read_at_most};

/// Largest configuration file.
pub const MOST_BYTES: u64 = 1024 * 1024;

/// One text that configuration was read from.
#[derive(Clone, Debug)]
pub struct Source {
    pub kind: SourceKind,
    pub text: String,
}

#[derive(Clone, Debug)]
pub enum SourceKind {
    File(PathBuf),
    /// An environment variable; the text is its value.
    Environment(String),
    /// `--set KEY=VALUE`; the text is the value.
    Flag(String),
}

/// Where in which source, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

impl Place {
    pub fn new(source: usize, span: Range<usize>) -> Place {
        Place { source, start: span.start, end: span.end }
    }

    /// The beginning of a source: what is missing altogether is complained of here.
    pub fn head(source: usize) -> Place {
        Place { source, start: 0, end: 0 }
    }
}

impl Source {
    /// Reads a file. Other encodings than UTF-8 are complained of, and read as what they seem to be, so that the rest of
    /// the file can be checked too.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be read or is larger than 1 MiB.
    pub fn file(path: &Path, complaints: &mut Complaints) -> Result<usize, FileError> {
        let bytes = read_at_most(path, MOST_BYTES)?;
        let (text, trouble) = decoded(bytes);
        let source = complaints.add_source(Source { kind: SourceKind::File(path.to_owned()), text });
        if let Some((at, name)) = trouble {
            complaints.add(
                Place::new(source, at..at),
                format!("文件编码是{name}，不是 UTF-8；请用编辑器“另存为 UTF-8”"),
                format!("the file is {name}, not UTF-8: save it as UTF-8"),
            );
        }
        Ok(source)
    }

    /// How the source is named in a complaint.
    pub fn name(&self) -> String {
        match &self.kind {
            SourceKind::File(path) => path.display().to_string(),
            SourceKind::Environment(name) => name.clone(),
            SourceKind::Flag(key) => format!("--set {key}"),
        }
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    }

    pub fn is_file(&self) -> bool {
        matches!(self.kind, SourceKind::File(_))
    }
}

/// The text, and where it stops being UTF-8 and what it seems to be instead.
fn decoded(bytes: Vec<u8>) -> (String, Option<(usize, &'static str)>) {
    let bytes = match String::from_utf8(bytes) {
        // Windows editors begin UTF-8 with a byte order mark. It says nothing; blanks keep every column.
        Ok(text) => return (text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned), None),
        Err(error) => error.into_bytes(),
    };
    for encoding in [encoding_rs::UTF_16LE, encoding_rs::UTF_16BE] {
        if encoding_rs::Encoding::for_bom(&bytes).is_some_and(|(found, _)| found == encoding) {
            return (encoding.decode_with_bom_removal(&bytes).0.into_owned(), Some((0, encoding.name())));
        }
    }
    let good = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
    let (text, _, is_damaged) = encoding_rs::GB18030.decode(&bytes);
    if is_damaged {
        return (String::from_utf8_lossy(&bytes).into_owned(), Some((good, "未知编码 (unknown)")));
    }
    (text.into_owned(), Some((good, "GBK/GB18030")))
}
