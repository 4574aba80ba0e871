//! Keys said twice, within a file and against every file before it.
//!
//! A key is remembered by eight bytes of its digest: 63 million take a gigabyte while their file is read, half of it on the
//! disk afterwards, and those of former files are read past the new ones and never kept. The chance that any honest row of
//! 63 million is refused for another's digest is 1 in 9,000 for the whole file; it would stand among the rejects.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::base::files::make_owner_only_folder;
use crate::platform::screening::folder::Folder;
use crate::platform::screening::load::rejects::Rejects;
use crate::platform::screening::load::{LoadError, Rows, check};
use crate::platform::screening::tables::Table;

/// Bytes of one digest on the disk.
const WIDTH: usize = 8;

/// The keys of the file that is being read.
pub struct Keys {
    table: &'static Table,
    at: usize,
    set: Set,
}

/// Digests that are in former files, too.
#[derive(Debug, Default)]
pub struct Twice(Vec<u64>);

impl Twice {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.binary_search(&digest(key)).is_ok()
    }
}

/// Of a key. It need not resist somebody who makes keys up: a row refused wrongly is shown, and hurts who sent it.
fn digest(key: &str) -> u64 {
    // FNV-1a over eight bytes a step, then mixed: an identifier is long and there are many.
    let (mut sum, mut chunks) = (0xCBF2_9CE4_8422_2325_u64, key.as_bytes().chunks_exact(8));
    for chunk in chunks.by_ref() {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        sum = mixed(sum ^ word);
    }
    let rest = chunks.remainder().iter().fold(key.len() as u64, |sum, byte| (sum << 8) ^ u64::from(*byte));
    mixed(sum ^ rest).max(1)
}

fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let value = (value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    value ^ (value >> 32)
}

impl Keys {
    pub fn new(table: &'static Table) -> Keys {
        Keys { table, at: table.place(table.key).unwrap_or(0), set: Set::new() }
    }

    /// The rows whose key was not in this file before.
    pub fn fresh(&mut self, rows: Rows, rejects: &mut Rejects) -> Result<Rows, LoadError> {
        let fault = (self.table.columns[self.at].names[0], "said twice in this file: the first one counts");
        let keys = check::texts(&rows.batch, self.at);
        let faults: Vec<_> = keys
            .iter()
            .map(|key| (!self.set.insert(digest(key.unwrap_or_default()))).then_some(fault))
            .collect();
        check::keep(rows, &faults, self.table.schema(), rejects)
    }

    /// Keys of this file that files before it have.
    pub fn known_before(&self, folder: &Folder, digest: &str) -> Result<Twice, LoadError> {
        let mut twice = Vec::new();
        for taken in folder.taken()? {
            if taken.table == self.table.name && taken.digest != digest {
                read(&folder.keys(&taken.table, &taken.digest), |key| {
                    if self.set.has(key) {
                        twice.push(key);
                    }
                })?;
            }
        }
        twice.sort_unstable();
        twice.dedup();
        Ok(Twice(twice))
    }

    /// Writes the keys for the files that come after.
    pub fn keep(&self, path: &Path, twice: &Twice) -> Result<(), LoadError> {
        if let Some(folder) = path.parent() {
            make_owner_only_folder(folder)?;
        }
        let mut file = BufWriter::with_capacity(1024 * 1024, File::create(path).map_err(LoadError::Write)?);
        for key in self.set.iter().filter(|key| twice.0.binary_search(key).is_err()) {
            file.write_all(&key.to_le_bytes()).map_err(LoadError::Write)?;
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(LoadError::Write)
    }
}

fn read(path: &Path, mut each: impl FnMut(u64)) -> Result<(), LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut file = BufReader::with_capacity(1024 * 1024, File::open(path).map_err(failed)?);
    let mut some = vec![0; WIDTH * 64 * 1024];
    loop {
        let mut filled = 0;
        while filled < some.len() {
            match file.read(&mut some[filled..]).map_err(failed)? {
                0 => break,
                count => filled += count,
            }
        }
        for bytes in some[..filled].chunks_exact(WIDTH) {
            each(bytes.try_into().map_or(0, u64::from_le_bytes));
        }
        if filled < some.len() {
            return Ok(());
        }
    }
}

/// A set of numbers other than nought, in one piece of memory: eight bytes a place, at most three quarters full.
struct Set {
    places: Vec<u64>,
    count: usize,
}

impl Set {
    fn new() -> Set {
        Set { places: vec![0; 1 << 12], count: 0 }
    }

    /// Where `key` is or would be.
    fn place(&self, key: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = usize::try_from(key >> 16).unwrap_or(0) & mask;
        while self.places[at] != 0 && self.places[at] != key {
            at = (at + 1) & mask;
        }
        at
    }

    fn insert(&mut self, key: u64) -> bool {
        if (self.count + 1) * 4 > self.places.len() * 3 {
            let doubled = vec![0; self.places.len() * 2];
            let former = std::mem::replace(&mut self.places, doubled);
            for key in former.into_iter().filter(|key| *key != 0) {
                let at = self.place(key);
                self.places[at] = key;
            }
        }
        let at = self.place(key);
        let is_new = self.places[at] == 0;
        self.places[at] = key;
        self.count += usize::from(is_new);
        is_new
    }

    fn has(&self, key: u64) -> bool {
        self.places[self.place(key)] == key
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.places.iter().copied().filter(|key| *key != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_keys_are_all_new_once_and_known_afterwards() {
        let mut set = Set::new();
        let key = |at: usize| digest(&format!("62000020250000000{at:07}"));
        assert!((0..100_000).all(|at| set.insert(key(at))));
        assert!((0..100_000).all(|at| !set.insert(key(at)) && set.has(key(at))));
        assert!(!set.has(key(100_001)));
        assert_eq!(set.iter().count(), 100_000);
    }
}
