//! Evidence that only the platform can open: HPKE (RFC 9180), X25519-HKDF-SHA256, ChaCha20-Poly1305, base mode.
//!
//! One context per item. The associated data binds the crop to its place, so that a crop cannot be shown as another's.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};

use crate::base::ids::DeviceId;

const INFO: &[u8] = b"bedcheck-evidence-v1";

/// Length of the encapsulated key in front of the ciphertext.
const ENCAPSULATED: usize = 32;

/// Why a seal could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the evidence key is not an X25519 key of 32 bytes")]
    Key,
    #[error("the evidence cannot be sealed")]
    Seal,
    #[error("the evidence was not sealed for this key and place, or was changed")]
    Open,
}

/// The place a crop belongs to.
pub fn place(device: &DeviceId, event_id: &str) -> Vec<u8> {
    format!("{device}|{event_id}|crop").into_bytes()
}

/// A fresh key pair: (private, public), 32 bytes each.
pub fn key_pair() -> ([u8; 32], [u8; 32]) {
    let (private, public) = X25519HkdfSha256::gen_keypair();
    (private.to_bytes().into(), public.to_bytes().into())
}

/// # Errors
/// [`SealError::Key`], [`SealError::Seal`].
pub fn seal(public: &[u8; 32], place: &[u8], crop: &[u8]) -> Result<Vec<u8>, SealError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| SealError::Key)?;
    let (encapsulated, sealed) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        INFO,
        crop,
        place,
    )
    .map_err(|_| SealError::Seal)?;
    let mut bytes = encapsulated.to_bytes().to_vec();
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// # Errors
/// [`SealError::Key`], [`SealError::Open`].
pub fn open(private: &[u8; 32], place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private).map_err(|_| SealError::Key)?;
    let (encapsulated, sealed) = sealed.split_at_checked(ENCAPSULATED).ok_or(SealError::Open)?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| SealError::Open)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        INFO,
        sealed,
        place,
    )
    .map_err(|_| SealError::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_and_place_open_a_seal() {
        let (private, public) = key_pair();
        let place = place(&DeviceId::new("d").unwrap(), "e1");
        let sealed = seal(&public, &place, b"crop").unwrap();
        assert_eq!(open(&private, &place, &sealed).unwrap(), b"crop");
        assert_eq!(open(&private, b"elsewhere", &sealed), Err(SealError::Open));
        assert_eq!(open(&key_pair().0, &place, &sealed), Err(SealError::Open));
        assert_eq!(open(&private, &place, &sealed[..20]), Err(SealError::Open));
    }
}
