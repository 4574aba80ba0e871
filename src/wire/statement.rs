//! The signed part of a report, and the chain it is a link of.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::wire::dsse::{Envelope, NotBelieved, pae};

pub const STATEMENT_TYPE: &str = "application/vnd.bedcheck.statement.v1+json";

/// `prev` of the first statement of an epoch.
pub const NO_LINK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a device says about one event, in order and for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub v: u8,
    pub device: DeviceId,
    /// Names one unbroken chain; a new one begins when the device lost its state.
    pub epoch: String,
    /// 1, 2, 3, … within the epoch.
    pub seq: u64,
    /// The link before this one.
    pub prev: String,
    pub body_sha256: String,
    pub evidence_sha256: Vec<String>,
    pub t_wall: Wall,
    /// Milliseconds since the machine started.
    pub t_boot: u64,
    pub boot_id: String,
    /// SHA-256 of the last receipt: this was said after it.
    pub anchor: String,
    pub digests: Digests,
}

/// What the device ran on, so that an exchanged part shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    pub program: String,
    pub runtime: String,
    pub models: String,
    pub policy: String,
    pub roster: String,
}

/// An envelope that was checked, with what follows from it.
pub struct Checked {
    pub statement: Statement,
    pub link: String,
}

/// Why a statement is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadStatement {
    #[error("{0}")]
    NotBelieved(#[from] NotBelieved),
    #[error("the signed statement is not understood: {0}")]
    Format(#[from] serde_json::Error),
    #[error("the statement has version {0}, 1 is understood")]
    Version(u8),
}

impl Statement {
    /// Signs this statement; the envelope and its link.
    ///
    /// # Errors
    /// Never in practice: the statement has no map keys or numbers that JSON cannot hold.
    pub fn sign(&self, key: &SigningKey) -> Result<(Envelope, String), serde_json::Error> {
        let payload = serde_json::to_vec(self)?;
        let link = link(&payload);
        Ok((Envelope::sign(key, STATEMENT_TYPE, payload), link))
    }
}

/// Checks signature, type and version.
///
/// # Errors
/// [`BadStatement`].
pub fn check(envelope: &Envelope, key: &VerifyingKey) -> Result<Checked, BadStatement> {
    let payload = envelope.verified(key, STATEMENT_TYPE)?;
    let statement: Statement = serde_json::from_slice(payload)?;
    if statement.v != 1 {
        return Err(BadStatement::Version(statement.v));
    }
    Ok(Checked { statement, link: link(payload) })
}

fn link(payload: &[u8]) -> String {
    let digest =
        Sha256::new().chain_update(b"bedcheck-link-v1").chain_update(pae(STATEMENT_TYPE, payload)).finalize();
    hex::encode(digest)
}

/// How much of what a statement covers is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    Whole,
    /// The body is what was signed, and the evidence is gone.
    NoEvidence,
    /// Nothing but digests is left: the body is empty.
    NoBody,
}

/// How much of what a statement covers is here; `None` where body or evidence are others than were signed. What is not
/// there is no lie, only a silence: the platform makes a case of it.
pub fn cover(statement: &Statement, body: &str, evidence: Option<&[u8]>) -> Option<Cover> {
    if body.is_empty() {
        return evidence.is_none().then_some(Cover::NoBody);
    }
    if statement.body_sha256 != sha256_hex(body.as_bytes()) {
        return None;
    }
    match evidence {
        Some(bytes) => (statement.evidence_sha256 == [sha256_hex(bytes)]).then_some(Cover::Whole),
        None if statement.evidence_sha256.is_empty() => Some(Cover::Whole),
        None => Some(Cover::NoEvidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn statement(seq: u64, prev: &str) -> Statement {
        Statement {
            v: 1,
            device: DeviceId::new("ward-3a").unwrap(),
            epoch: "e1".into(),
            seq,
            prev: prev.into(),
            body_sha256: sha256_hex(b"body"),
            evidence_sha256: vec![],
            t_wall: Wall(0),
            t_boot: 0,
            boot_id: "b".into(),
            anchor: NO_LINK.into(),
            digests: Digests::default(),
        }
    }

    #[test]
    fn a_signed_statement_checks_and_its_link_depends_on_every_byte() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (envelope, first) = statement(1, NO_LINK).sign(&key).unwrap();
        let checked = check(&envelope, &key.verifying_key()).unwrap();
        assert_eq!((checked.link.as_str(), checked.statement.seq), (first.as_str(), 1));
        assert_ne!(statement(2, NO_LINK).sign(&key).unwrap().1, first);
        let said = &checked.statement;
        assert_eq!(cover(said, "body", None), Some(Cover::Whole));
        assert_eq!(cover(said, "body", Some(b"crop")), None);
        assert_eq!(cover(said, "bode", None), None);
        assert_eq!(cover(said, "", None), Some(Cover::NoBody));
        assert_eq!(cover(said, "", Some(b"crop")), None);
        let shown = Statement { evidence_sha256: vec![sha256_hex(b"crop")], ..said.clone() };
        assert_eq!(cover(&shown, "body", Some(b"crop")), Some(Cover::Whole));
        assert_eq!(cover(&shown, "body", None), Some(Cover::NoEvidence));
        assert_eq!(cover(&shown, "body", Some(b"cro")), None);
    }
}
