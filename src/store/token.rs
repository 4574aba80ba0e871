//! A PKCS#11 token that wraps keys: an AES-256 key is made in it, cannot be read out, and encrypts ours.

use zeroize::Zeroizing;

use crate::store::keys::{Token, Wrapped};
use crate::store::safe::SafeError;

#[cfg(feature = "pkcs11")]
mod with_module {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Mutex, PoisonError};

    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::mechanism::aead::GcmParams;
    use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
    use cryptoki::session::{Session, UserType};
    use cryptoki::types::AuthPin;
    use zeroize::Zeroizing;

    use crate::base::files::{credential, read_at_most};
    use crate::store::keys::Token;
    use crate::store::safe::SafeError;

    /// Name of the wrapping key in the token.
    const LABEL: &str = "bedcheck-sealing";
    const MOST_PIN: u64 = 1024;
    const TAG_BITS: usize = 128;

    /// A module is initialised once in a process: whoever comes second waits.
    static TURN: Mutex<()> = Mutex::new(());

    fn failed(token: &Token, doing: &'static str) -> impl Fn(cryptoki::error::Error) -> SafeError {
        let label = token.label.clone();
        move |error| SafeError::Token { label: label.clone(), doing, cause: error.to_string() }
    }

    /// Runs `work` with the wrapping key in a session of its own; with `make` the key is made where there is none.
    pub fn with_key<T>(
        token: &Token,
        make: bool,
        work: impl FnOnce(&Session, ObjectHandle) -> cryptoki::error::Result<T>,
    ) -> Result<T, SafeError> {
        let pin = pin(token)?;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let module = Pkcs11::new(&token.module).map_err(failed(token, "load the module of"))?;
        let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        module.initialize(threads).map_err(failed(token, "initialise the module of"))?;
        let done = in_session(&module, token, &pin, make, work);
        // The next one initialises again; what this one found counts.
        let _ = module.finalize();
        done
    }

    fn in_session<T>(
        module: &Pkcs11,
        token: &Token,
        pin: &AuthPin,
        make: bool,
        work: impl FnOnce(&Session, ObjectHandle) -> cryptoki::error::Result<T>,
    ) -> Result<T, SafeError> {
        let slots = module.get_slots_with_initialized_token().map_err(failed(token, "find"))?;
        let is_ours = |label: String| label == token.label;
        let slot = slots
            .into_iter()
            .find(|slot| module.get_token_info(*slot).is_ok_and(|info| is_ours(info.label().to_owned())))
            .ok_or_else(|| SafeError::NoToken(token.label.clone()))?;
        let session = module.open_rw_session(slot).map_err(failed(token, "open"))?;
        session.login(UserType::User, Some(pin)).map_err(failed(token, "log in to"))?;
        let ours = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(LABEL.as_bytes().to_vec()),
        ];
        let found = session.find_objects(&ours).map_err(failed(token, "look into"))?;
        let key = match found.first() {
            Some(key) => *key,
            None if make => {
                let wanted = [
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                    Attribute::ValueLen(32.into()),
                    Attribute::Label(LABEL.as_bytes().to_vec()),
                ];
                let made = session.generate_key(&Mechanism::AesKeyGen, &wanted);
                made.map_err(failed(token, "make a key in"))?
            }
            None => return Err(SafeError::NoKeyInToken(token.label.clone())),
        };
        work(&session, key).map_err(failed(token, "use the key of"))
    }

    fn pin(token: &Token) -> Result<AuthPin, SafeError> {
        let missing = || SafeError::NoPin(token.label.clone());
        let path = token.pin_file.clone().or_else(|| credential("pkcs11.pin")).ok_or_else(missing)?;
        let mode = std::fs::metadata(&path).map_or(0, |data| data.permissions().mode());
        if token.pin_file.is_some() && mode & 0o077 != 0 {
            return Err(SafeError::PinForAll(path));
        }
        let text = Zeroizing::new(read_at_most(&path, MOST_PIN)?);
        let text = std::str::from_utf8(&text).map_err(|_| missing())?.trim();
        if text.is_empty() { Err(missing()) } else { Ok(AuthPin::new(text.into())) }
    }

    /// AES-256-GCM with this nonce, bound to the key's name.
    pub fn gcm<'a>(nonce: &'a mut [u8], bound: &'a [u8]) -> cryptoki::error::Result<Mechanism<'a>> {
        Ok(Mechanism::AesGcm(GcmParams::new(nonce, bound, TAG_BITS.try_into()?)?))
    }
}

/// Binds a wrapped key to its name: one cannot stand in for the other.
#[cfg(feature = "pkcs11")]
fn bound(name: &str) -> String {
    format!("bedcheck-key-v1|{name}")
}

/// Wraps `key` under the token's own key, which is made at the first call.
///
/// # Errors
/// [`SafeError`]: the token, its PIN, or a module that was not built in.
#[cfg(feature = "pkcs11")]
pub fn wrap(token: &Token, name: &str, key: &[u8]) -> Result<Wrapped, SafeError> {
    let mut nonce = vec![0; 12];
    getrandom::fill(&mut nonce).map_err(SafeError::Random)?;
    let (mut used, bound) = (nonce.clone(), bound(name));
    let sealed = with_module::with_key(token, true, |session, wrapping| {
        session.encrypt(&with_module::gcm(&mut used, bound.as_bytes())?, wrapping, key)
    })?;
    Ok(Wrapped { token: token.clone(), nonce, sealed })
}

/// The key that was wrapped.
///
/// # Errors
/// [`SafeError`]: the token, its PIN, another token, or a file that was changed.
#[cfg(feature = "pkcs11")]
pub fn unwrap(wrapped: &Wrapped, name: &str) -> Result<Zeroizing<Vec<u8>>, SafeError> {
    let (mut nonce, bound) = (wrapped.nonce.clone(), bound(name));
    with_module::with_key(&wrapped.token, false, |session, wrapping| {
        session.decrypt(&with_module::gcm(&mut nonce, bound.as_bytes())?, wrapping, &wrapped.sealed)
    })
    .map(Zeroizing::new)
}

/// As with the feature.
///
/// # Errors
/// Always.
#[cfg(not(feature = "pkcs11"))]
pub fn wrap(token: &Token, _name: &str, _key: &[u8]) -> Result<Wrapped, SafeError> {
    Err(SafeError::NotBuilt(token.label.clone()))
}

/// As with the feature.
///
/// # Errors
/// Always.
#[cfg(not(feature = "pkcs11"))]
pub fn unwrap(wrapped: &Wrapped, _name: &str) -> Result<Zeroizing<Vec<u8>>, SafeError> {
    Err(SafeError::NotBuilt(wrapped.token.label.clone()))
}
