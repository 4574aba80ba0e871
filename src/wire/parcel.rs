//! What a hospital that is cut off carries to the platform on a stick, and what it carries back.
//!
//! One JSON object a line: the slip (signed by the device) with the SHA-256 of everything after it, then the items as in a
//! batch. The answer is the platform's receipts, one a line.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::wire::batch::Item;
use crate::wire::dsse::{Envelope, NotBelieved};

pub const SLIP_TYPE: &str = "application/vnd.bedcheck.parcel.v1+json";

/// Largest parcel: a month of a ward with evidence.
pub const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// What is in a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slip {
    pub v: u8,
    pub device: DeviceId,
    pub made: Wall,
    pub items: usize,
    /// Of everything after the first line.
    pub sha256: String,
}

/// Why a parcel is refused; lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum BadParcel {
    #[error("the file is no parcel: its first line must be a signed slip")]
    Shape,
    #[error("the slip is not understood: {0}")]
    Slip(serde_json::Error),
    #[error("the slip is not believed: {0}; was the file made on this device?")]
    NotBelieved(#[from] NotBelieved),
    #[error("the parcel was changed or cut after it was made; export it again")]
    Changed,
    #[error("line {line} is no item: {cause}")]
    Item { line: usize, cause: serde_json::Error },
}

/// Writes a parcel.
///
/// # Errors
/// Never in practice: every field is JSON.
pub fn write(
    device: &DeviceId,
    made: Wall,
    items: &[Item],
    key: &SigningKey,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut rest = Vec::new();
    for item in items {
        serde_json::to_writer(&mut rest, item)?;
        rest.push(b'\n');
    }
    let slip = Slip { v: 1, device: device.clone(), made, items: items.len(), sha256: sha256_hex(&rest) };
    let mut file = serde_json::to_vec(&Envelope::sign(key, SLIP_TYPE, serde_json::to_vec(&slip)?))?;
    file.push(b'\n');
    file.append(&mut rest);
    Ok(file)
}

/// The device a parcel says it is from; nothing of it is believed yet.
///
/// # Errors
/// [`BadParcel`].
pub fn sender(file: &[u8]) -> Result<DeviceId, BadParcel> {
    let slip: Slip = serde_json::from_slice(&split(file)?.0.payload).map_err(BadParcel::Slip)?;
    Ok(slip.device)
}

/// The items of a parcel that the holder of `key` made.
///
/// # Errors
/// [`BadParcel`].
pub fn read(file: &[u8], key: &VerifyingKey) -> Result<(Slip, Vec<Item>), BadParcel> {
    let (envelope, rest) = split(file)?;
    let slip: Slip = serde_json::from_slice(envelope.verified(key, SLIP_TYPE)?).map_err(BadParcel::Slip)?;
    if sha256_hex(rest) != slip.sha256 {
        return Err(BadParcel::Changed);
    }
    let lines = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let items = lines.enumerate().map(|(at, line)| {
        serde_json::from_slice(line).map_err(|cause| BadParcel::Item { line: at + 2, cause })
    });
    let items = items.collect::<Result<Vec<Item>, _>>()?;
    if items.len() != slip.items {
        return Err(BadParcel::Changed);
    }
    Ok((slip, items))
}

fn split(file: &[u8]) -> Result<(Envelope, &[u8]), BadParcel> {
    let end = file.iter().position(|byte| *byte == b'\n').ok_or(BadParcel::Shape)?;
    let envelope = serde_json::from_slice(&file[..end]).map_err(|_| BadParcel::Shape)?;
    Ok((envelope, &file[end + 1..]))
}
