//! One batch to the platform over mutual TLS, one signed receipt back; the first certificate, and the next ones.

use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use reqwest::Method;

use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::net::cert;
use crate::net::client::{Client, ClientError, Response};
use crate::wire::batch::{Answer, Batch, Item, Problem, RECEIPT_TYPE, Receipt};
use crate::wire::dsse::{Envelope, NotBelieved};
use crate::wire::enrol::{DeviceBundle, Renewed};
use crate::wire::token::{Enrolment, Token};

/// The platform as this device knows it. Clones share their connections.
#[derive(Clone)]
pub struct Platform {
    pub client: Client,
    pub device: DeviceId,
    pub receipt_key: VerifyingKey,
}

/// A receipt that was checked, and its digest for the next statement's anchor.
pub struct Acknowledged {
    pub receipt: Receipt,
    pub digest: String,
}

/// Why the platform did not give what was asked. Everything stays in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("a batch cannot be encoded: {0}")]
    Encode(serde_json::Error),
    #[error("the platform is busy (status {status})")]
    Busy { status: u16, retry_after: Option<Duration> },
    #[error("the platform refuses this device or batch (status {status}): {detail}")]
    Refused { status: u16, detail: String },
    #[error("the platform's answer is not understood: {0}")]
    Nonsense(String),
    #[error("the receipt is not believed: {0}; is another server answering?")]
    Receipt(#[from] NotBelieved),
    #[error("the receipt is for device {0}")]
    OtherDevice(DeviceId),
    #[error("the bundle is for another device or names another CA than the token")]
    OtherPlatform,
}

impl Platform {
    /// Sends `items` and checks the receipt's signature before anything in it is used.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub async fn deliver(&self, items: Vec<Item>) -> Result<Acknowledged, UplinkError> {
        let batch = Batch { v: 1, device: self.device.clone(), items };
        let body = serde_json::to_vec(&batch).map_err(UplinkError::Encode)?;
        let answer = granted(self.client.send(Method::POST, "/v1/batches", body).await?)?;
        acknowledged(&answer, &self.receipt_key, &self.device)
    }

    /// Asks for the certificate (PEM) of the next TLS key, over the connection that shows the present one.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub async fn renew(&self, request: &Envelope) -> Result<String, UplinkError> {
        let body = serde_json::to_vec(request).map_err(UplinkError::Encode)?;
        let answer = granted(self.client.send(Method::POST, "/v1/certificate", body).await?)?;
        let renewed: Renewed =
            serde_json::from_slice(&answer).map_err(|error| UplinkError::Nonsense(error.to_string()))?;
        Ok(renewed.cert_pem)
    }
}

/// Shows the proof of a token to the platform it names, and to nobody else; what the platform says of itself.
///
/// # Errors
/// [`UplinkError`]; [`UplinkError::OtherPlatform`] when the answer is not for this device or not of this CA.
pub async fn enrol(token: &Token, enrolment: &Enrolment) -> Result<DeviceBundle, UplinkError> {
    let body = serde_json::to_vec(enrolment).map_err(UplinkError::Encode)?;
    let client = Client::pinned(&token.url, token.ca_key_sha256)?;
    let answer = granted(client.send(Method::POST, "/v1/enrol", body).await?)?;
    let bundle: DeviceBundle =
        serde_json::from_slice(&answer).map_err(|error| UplinkError::Nonsense(error.to_string()))?;
    // The CA believed from now on is the one of the token, and no second one beside it.
    if bundle.device != token.device || cert::only_key_digest(&bundle.ca_pem) != Some(token.ca_key_sha256) {
        return Err(UplinkError::OtherPlatform);
    }
    Ok(bundle)
}

/// The body of an answer that grants what was asked.
fn granted(response: Response) -> Result<Vec<u8>, UplinkError> {
    match response.status {
        200 => Ok(response.body),
        status @ (429 | 500..=599) => Err(UplinkError::Busy { status, retry_after: response.retry_after }),
        status => {
            let detail = serde_json::from_slice::<Problem>(&response.body)
                .map_or_else(|_| "no reason given".to_owned(), |p| p.detail.unwrap_or(p.title));
            Err(UplinkError::Refused { status, detail })
        }
    }
}

/// Reads a platform's answer; nothing in it counts before its signature does.
///
/// # Errors
/// [`UplinkError::Nonsense`], [`UplinkError::Receipt`], [`UplinkError::OtherDevice`].
pub fn acknowledged(body: &[u8], key: &VerifyingKey, device: &DeviceId) -> Result<Acknowledged, UplinkError> {
    let nonsense = |error: serde_json::Error| UplinkError::Nonsense(error.to_string());
    let answer: Answer = serde_json::from_slice(body).map_err(nonsense)?;
    believed(&answer.receipt, key, device)
}

/// The receipt in an envelope, over the network or on a stick.
///
/// # Errors
/// As [`acknowledged`].
pub fn believed(
    envelope: &Envelope,
    key: &VerifyingKey,
    device: &DeviceId,
) -> Result<Acknowledged, UplinkError> {
    let payload = envelope.verified(key, RECEIPT_TYPE)?;
    let receipt: Receipt =
        serde_json::from_slice(payload).map_err(|error| UplinkError::Nonsense(error.to_string()))?;
    if receipt.device != *device {
        return Err(UplinkError::OtherDevice(receipt.device));
    }
    Ok(Acknowledged { digest: sha256_hex(payload), receipt })
}
