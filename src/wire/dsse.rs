//! DSSE envelopes (secure-systems-lab/dsse v1.0) with Ed25519: exact bytes are signed, so no canonical JSON is needed.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::wire::base64_bytes;

/// A payload with who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    pub signatures: Vec<SignatureEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureEntry {
    pub keyid: String,
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why an envelope is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    #[error("the payload type is not the one expected here")]
    OtherType,
    #[error("there must be exactly one signature")]
    SignatureCount,
    #[error("the signature does not belong to this payload and key")]
    BadSignature,
}

/// Pre-authentication encoding: what is really signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// The first 16 hexadecimal digits of the SHA-256 of a public key: a hint, never trusted.
pub fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

impl Envelope {
    pub fn sign(key: &SigningKey, payload_type: &str, payload: Vec<u8>) -> Envelope {
        let signature = key.sign(&pae(payload_type, &payload));
        let entry =
            SignatureEntry { keyid: key_id(&key.verifying_key()), sig: signature.to_bytes().to_vec() };
        Envelope { payload, payload_type: payload_type.to_owned(), signatures: vec![entry] }
    }

    /// The payload, if `key` signed it as this type.
    ///
    /// # Errors
    /// [`NotBelieved`].
    pub fn verified(&self, key: &VerifyingKey, payload_type: &str) -> Result<&[u8], NotBelieved> {
        if self.payload_type != payload_type {
            return Err(NotBelieved::OtherType);
        }
        let [entry] = self.signatures.as_slice() else { return Err(NotBelieved::SignatureCount) };
        let signature = Signature::from_slice(&entry.sig).map_err(|_| NotBelieved::BadSignature)?;
        key.verify(&pae(payload_type, &self.payload), &signature).map_err(|_| NotBelieved::BadSignature)?;
        Ok(&self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_is_the_published_example() {
        // From the DSSE specification, protocol.md, test vector.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let envelope = Envelope::sign(&key, "t", b"payload".to_vec());
        assert_eq!(envelope.verified(&key.verifying_key(), "t"), Ok(&b"payload"[..]));
        assert_eq!(envelope.verified(&key.verifying_key(), "u"), Err(NotBelieved::OtherType));
        for at in 0..envelope.payload.len() {
            let mut changed = envelope.clone();
            changed.payload[at] ^= 1;
            assert_eq!(changed.verified(&key.verifying_key(), "t"), Err(NotBelieved::BadSignature));
        }
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(envelope.verified(&other.verifying_key(), "t"), Err(NotBelieved::BadSignature));
    }
}
