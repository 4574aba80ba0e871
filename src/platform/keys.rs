//! The platform's own keys and its small certificate authority, as files only the owner can read.
//!
//! | file | what |
//! |---|---|
//! | `ca.pem`, `ca.key` | ECDSA P-256, `CA:true`, no further authority below it |
//! | `server.pem`, `server.key` | the device port's certificate; the key stays when it is renewed, so that one file changes |
//! | `crl.der` | what was issued and is not accepted any more, signed by the CA every hour |
//! | `receipt.key` | Ed25519 seed: signs receipts |
//! | `log.key` | Ed25519 seed: signs the heads of the log |
//! | `evidence.key` | X25519, pairs of private and public, the newest first: opens evidence |

use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::base::clock::Wall;
use crate::base::files::{FileError, make_owner_only_folder, read_at_most, sha256_hex, write_owner_only};
use crate::base::ids::DeviceId;
pub use crate::base::uri::uri;
use crate::net::cert::{self, Validity};
use crate::net::tls::Identity;
use crate::wire::{event, seal};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// 90 days with the day before it is made; the running platform renews it at two thirds.
const SERVER_LIFE: Duration = Duration::from_secs(89 * 24 * 3600);
/// Twice the hour after which the next one is made.
const CRL_LIFE: Duration = Duration::from_secs(2 * 3600);

/// Short, so that a forgotten device falls out by itself; the device asks anew at two thirds of it.
pub const DEVICE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// No key or certificate of ours is nearly this large.
const MOST_BYTES: u64 = 64 * 1024;

/// Why keys could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "{0} already holds a platform's keys: choose another folder; replacing them would lock out every device"
    )]
    Exists(PathBuf),
    #[error(
        "{path} is missing or unreadable ({cause}): make a new folder with `bedcheck-platform init --dir {dir}`, or restore the file"
    )]
    Incomplete { dir: PathBuf, path: PathBuf, cause: FileError },
    #[error("{0} does not hold a key of the right length: restore it from a backup")]
    Length(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the certificate request is not usable: {0}")]
    Request(rcgen::Error),
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("{0} does not hold a certificate of this platform: restore it from a backup")]
    Server(PathBuf),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A certificate as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub pem: String,
    /// Of the DER form: how the device port recognises it.
    pub sha256: String,
    pub serial: Vec<u8>,
    pub until: Wall,
}

/// A certificate that is not accepted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub serial: Vec<u8>,
    pub at: Wall,
    /// Its device was shut out; otherwise a newer one took its place.
    pub is_revoked: bool,
}

/// Everything the platform needs to serve and to enrol.
pub struct Keys {
    ca_pem: String,
    ca_key_pem: String,
    server_pem: String,
    server_key_pem: String,
    pub receipt: SigningKey,
    /// Signs the heads of the log.
    pub log: SigningKey,
    /// Open evidence: the present key first, then those before it.
    pub evidence_private: Vec<[u8; 32]>,
    pub evidence_public: [u8; 32],
}

/// Makes all keys in `dir`. The CA is written last: a half-made folder can be made again.
///
/// # Errors
/// [`KeyError::Exists`] when there is a CA already.
pub fn init(dir: &Path, hosts: &[String], now: Wall) -> Result<(), KeyError> {
    if dir.join("ca.key").exists() || dir.join("ca.pem").exists() {
        return Err(KeyError::Exists(dir.to_owned()));
    }
    make_owner_only_folder(dir)?;
    let ca_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let ca = authority(now)?.self_signed(&ca_key)?;
    let issuer = Issuer::from_ca_cert_pem(&ca.pem(), &ca_key)?;
    let server_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let server = server_certificate(hosts, now)?.signed_by(&server_key, &issuer)?;
    let seed = || {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map(|()| seed).map_err(KeyError::Random)
    };
    let (private, public) = seal::key_pair();
    write_owner_only(&dir.join("server.key"), server_key.serialize_pem().as_bytes())?;
    write_owner_only(&dir.join("server.pem"), server.pem().as_bytes())?;
    write_owner_only(&dir.join("receipt.key"), &seed()?)?;
    write_owner_only(&dir.join("log.key"), &seed()?)?;
    write_owner_only(&dir.join("evidence.key"), &[private, public].concat())?;
    write_owner_only(&dir.join("ca.key"), ca_key.serialize_pem().as_bytes())?;
    write_owner_only(&dir.join("ca.pem"), ca.pem().as_bytes())?;
    Ok(())
}

/// Makes a new key for evidence; the old ones stay to open what was sealed to them. Devices learn of it with the next
/// receipt after the platform has started again.
///
/// # Errors
/// [`KeyError::Incomplete`], [`KeyError::File`].
pub fn rotate_evidence(dir: &Path) -> Result<(), KeyError> {
    let path = dir.join("evidence.key");
    let old = read_at_most(&path, MOST_BYTES).map_err(|cause| KeyError::Incomplete {
        dir: dir.to_owned(),
        path: path.clone(),
        cause,
    })?;
    let (private, public) = seal::key_pair();
    Ok(write_owner_only(&path, &[private.as_slice(), public.as_slice(), old.as_slice()].concat())?)
}

fn authority(now: Wall) -> Result<CertificateParams, KeyError> {
    let mut params = blank("bedcheck platform CA", now, CA_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_certificate(hosts: &[String], now: Wall) -> Result<CertificateParams, KeyError> {
    let mut params = blank("bedcheck platform", now, SERVER_LIFE)?;
    params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Name, serial number and time; valid from a day before `now`, because a ward's clock may be slow.
fn blank(name: &str, now: Wall, life: Duration) -> Result<CertificateParams, KeyError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(KeyError::Random)?;
    // A leading bit would make the DER integer negative.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    // RFC 5280, 4.2.1.1: strict verifiers refuse a certificate that does not name its issuer's key.
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now).saturating_sub(DAY);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now) + life;
    Ok(params)
}

fn since_1970(at: Wall) -> Duration {
    Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

impl Keys {
    /// # Errors
    /// [`KeyError::Incomplete`] naming the file and the remedy.
    pub fn read(dir: &Path) -> Result<Keys, KeyError> {
        let bytes = |name: &str| {
            let path = dir.join(name);
            read_at_most(&path, MOST_BYTES).map_err(|cause| KeyError::Incomplete {
                dir: dir.to_owned(),
                path,
                cause,
            })
        };
        let text = |name: &str| Ok::<_, KeyError>(String::from_utf8_lossy(&bytes(name)?).into_owned());
        let key = |bytes: &[u8], name: &str| {
            <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Length(dir.join(name)))
        };
        let evidence = bytes("evidence.key")?;
        let mut pairs = Vec::new();
        for pair in evidence.chunks(64) {
            let (private, public) =
                pair.split_at_checked(32).ok_or_else(|| KeyError::Length(dir.join("evidence.key")))?;
            pairs.push((key(private, "evidence.key")?, key(public, "evidence.key")?));
        }
        let (_, evidence_public) =
            *pairs.first().ok_or_else(|| KeyError::Length(dir.join("evidence.key")))?;
        Ok(Keys {
            ca_pem: text("ca.pem")?,
            ca_key_pem: text("ca.key")?,
            server_pem: text("server.pem")?,
            server_key_pem: text("server.key")?,
            receipt: SigningKey::from_bytes(&key(&bytes("receipt.key")?, "receipt.key")?),
            log: SigningKey::from_bytes(&key(&bytes("log.key")?, "log.key")?),
            evidence_private: pairs.into_iter().map(|(private, _)| private).collect(),
            evidence_public,
        })
    }

    /// What the device port shows and believes.
    pub fn server_identity(&self) -> Identity {
        Identity {
            ca_pem: self.ca_pem.clone(),
            cert_pem: self.server_pem.clone(),
            key_pem: self.server_key_pem.clone(),
        }
    }

    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What both ports show of `cert_pem`: with the CA's certificate behind it, for those who know only its digest.
    pub fn shown(&self, cert_pem: &str) -> Identity {
        Identity { cert_pem: format!("{cert_pem}{}", self.ca_pem), ..self.server_identity() }
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, KeyError> {
        Ok(Issuer::from_ca_cert_pem(&self.ca_pem, KeyPair::from_pem(&self.ca_key_pem)?)?)
    }

    /// The next certificate (PEM) of the ports, for the same key and names, where two thirds of the life of the one in
    /// `dir` are over or it lives longer than is allowed today.
    ///
    /// # Errors
    /// [`KeyError::Server`] when there is none to go by.
    pub fn server_renewal(&self, dir: &Path, now: Wall) -> Result<Option<String>, KeyError> {
        let path = dir.join("server.pem");
        let pem = String::from_utf8_lossy(&read_at_most(&path, MOST_BYTES)?).into_owned();
        let unusable = || KeyError::Server(path.clone());
        let validity = Validity::of_pem(&pem).ok_or_else(unusable)?;
        let is_long = validity.until.since(validity.from) > SERVER_LIFE + DAY * 2;
        if !validity.is_due(now) && !is_long {
            return Ok(None);
        }
        let hosts = hosts_of(&pem).ok_or_else(unusable)?;
        let key = KeyPair::from_pem(&self.server_key_pem)?;
        Ok(Some(server_certificate(&hosts, now)?.signed_by(&key, &self.issuer()?)?.pem()))
    }

    /// The list of what is not accepted any more (DER), good until the one after the next is due.
    ///
    /// # Errors
    /// [`KeyError::Certificate`].
    pub fn revocation_list(&self, ended: &[Ended], now: Wall) -> Result<Vec<u8>, KeyError> {
        let certificate = |ended: &Ended| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&ended.serial),
            revocation_time: rcgen::date_time_ymd(1970, 1, 1) + since_1970(ended.at),
            reason_code: Some(if ended.is_revoked {
                RevocationReason::PrivilegeWithdrawn
            } else {
                RevocationReason::Superseded
            }),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(1970, 1, 1) + since_1970(now),
            next_update: rcgen::date_time_ymd(1970, 1, 1) + since_1970(now) + CRL_LIFE,
            // Grows with time; a list made twice in one millisecond is the same list.
            crl_number: SerialNumber::from(u64::try_from(now.0).unwrap_or(0)),
            issuing_distribution_point: None,
            revoked_certs: ended.iter().map(certificate).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer()?)?.der().to_vec())
    }

    /// Issues a device's certificate. Of the request only the public key is used: rcgen would copy
    /// `CA:TRUE` and foreign names out of it into a certificate signed by us.
    ///
    /// # Errors
    /// [`KeyError::Request`] when the request is not signed by its own key.
    pub fn issue(&self, csr_pem: &str, device: &DeviceId, now: Wall) -> Result<Issued, KeyError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(KeyError::Request)?;
        let mut params = blank("bedcheck device", now, DEVICE_LIFE)?;
        let name = event::source(device);
        params.subject_alt_names = vec![SanType::URI(uri(&name).try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = params.serial_number.as_ref().map_or_else(Vec::new, SerialNumber::to_bytes);
        let cert = params.signed_by(&request.public_key, &self.issuer()?)?;
        Ok(Issued { pem: cert.pem(), sha256: sha256_hex(cert.der()), serial, until: now.plus(DEVICE_LIFE) })
    }
}

/// The public key (SubjectPublicKeyInfo, DER) that a certificate request asks for, proven to be its sender's.
///
/// # Errors
/// [`KeyError::Request`].
pub fn requested_key(csr_pem: &str) -> Result<Vec<u8>, KeyError> {
    let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(KeyError::Request)?;
    Ok(request.public_key.subject_public_key_info())
}

/// The names and addresses in a certificate.
fn hosts_of(pem: &str) -> Option<Vec<String>> {
    let der = cert::first(pem)?;
    let (_, cert) = X509Certificate::from_der(&der).ok()?;
    let names = cert.subject_alternative_name().ok()??;
    let hosts = names.value.general_names.iter().filter_map(|name| {
        if let GeneralName::DNSName(name) = name {
            return Some((*name).to_owned());
        }
        let GeneralName::IPAddress(bytes) = name else { return None };
        let v4 = <[u8; 4]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
        let v6 = <[u8; 16]>::try_from(*bytes).ok().map(std::net::IpAddr::from);
        v4.or(v6).map(|address| address.to_string())
    });
    Some(hosts.collect())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test breaks files on purpose")]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn a_request_that_asks_to_be_an_authority_gets_an_ordinary_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let now = Wall(1_790_000_000_000);
        init(folder.path(), &["localhost".to_owned()], now).unwrap();
        let keys = Keys::read(folder.path()).unwrap();
        let device_key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new(vec!["bank.example".to_owned()]).unwrap();
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        asked.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let csr = asked.serialize_request(&device_key).unwrap().pem().unwrap();

        let device = DeviceId::new("ward-3a").unwrap();
        let pem = keys.issue(&csr, &device, now).unwrap().pem;

        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, cert) = X509Certificate::from_der(&der).unwrap();
        assert!(!cert.is_ca());
        let names = cert.subject_alternative_name().unwrap().unwrap();
        let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["URI(urn:bedcheck:device:ward-3a)"]);
        let usage = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(!cert.key_usage().unwrap().unwrap().value.key_cert_sign());
        let days = (cert.validity().not_after.timestamp() * 1000 - now.0) / 86_400_000;
        assert_eq!(days, 30);
    }

    #[test]
    fn every_certificate_names_the_key_of_its_issuer_as_strict_verifiers_demand() {
        let folder = tempfile::tempdir().unwrap();
        let now = Wall(1_790_000_000_000);
        init(folder.path(), &["localhost".to_owned()], now).unwrap();
        let keys = Keys::read(folder.path()).unwrap();
        let csr = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let device = keys.issue(&csr.pem().unwrap(), &DeviceId::new("d").unwrap(), now).unwrap().pem;
        let server = std::fs::read_to_string(folder.path().join("server.pem")).unwrap();
        // OIDs: subject key identifier 2.5.29.14, authority key identifier 2.5.29.35; both hold the same 20 bytes.
        let named = |pem: &str| {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let (_, cert) = X509Certificate::from_der(&der).unwrap();
            let of = |oid: &str| {
                let found = cert.extensions().iter().find(|found| found.oid.to_id_string() == oid);
                found.map(|found| found.value[found.value.len() - 20..].to_vec())
            };
            (of("2.5.29.14"), of("2.5.29.35"))
        };
        let (authority, _) = named(keys.ca_pem());
        assert!(authority.is_some());
        assert_eq!(named(&server).1, authority);
        assert_eq!(named(&device).1, authority);
    }

    #[test]
    fn the_ports_certificate_lives_ninety_days_and_is_renewed_at_sixty_with_its_names_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let now = Wall(1_790_000_000_000);
        let hosts = ["platform.example".to_owned(), "10.1.2.3".to_owned(), "::1".to_owned()];
        init(folder.path(), &hosts, now).unwrap();
        let keys = Keys::read(folder.path()).unwrap();
        let before = keys.server_identity().cert_pem;
        let validity = Validity::of_pem(&before).unwrap();
        assert!(validity.until.since(validity.from) <= DAY * 90);
        assert!(validity.until.since(now) >= DAY * 88);
        assert_eq!(keys.server_renewal(folder.path(), now.plus(DAY * 58)).unwrap(), None);
        assert_eq!(keys.server_renewal(folder.path(), Wall(0)).unwrap(), None, "a clock set back");
        let next = keys.server_renewal(folder.path(), now.plus(DAY * 60)).unwrap().unwrap();
        assert_eq!(hosts_of(&next).unwrap(), hosts);
        let key = |pem: &str| cert::public_key(&cert::first(pem).unwrap()).unwrap();
        assert_eq!(key(&next), key(&before));
        assert!(Validity::of_pem(&next).unwrap().until > validity.until);
        std::fs::write(folder.path().join("server.pem"), "x").unwrap();
        assert!(matches!(keys.server_renewal(folder.path(), now), Err(KeyError::Server(_))));
    }

    #[test]
    fn a_second_init_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path(), &["localhost".to_owned()], Wall(0)).unwrap();
        let before = std::fs::read(folder.path().join("ca.pem")).unwrap();
        assert!(matches!(init(folder.path(), &[], Wall(0)), Err(KeyError::Exists(_))));
        assert_eq!(std::fs::read(folder.path().join("ca.pem")).unwrap(), before);
    }

    #[test]
    fn a_new_evidence_key_comes_first_and_the_old_one_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path(), &[], Wall(0)).unwrap();
        let before = Keys::read(folder.path()).unwrap();
        rotate_evidence(folder.path()).unwrap();
        let after = Keys::read(folder.path()).unwrap();
        assert_ne!(after.evidence_public, before.evidence_public);
        assert_eq!(after.evidence_private[1..], before.evidence_private);
        let sealed = seal::seal(&after.evidence_public, b"p", b"crop").unwrap();
        assert!(seal::open(&after.evidence_private[0], b"p", &sealed).is_ok());
    }

    #[test]
    fn a_missing_file_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = Keys::read(folder.path()).err().unwrap().to_string();
        assert!(error.contains("evidence.key") && error.contains("bedcheck-platform init"), "{error}");
    }
}
