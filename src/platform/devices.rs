//! Who may speak: devices are added from a signed request, recognised by certificate, revoked at once.

use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::platform::cases::{self, Own};
use crate::platform::certificates;
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Row, Transaction, number, params,
};
use crate::platform::keys::{Issued, KeyError, Keys, uri};
use crate::platform::log;
use crate::platform::tokens;
use crate::wire::dsse::Envelope;
use crate::wire::enrol::{BadRequest, DeviceBundle, DeviceRequest, public_key};
use crate::wire::event;
use crate::wire::tree::Logged;

/// Why a device was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error(transparent)]
    Request(#[from] BadRequest),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(
        "device {0} is registered with another statement key: a device that lost its key gets a new name, so that two chains never mix"
    )]
    OtherKey(DeviceId),
    #[error("{0:?} is not an https address")]
    Url(String),
    #[error("the institution's name must have 1 to 100 characters")]
    Institution,
    #[error("--round-every must be at least one second")]
    RoundEvery,
}

/// What the operator says about a device.
pub struct Admission {
    /// How the device reaches the platform.
    pub url: String,
    pub institution: String,
    /// The longest time between the beginnings of two rounds.
    pub round_every: Duration,
}

impl Admission {
    /// # Errors
    /// [`AddError::Url`], [`AddError::Institution`], [`AddError::RoundEvery`].
    pub fn check(&self) -> Result<(), AddError> {
        if !self.url.starts_with("https://") {
            return Err(AddError::Url(self.url.clone()));
        }
        if !(1..=100).contains(&self.institution.chars().count()) {
            return Err(AddError::Institution);
        }
        if self.round_every < Duration::from_secs(1) {
            return Err(AddError::RoundEvery);
        }
        Ok(())
    }

    /// What the device is told once `cert_pem` was issued to it.
    pub fn bundle(&self, keys: &Keys, device: DeviceId, cert_pem: String) -> DeviceBundle {
        DeviceBundle {
            v: 1,
            device,
            platform_url: self.url.clone(),
            ca_pem: keys.ca_pem().to_owned(),
            cert_pem,
            receipt_key: keys.receipt.verifying_key().to_bytes().to_vec(),
            evidence_key: keys.evidence_public.to_vec(),
        }
    }
}

/// Registers the device of a signed request and issues its certificate. Adding it again renews the certificate.
///
/// # Errors
/// [`AddError`].
pub fn add(
    db: &Database,
    keys: &Keys,
    request: &Envelope,
    admission: &Admission,
    now: Wall,
) -> Result<DeviceBundle, AddError> {
    admission.check()?;
    let (request, key) = DeviceRequest::open(request)?;
    let issued = keys.issue(&request.csr_pem, &request.device, now)?;
    if !db.write(|tx| register(tx, &request, &key, &issued, admission, now))? {
        return Err(AddError::OtherKey(request.device));
    }
    Ok(admission.bundle(keys, request.device, issued.pem))
}

/// Enters a device with its certificate; false, and nothing entered, where it is known by another statement key.
pub fn register(
    tx: &Transaction<'_>,
    request: &DeviceRequest,
    key: &VerifyingKey,
    issued: &Issued,
    admission: &Admission,
    now: Wall,
) -> db::Result<bool> {
    let device = &request.device;
    let known: Option<Vec<u8>> = tx
        .query_row("SELECT statement_key FROM device WHERE device = ?1", [device.as_str()], |row| row.get(0))
        .optional()?;
    if known.is_some_and(|known| known != key.as_bytes()) {
        return Ok(false);
    }
    let every = i64::try_from(admission.round_every.as_millis()).unwrap_or(i64::MAX);
    let logged = admit(tx, device, key.as_bytes(), now)?;
    tx.execute(
        "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms,
                             round_every_ms, added_ms, expected_ms, logged)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (device) DO UPDATE SET ward = ?2, institution = ?3, cert_sha256 = ?5, cert_until_ms = ?6,
             next_cert_sha256 = NULL, round_every_ms = ?7, revoked_ms = NULL, logged = ?10",
        params![
            device.as_str(),
            request.ward.as_str(),
            admission.institution,
            key.as_bytes(),
            issued.sha256,
            issued.until.0,
            every,
            now.0,
            now.0.saturating_add(every.saturating_mul(2)),
            number(logged),
        ],
    )?;
    certificates::record(tx, device, issued)?;
    certificates::end(tx, device, Some(&issued.sha256), false, now)?;
    Ok(true)
}

/// Enters an admission into the log.
fn admit(tx: &Transaction<'_>, device: &DeviceId, key: &[u8], at: Wall) -> db::Result<u64> {
    let (device, statement_key) = (device.clone(), sha256_hex(key));
    log::append(tx, &Logged::Admitted { device, statement_key, at })
}

/// Shuts a device out from the next request on; false when there is none of this name.
///
/// # Errors
/// [`DatabaseError`].
pub fn revoke(db: &Database, device: &DeviceId, now: Wall) -> Result<bool, DatabaseError> {
    db.write(|tx| {
        let known = tx.execute(
            "UPDATE device SET revoked_ms = coalesce(revoked_ms, ?2) WHERE device = ?1",
            params![device.as_str(), now.0],
        )?;
        certificates::end(tx, device, None, true, now)?;
        // Whoever holds a token for it must not bring it back.
        tokens::withdraw(tx, device)?;
        // Nothing is expected of it any more; what its chain did stays open.
        for kind in [Own::Silence, Own::NoRound] {
            cases::end(tx, device, kind, now)?;
        }
        Ok(known == 1)
    })
}

/// A registered device, as ingest needs it.
pub struct Registered {
    pub key: Option<VerifyingKey>,
    pub cert_sha256: String,
    pub revoked: bool,
    pub round_every: Duration,
    /// The epoch that grows now.
    pub epoch: Option<String>,
}

/// Looks a device up.
pub fn find(connection: &Connection, device: &DeviceId) -> db::Result<Option<Registered>> {
    connection
        .prepare_cached(
            "SELECT statement_key, cert_sha256, revoked_ms, round_every_ms, epoch FROM device WHERE device = ?1",
        )?
        .query_row([device.as_str()], registered)
        .optional()
}

fn registered(row: &Row<'_>) -> db::Result<Registered> {
    let key: Vec<u8> = row.get(0)?;
    let every: i64 = row.get(3)?;
    Ok(Registered {
        key: public_key(&key),
        cert_sha256: row.get(1)?,
        revoked: row.get::<_, Option<i64>>(2)?.is_some(),
        round_every: Duration::from_millis(u64::try_from(every).unwrap_or(0)),
        epoch: row.get(4)?,
    })
}

/// The device a certificate of our CA names, by its one URI; the handshake has checked the rest.
pub fn named_in(cert: &CertificateDer<'_>) -> Option<DeviceId> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    let names = cert.subject_alternative_name().ok()??;
    let [GeneralName::URI(name)] = names.value.general_names.as_slice() else { return None };
    let bare = decoded(name.strip_prefix("urn:bedcheck:device:")?)?;
    let device = DeviceId::new(bare).ok()?;
    // Only the one spelling that we issue.
    (uri(&event::source(&device)) == *name).then_some(device)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.extend(hex::decode(digits).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A device of the tests' own: known, and without a certificate.
#[cfg(test)]
pub fn enter(tx: &Transaction<'_>, device: &DeviceId) -> db::Result<()> {
    let logged = admit(tx, device, &[0], Wall(0))?;
    tx.execute(
        "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms,
                             round_every_ms, added_ms, expected_ms, logged)
         VALUES (?1, 'w', 'i', x'00', '', 0, 600000, 0, 0, ?2)",
        params![device.as_str(), number(logged)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::keys;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn a_certificate_names_its_device_also_in_chinese() {
        let folder = tempfile::tempdir().unwrap();
        keys::init(folder.path(), &["localhost".to_owned()], Wall(0)).unwrap();
        let keys = Keys::read(folder.path()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        for name in ["ward-3a", "三病区-1"] {
            let device = DeviceId::new(name).unwrap();
            let pem = keys.issue(&csr, &device, Wall(0)).unwrap().pem;
            let cert = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(named_in(&cert), Some(device));
        }
        let server = CertificateDer::from_pem_slice(keys.server_identity().cert_pem.as_bytes()).unwrap();
        assert_eq!(named_in(&server), None);
    }
}
