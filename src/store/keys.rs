//! Where the keys are that seal faces and names on this disk.
//!
//! | place | `[keys] store` | whoever copies the disk |
//! |---|---|---|
//! | a systemd credential of the key's name | `credential` | has nothing, where the machine has a TPM |
//! | wrapped by a key of a PKCS#11 token that never leaves it | `pkcs11` | has nothing without token and PIN |
//! | a file beside the data, owner-only | `file` | has everything: weak |
//!
//! Without `[keys]` it is the credential where there is one, else the file. A wrapped key says in its own file which token
//! opens it, so that every program finds it; [`settle`] brings a key from a file into the token, and back.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::files::{credential, make_owner_only_folder, read_at_most, write_owner_only};
use crate::store::safe::SafeError;
use crate::store::token;
use crate::wire::base64_bytes;

/// The keys of this device.
pub const KEYS: [&str; 2] = [crate::store::enrolled::KEY, crate::store::facts::KEY];
/// A wrapped key with its paths.
const MOST_BYTES: u64 = 16 * 1024;
const LENGTH: usize = 32;

/// Where the keys shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyStore {
    /// The credential where there is one, else the file.
    #[default]
    Usual,
    File,
    Credential,
    Token(Token),
}

/// A PKCS#11 token and how it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The vendor's library.
    pub module: PathBuf,
    pub label: String,
    /// Owner-only; without one the PIN is the systemd credential `pkcs11.pin`.
    pub pin_file: Option<PathBuf>,
}

/// A key that its token opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapped {
    pub token: Token,
    /// Of AES-256-GCM, 12 bytes.
    #[serde(with = "base64_bytes")]
    pub nonce: Vec<u8>,
    /// The key with its tag.
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    Credential,
    Token(Token),
    File,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Nowhere => f.write_str("尚未生成 not made yet"),
            Place::Credential => f.write_str("系统凭据 systemd credential"),
            Place::Token(token) => write!(f, "PKCS#11 令牌 token {:?}", token.label),
            Place::File => {
                f.write_str("文件，仅属主可读（弱）· file, owner-only: weak against whoever copies the disk")
            }
        }
    }
}

/// Where the key `name` is; makes nothing and opens no token.
///
/// # Errors
/// [`SafeError`] where a file is neither a key nor a wrapped one.
pub fn place(folder: &Path, name: &str) -> Result<Place, SafeError> {
    let path = folder.join(name);
    if credential(name).is_some() {
        return Ok(Place::Credential);
    }
    if !path.exists() {
        return Ok(Place::Nowhere);
    }
    let bytes = Zeroizing::new(read_at_most(&path, MOST_BYTES)?);
    if bytes.len() == LENGTH {
        return Ok(Place::File);
    }
    wrapped(&path, &bytes).map(|wrapped| Place::Token(wrapped.token))
}

/// The key `name`; made at the first call.
///
/// # Errors
/// [`SafeError`].
pub fn key(folder: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, SafeError> {
    make_owner_only_folder(folder)?;
    let path = credential(name).unwrap_or_else(|| folder.join(name));
    if !path.exists() {
        write_owner_only(&path, &new()?)?;
    }
    let bytes = Zeroizing::new(read_at_most(&path, MOST_BYTES)?);
    let key = if bytes.len() == LENGTH { bytes } else { token::unwrap(&wrapped(&path, &bytes)?, name)? };
    if key.len() == LENGTH { Ok(key) } else { Err(SafeError::Key(path)) }
}

/// Brings every key of the device where it shall be; a key that is there already is left alone.
///
/// # Errors
/// [`SafeError`]: what is missing, and what to do. A key is never lost: it is where it was, or where it shall be.
pub fn settle(folder: &Path, wanted: &KeyStore) -> Result<(), SafeError> {
    make_owner_only_folder(folder)?;
    for name in KEYS {
        let path = folder.join(name);
        match (wanted, place(folder, name)?) {
            (KeyStore::Usual, _)
            | (KeyStore::Credential, Place::Credential)
            | (KeyStore::File, Place::File | Place::Nowhere) => {}
            (KeyStore::Credential, Place::Nowhere | Place::Token(_) | Place::File) => {
                return Err(SafeError::NoCredential(name));
            }
            (KeyStore::File | KeyStore::Token(_), Place::Credential) => {
                return Err(SafeError::Credential(name));
            }
            (KeyStore::File, Place::Token(_)) => write_owner_only(&path, &key(folder, name)?)?,
            (KeyStore::Token(token), Place::Token(found)) if *token == found => {}
            (KeyStore::Token(token), Place::Token(_) | Place::File) => {
                wrap(&path, token, name, &key(folder, name)?)?;
            }
            (KeyStore::Token(token), Place::Nowhere) => wrap(&path, token, name, &new()?)?,
        }
    }
    Ok(())
}

fn wrap(path: &Path, token: &Token, name: &str, key: &[u8]) -> Result<(), SafeError> {
    let wrapped = token::wrap(token, name, key)?;
    // What cannot be opened again must not replace what can.
    if token::unwrap(&wrapped, name)?.as_slice() != key {
        return Err(SafeError::Key(path.to_owned()));
    }
    let text = serde_json::to_vec_pretty(&wrapped).map_err(|_| SafeError::Key(path.to_owned()))?;
    Ok(write_owner_only(path, &text)?)
}

fn new() -> Result<Zeroizing<Vec<u8>>, SafeError> {
    let mut key = Zeroizing::new(vec![0; LENGTH]);
    getrandom::fill(&mut key).map_err(SafeError::Random)?;
    Ok(key)
}

fn wrapped(path: &Path, bytes: &[u8]) -> Result<Wrapped, SafeError> {
    serde_json::from_slice(bytes).map_err(|_| SafeError::Key(path.to_owned()))
}
