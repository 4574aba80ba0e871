//! What the round terminal (巡查) needs from the agent: the nurse's list, what she says of a bed, and who she is.

use crate::base::frame::Picture;
use crate::base::ids::BedId;
use crate::base::redact::Private;
use crate::domain::walk::{Later, Sheet};
use crate::kiosk::counter::Signed;

/// What a nurse says of a bed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Here(BedId),
    Later(BedId, Later),
}

/// What the terminal shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terminal {
    pub sheet: Option<Sheet>,
    /// Milliseconds until the round is over.
    pub left_ms: u64,
    /// Whether the platform has not answered for a while: results are kept and follow.
    pub is_offline: bool,
    /// Whether any bed is to be walked to at all.
    pub has_beds: bool,
}

/// The agent's part; everything may block.
pub trait Rounds: Send + Sync + 'static {
    fn terminal(&self) -> Terminal;

    /// False while the agent starts or ends.
    fn say(&self, said: Said) -> bool;

    /// What the camera shows of the bed where the nurse stands, for aiming it; nothing else and nowhere else.
    fn aim(&self) -> Option<Picture>;

    /// Whether a member of staff is who they say.
    fn enter(&self, name: &str, pin: &Private<String>) -> Signed;
}
