//! The device's keys and what it knows of its platform, in `<state>/identity`, owner-only.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::base::files::{FileError, make_owner_only_folder, read_at_most, write_owner_only};
use crate::base::ids::{DeviceId, WardId};
use crate::net::client::{Client, ClientError};
use crate::net::tls::Identity;
use crate::store::Signer;
use crate::uplink::Platform;
use crate::wire::dsse::Envelope;
use crate::wire::enrol::{DeviceBundle, DeviceRequest, public_key};
use crate::wire::statement::Digests;

const MOST_BYTES: u64 = 256 * 1024;

/// Why the identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{0}; run `bedcheck device request` first")]
    File(#[from] FileError),
    #[error("{0} must hold 32 bytes; make a new identity with `bedcheck device request`")]
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
        let pem = Zeroizing::new(rcgen::KeyPair::generate()?.serialize_pem());
        write_owner_only(&tls_path, pem.as_bytes())?;
    }
    let tls_key = rcgen::KeyPair::from_pem(&text(&tls_path)?)?;
    let csr = rcgen::CertificateParams::default().serialize_request(&tls_key)?;
    let key = statement_key(state)?;
    let request = DeviceRequest {
        v: 1,
        device: device.clone(),
        ward: ward.clone(),
        csr_pem: csr.pem()?,
        statement_key: key.verifying_key().to_bytes().to_vec(),
    };
    request.sign(&key).map_err(|cause| IdentityError::Format { path: statement_path, cause })
}

/// Takes the platform's answer.
///
/// # Errors
/// [`IdentityError::Format`] when it is no bundle.
pub fn accept(state: &Path, bundle: &Path) -> Result<DeviceBundle, IdentityError> {
    let bytes = read_at_most(bundle, MOST_BYTES)?;
    let parsed = parse(bundle, &bytes)?;
    make_owner_only_folder(&folder(state))?;
    write_owner_only(&folder(state).join("bundle.json"), &bytes)?;
    Ok(parsed)
}

/// What `accept` took.
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
    let identity = Identity {
        ca_pem: bundle.ca_pem.clone(),
        cert_pem: bundle.cert_pem.clone(),
        key_pem: text(&folder(state).join("tls.key"))?,
    };
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
