//! strace's log as the steps of a disk. Anything that touches a watched file and is not modelled ends the proof.

use std::path::{Path, PathBuf};

/// One thing that happened, in order.
#[derive(Debug)]
pub enum Step {
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: u64,
    },
    /// The file or folder is on the disk as it is now.
    Sync {
        path: PathBuf,
    },
    Create {
        path: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// A line on standard output.
    Said(String),
}

/// Reads the steps below `folder`.
pub fn read(log: &str, folder: &Path) -> Vec<Step> {
    let mut reader = Reader {
        folder,
        known: std::collections::BTreeSet::new(),
        steps: Vec::new(),
        half_line: String::new(),
    };
    for line in log.lines() {
        reader.line(line);
    }
    reader.steps
}

struct Reader<'a> {
    folder: &'a Path,
    /// Files that exist, to tell a creation from an opening.
    known: std::collections::BTreeSet<PathBuf>,
    steps: Vec<Step>,
    half_line: String,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        assert!(!line.contains("<unfinished"), "the writer has one thread only: {line:.80}");
        let Some((_, call)) = line.split_once(' ') else { return };
        let call = call.trim_start();
        let (Some((name, rest)), Some((_, result))) = (call.split_once('('), call.rsplit_once(" = ")) else {
            return;
        };
        // A call that failed, or that strace kept from happening, changed nothing.
        if result.starts_with("-1") || result.starts_with('?') || result.contains("(INJECTED)") {
            return;
        }
        let words = arguments(rest);
        match name {
            "openat" => self.open(&words),
            "write" if words[0].0.starts_with("1<") => self.said(&words[1].1),
            "pwrite64" => self.write(&words, result),
            "ftruncate" => {
                if let Some(path) = self.watched(&words[0].1) {
                    self.steps.push(Step::Truncate { path, length: words[1].0.parse().unwrap() });
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(path) = self.watched(&words[0].1) {
                    self.steps.push(Step::Sync { path });
                }
            }
            "unlink" => {
                if let Some(path) = self.watched(&words[0].1) {
                    self.known.remove(&path);
                    self.steps.push(Step::Remove { path });
                }
            }
            other => {
                let touched = words.iter().find_map(|(_, text)| self.watched(text));
                assert!(touched.is_none(), "{other} on {touched:?} is not modelled");
            }
        }
    }

    fn open(&mut self, words: &[(String, Vec<u8>)]) {
        let Some(path) = self.watched(&words[1].1) else { return };
        if words[2].0.contains("O_CREAT") && self.known.insert(path.clone()) {
            self.steps.push(Step::Create { path });
        } else if words[2].0.contains("O_TRUNC") {
            self.steps.push(Step::Truncate { path, length: 0 });
        }
    }

    fn write(&mut self, words: &[(String, Vec<u8>)], result: &str) {
        let Some(path) = self.watched(&words[0].1) else { return };
        let written: usize = result.split_whitespace().next().unwrap().parse().unwrap();
        let mut bytes = words[1].1.clone();
        assert!(bytes.len() >= written, "strace cut a write short");
        bytes.truncate(written);
        self.steps.push(Step::Write { path, offset: words[3].0.parse().unwrap(), bytes });
    }

    fn said(&mut self, bytes: &[u8]) {
        self.half_line.push_str(&String::from_utf8_lossy(bytes));
        while let Some((line, rest)) = self.half_line.split_once('\n') {
            self.steps.push(Step::Said(line.to_owned()));
            self.half_line = rest.to_owned();
        }
    }

    /// The shared-memory index beside a log is no part of what must survive: SQLite makes it anew.
    fn watched(&self, text: &[u8]) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8_lossy(text).into_owned());
        let is_index = path.to_string_lossy().ends_with("-shm");
        (path.starts_with(self.folder) && !is_index).then_some(path)
    }
}

/// Splits arguments; each as it stands, and the bytes of its string or of its descriptor's path.
fn arguments(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let quoted = rest.starts_with('"');
        let end = if quoted {
            rest[1..].find('"').map_or(rest.len(), |at| at + 2)
        } else {
            rest.find([',', ')']).unwrap_or(rest.len())
        };
        let word = &rest[..end];
        let inner = if quoted { word } else { word.split_once('<').map_or("", |(_, path)| path) };
        found.push((if quoted { String::new() } else { word.to_owned() }, unescape(inner)));
        match rest[end..].strip_prefix(", ") {
            Some(more) => rest = more,
            None => return found,
        }
    }
}

/// `\x2f\x74` as bytes: strace's `-xx` writes every string so.
fn unescape(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap();
    let escaped = text.trim_matches(['"', '>']).as_bytes();
    escaped.chunks_exact(4).map(|four| u8::try_from(digit(four[2]) * 16 + digit(four[3])).unwrap()).collect()
}
