//! How a device becomes known and stays so: a request made on the device, a bundle made by the platform, later a new
//! certificate for a new key. Private keys never travel.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::base::ids::{DeviceId, WardId};
use crate::wire::base64_bytes;
use crate::wire::dsse::{Envelope, NotBelieved};

pub const REQUEST_TYPE: &str = "application/vnd.bedcheck.device-request.v1+json";

/// What the device asks for, signed with its own statement key: nobody else can register that key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    pub v: u8,
    pub device: DeviceId,
    pub ward: WardId,
    /// Certificate signing request for the TLS key. Only its public key is used.
    pub csr_pem: String,
    /// Ed25519 public key of the statements.
    #[serde(with = "base64_bytes")]
    pub statement_key: Vec<u8>,
}

/// What the platform gives back; nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceBundle {
    pub v: u8,
    pub device: DeviceId,
    pub platform_url: String,
    pub ca_pem: String,
    pub cert_pem: String,
    /// Ed25519 public key of the receipts.
    #[serde(with = "base64_bytes")]
    pub receipt_key: Vec<u8>,
    /// X25519 public key evidence is sealed to.
    #[serde(with = "base64_bytes")]
    pub evidence_key: Vec<u8>,
}

/// The platform's answer to a [`DeviceRequest`] of a device that it knows: the certificate of its next TLS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewed {
    pub v: u8,
    pub cert_pem: String,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    #[error("the device request is not understood: {0}")]
    Format(#[from] serde_json::Error),
    #[error("the device request was not signed by the key it names: {0}")]
    NotBelieved(#[from] NotBelieved),
    #[error("the statement key is not an Ed25519 key")]
    Key,
}

impl DeviceRequest {
    /// # Errors
    /// Never in practice: every field is JSON.
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, serde_json::Error> {
        Ok(Envelope::sign(key, REQUEST_TYPE, serde_json::to_vec(self)?))
    }

    /// Reads a request and proves that its sender holds the statement key.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn open(envelope: &Envelope) -> Result<(DeviceRequest, VerifyingKey), BadRequest> {
        let request: DeviceRequest = serde_json::from_slice(&envelope.payload)?;
        let key = public_key(&request.statement_key).ok_or(BadRequest::Key)?;
        envelope.verified(&key, REQUEST_TYPE)?;
        Ok((request, key))
    }
}

/// An Ed25519 public key from its 32 bytes.
pub fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_somebody_elses_key_is_refused() {
        let (mine, theirs) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let request = DeviceRequest {
            v: 1,
            device: DeviceId::new("d").unwrap(),
            ward: WardId::new("w").unwrap(),
            csr_pem: String::new(),
            statement_key: theirs.verifying_key().to_bytes().to_vec(),
        };
        assert!(DeviceRequest::open(&request.sign(&theirs).unwrap()).is_ok());
        assert!(matches!(
            DeviceRequest::open(&request.sign(&mine).unwrap()),
            Err(BadRequest::NotBelieved(_))
        ));
    }
}
