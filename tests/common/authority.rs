//! A CA of the test's own.

use bedcheck::net::tls::Identity;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

/// A CA with one certificate for both ends.
pub struct Authority {
    pub ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_pem = params.self_signed(&key).unwrap().pem();
        Authority { ca_pem, issuer: Issuer::new(params, key) }
    }

    pub fn identity(&self) -> Identity {
        self.identity_with(|_| {})
    }

    /// An identity whose certificate differs in something.
    pub fn identity_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::IpAddress("127.0.0.1".parse().unwrap()),
            SanType::URI("urn:bedcheck:device:d1".try_into().unwrap()),
        ];
        change(&mut params);
        let cert_pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { ca_pem: self.ca_pem.clone(), cert_pem, key_pem: key.serialize_pem() }
    }
}
