//! Signed notes and checkpoints as transparency logs exchange them (C2SP `signed-note`, `tlog-checkpoint`): text that people
//! can read out, with one signature line each for the log and for whoever witnesses it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::base::clock::Wall;
use crate::wire::tree::Hash;

/// Names the log of a platform in its notes.
pub const ORIGIN: &str = "bedcheck-platform";

/// The algorithm byte of Ed25519 in a key's hash.
const ED25519: u8 = 1;
/// A note with a hundred witnesses is shorter.
const MOST_BYTES: usize = 16 * 1024;

/// How far the log had grown at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeHead {
    pub size: u64,
    pub root: Hash,
    pub at: Wall,
}

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    #[error("the note is not written as a signed checkpoint")]
    Format,
    #[error("the note is of another log")]
    Origin,
    #[error("the note is not signed by this log's key")]
    Signature,
}

impl TreeHead {
    fn text(&self) -> String {
        format!("{ORIGIN}\n{}\n{}\nat {}\n", self.size, STANDARD.encode(self.root), self.at.0)
    }

    /// The note, signed by the log.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let mut signature = key_hash(ORIGIN, &key.verifying_key()).to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {ORIGIN} {}\n", STANDARD.encode(signature))
    }

    /// What a note says, if `key` signed it. Signatures of others (witnesses) are left alone.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn open(note: &str, key: &VerifyingKey) -> Result<TreeHead, BadNote> {
        if note.len() > MOST_BYTES {
            return Err(BadNote::Format);
        }
        let at = note.rfind("\n\n").ok_or(BadNote::Format)? + 1;
        let (text, signatures) = (&note[..at], &note[at + 1..]);
        let is_signed = signatures.lines().any(|line| is_signature(line, text, key));
        if !is_signed {
            return Err(BadNote::Signature);
        }
        let mut lines = text.lines();
        if lines.next() != Some(ORIGIN) {
            return Err(BadNote::Origin);
        }
        let size = lines.next().and_then(|size| size.parse().ok());
        let root = lines.next().and_then(|root| STANDARD.decode(root).ok()?.try_into().ok());
        let at = lines.next().and_then(|at| at.strip_prefix("at ")?.parse().ok());
        let (Some(size), Some(root), Some(at)) = (size, root, at) else { return Err(BadNote::Format) };
        Ok(TreeHead { size, root, at: Wall(at) })
    }
}

fn is_signature(line: &str, text: &str, key: &VerifyingKey) -> bool {
    let Some((name, signature)) = line.strip_prefix("— ").and_then(|line| line.split_once(' ')) else {
        return false;
    };
    let Ok(bytes) = STANDARD.decode(signature) else { return false };
    let Some((hash, signature)) = bytes.split_at_checked(4) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    hash == key_hash(name, key) && key.verify(text.as_bytes(), &signature).is_ok()
}

/// The first four bytes of what names a key in a note.
fn key_hash(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// A key as witnesses are configured with it.
pub fn verifier_key(key: &VerifyingKey) -> String {
    let encoded = STANDARD.encode([&[ED25519][..], key.as_bytes()].concat());
    format!("{ORIGIN}+{}+{encoded}", hex::encode(key_hash(ORIGIN, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_believed_with_its_key_and_with_a_witness_and_not_after_any_change() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let head = TreeHead { size: 7, root: [9; 32], at: Wall(1_790_000_000_000) };
        let note = head.sign(&key);
        assert_eq!(TreeHead::open(&note, &key.verifying_key()), Ok(head.clone()));
        let witnessed = format!("{note}— witness.example AAAAAAAA\n");
        assert_eq!(TreeHead::open(&witnessed, &key.verifying_key()), Ok(head));
        let other = SigningKey::from_bytes(&[6; 32]).verifying_key();
        assert_eq!(TreeHead::open(&note, &other), Err(BadNote::Signature));
        let text = note.find("\n\n").unwrap();
        for at in 0..text {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            assert!(TreeHead::open(&changed, &key.verifying_key()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_key_hash_is_the_one_of_the_standard() {
        // Key and hash of golang.org/x/mod/sumdb/note's documentation: PeterNeumann.
        let encoded = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let bytes: [u8; 32] = STANDARD.decode(encoded).unwrap()[1..].try_into().unwrap();
        let key = VerifyingKey::from_bytes(&bytes).unwrap();
        assert_eq!(hex::encode(key_hash("PeterNeumann", &key)), "c74f20a3");
    }
}
