//! Says something to a program elsewhere, over TLS 1.3 with whoever vouches for it, or in the clear on this machine. Only the
//! status of the answer is read; redirects are not followed, so that nobody sends us, and what we say, elsewhere.

use std::time::Duration;

use reqwest::Url;

use crate::net::client::{ClientError, whole_story};
use crate::net::tls;

/// Speaks to one receiver.
#[derive(Clone)]
pub struct Poster(reqwest::Client);

/// What it answered.
pub struct Answer {
    pub status: u16,
    /// How long it asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Poster {
    /// `ca_pem` names who may vouch for the receiver; without it https finds nobody trusted.
    ///
    /// # Errors
    /// [`ClientError::Tls`], [`ClientError::Setup`].
    pub fn new(ca_pem: Option<&str>) -> Result<Poster, ClientError> {
        let tls = match ca_pem {
            Some(ca_pem) => tls::visitor(ca_pem)?,
            None => tls::trusting_nobody()?,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .build();
        Ok(Poster(client.map_err(ClientError::Setup)?))
    }

    /// Sends one JSON body and reads the status, within `wait`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Slow`]: worth another try.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: String,
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                ClientError::Slow { url: url.clone(), limit: wait }
            } else {
                ClientError::Unreachable { url: url.clone(), cause: whole_story(&error) }
            }
        };
        let mut request = self.0.post(url.clone()).timeout(wait).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.body(body).send().await.map_err(failed)?;
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: response.status().as_u16(), retry_after: retry_after.map(Duration::from_secs) })
    }
}
