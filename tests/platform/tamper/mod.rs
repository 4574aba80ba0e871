//! What a thief can try, in one place, each against a platform of its own over mutual TLS: `cargo test --test platform
//! tamper -- --nocapture` prints the table. The adversary has root on the box and all its keys; what he has not is the
//! past: receipts, the log, and what was due.
//!
//! `boxes` writes into the journal or doubles the box, `lines` changes what is delivered and what is answered, `duties`
//! keeps still or draws as he likes, `stories` lies about the ward. Each has honest days beside it that accuse nobody.

mod boxes;
mod duties;
mod lines;
mod stories;

use std::collections::BTreeSet;

use super::world::*;

/// How the platform knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// A case of this kind.
    Case(&'static str),
    /// Nothing of it comes into effect: everything the ward said is there all the same, and nothing else.
    Undone,
    /// Due checks that nobody proved.
    NotDone,
    /// Refused with this status, and nothing changes.
    Refused(u16),
}

/// Kinds of every case there ever was about `device`.
fn cases(world: &World, device: &Device) -> BTreeSet<String> {
    let kinds = |connection: &bedcheck::platform::db::Connection<'_>| {
        connection
            .prepare("SELECT kind FROM exception WHERE device = ?1 AND id NOT LIKE 'S4.04.impersonation%'")?
            .query_map([device.id.as_str()], |row| row.get(0))?
            .collect()
    };
    world.db().read(kinds).unwrap()
}

/// Ids of the events that arrived, in their order.
fn arrived(world: &World, device: &Device) -> Vec<String> {
    let ids = |connection: &bedcheck::platform::db::Connection<'_>| {
        connection
            .prepare("SELECT id FROM link WHERE device = ?1 ORDER BY logged")?
            .query_map([device.id.as_str()], |row| row.get(0))?
            .collect()
    };
    world.db().read(ids).unwrap()
}

/// How many statements arrived, also such as mean nothing.
fn arrived_any(world: &World, device: &Device) -> i64 {
    let count = "SELECT count(*) FROM link WHERE device = ?1";
    world.db().read(|connection| connection.query_row(count, [device.id.as_str()], |row| row.get(0))).unwrap()
}

/// Prints a line of the table; what was not known as it must be.
fn judge(attack: &str, wanted: Known, is_known: bool, found: &BTreeSet<String>) -> Option<String> {
    println!("{:<58} {wanted:?}{}", attack, if is_known { "" } else { "  NOT NOTICED" });
    (!is_known).then(|| format!("{attack}: wanted {wanted:?}, found {found:?}"))
}

/// Fails with everything that went unnoticed; at least `least` attacks must have been tried.
fn all_known(tried: usize, least: usize, unnoticed: &[String]) {
    assert!(tried >= least, "attacks are missing: {tried}");
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
