//! A made-up province (`screening generate`): a year of settlements, stays, rosters, presence and faces, with planted frauds
//! and their truth, so that recall and precision of each rule are measured and never assumed.
//!
//! ```text
//!   seed ──► world: institutions, doctors, families, homes ──┐
//!        └─► frauds: cases of every rule, honest look-alikes ─┼─► month by month: rows of that month, by day ──► files
//!            timeline: each honest person's year ────────────┘                                    └──► truth.csv
//! ```
//! The same seed and number of rows give the same bytes. Nobody in it exists: numbers are made up, identities are digests
//! of made-up numbers. The last day is in files of its own, as the day that comes in new.

mod frauds;
mod lists;
mod rows;
mod settled;
mod sink;
mod timeline;
mod world;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use serde::Serialize;

use crate::base::files::{FileError, make_owner_only_folder};

use frauds::Planted;
use rows::Month;
use timeline::Year;
use world::{DAYS, World, months};

pub use sink::Format;

/// Fewer cannot hold every kind of case.
pub const LEAST_ROWS: u64 = 20_000;
/// People are told apart by 32 bits.
pub const MOST_ROWS: u64 = 2_000_000_000;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("--rows must be between {LEAST_ROWS} and {MOST_ROWS}")]
    Rows,
    #[error("cannot write {path}: {cause}")]
    Write { path: PathBuf, cause: std::io::Error },
    #[error("cannot write Parquet: {0}")]
    Parquet(#[from] ParquetError),
    #[error("columns cannot be put together: {0}")]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    pub settlements: u64,
    pub stays: u64,
    pub people: u64,
    pub institutions: u64,
    pub cases: u64,
}

/// Makes a province of exactly `rows` settlements into `out`; `told` hears how many are written.
///
/// # Errors
/// [`GenerateError`].
pub fn generate(
    out: &Path,
    rows: u64,
    seed: u64,
    format: Format,
    told: &mut dyn FnMut(u64),
) -> Result<Made, GenerateError> {
    if !(LEAST_ROWS..=MOST_ROWS).contains(&rows) {
        return Err(GenerateError::Rows);
    }
    make_owner_only_folder(out)?;
    let mut world = World::new(seed, rows);
    // How many people there are decides where those of cases begin, and cases how many rows are left for them: a first
    // planting counts, the second has the right numbers.
    let wanted = rows - frauds::plant(&world, rows).settlements();
    let (people, rest) = people(&world, wanted);
    world.people = people;
    let planted = frauds::plant(&world, rows);
    let mut output = rows::Output::begin(out, format, &world, &planted)?;
    let mut year = Year::default();
    for month in months().windows(2) {
        let mut rows = Month::new(month[0], month[1]);
        for person in 0..world.people {
            timeline::honest(&world, person, &mut year);
            if person + 1 == world.people {
                shorten(&mut year, rest);
            }
            rows.take(&year);
        }
        rows.take_planted(&planted);
        output.month(rows, told)?;
    }
    let (stays, settlements) = (output.stays(), output.settlements());
    write_truth(&out.join("truth.csv"), &planted, output.finish()?)?;
    Ok(Made {
        settlements,
        stays,
        people: u64::from(world.people + planted.people),
        institutions: u64::from(world.hospitals + world.pharmacies),
        cases: planted.rules.len() as u64,
    })
}

/// How many people have so many settlements together, and how many of the last one's are wanted. The dead of former years
/// have none, and do not end the count.
fn people(world: &World, wanted: u64) -> (u32, u64) {
    // Who lives, and so who has settlements, depends on who is honest: all of them are here.
    let mut all = world.clone();
    all.people = u32::MAX;
    let (mut person, mut left) = (0, wanted);
    loop {
        let settlements = timeline::settlements(&all, person);
        if settlements >= left || person == u32::MAX / 2 {
            return (person + 1, left);
        }
        left -= settlements;
        person += 1;
    }
}

fn shorten(year: &mut Year, rest: u64) {
    let rest = usize::try_from(rest).unwrap_or(usize::MAX);
    year.stays.truncate(rest);
    year.visits.truncate(rest - year.stays.len());
}

/// `case,rule,row`: every row of every planted case.
fn write_truth(path: &Path, planted: &Planted, truth: Vec<(u32, String)>) -> Result<(), GenerateError> {
    let failed = |cause| GenerateError::Write { path: path.to_owned(), cause };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    writeln!(file, "case,rule,row").map_err(failed)?;
    for (case, row) in truth {
        let rule = planted.rules.get(case as usize - 1).copied().unwrap_or_default();
        writeln!(file, "{case},{rule},{row}").map_err(failed)?;
    }
    file.flush().map_err(failed)
}

/// The last day, which is in files of its own.
const fn last_day() -> i16 {
    DAYS - 1
}
