//! What the page `/ward` needs from the agent: how the cameras are, and what is believed of each bed.

use crate::base::frame::Tamper;
use crate::base::health::Words;
use crate::domain::effort::Eased;
use crate::domain::facts::Excuse;

/// One camera, now.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraNow {
    pub id: String,
    /// What it is for: Chinese, English.
    pub mode: (&'static str, &'static str),
    pub frames: u64,
    /// Milliseconds since the newest picture was taken, and its width and height in pixels.
    pub newest: Option<(u64, u32, u32)>,
    pub trouble: Option<Words>,
    pub remarks: Vec<Words>,
    pub tamper: Option<Tamper>,
}

/// One bed, as it is believed now.
#[derive(Clone, Debug, PartialEq)]
pub struct BedNow {
    pub bed: String,
    pub masked_name: Option<String>,
    /// Face templates of whoever lies there.
    pub templates: usize,
    /// The camera that looks there.
    pub camera: Option<String>,
    pub away: Option<Excuse>,
}

/// Everything the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WardNow {
    pub ward: String,
    /// No receipt for a while.
    pub is_offline: bool,
    pub eased: Option<Eased>,
    pub cameras: Vec<CameraNow>,
    /// Empty while no agent runs.
    pub beds: Vec<BedNow>,
}

/// The agent's part; may block.
pub trait WardView: Send + Sync + 'static {
    /// `None` while the agent starts.
    fn ward(&self) -> Option<WardNow>;
}
