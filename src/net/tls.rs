//! Mutual TLS 1.3 with our own small CA, on rustls with ring.
//!
//! Traps closed here (rustls 0.23): TLS 1.2 is not compiled in; no session tickets and no session storage, because a
//! resumed session would skip the check of the client's certificate. A client's own certificate says how late it is at
//! least.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::base::clock::{Clock, Wall};
use crate::net::cert::Validity;

/// PEM texts of one end.
#[derive(Clone)]
pub struct Identity {
    pub ca_pem: String,
    pub cert_pem: String,
    pub key_pem: String,
}

/// Which part of an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the {what} is not usable PEM: {cause}")]
    Pem { what: &'static str, cause: rustls::pki_types::pem::Error },
    #[error("the certificate of the CA cannot be used: {0}")]
    Ca(String),
    #[error("certificate and key cannot be used together: {0}")]
    Pair(rustls::Error),
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let cert = cert.map_err(|cause| TlsError::Pem { what: "CA certificate", cause })?;
        roots.add(cert).map_err(|error| TlsError::Ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Ca("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn pair(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| TlsError::Pem { what: "certificate", cause })?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|cause| TlsError::Pem { what: "private key", cause })?;
    Ok((chain, key))
}

/// The certificate a server shows, exchanged while it serves: connections that are open keep the one they saw.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// # Errors
    /// [`TlsError`].
    pub fn new(identity: &Identity) -> Result<Arc<Shown>, TlsError> {
        Ok(Arc::new(Shown(RwLock::new(certified(identity)?))))
    }

    /// Shows another certificate from the next handshake on.
    ///
    /// # Errors
    /// [`TlsError`]; the one before is still shown then.
    pub fn exchange(&self, identity: &Identity) -> Result<(), TlsError> {
        let new = certified(identity)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(identity: &Identity) -> Result<Arc<CertifiedKey>, TlsError> {
    let (chain, key) = pair(identity)?;
    let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Pair)?;
    Ok(Arc::new(certified))
}

/// The platform's end: only clients with a certificate of our CA get past the handshake.
///
/// # Errors
/// [`TlsError`].
pub fn server(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    server_showing(&identity.ca_pem, Shown::new(identity)?)
}

/// As [`server`], with a certificate that may be exchanged.
///
/// # Errors
/// [`TlsError`].
pub fn server_showing(ca_pem: &str, shown: Arc<Shown>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), provider.clone())
        .build()
        .map_err(|error| TlsError::Ca(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    Ok(without_resumption(config))
}

/// A door for whoever has no certificate yet: it asks for none.
///
/// # Errors
/// [`TlsError`].
pub fn open_server(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    Ok(without_resumption(config))
}

fn without_resumption(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

/// A visitor's end: trusts only `ca_pem` and shows no certificate.
///
/// # Errors
/// [`TlsError`].
pub fn visitor(ca_pem: &str) -> Result<ClientConfig, TlsError> {
    bare(roots(ca_pem)?)
}

/// A visitor's end that trusts nobody: for servers that are spoken to in the clear.
///
/// # Errors
/// [`TlsError`].
pub fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    bare(RootCertStore::empty())
}

fn bare(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The clock, but never before the moment from which the own certificate is good: that one has passed. A clock
/// that was set back makes no certificate good again that was over then, and a terminal whose battery is empty, which
/// starts in 1970, still finds its platform.
#[derive(Debug)]
struct NotBefore {
    clock: Clock,
    own: Wall,
}

impl TimeProvider for NotBefore {
    fn current_time(&self) -> Option<UnixTime> {
        let now = self.clock.now().wall.max(self.own);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(now.0.try_into().ok()?)))
    }
}

/// A client without a certificate of its own, for servers whose certificate is of this CA.
///
/// # Errors
/// [`TlsError`].
pub fn client_of(ca_pem: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The agent's end: trusts our CA and nothing else, shows its own certificate.
///
/// # Errors
/// [`TlsError`].
pub fn client(identity: &Identity) -> Result<ClientConfig, TlsError> {
    client_by(identity, Clock::system())
}

/// As [`client`], by another clock than the machine's.
///
/// # Errors
/// [`TlsError`].
pub fn client_by(identity: &Identity, clock: Clock) -> Result<ClientConfig, TlsError> {
    let (chain, key) = pair(identity)?;
    let own = Validity::of_pem(&identity.cert_pem).map_or(Wall(0), |validity| validity.from);
    let time = Arc::new(NotBefore { clock, own });
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_root_certificates(roots(&identity.ca_pem)?)
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
