//! A disk that may lose power: what was synced stays, everything later is a matter of chance.
//!
//! ```text
//!   file    synced content ──► writes since, in order       each 512-byte sector keeps some first part of its writes,
//!                                                           one sector may be torn, the length is any it had since
//!   folder  synced names ───► creations and removals since  each kept or not
//! ```
//! This is worse than most disks: journaling file systems keep an order that is not kept here. Assumed is what SQLite
//! assumes too: a sector that is not being written does not change, and a sync that returned was true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::trace::Step;

const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
    /// What programs see while the power is on.
    now: Vec<u8>,
}

/// One folder with its files; removed ones are kept, their removal may be lost.
#[derive(Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    synced_names: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    /// Creation (with its file) or removal, in order.
    since: Vec<(PathBuf, Option<usize>)>,
}

impl Disk {
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { path } => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.names.insert(path.clone(), file);
                self.since.push((path.clone(), Some(file)));
            }
            Step::Remove { path } => {
                self.names.remove(path);
                self.since.push((path.clone(), None));
            }
            Step::Write { path, offset, bytes } => {
                let offset = usize::try_from(*offset).unwrap();
                self.change(path, Change::Write { offset, bytes: bytes.clone() });
            }
            Step::Truncate { path, length } => {
                self.change(path, Change::Length(usize::try_from(*length).unwrap()));
            }
            Step::Sync { path } => match self.names.get(path) {
                Some(file) => {
                    let file = &mut self.files[*file];
                    file.synced.clone_from(&file.now);
                    file.since.clear();
                }
                None => self.sync_folder(path),
            },
            Step::Said(_) => {}
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        let file = &mut self.files[self.names[path]];
        apply(&mut file.now, &change, &|_| true);
        file.since.push(change);
    }

    fn sync_folder(&mut self, folder: &Path) {
        let is_in = |path: &Path| path.parent() == Some(folder);
        self.synced_names.retain(|path, _| !is_in(path));
        let here = self.names.iter().filter(|(path, _)| is_in(path));
        self.synced_names.extend(here.map(|(path, file)| (path.clone(), *file)));
        self.since.retain(|(path, _)| !is_in(path));
    }

    /// Whether anything is not synced: then a power cut has something to decide.
    pub fn is_in_doubt(&self) -> bool {
        !self.since.is_empty() || self.files.iter().any(|file| !file.since.is_empty())
    }

    /// Lays down what another process would see now, power on.
    pub fn lay_down(&self, from: &Path, to: &Path) {
        for (path, file) in &self.names {
            put(from, to, path, &self.files[*file].now);
        }
    }

    /// Lays down one of the disks that a power cut may leave.
    pub fn cut(&self, from: &Path, to: &Path, chance: &mut Chance) {
        // Mostly nothing, mostly everything, or a mixture: each breaks other mistakes.
        let keeps = [0, 10, 50, 90, 100][chance.below(5)];
        let mut names = self.synced_names.clone();
        for (path, file) in &self.since {
            if chance.percent(keeps) {
                match file {
                    Some(file) => names.insert(path.clone(), *file),
                    None => names.remove(path),
                };
            }
        }
        for (path, file) in names {
            put(from, to, &path, &self.files[file].after_cut(keeps, chance));
        }
    }
}

impl File {
    fn after_cut(&self, keeps: usize, chance: &mut Chance) -> Vec<u8> {
        let mut content = self.synced.clone();
        let mut lengths = vec![content.len()];
        let mut left: BTreeMap<usize, usize> = BTreeMap::new();
        let mut grown = content.len();
        for change in &self.since {
            let (touched, length) = change.reach(grown);
            for sector in touched {
                *left.entry(sector).or_default() += 1;
            }
            grown = length;
            lengths.push(grown);
        }
        for writes in left.values_mut() {
            *writes = if chance.percent(keeps) { *writes } else { chance.below(*writes) };
        }
        let torn =
            chance.percent(50).then(|| chance.below(left.len())).and_then(|at| left.keys().nth(at).copied());
        let before_tear = content.clone();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        content.resize(longest, 0);
        for change in &self.since {
            let spent = spend(&mut left, change, longest);
            apply_within(&mut content, change, &|sector| spent.contains(&sector));
        }
        if let Some(sector) = torn {
            tear(&mut content, &before_tear, sector, chance);
        }
        content.truncate(if chance.percent(keeps) {
            *lengths.last().unwrap()
        } else {
            lengths[chance.below(lengths.len())]
        });
        content
    }
}

impl Change {
    /// The sectors it touches in a file of `length`, and the length after it.
    fn reach(&self, length: usize) -> (std::ops::Range<usize>, usize) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                (offset / SECTOR..end.div_ceil(SECTOR), length.max(end))
            }
            Change::Length(new) => (new / SECTOR..length.max(*new).div_ceil(SECTOR), *new),
        }
    }
}

/// The sectors of `change` that still have a write to their name.
fn spend(left: &mut BTreeMap<usize, usize>, change: &Change, length: usize) -> Vec<usize> {
    let (touched, _) = change.reach(length);
    let mut spent = Vec::new();
    for sector in touched {
        if let Some(writes) = left.get_mut(&sector).filter(|writes| **writes > 0) {
            *writes -= 1;
            spent.push(sector);
        }
    }
    spent
}

fn apply(content: &mut Vec<u8>, change: &Change, may: &dyn Fn(usize) -> bool) {
    let (_, length) = change.reach(content.len());
    content.resize(length, 0);
    apply_within(content, change, may);
}

/// Writes the sectors that `may` names; what a shortened file lost is zeros when it grows again.
fn apply_within(content: &mut [u8], change: &Change, may: &dyn Fn(usize) -> bool) {
    let zeros;
    let (offset, bytes) = match change {
        Change::Write { offset, bytes } => (*offset, bytes),
        Change::Length(length) => {
            zeros = vec![0; content.len().saturating_sub(*length)];
            (*length, &zeros)
        }
    };
    let mut at = offset;
    while at < offset + bytes.len() {
        let end = ((at / SECTOR + 1) * SECTOR).min(offset + bytes.len());
        if may(at / SECTOR) {
            content[at..end].copy_from_slice(&bytes[at - offset..end - offset]);
        }
        at = end;
    }
}

/// The first part of the sector was written, the rest is as it was.
fn tear(content: &mut [u8], before: &[u8], sector: usize, chance: &mut Chance) {
    let until = ((sector + 1) * SECTOR).min(content.len());
    let from = (sector * SECTOR + chance.below(SECTOR)).min(until);
    let old = before.iter().skip(from).copied().chain(std::iter::repeat(0));
    content[from..until].iter_mut().zip(old).for_each(|(byte, old)| *byte = old);
}

fn put(from: &Path, to: &Path, path: &Path, content: &[u8]) {
    let path = to.join(path.strip_prefix(from).unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
