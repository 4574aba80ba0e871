//! HTTP client with bounded bodies and waits.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Method, Url};
use rustls::ClientConfig;

use crate::net::pin;
use crate::net::tls::{self, Identity, TlsError};

/// Largest answer that is read.
const MOST_ANSWER: usize = 1024 * 1024;

/// An HTTP client that speaks TLS to one platform. Clones share the certificate they show.
#[derive(Clone)]
pub struct Client {
    http: Arc<RwLock<reqwest::Client>>,
    base: Url,
    wait: Duration,
}

/// A full answer.
pub struct Response {
    pub status: u16,
    /// Seconds the peer asked us to wait.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{url:?} is not an https address: {cause}")]
    Address { url: String, cause: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(reqwest::Error),
    #[error("{url} cannot be reached: {cause}")]
    Unreachable { url: Url, cause: String },
    #[error("{url} did not answer within {limit:?}")]
    Slow { url: Url, limit: Duration },
    #[error("{url} answered with more than {MOST_ANSWER} bytes")]
    TooMuch { url: Url },
}

/// From the first byte sent to the last one read.
const WAIT: Duration = Duration::from_secs(20);

impl Client {
    /// One end of mutual TLS.
    ///
    /// # Errors
    /// [`ClientError::Address`] unless `base` is an https URL; [`ClientError::Tls`].
    pub fn new(base: &str, identity: &Identity) -> Result<Client, ClientError> {
        Client::over(base, tls::client(identity)?)
    }

    /// Without a certificate, to the platform whose CA's key has this SHA-256 and to nobody else.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn pinned(base: &str, ca_key_sha256: [u8; 32]) -> Result<Client, ClientError> {
        Client::over(base, pin::visitor(ca_key_sha256)?)
    }

    fn over(base: &str, tls: ClientConfig) -> Result<Client, ClientError> {
        let address = |cause: String| ClientError::Address { url: base.to_owned(), cause };
        let url = Url::parse(base).map_err(|error| address(error.to_string()))?;
        if url.scheme() != "https" {
            return Err(address("the scheme must be https".to_owned()));
        }
        Ok(Client { http: Arc::new(RwLock::new(built(tls)?)), base: url, wait: WAIT })
    }

    /// Shows another certificate from the next request on, in every clone; answers on their way still come.
    ///
    /// # Errors
    /// [`ClientError::Tls`]; the one before is still shown then.
    pub fn show(&self, identity: &Identity) -> Result<(), ClientError> {
        let new = built(tls::client(identity)?)?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Waits at most `wait` for each answer.
    #[must_use]
    pub fn patient_for(self, wait: Duration) -> Client {
        Client { wait, ..self }
    }

    /// Sends one JSON body (at most what the caller bounded) and reads a bounded answer.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Slow`], [`ClientError::TooMuch`]: all worth another try.
    pub async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response, ClientError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                ClientError::Slow { url: url.clone(), limit: self.wait }
            } else {
                ClientError::Unreachable { url: url.clone(), cause: whole_story(&error) }
            }
        };
        let http = self.http.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = http.request(method, url.clone()).timeout(self.wait);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut response = request.send().await.map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MOST_ANSWER {
                return Err(ClientError::TooMuch { url });
            }
            bytes.extend_from_slice(&chunk);
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(3600)));
        Ok(Response { status: response.status().as_u16(), retry_after, body: bytes })
    }
}

fn built(tls: ClientConfig) -> Result<reqwest::Client, ClientError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(ClientError::Setup)
}

/// reqwest hides the cause (`connection refused`, `unknown issuer`) behind its own sentence.
pub(crate) fn whole_story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        story = format!("{story}: {cause}");
        next = cause.source();
    }
    story
}
