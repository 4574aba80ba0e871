//! What must not lie in the clear on the disk, sealed with XChaCha20-Poly1305 under a key of this device.
//!
//! The key is a systemd credential of its name (encrypted at rest by the system, with a TPM where there is one), else a
//! file beside the data, owner-only: that keeps out whoever copies the database, and nobody who copies the folder.

use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::base::files::{FileError, credential, make_owner_only_folder, read_at_most, write_owner_only};

const NONCE: usize = 24;

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SafeError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the key {0} must have 32 bytes")]
    Key(PathBuf),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("the cipher failed")]
    Cipher,
}

/// Seals and opens under one key.
pub struct Safe(XChaCha20Poly1305);

impl Safe {
    /// Takes the key `name`; makes folder and key at the first call.
    ///
    /// # Errors
    /// [`SafeError`].
    pub fn open(folder: &Path, name: &str) -> Result<Safe, SafeError> {
        make_owner_only_folder(folder)?;
        let path = credential(name).unwrap_or_else(|| folder.join(name));
        if !path.exists() {
            let mut key = Zeroizing::new([0; 32]);
            getrandom::fill(key.as_mut()).map_err(SafeError::Random)?;
            write_owner_only(&path, key.as_ref())?;
        }
        let key = Zeroizing::new(read_at_most(&path, 64)?);
        XChaCha20Poly1305::new_from_slice(&key).map(Safe).map_err(|_| SafeError::Key(path))
    }

    /// Seals `clear` for `place`: moved elsewhere it does not open.
    ///
    /// # Errors
    /// [`SafeError::Random`], [`SafeError::Cipher`].
    pub fn seal(&self, place: &str, clear: &[u8]) -> Result<Vec<u8>, SafeError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(SafeError::Random)?;
        let payload = Payload { msg: clear, aad: place.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SafeError::Cipher)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed for `place`; `None` when it was changed, moved, or sealed under another key.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        self.0.decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_in_its_place_with_its_key_and_unchanged_only() {
        let folder = tempfile::tempdir().unwrap();
        let safe = Safe::open(folder.path(), "a.key").unwrap();
        let sealed = safe.seal("here", b"secret").unwrap();
        let again = Safe::open(folder.path(), "a.key").unwrap();
        assert_eq!(again.unseal("here", &sealed).unwrap().as_slice(), b"secret");
        assert!(again.unseal("there", &sealed).is_none());
        assert!(Safe::open(folder.path(), "b.key").unwrap().unseal("here", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(safe.unseal("here", &changed).is_none());
        }
        assert!(safe.unseal("here", &sealed[..10]).is_none());
        write_owner_only(&folder.path().join("c.key"), b"short").unwrap();
        assert!(matches!(Safe::open(folder.path(), "c.key"), Err(SafeError::Key(_))));
    }
}
