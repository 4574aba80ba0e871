//! The log of everything the platform accepted: a Merkle tree as RFC 9162 has it. Who holds one of its heads can be shown
//! later that an entry is in the tree, and that nothing before was changed.

use ct_merkle::{ConsistencyProof, HashableLeaf, InclusionProof, RootHash};
use serde::{Deserialize, Serialize};
use sha2::digest::Update;
use sha2::{Digest, Sha256};

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;

pub type Hash = [u8; 32];

/// More entries than any platform will see; beyond it the proofs' arithmetic is not asked.
const MOST_ENTRIES: u64 = 1 << 48;

/// One entry. Its JSON text, exactly as it was written, is the leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "logged", rename_all = "snake_case", deny_unknown_fields)]
pub enum Logged {
    /// A device with this key (SHA-256) was admitted.
    Admitted { device: DeviceId, statement_key: String, at: Wall },
    /// A statement became part of a device's chain.
    Link { device: DeviceId, epoch: String, seq: u64, link: String, at: Wall },
    /// Evidence was opened, or did not open: by whom, and SHA-256 of the reason they gave.
    Opened {
        device: DeviceId,
        event: String,
        opened: bool,
        at: Wall,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_sha256: Option<String>,
    },
}

/// Hash of an entry's text.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// Hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

struct Leaf<'a>(&'a [u8]);

impl HashableLeaf for Leaf<'_> {
    fn hash<H: Update>(&self, hasher: &mut H) {
        hasher.update(self.0);
    }
}

/// Whether `path` shows that `leaf` is entry `index` of the tree with this size and root.
pub fn is_included(leaf: &[u8], index: u64, path: &[Hash], size: u64, root: &Hash) -> bool {
    if size > MOST_ENTRIES {
        return false;
    }
    let proof = InclusionProof::<Sha256>::try_from_bytes(path.concat());
    let root = RootHash::<Sha256>::new((*root).into(), size);
    proof.is_ok_and(|proof| root.verify_inclusion(&Leaf(leaf), index, &proof).is_ok())
}

/// Whether `path` shows that the tree with the first size and root is the beginning of the second one.
pub fn is_extended(old: (u64, &Hash), path: &[Hash], new: (u64, &Hash)) -> bool {
    if new.0 > MOST_ENTRIES {
        return false;
    }
    if old == new {
        return path.is_empty();
    }
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(path.concat());
    let (old, new) = (RootHash::new((*old.1).into(), old.0), RootHash::new((*new.1).into(), new.0));
    proof.is_ok_and(|proof| new.verify_consistency(&old, &proof).is_ok())
}
