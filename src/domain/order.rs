//! What the platform orders: look at these beds now, before a deadline, and say that it was this order.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::BedId;

/// Orders that may wait, and how many done ones are remembered so that none is done twice.
pub const MOST_WAITING: usize = 16;
pub const MOST_REMEMBERED: usize = 64;

/// A spot check (抽查).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    /// Chosen by the platform and unknown before: what answers it was not made in advance.
    pub nonce: String,
    /// Every bed of the ward where there are none.
    #[serde(default)]
    pub beds: Vec<BedId>,
    /// Answered after this, it is answered too late.
    pub until: Wall,
    /// Whether a picture of each bed is wanted; it comes where the device's policy is to give it on request.
    #[serde(default)]
    pub evidence: bool,
}

/// The order that a round answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    pub id: String,
    pub nonce: String,
}

impl Order {
    pub fn as_ordered(&self) -> Ordered {
        Ordered { id: self.id.clone(), nonce: self.nonce.clone() }
    }
}
