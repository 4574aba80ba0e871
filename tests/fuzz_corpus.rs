//! The short version of `tests/fuzz/run`: every committed input of `tests/fuzz/corpus` and a few thousand mutations of
//! it go to the same entries, without instrumentation, in seconds. The mutations are the same in every run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "fuzz/entries/mod.rs"]
mod entries;

use entries::{ENTRIES, Entry};

fn folder(entry: &Entry) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(entry.name)
}

fn corpus(entry: &Entry) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder(entry)).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect()
}

/// What broke, with the entry's name and where the input is; `None` when nothing did.
fn broken(entry: &Entry, input: &[u8], from: &str) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| (entry.run)(input)));
    let cause = outcome.err()?;
    let said = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
    let kept = std::env::temp_dir().join(format!("bedcheck-fuzz-{}", entry.name));
    let kept = fs::File::create(&kept)
        .and_then(|mut file| std::io::Write::write_all(&mut file, input))
        .map(|()| kept);
    let place = kept.map_or_else(|_| "nowhere".to_owned(), |path| path.display().to_string());
    Some(format!("{}: {} ({from}; the input is in {place})", entry.name, said.unwrap_or("it panicked")))
}

/// Small and known; good enough to choose bytes with (Marsaglia's xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let from = self.below(bytes.len() + 1);
        from..from + self.below((bytes.len() - from).min(64) + 1)
    }
}

/// Flips, cuts, doubles, overwrites and splices, one to four times.
fn mutated(input: &[u8], other: &[u8], dice: &mut Dice, most: usize) -> Vec<u8> {
    const TELLING: [&[u8]; 8] = [
        b"\x00",
        b"\xFF\xFF\xFF\xFF",
        b"\x7F\xFF\xFF\xFF",
        b"\xE5\xBA\x8A",
        b"99999999999999999999",
        b"-1",
        b"\r\n",
        b"\"",
    ];
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let range = dice.range(&bytes);
        match dice.below(6) {
            0 => {
                if let Some(byte) = bytes.get_mut(range.start) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => bytes.truncate(range.end),
            2 => drop(bytes.drain(range)),
            3 => {
                let doubled = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, doubled);
            }
            4 => drop(bytes.splice(range, TELLING[dice.below(TELLING.len())].iter().copied())),
            _ => drop(bytes.splice(range, other[dice.range(other)].iter().copied())),
        }
    }
    bytes.truncate(most);
    bytes
}

/// Every committed input and its mutations through one entry; at most five complaints.
fn complaints(entry: &Entry) -> Vec<String> {
    let corpus = corpus(entry);
    if corpus.is_empty() {
        return vec![format!("{}: {} holds no input", entry.name, folder(entry).display())];
    }
    let whole = corpus.iter().filter_map(|(path, input)| broken(entry, input, &path.display().to_string()));
    let mut found: Vec<String> = whole.take(5).collect();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for number in 0..entry.mutations {
        let (path, input) = &corpus[number % corpus.len()];
        let (_, other) = &corpus[dice.below(corpus.len())];
        let input = mutated(input, other, &mut dice, entry.most_bytes);
        if found.len() < 5 {
            let from = format!("mutation {number} of {}", path.display());
            found.extend(broken(entry, &input, &from));
        }
    }
    found
}

#[test]
fn foreign_bytes_break_no_parser() {
    let found: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = ENTRIES.iter().map(|entry| scope.spawn(|| complaints(entry))).collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| vec!["a thread died".to_owned()]));
        ended.flatten().collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_parser_that_breaks_is_reported_with_its_name_and_input() {
    let fragile = Entry {
        name: "h264",
        run: |data| assert!(!data.ends_with(b"break"), "it broke as it should"),
        most_bytes: 64,
        mutations: 200,
    };
    let report = broken(&fragile, b"please break", "a test").unwrap_or_default();
    assert!(report.starts_with("h264: it broke as it should (a test; the input is in /"), "{report}");
    let path = report.rsplit(' ').next().map(|path| path.trim_end_matches(')')).unwrap_or_default();
    assert_eq!(fs::read(path).ok().as_deref(), Some(&b"please break"[..]));
    assert_eq!(broken(&fragile, b"please hold", "a test"), None);
    let sensitive =
        Entry { run: |data| assert!(data.len() != 7 && data.len() < 9, "{}", data.len()), ..fragile };
    assert!(!complaints(&sensitive).is_empty(), "the committed inputs and their mutations reach nothing");
}

#[test]
fn the_corpus_is_small_and_every_folder_of_it_has_an_entry() {
    let root = folder(&ENTRIES[0]).with_file_name("");
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(entries::find(&name).is_some(), "corpus/{name} belongs to no entry");
    }
    let bytes: usize = ENTRIES.iter().flat_map(corpus).map(|(_, input)| input.len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes are too many for the repository");
}
