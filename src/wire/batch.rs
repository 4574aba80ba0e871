//! A delivery: statements with their bodies and evidence, and the platform's signed answer.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::domain::order::Order;
use crate::wire::dsse::Envelope;

pub const RECEIPT_TYPE: &str = "application/vnd.bedcheck.receipt.v1+json";

/// Most items of one batch, and most bytes of its JSON.
pub const MOST_ITEMS: usize = 200;
pub const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Consecutive statements of one device, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub v: u8,
    pub device: DeviceId,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub envelope: Envelope,
    /// The event, as the exact text whose digest was signed.
    pub body: String,
    /// The sealed crop in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// What the platform says after it has synced a batch to disk. Nothing is acknowledged without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub v: u8,
    pub device: DeviceId,
    pub head: Head,
    pub received: Wall,
    pub results: Vec<ItemResult>,
    /// What the device shall look at now; they ride with every receipt until a round answers them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// The newest signed head of the platform's log. Through the anchor of the next statement every device witnesses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_head: Option<String>,
    /// X25519 public key evidence is sealed to from now on, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_key: Option<String>,
}

/// The last link of a device that is safe on the platform's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub epoch: String,
    pub seq: u64,
    pub link: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemResult {
    pub seq: u64,
    pub fate: Fate,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Accepted,
    /// It was there already: harmless.
    Duplicate,
    /// It does not follow the platform's head: send from there.
    OutOfOrder,
    /// It says something else than what was accepted under its number.
    Fork,
}

/// The body of a successful answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub receipt: Envelope,
}

/// RFC 9457.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
