//! Messages between agent and platform, version 1: what is sent, and why it can be believed.
//!
//! ```text
//!  Event (CloudEvents JSON, salted) ──sha256──┐
//!  evidence (sealed crop) ────────────sha256──┤
//!                                             ▼
//!           prev link ──────────────► Statement ──DSSE PAE──► Ed25519 signature
//!                                             └──► link = SHA-256("bedcheck-link-v1" ‖ PAE) ──► next prev
//! ```
//! Body and evidence stand outside the signed statement: erasing personal data leaves the chain verifiable. The salt
//! keeps a digest of little data (a bed, a verdict) from being guessed.

pub mod batch;
pub mod bundle;
pub mod case;
pub mod dsse;
pub mod enrol;
pub mod event;
pub mod floor;
pub mod note;
pub mod parcel;
pub mod privacy;
pub mod seal;
pub mod statement;
pub mod token;
pub mod tree;

/// Bytes as base64 in JSON.
pub mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
