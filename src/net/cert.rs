//! What we read out of certificates: how long one is good, when to ask for the next, and whose key it holds.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::base::clock::Wall;

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Wall,
    pub until: Wall,
}

impl Validity {
    /// That of the first certificate of a chain.
    pub fn of_pem(pem: &str) -> Option<Validity> {
        let der = first(pem)?;
        let (_, cert) = X509Certificate::from_der(&der).ok()?;
        let wall = |seconds: i64| Wall(seconds.saturating_mul(1000));
        let validity = cert.validity();
        Some(Validity {
            from: wall(validity.not_before.timestamp()),
            until: wall(validity.not_after.timestamp()),
        })
    }

    /// Two thirds of the life: early enough that a third of it remains for whatever goes wrong.
    pub fn renew_at(&self) -> Wall {
        let life = self.until.0.saturating_sub(self.from.0);
        Wall(self.from.0.saturating_add(life / 3 * 2))
    }

    pub fn is_due(&self, now: Wall) -> bool {
        now >= self.renew_at()
    }

    /// Whole days until the end; below 0 when it is over.
    pub fn days_left(&self, now: Wall) -> i64 {
        (self.until.0 - now.0).div_euclid(24 * 3_600_000)
    }
}

/// The first certificate of a PEM text.
pub fn first(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// The public key of a certificate as DER (SubjectPublicKeyInfo).
pub fn public_key(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(cert.public_key().raw.to_vec())
}

/// The SHA-256 of a certificate's public key: what a token pins. A certificate renewed with the same key keeps it.
pub fn key_digest(der: &CertificateDer<'_>) -> Option<[u8; 32]> {
    public_key(der).map(|key| Sha256::digest(key).into())
}

/// [`key_digest`] of the one certificate that a PEM text holds; `None` where it holds none or more.
pub fn only_key_digest(pem: &str) -> Option<[u8; 32]> {
    let mut certs = CertificateDer::pem_slice_iter(pem.as_bytes());
    let digest = key_digest(&certs.next()?.ok()?)?;
    certs.next().is_none().then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    #[test]
    fn the_next_certificate_is_due_at_two_thirds_whatever_the_clock_did() {
        let thirty = Validity { from: Wall(0), until: Wall(30 * DAY) };
        assert!(!thirty.is_due(Wall(20 * DAY - 1)));
        assert!(thirty.is_due(Wall(20 * DAY)));
        assert!(!thirty.is_due(Wall(-5 * DAY)), "a clock set back asks for nothing");
        assert!(thirty.is_due(Wall(i64::MAX)), "a clock far ahead asks, and no sum overflows");
        assert_eq!((thirty.days_left(Wall(29 * DAY + 1)), thirty.days_left(Wall(31 * DAY))), (0, -1));
    }

    #[test]
    fn two_certificates_or_none_have_no_only_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        assert!(only_key_digest(&pem).is_some());
        assert!(only_key_digest(&format!("{pem}{pem}")).is_none());
        assert!(only_key_digest("").is_none());
    }
}
