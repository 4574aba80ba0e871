//! The writer on the product's own parts.

use std::path::Path;

use bedcheck::platform::db::Database;
use bedcheck::store::{Commit, Journal, Signer};

use crate::weak;

#[path = "write.rs"]
mod write;

/// `write FOLDER EVENTS SEED`, in a process of its own; the weakened make where the variable asks for it.
pub fn main(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [folder, events, seed] = arguments else { panic!("write FOLDER EVENTS SEED") };
    let (folder, events, seed) = (Path::new(folder), events.parse()?, seed.parse()?);
    if std::env::var_os(weak::base::sqlite::VARIABLE).is_some() {
        weak::write::day(folder, events, seed)
    } else {
        write::day(folder, events, seed)
    }
}
