//! The enrolment token (接入令牌): one line that an administrator makes, good once, and what a device proves with it.
//!
//! ```text
//!  token: BC1- ‖ base32( 1 ‖ id ‖ secret ‖ SHA-256 of the CA's key ‖ device ‖ ward ‖ url ‖ checksum )
//!  key   = HMAC(secret, "bedcheck-enrol-key-v1")        all that the platform keeps of it
//!  proof = HMAC(key, "bedcheck-enrol-v1" ‖ id ‖ nonce ‖ SPKI ‖ serial ‖ request)
//! ```
//! The secret stays where the token is: it never travels, and from what the platform stores no token can be printed.
//! Base32 because people read it aloud and QR codes hold it in their dense mode.

use data_encoding::{Encoding, Specification};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::base::ids::{DeviceId, WardId};
use crate::wire::base64_bytes;
use crate::wire::dsse::Envelope;

const PREFIX: &str = "BC1-";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;
/// Far more than the longest names and address take.
const MOST_TEXT: usize = 2048;

/// What the line says.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub id: [u8; 8],
    pub secret: Zeroizing<[u8; 32]>,
    /// SHA-256 of the public key of the platform's CA.
    pub ca_key_sha256: [u8; 32],
    pub device: DeviceId,
    pub ward: WardId,
    /// Where devices are enrolled: https://HOST:PORT.
    pub url: String,
}

/// Never the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("device", &self.device).field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a line is no token. Found out before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("这不是接入令牌，令牌以 {PREFIX} 开头 · this is no enrolment token, which begins with {PREFIX}")]
    Foreign,
    #[error(
        "令牌抄写有误（校验不符），请重新复制 · the token was copied wrong (its checksum differs): copy it again"
    )]
    Mistyped,
    #[error("令牌版本较新，请升级程序 · the token is of a newer version: update this program")]
    Version,
}

impl Token {
    /// The one line to copy.
    pub fn print(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![VERSION]);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(self.secret.as_ref());
        bytes.extend_from_slice(&self.ca_key_sha256);
        for text in [self.device.as_str(), self.ward.as_str(), &self.url] {
            // Names have 64 characters at most, of four bytes each in the rarest case; addresses are checked when made.
            bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let checksum = Sha256::digest(bytes.as_slice());
        bytes.extend_from_slice(&checksum[..CHECKSUM]);
        let mut line = Zeroizing::new(String::with_capacity(MOST_TEXT));
        line.push_str(PREFIX);
        base32().encode_append(&bytes, &mut line);
        line
    }

    /// Reads a line, also in small letters, with blanks and with the digits that look like letters.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn parse(line: &str) -> Result<Token, BadToken> {
        let line = line.trim();
        let head = line.get(..PREFIX.len()).ok_or(BadToken::Foreign)?;
        if !head.eq_ignore_ascii_case(PREFIX) {
            return Err(BadToken::Foreign);
        }
        let text = &line[PREFIX.len()..];
        if text.len() > MOST_TEXT {
            return Err(BadToken::Mistyped);
        }
        let bytes = Zeroizing::new(base32().decode(text.as_bytes()).map_err(|_| BadToken::Mistyped)?);
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(BadToken::Mistyped)?;
        if Sha256::digest(body)[..CHECKSUM] != *checksum {
            return Err(BadToken::Mistyped);
        }
        match body.split_first() {
            Some((&VERSION, rest)) => Token::of(rest).ok_or(BadToken::Mistyped),
            Some(_) => Err(BadToken::Version),
            None => Err(BadToken::Mistyped),
        }
    }

    fn of(bytes: &[u8]) -> Option<Token> {
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        let (secret, rest) = rest.split_first_chunk::<32>()?;
        let (ca_key_sha256, rest) = rest.split_first_chunk::<32>()?;
        let (device, rest) = text(rest)?;
        let (ward, rest) = text(rest)?;
        let (url, rest) = text(rest)?;
        (rest.is_empty() && url.starts_with("https://")).then_some(())?;
        Some(Token {
            id: *id,
            secret: Zeroizing::new(*secret),
            ca_key_sha256: *ca_key_sha256,
            device: DeviceId::new(device).ok()?,
            ward: WardId::new(ward).ok()?,
            url: url.to_owned(),
        })
    }

    /// The id as the platform's database and log have it.
    pub fn name(&self) -> String {
        hex::encode(self.id)
    }

    /// What proofs are made and checked with.
    pub fn key(&self) -> Zeroizing<[u8; 32]> {
        let mut mac = keyed(self.secret.as_ref());
        mac.update(b"bedcheck-enrol-key-v1");
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn base32() -> Encoding {
    let mut rules = Specification::new();
    rules.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    rules.translate.from.push_str("abcdefghijklmnopqrstuvwxyz018");
    rules.translate.to.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZOIB");
    rules.ignore.push_str(" -\r\n\t");
    rules.encoding().expect("32 symbols, each once, and nothing is translated twice")
}

/// What a device sends to be admitted by a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    pub v: u8,
    /// Id of the token.
    pub token: String,
    #[serde(with = "base64_bytes")]
    pub nonce: Vec<u8>,
    /// The device's serial number where it knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// A signed [`crate::wire::enrol::DeviceRequest`].
    pub request: Envelope,
    #[serde(with = "base64_bytes")]
    pub proof: Vec<u8>,
}

impl Enrolment {
    /// Proves `request`, whose TLS key has the public key `spki` (DER), with the token.
    pub fn prove(
        token: &Token,
        nonce: [u8; 32],
        serial: Option<String>,
        request: Envelope,
        spki: &[u8],
    ) -> Enrolment {
        let (token, key) = (token.name(), token.key());
        let mut enrolment =
            Enrolment { v: 1, token, nonce: nonce.to_vec(), serial, request, proof: Vec::new() };
        enrolment.proof = enrolment.mac(key.as_ref(), spki).finalize().into_bytes().to_vec();
        enrolment
    }

    /// Whether the sender holds the token of this key. Takes the same time for every wrong proof.
    pub fn is_proven(&self, key: &[u8], spki: &[u8]) -> bool {
        self.mac(key, spki).verify_slice(&self.proof).is_ok()
    }

    fn mac(&self, key: &[u8], spki: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(key);
        mac.update(b"bedcheck-enrol-v1");
        let serial: &[u8] = self.serial.as_deref().map_or(b"", str::as_bytes);
        for part in [self.token.as_bytes(), &self.nonce, spki, serial, &self.request.payload] {
            // With its length, so that no byte can move from one part into the next.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn token() -> Token {
        Token {
            id: [7; 8],
            secret: Zeroizing::new([8; 32]),
            ca_key_sha256: [9; 32],
            device: DeviceId::new("终端-3a").unwrap(),
            ward: WardId::new("三病区").unwrap(),
            url: "https://platform.example:8444".to_owned(),
        }
    }

    #[test]
    fn a_token_survives_small_letters_blanks_and_digits_that_look_like_letters() {
        let line = token().print();
        assert_eq!(Token::parse(&line).unwrap(), token());
        let spoken = line[4..].to_lowercase().replace('o', "0").replace('i', "1");
        let spoken: String = spoken
            .chars()
            .enumerate()
            .map(|(at, c)| format!("{}{c}", if at % 5 == 0 { " " } else { "" }))
            .collect();
        assert_eq!(Token::parse(&format!(" bc1-{spoken}\n")).unwrap(), token());
        assert!(line.len() < 400 && line.is_ascii(), "a QR code holds it");
    }

    #[test]
    fn every_single_typing_error_and_every_cut_is_told_at_once() {
        let line = token().print();
        for at in 4..line.len() {
            let mut typed = line.to_string().into_bytes();
            typed[at] = if typed[at] == b'A' { b'C' } else { b'A' };
            let typed = String::from_utf8(typed).unwrap();
            assert_eq!(Token::parse(&typed), Err(BadToken::Mistyped), "{at}");
            assert!(Token::parse(&line[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(Token::parse("请填写"), Err(BadToken::Foreign));
        assert_eq!(Token::parse(""), Err(BadToken::Foreign));
        assert_eq!(Token::parse(&format!("BC1-{}", "A".repeat(5000))), Err(BadToken::Mistyped));
    }

    #[test]
    fn neither_debug_nor_the_message_shows_the_secret() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let sent = Enrolment::prove(&token(), [0x55; 32], None, Envelope::sign(&key, "t", vec![3]), &[4]);
        let sent = serde_json::to_string(&sent).unwrap();
        let debug = format!("{:?}", token());
        let secret = [8_u8; 32];
        for shown in [sent, debug] {
            assert!(!shown.contains(&hex::encode(secret)) && !shown.contains("CAgICAgI"), "{shown}");
            assert!(!shown.contains("8, 8, 8"), "{shown}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_own_key_nonce_serial_and_request_only() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let request = Envelope::sign(&key, "t", vec![3]);
        let good = Enrolment::prove(&token(), [2; 32], Some("S1".into()), request, &[4; 8]);
        let held = token().key();
        assert!(good.is_proven(held.as_ref(), &[4; 8]));
        assert!(!good.is_proven(held.as_ref(), &[5; 8]), "another TLS key");
        assert!(!good.is_proven(token().secret.as_ref(), &[4; 8]), "another token's key");
        let changes: [fn(&mut Enrolment); 5] = [
            |sent| sent.nonce[0] ^= 1,
            |sent| sent.serial = None,
            |sent| sent.serial = Some("S2".into()),
            |sent| sent.request.payload[0] ^= 1,
            |sent| sent.proof.truncate(31),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!changed.is_proven(held.as_ref(), &[4; 8]), "change {at}");
        }
    }
}
