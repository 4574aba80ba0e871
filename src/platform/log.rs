//! The log of everything accepted (RFC 9162): entries and nodes in the database, a signed head every hour.
//!
//! Nodes of whole subtrees are kept, two for each entry: roots of any size and every proof are a few reads.

use ed25519_dalek::SigningKey;

use crate::base::clock::Wall;
use crate::platform::db::{self, Connection, OptionalExtension, Transaction, number, params};
use crate::wire::note::TreeHead;
use crate::wire::tree::{Hash, Logged, leaf_hash, node_hash};

/// A head is signed so often while the log grows.
const HEAD_EVERY_MS: i64 = 3_600_000;

/// Appends an entry; its index.
pub fn append(tx: &Transaction<'_>, entry: &Logged) -> db::Result<u64> {
    let text =
        serde_json::to_string(entry).map_err(|error| db::Error::ToSqlConversionFailure(Box::new(error)))?;
    let index = size(tx)?;
    tx.execute("INSERT INTO log_entry VALUES (?1, ?2)", params![number(index), text])?;
    let (mut level, mut at, mut hash) = (0, index, leaf_hash(text.as_bytes()));
    put(tx, level, at, &hash)?;
    // A right child makes its parent whole.
    while at % 2 == 1 {
        hash = node_hash(&node(tx, level, at - 1)?, &hash);
        (level, at) = (level + 1, at / 2);
        put(tx, level, at, &hash)?;
    }
    Ok(index)
}

fn put(tx: &Transaction<'_>, level: u32, at: u64, hash: &Hash) -> db::Result<()> {
    tx.execute("INSERT INTO log_node VALUES (?1, ?2, ?3)", params![level, number(at), hash])?;
    Ok(())
}

fn node(connection: &Connection, level: u32, at: u64) -> db::Result<Hash> {
    connection
        .prepare_cached("SELECT hash FROM log_node WHERE level = ?1 AND at = ?2")?
        .query_row(params![level, number(at)], |row| row.get(0))
}

/// How many entries there are.
pub fn size(connection: &Connection) -> db::Result<u64> {
    let last: Option<i64> =
        connection.prepare_cached("SELECT max(at) FROM log_entry")?.query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |last| last.unsigned_abs() + 1))
}

/// Text of an entry.
pub fn entry(connection: &Connection, index: u64) -> db::Result<String> {
    connection.query_row("SELECT entry FROM log_entry WHERE at = ?1", [number(index)], |row| row.get(0))
}

/// MTH(D[from:to]) of RFC 9162, 2.1.1; `from` begins a subtree, and there is at least one entry.
fn subtree(connection: &Connection, from: u64, to: u64) -> db::Result<Hash> {
    let width = to - from;
    if width.is_power_of_two() {
        return node(connection, width.trailing_zeros(), from / width);
    }
    let split = from + before(width);
    Ok(node_hash(&subtree(connection, from, split)?, &subtree(connection, split, to)?))
}

/// The greatest power of two below `width`, which is at least 2.
fn before(width: u64) -> u64 {
    1 << (u64::BITS - 1 - (width - 1).leading_zeros())
}

/// Root of the tree of the first `size` entries, at least one.
pub fn root(connection: &Connection, size: u64) -> db::Result<Hash> {
    subtree(connection, 0, size)
}

/// PATH(index, D[0:size]) of RFC 9162, 2.1.3.1, from the leaf upwards.
pub fn path(connection: &Connection, index: u64, size: u64) -> db::Result<Vec<Hash>> {
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let split = from + before(to - from);
        if index < split {
            path.push(subtree(connection, split, to)?);
            to = split;
        } else {
            path.push(subtree(connection, from, split)?);
            from = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// PROOF(old, D[0:size]) of RFC 9162, 2.1.4.1; `old` is at least 1 and at most `size`.
pub fn extension(connection: &Connection, old: u64, size: u64) -> db::Result<Vec<Hash>> {
    let (mut from, mut to, mut proof, mut is_whole) = (0, size, Vec::new(), true);
    while old < to {
        let split = from + before(to - from);
        if old <= split {
            proof.push(subtree(connection, split, to)?);
            to = split;
        } else {
            proof.push(subtree(connection, from, split)?);
            (from, is_whole) = (split, false);
        }
    }
    if !is_whole {
        proof.push(subtree(connection, from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// A signed head.
#[derive(Clone, Debug)]
pub struct SignedHead {
    pub size: u64,
    pub note: String,
}

/// The newest signed head.
pub fn newest(connection: &Connection) -> db::Result<Option<SignedHead>> {
    Ok(heads(connection, 1)?.pop())
}

/// The newest signed heads, the latest first.
pub fn heads(connection: &Connection, most: usize) -> db::Result<Vec<SignedHead>> {
    let mut query =
        connection.prepare_cached("SELECT size, note FROM log_head ORDER BY size DESC LIMIT ?1")?;
    let head =
        |row: &db::Row<'_>| Ok(SignedHead { size: row.get::<_, i64>(0)?.unsigned_abs(), note: row.get(1)? });
    query.query_map([number(most as u64)], head)?.collect()
}

/// Signs the log as it is now; the newest head where that covers everything.
pub fn sign(tx: &Transaction<'_>, key: &SigningKey, now: Wall) -> db::Result<Option<SignedHead>> {
    let size = size(tx)?;
    let newest = newest(tx)?;
    if size == 0 || newest.as_ref().is_some_and(|head| head.size == size) {
        return Ok(newest);
    }
    let note = TreeHead { size, root: root(tx, size)?, at: now }.sign(key);
    tx.execute("INSERT INTO log_head VALUES (?1, ?2, ?3)", params![number(size), now.0, note])?;
    Ok(Some(SignedHead { size, note }))
}

/// Signs a head when the last one is an hour old and the log has grown.
pub fn sign_hourly(tx: &Transaction<'_>, key: &SigningKey, now: Wall) -> db::Result<()> {
    let last: Option<i64> = tx
        .query_row("SELECT at_ms FROM log_head ORDER BY size DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    // A clock set back must not keep the log unsigned for ever.
    if last.is_none_or(|last| (now.0 - last).abs() >= HEAD_EVERY_MS) {
        sign(tx, key, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::db::Database;
    use crate::wire::tree::{is_extended, is_included};
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use sha2::Sha256;

    fn opened(number: u64) -> Logged {
        let device = crate::base::ids::DeviceId::new("d").unwrap();
        Logged::Opened {
            device,
            event: number.to_string(),
            opened: true,
            at: Wall(0),
            by: Vec::new(),
            reason_sha256: None,
        }
    }

    #[test]
    fn roots_and_proofs_of_every_size_are_those_of_another_implementation() {
        const MOST: u64 = 70;
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        db.write(|tx| {
            let mut theirs = MemoryBackedTree::<Sha256, String>::new();
            let mut roots = vec![[0; 32]];
            for size in 1..=MOST {
                assert_eq!(append(tx, &opened(size))?, size - 1);
                theirs.push(serde_json::to_string(&opened(size)).unwrap());
                let root = root(tx, size)?;
                assert_eq!(root, <[u8; 32]>::from(*theirs.root().as_bytes()));
                roots.push(root);
                for index in 0..size {
                    let text = entry(tx, index)?;
                    let path = path(tx, index, size)?;
                    assert!(is_included(text.as_bytes(), index, &path, size, &root), "{index} of {size}");
                    assert!(!is_included(b"other", index, &path, size, &root));
                    if size > 1 {
                        let elsewhere = (index + 1) % size;
                        assert!(!is_included(text.as_bytes(), elsewhere, &path, size, &root));
                    }
                }
                for old in 1..=size {
                    let (proof, before) = (extension(tx, old, size)?, roots[old as usize]);
                    assert!(is_extended((old, &before), &proof, (size, &root)), "{old} to {size}");
                    if old < size {
                        assert!(!is_extended((old, &[1; 32]), &proof, (size, &root)));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_head_is_signed_every_hour_while_the_log_grows() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let key = SigningKey::from_bytes(&[4; 32]);
        let at = |hours: i64| Wall(1_790_000_000_000 + hours * HEAD_EVERY_MS);
        db.write(|tx| {
            sign_hourly(tx, &key, at(0))?;
            assert!(newest(tx)?.is_none());
            append(tx, &opened(1))?;
            sign_hourly(tx, &key, at(0))?;
            append(tx, &opened(2))?;
            sign_hourly(tx, &key, Wall(at(1).0 - 1))?;
            assert_eq!(newest(tx)?.map(|head| head.size), Some(1));
            sign_hourly(tx, &key, at(1))?;
            sign_hourly(tx, &key, at(2))?;
            assert_eq!(heads(tx, 9)?.iter().map(|head| head.size).collect::<Vec<_>>(), [2, 1]);
            let note = newest(tx)?.unwrap().note;
            let head = TreeHead::open(&note, &key.verifying_key()).unwrap();
            assert_eq!((head.size, head.root, head.at), (2, root(tx, 2)?, at(1)));
            Ok(())
        })
        .unwrap();
    }
}
