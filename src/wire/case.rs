//! A case as a file: everything that speaks for an exception, so that anybody can check it without the platform.
//!
//! One JSON object a line. The first is the claim, the last the seal: a signature over the SHA-256 of each line before
//! it, so that a changed byte is found and its line named. Bodies about other patients are left out; their statements
//! still stand in the chain.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::{DeviceId, WardId};
use crate::wire::dsse::{Envelope, key_id};

pub const CASE_TYPE: &str = "application/vnd.bedcheck.case.v1+json";

/// What is claimed, and with whose keys the rest is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub v: u8,
    pub made: Wall,
    pub institution: String,
    pub ward: WardId,
    pub device: DeviceId,
    /// Id and kind of the exception.
    pub exception: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<String>,
    pub first: Wall,
    pub last: Wall,
    /// The article of the regulation it may fall under: the platform's pointer for counsel, and no finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article: Option<String>,
    pub keys: CaseKeys,
}

/// Ed25519 public keys in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseKeys {
    pub statements: String,
    pub receipts: String,
    pub log: String,
}

/// One line of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    Claim(Claim),
    /// A statement of the device, in the order of its chain; body and sealed evidence (base64) where they are of this case.
    Link {
        envelope: Envelope,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// An answer of the platform: what says when a statement was made and when it had arrived.
    Receipt {
        envelope: Envelope,
    },
    /// An entry of the log, and the way from it to the root of the head.
    Logged {
        index: u64,
        leaf: String,
        path: Vec<String>,
    },
    /// The head of the log.
    Head {
        note: String,
    },
    /// An earlier head, and the way that shows that the later log begins with it.
    Earlier {
        note: String,
        path: Vec<String>,
    },
    Seal {
        envelope: Envelope,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    v: u8,
    lines: Vec<String>,
}

/// The whole file, sealed.
///
/// # Errors
/// Never in practice: every field is JSON.
pub fn write(lines: &[Line], key: &SigningKey) -> Result<Vec<u8>, serde_json::Error> {
    let texts = lines.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let digests = texts.iter().map(|text| sha256_hex(text.as_bytes())).collect();
    let sealed = serde_json::to_vec(&Sealed { v: 1, lines: digests })?;
    let seal = Line::Seal { envelope: Envelope::sign(key, CASE_TYPE, sealed) };
    let mut file = texts.join("\n").into_bytes();
    file.push(b'\n');
    file.extend(serde_json::to_vec(&seal)?);
    file.push(b'\n');
    Ok(file)
}

/// Why a file is no case, or no longer the one that was sealed. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum BrokenCase {
    #[error("the file is no case: it must begin with a claim and end with a seal, each on a line of its own")]
    Shape,
    #[error("line {0} (the seal) was changed: {1}")]
    Seal(usize, String),
    #[error("line {line} ({name}) was changed after the case was sealed")]
    Line { line: usize, name: String },
    #[error("the seal speaks of {sealed} lines, the file has {found} before it")]
    Count { sealed: usize, found: usize },
    #[error("line {line} is not understood: {cause}")]
    Unknown { line: usize, cause: serde_json::Error },
}

/// Reads a case and compares every line with the seal. The seal's key is the claim's: whether that is the platform's
/// is another question.
///
/// # Errors
/// [`BrokenCase`] naming the line.
pub fn read(file: &[u8]) -> Result<Vec<Line>, BrokenCase> {
    let body = file.strip_suffix(b"\n").ok_or(BrokenCase::Shape)?;
    let texts: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let [lines @ .., last] = texts.as_slice() else { return Err(BrokenCase::Shape) };
    let at = texts.len();
    let broken = |cause: String| BrokenCase::Seal(at, cause);
    let seal: Line = serde_json::from_slice(last).map_err(|error| broken(error.to_string()))?;
    let Line::Seal { envelope } = &seal else { return Err(BrokenCase::Shape) };
    // Written anew it must be the same: not even a blank may differ.
    if serde_json::to_vec(&seal).ok().as_deref() != Some(*last) {
        return Err(broken("it is written otherwise".to_owned()));
    }
    let sealed: Sealed =
        serde_json::from_slice(&envelope.payload).map_err(|error| broken(error.to_string()))?;
    if let Err(why) = signed(envelope, lines.first()) {
        // A changed claim may name another key; then neither its digest nor the key's name is the sealed one.
        let is_claim =
            !why.names_our_key && sealed.lines.first().is_some_and(|digest| sha256_hex(lines[0]) != *digest);
        let claim = BrokenCase::Line { line: 1, name: "claim".to_owned() };
        return Err(if is_claim { claim } else { broken(why.cause) });
    }
    for (at, (text, digest)) in lines.iter().zip(&sealed.lines).enumerate() {
        if sha256_hex(text) != *digest {
            return Err(BrokenCase::Line { line: at + 1, name: name_of(text) });
        }
    }
    if sealed.lines.len() != lines.len() {
        return Err(BrokenCase::Count { sealed: sealed.lines.len(), found: lines.len() });
    }
    let understood = lines.iter().enumerate().map(|(at, text)| {
        serde_json::from_slice(text).map_err(|cause| BrokenCase::Unknown { line: at + 1, cause })
    });
    let mut understood = understood.collect::<Result<Vec<Line>, _>>()?;
    understood.push(seal);
    Ok(understood)
}

struct Unsigned {
    cause: String,
    names_our_key: bool,
}

/// Whether the seal is signed with the key that the claim names.
fn signed(envelope: &Envelope, claim: Option<&&[u8]>) -> Result<(), Unsigned> {
    let named = claim.and_then(|text| match serde_json::from_slice(text) {
        Ok(Line::Claim(claim)) => key(&claim.keys.receipts),
        Ok(_) | Err(_) => None,
    });
    let Some(key) = named else {
        let cause = "the claim names no usable key".to_owned();
        return Err(Unsigned { cause, names_our_key: false });
    };
    let names_our_key = envelope.signatures.iter().any(|entry| entry.keyid == key_id(&key));
    match envelope.verified(&key, CASE_TYPE) {
        Ok(_) if names_our_key => Ok(()),
        // The name is only a hint and not signed; here every byte counts.
        Ok(_) => Err(Unsigned { cause: "it names another key".to_owned(), names_our_key }),
        Err(why) => Err(Unsigned { cause: why.to_string(), names_our_key }),
    }
}

/// What a line was, as far as that can still be told.
fn name_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let name = text.split("\"line\":\"").nth(1).and_then(|rest| rest.split('"').next());
    name.filter(|name| name.len() < 12).unwrap_or("unreadable").to_owned()
}

/// A public key in hexadecimal.
pub fn key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// What people compare over the telephone: the first 16 hexadecimal digits of a key's SHA-256, in fours.
pub fn fingerprint(key: &str) -> String {
    let digest = sha256_hex(key.as_bytes());
    [&digest[..4], &digest[4..8], &digest[8..12], &digest[12..16]].join(" ")
}
