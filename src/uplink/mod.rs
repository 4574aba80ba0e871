//! One batch to the platform over mutual TLS, one signed receipt back.

use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use reqwest::Method;

use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::net::client::{Client, ClientError};
use crate::wire::batch::{Answer, Batch, Item, Problem, RECEIPT_TYPE, Receipt};
use crate::wire::dsse::{Envelope, NotBelieved};

/// The platform as this device knows it.
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

/// Why a batch was not acknowledged. Everything stays in the outbox.
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
}

impl Platform {
    /// Sends `items` and checks the receipt's signature before anything in it is used.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub async fn deliver(&self, items: Vec<Item>) -> Result<Acknowledged, UplinkError> {
        let batch = Batch { v: 1, device: self.device.clone(), items };
        let body = serde_json::to_vec(&batch).map_err(UplinkError::Encode)?;
        let response = self.client.send(Method::POST, "/v1/batches", body).await?;
        match response.status {
            200 => {}
            status @ (429 | 500..=599) => {
                return Err(UplinkError::Busy { status, retry_after: response.retry_after });
            }
            status => {
                let detail = serde_json::from_slice::<Problem>(&response.body)
                    .map_or_else(|_| "no reason given".to_owned(), |p| p.detail.unwrap_or(p.title));
                return Err(UplinkError::Refused { status, detail });
            }
        }
        acknowledged(&response.body, &self.receipt_key, &self.device)
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
