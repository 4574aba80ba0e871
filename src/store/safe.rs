//! What must not lie in the clear on the disk, sealed with XChaCha20-Poly1305 under a key of this device.
//!
//! Where the key is: [`keys`](super::keys).

use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::base::files::FileError;
use crate::store::keys;

pub(super) const NONCE: usize = 24;

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SafeError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "密钥 {0} 不可用，请从备份恢复 · the key {0} must have 32 bytes or be one that a token wrapped; bring it back from a backup"
    )]
    Key(PathBuf),
    #[error(
        "没有名为 {0} 的系统凭据，见 bedcheck.service · there is no systemd credential {0}: make it as bedcheck.service says, or change keys.store"
    )]
    NoCredential(&'static str),
    #[error(
        "{0} 由系统凭据保管，与 keys.store 不符 · {0} is a systemd credential: set keys.store = \"credential\", or take it out of bedcheck.service"
    )]
    Credential(&'static str),
    #[error(
        "PKCS#11: cannot {doing} token {label:?}: {cause}; check keys.module, the PIN and that the token is there"
    )]
    Token { label: String, doing: &'static str, cause: String },
    #[error(
        "PKCS#11: 找不到令牌 · there is no initialised token {0:?}; check keys.token and that it is plugged in"
    )]
    NoToken(String),
    #[error(
        "PKCS#11: the token {0:?} does not hold the key it wrapped with: it is another one, or was initialised anew"
    )]
    NoKeyInToken(String),
    #[error(
        "PKCS#11: 没有 PIN · no PIN for token {0:?}: write keys.pin_file, or make the systemd credential pkcs11.pin"
    )]
    NoPin(String),
    #[error("PIN 文件他人可读 · others can read the PIN in {0}: chmod 600 {0}")]
    PinForAll(PathBuf),
    #[error("this program was built without PKCS#11 (feature pkcs11), which token {0:?} needs")]
    NotBuilt(String),
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
        let key = keys::key(folder, name)?;
        XChaCha20Poly1305::new_from_slice(&key).map(Safe).map_err(|_| SafeError::Key(folder.join(name)))
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
        crate::base::files::write_owner_only(&folder.path().join("c.key"), b"short").unwrap();
        assert!(matches!(Safe::open(folder.path(), "c.key"), Err(SafeError::Key(_))));
    }
}
