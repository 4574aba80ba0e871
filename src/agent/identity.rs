//! The device's keys and what it knows of its platform, in `<state>/identity`, owner-only.
//!
//! | file | what |
//! |---|---|
//! | `statement.key` | signs statements, for the whole life of the device |
//! | `tls.key`, `bundle.json` | the first TLS key, and the platform's answer with its certificate |
//! | `tls.pem` | a later certificate with its key, in one file: a power cut leaves the old pair or the new one |
//! | `next.key` | a TLS key whose certificate is asked for: after a lost answer it is asked for again |
//!
//! Of `bundle.json` and `tls.pem` the certificate issued later is used, so that a new bundle counts at once.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use rcgen::PublicKeyData;
use zeroize::Zeroizing;

use crate::base::files::{FileError, make_owner_only_folder, read_at_most, write_owner_only};
use crate::base::ids::{DeviceId, WardId};
use crate::net::cert::{self, Validity};
use crate::net::client::{Client, ClientError};
use crate::net::tls::Identity;
use crate::store::Signer;
use crate::uplink::Platform;
use crate::wire::dsse::Envelope;
use crate::wire::enrol::{DeviceBundle, DeviceRequest, public_key};
use crate::wire::statement::Digests;
use crate::wire::token::{Enrolment, Token};

const MOST_BYTES: u64 = 256 * 1024;
/// Where the key of a pair ends and its certificate begins.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Why the identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{0}; run `bedcheck device enrol` first")]
    File(#[from] FileError),
    #[error("{0} must hold 32 bytes; make a new identity with `bedcheck device enrol`")]
    Key(PathBuf),
    #[error("the TLS key cannot be made or read: {0}")]
    Tls(#[from] rcgen::Error),
    #[error("{path} is not understood: {cause}")]
    Format { path: PathBuf, cause: serde_json::Error },
    #[error("the bundle is for device {found}, this is {wanted}")]
    OtherDevice { found: DeviceId, wanted: DeviceId },
    #[error("the bundle's evidence_key must have 32 bytes")]
    EvidenceKey,
    #[error("the bundle's {0} is not a key")]
    BundleKey(&'static str),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0} must hold a key and its certificate: enrol this device again with `bedcheck device enrol`")]
    Pair(PathBuf),
    #[error("the platform's certificate is not for the key of this device")]
    OtherKey,
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

fn folder(state: &Path) -> PathBuf {
    state.join("identity")
}

/// Makes the keys where there are none and writes the request for the platform's administrator.
///
/// # Errors
/// [`IdentityError`].
pub fn request(state: &Path, device: &DeviceId, ward: &WardId) -> Result<Envelope, IdentityError> {
    let folder = folder(state);
    make_owner_only_folder(&folder)?;
    let statement_path = folder.join("statement.key");
    if !statement_path.exists() {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(IdentityError::Random)?;
        write_owner_only(&statement_path, seed.as_ref())?;
    }
    let tls_path = folder.join("tls.key");
    if !tls_path.exists() {
        new_key(&tls_path)?;
    }
    asked(state, device, ward, &text(&tls_path)?)
}

fn new_key(path: &Path) -> Result<(), IdentityError> {
    let pem = Zeroizing::new(rcgen::KeyPair::generate()?.serialize_pem());
    Ok(write_owner_only(path, pem.as_bytes())?)
}

/// The signed request for a certificate of the key `key_pem`.
fn asked(state: &Path, device: &DeviceId, ward: &WardId, key_pem: &str) -> Result<Envelope, IdentityError> {
    let tls_key = rcgen::KeyPair::from_pem(key_pem)?;
    let csr = rcgen::CertificateParams::default().serialize_request(&tls_key)?;
    let key = statement_key(state)?;
    let request = DeviceRequest {
        v: 1,
        device: device.clone(),
        ward: ward.clone(),
        csr_pem: csr.pem()?,
        statement_key: key.verifying_key().to_bytes().to_vec(),
    };
    let path = folder(state).join("statement.key");
    request.sign(&key).map_err(|cause| IdentityError::Format { path, cause })
}

/// Makes the keys where there are none, and proves with the token that this device may join.
///
/// # Errors
/// [`IdentityError`].
pub fn enrolment(state: &Path, token: &Token, serial: Option<String>) -> Result<Enrolment, IdentityError> {
    let request = request(state, &token.device, &token.ward)?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(IdentityError::Random)?;
    let spki = public_key_of(&text(&folder(state).join("tls.key"))?)?;
    Ok(Enrolment::prove(token, nonce, serial, request, &spki))
}

/// Keeps what the platform answered to a [`request`] or an [`enrolment`].
///
/// # Errors
/// [`IdentityError::OtherKey`] when its certificate is not for this device's key; nothing was changed.
pub fn join(state: &Path, bundle: &DeviceBundle) -> Result<(), IdentityError> {
    fits(&bundle.cert_pem, &text(&folder(state).join("tls.key"))?)?;
    let path = folder(state).join("bundle.json");
    let bytes = serde_json::to_vec_pretty(bundle)
        .map_err(|cause| IdentityError::Format { path: path.clone(), cause })?;
    write_owner_only(&path, &bytes)?;
    // Of an admission before this one; until it is gone the later certificate counts.
    let _ = std::fs::remove_file(folder(state).join("tls.pem"));
    Ok(())
}

/// Makes the next TLS key, or takes the one whose answer was lost, and the request for its certificate.
///
/// # Errors
/// [`IdentityError`].
pub fn next_request(state: &Path, bundle: &DeviceBundle, ward: &WardId) -> Result<Envelope, IdentityError> {
    let path = folder(state).join("next.key");
    let present = tls(state, bundle)?;
    // Left behind by a power cut after it had become the present one.
    let is_spent = path.exists() && public_key_of(&text(&path)?)? == public_key_of(&present.key_pem)?;
    if is_spent || !path.exists() {
        new_key(&path)?;
    }
    asked(state, &bundle.device, ward, &text(&path)?)
}

/// Puts the next key and its certificate in the place of the present ones; what to show from now on.
///
/// # Errors
/// [`IdentityError::OtherKey`] when the certificate is not for the next key; nothing was changed.
pub fn take_next(state: &Path, bundle: &DeviceBundle, cert_pem: String) -> Result<Identity, IdentityError> {
    let next = folder(state).join("next.key");
    let key_pem = text(&next)?;
    fits(&cert_pem, &key_pem)?;
    let pair = Zeroizing::new(format!("{key_pem}{cert_pem}"));
    write_owner_only(&folder(state).join("tls.pem"), pair.as_bytes())?;
    // Only a copy of what `tls.pem` holds now.
    let _ = std::fs::remove_file(next);
    Ok(Identity { ca_pem: bundle.ca_pem.clone(), cert_pem, key_pem })
}

/// What this device shows the platform.
///
/// # Errors
/// [`IdentityError`].
pub fn tls(state: &Path, bundle: &DeviceBundle) -> Result<Identity, IdentityError> {
    let ca_pem = bundle.ca_pem.clone();
    let later = folder(state).join("tls.pem");
    if later.exists() {
        let pair = Zeroizing::new(text(&later)?);
        let between = pair.find(CERTIFICATE).ok_or(IdentityError::Pair(later))?;
        let (key_pem, cert_pem) = pair.split_at(between);
        let issued = |pem: &str| Validity::of_pem(pem).map(|validity| validity.from);
        if issued(cert_pem) >= issued(&bundle.cert_pem) {
            return Ok(Identity { ca_pem, cert_pem: cert_pem.to_owned(), key_pem: key_pem.to_owned() });
        }
    }
    let key_pem = text(&folder(state).join("tls.key"))?;
    Ok(Identity { ca_pem, cert_pem: bundle.cert_pem.clone(), key_pem })
}

fn public_key_of(key_pem: &str) -> Result<Vec<u8>, IdentityError> {
    Ok(rcgen::KeyPair::from_pem(key_pem)?.subject_public_key_info())
}

fn fits(cert_pem: &str, key_pem: &str) -> Result<(), IdentityError> {
    let certified = cert::first(cert_pem).and_then(|der| cert::public_key(&der));
    if certified == Some(public_key_of(key_pem)?) { Ok(()) } else { Err(IdentityError::OtherKey) }
}

/// Takes the platform's answer from a file.
///
/// # Errors
/// [`IdentityError::Format`] when it is no bundle; as [`join`].
pub fn accept(state: &Path, bundle: &Path) -> Result<DeviceBundle, IdentityError> {
    let parsed = parse(bundle, &read_at_most(bundle, MOST_BYTES)?)?;
    join(state, &parsed)?;
    Ok(parsed)
}

/// What the platform answered.
///
/// # Errors
/// [`IdentityError`].
pub fn bundle(state: &Path) -> Result<DeviceBundle, IdentityError> {
    let path = folder(state).join("bundle.json");
    parse(&path, &read_at_most(&path, MOST_BYTES)?)
}

/// What the journal signs with.
///
/// # Errors
/// [`IdentityError`].
pub fn signer(
    state: &Path,
    bundle: &DeviceBundle,
    boot_id: String,
    digests: Digests,
) -> Result<Signer, IdentityError> {
    let evidence_key = bundle.evidence_key.as_slice().try_into().map_err(|_| IdentityError::EvidenceKey)?;
    Ok(Signer { device: bundle.device.clone(), key: statement_key(state)?, boot_id, digests, evidence_key })
}

/// The key statements are signed with.
///
/// # Errors
/// [`IdentityError::Key`].
pub fn statement_key(state: &Path) -> Result<SigningKey, IdentityError> {
    let path = folder(state).join("statement.key");
    let bytes = Zeroizing::new(read_at_most(&path, 64)?);
    let seed: Zeroizing<[u8; 32]> =
        Zeroizing::new(bytes.as_slice().try_into().map_err(|_| IdentityError::Key(path))?);
    Ok(SigningKey::from_bytes(&seed))
}

/// The uplink to the platform of the bundle.
///
/// # Errors
/// [`IdentityError`].
pub fn platform(state: &Path, bundle: &DeviceBundle) -> Result<Platform, IdentityError> {
    let identity = tls(state, bundle)?;
    Ok(Platform {
        client: Client::new(&bundle.platform_url, &identity)?,
        device: bundle.device.clone(),
        receipt_key: public_key(&bundle.receipt_key).ok_or(IdentityError::BundleKey("receipt_key"))?,
    })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<DeviceBundle, IdentityError> {
    serde_json::from_slice(bytes).map_err(|cause| IdentityError::Format { path: path.to_owned(), cause })
}

fn text(path: &Path) -> Result<String, IdentityError> {
    Ok(String::from_utf8_lossy(&read_at_most(path, MOST_BYTES)?).into_owned())
}
