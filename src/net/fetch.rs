//! Bounded answers from a server: the hospital's, over TLS 1.3 with the hospital's own CA or in the clear within its
//! network; or the supervisor's, with the supervisor's CA.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};

use crate::base::redact::Private;
use crate::net::client::{ClientError, whole_story};
use crate::net::tls;

const WAIT: Duration = Duration::from_secs(30);

/// Fetches from one server.
#[derive(Clone)]
pub struct Fetcher {
    http: reqwest::Client,
    bearer: Option<Private<String>>,
    accept: &'static str,
}

impl Fetcher {
    /// `ca_pem` names who may vouch for the server; it is needed for https. `accept` is the media type that is wanted.
    ///
    /// # Errors
    /// [`ClientError::Tls`], [`ClientError::Setup`].
    pub fn new(
        ca_pem: Option<&str>,
        bearer: Option<Private<String>>,
        accept: &'static str,
    ) -> Result<Fetcher, ClientError> {
        let builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let builder = match ca_pem {
            Some(ca_pem) => builder.tls_backend_preconfigured(tls::visitor(ca_pem)?),
            None => builder.tls_backend_preconfigured(tls::trusting_nobody()?),
        };
        Ok(Fetcher { http: builder.build().map_err(ClientError::Setup)?, bearer, accept })
    }

    /// The body of a successful answer, of at most `most` bytes.
    ///
    /// # Errors
    /// [`ClientError`]: all worth another try.
    pub async fn fetch(&self, url: &Url, most: usize) -> Result<Vec<u8>, ClientError> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                ClientError::Slow { url: url.clone(), limit: WAIT }
            } else {
                ClientError::Unreachable { url: url.clone(), cause: whole_story(&error) }
            }
        };
        let mut request = self.http.get(url.clone()).timeout(WAIT).header(ACCEPT, self.accept);
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {}", token.reveal().trim()));
        if let Some(mut value) = bearer.and_then(|value| HeaderValue::from_str(&value).ok()) {
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(failed)?;
        let mut response = response.error_for_status().map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > most {
                return Err(ClientError::TooMuch { url: url.clone() });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
