//! How a camera is, in words that a ward's technician can act on.

use std::fmt;

use crate::base::frame::Tamper;

/// One sentence, in Chinese first.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Words {
    pub chinese: String,
    pub english: String,
}

impl Words {
    pub fn new(chinese: impl Into<String>, english: impl Into<String>) -> Words {
        Words { chinese: chinese.into(), english: english.into() }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {}", self.chinese, self.english)
    }
}

/// What is known of one camera now.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CameraHealth {
    /// Why no picture comes; `None` while pictures come, and before the first was tried.
    pub trouble: Option<Words>,
    /// What somebody should look at although pictures come: rare keyframes, an identity that changed.
    pub remarks: Vec<Words>,
    /// What the camera says of itself: driver and serial number, or address and a digest of its stream's parameters.
    pub identity: Option<String>,
    /// What keeps it from showing the ward.
    pub tamper: Option<Tamper>,
}
