//! A camera that gives one JPEG for each HTTP request (ONVIF `GetSnapshotUri`, or the vendor's address): the cheapest
//! source for presence once a minute, and the way to cameras without H.264.

use std::sync::Arc;
use std::time::Duration;

use http_auth::{PasswordClient, PasswordParams};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;

use crate::base::clock::Mono;
use crate::base::frame::{Origin, Picture};
use crate::base::picture;
use crate::base::slot::Pace;
use crate::capture::address::Address;
use crate::capture::{Attention, Camera, CameraError, REST_SPACING};

/// From the first byte sent to the last one read.
const WITHIN: Duration = Duration::from_secs(10);
/// Largest picture: a 4K JPEG at the highest quality has about 8 MB (chosen by feel).
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// While somebody watches; more often than this such cameras send the same picture twice (chosen by feel).
const BURST_SPACING: Duration = Duration::from_millis(300);

/// A camera that is asked for each picture.
pub struct Snapshot {
    address: Address,
    every: Duration,
    runtime: Runtime,
    http: Client,
    /// Remembers the camera's challenge, so that one request is enough from the second picture on.
    login: Option<PasswordClient>,
    last: Option<Mono>,
}

impl Snapshot {
    /// Prepares a camera that is asked every `every`; `certificate` (PEM) is its own or its issuer's, for https.
    ///
    /// # Errors
    /// [`CameraError::Source`] when the certificate cannot be used.
    pub fn new(
        address: Address,
        every: Duration,
        certificate: Option<&[u8]>,
    ) -> Result<Snapshot, CameraError> {
        let source = |complaint: String| CameraError::Source { path: address.place(), complaint };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificate.unwrap_or_default()) {
            let certificate = certificate.map_err(|error| source(error.to_string()))?;
            roots.add(certificate).map_err(|error| source(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| source(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            // A camera that sends us elsewhere would send the password there too.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(WITHIN)
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| source(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| source(error.to_string()))?;
        Ok(Snapshot { address, every, runtime, http, login: None, last: None })
    }
}

impl Camera for Snapshot {
    fn next_picture(&mut self, attention: &Attention) -> Result<Picture, CameraError> {
        attention.pause(self.last, |pace| match pace {
            Pace::Watch => BURST_SPACING.min(self.every),
            Pace::Patrol => self.every,
            Pace::Rest => self.every.max(REST_SPACING),
        });
        self.last = Some(attention.now());
        let Snapshot { address, runtime, http, login, .. } = self;
        let bytes = runtime.block_on(fetch(http, address, login))?;
        picture::decode(&bytes)
            .map_err(|cause| CameraError::Undecodable { place: address.place(), cause: cause.to_string() })
    }

    fn origin(&self) -> Origin {
        Origin::Live
    }

    fn identity(&self) -> Option<String> {
        Some(format!("snapshot {}", self.address.host()))
    }
}

async fn fetch(
    http: &Client,
    address: &Address,
    login: &mut Option<PasswordClient>,
) -> Result<Vec<u8>, CameraError> {
    let mut response = ask(http, address, login).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        *login = challenged(address, response.headers())?;
        response = ask(http, address, login).await?;
    }
    let place = || address.place();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            *login = None;
            return Err(CameraError::Refused { place: place() });
        }
        status => {
            return Err(CameraError::Protocol { place: place(), cause: format!("it answers {status}") });
        }
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
    if !kind.starts_with("image/") {
        let cause = format!("it sends {:?} instead of a picture", kind.chars().take(60).collect::<String>());
        return Err(CameraError::Protocol { place: place(), cause });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(address, &error))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            let cause = format!("a picture of more than {MOST_BYTES} bytes");
            return Err(CameraError::Undecodable { place: place(), cause });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn ask(
    http: &Client,
    address: &Address,
    login: &mut Option<PasswordClient>,
) -> Result<Response, CameraError> {
    let mut request = http.get(address.url().clone());
    if let (Some(client), Some(login)) = (login, address.login()) {
        let url = address.url();
        let uri = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let params = PasswordParams {
            username: login.user(),
            password: login.reveal_password(),
            uri: &uri,
            method: "GET",
            body: Some(&[]),
        };
        let answer = client.respond(&params);
        let answer = answer.map_err(|cause| CameraError::Protocol { place: address.place(), cause })?;
        request = request.header(AUTHORIZATION, answer);
    }
    request.send().await.map_err(|error| failure(address, &error))
}

/// The way in which the camera wants to be answered: digest where it offers that, else basic.
fn challenged(address: &Address, headers: &HeaderMap) -> Result<Option<PasswordClient>, CameraError> {
    let refused = || CameraError::Refused { place: address.place() };
    if address.login().is_none() {
        return Err(refused());
    }
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let client = challenges.fold(PasswordClient::builder(), |builder, text| builder.challenges(text)).build();
    client.map(Some).map_err(|_| refused())
}

fn failure(address: &Address, error: &reqwest::Error) -> CameraError {
    let place = address.place();
    if error.is_timeout() && !error.is_connect() {
        return CameraError::Stalled { place, after: WITHIN };
    }
    // reqwest's own sentence holds the whole address, token and all; its innermost cause does not.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    CameraError::Unreachable { place, cause: cause.to_string() }
}
