//! What the page `/enrol` needs from the agent: pictures of one person are taken, judged and, when enough are good, enrolled.

use crate::base::frame::Picture;
use crate::base::health::Words;

/// One picture that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct ShotNow {
    pub number: usize,
    /// Why it cannot be used.
    pub fault: Option<Words>,
}

/// Whoever lies in a bed, and the pictures taken of them so far.
#[derive(Clone, Debug, PartialEq)]
pub struct SittingNow {
    pub bed: String,
    pub masked_name: String,
    /// Templates this person has already; enrolling replaces them.
    pub templates: usize,
    /// Cameras that can be used, those people stand before first.
    pub cameras: Vec<String>,
    /// Why this person must not be enrolled.
    pub held_back: Option<Words>,
    pub shots: Vec<ShotNow>,
    /// Good pictures that are needed.
    pub needed: usize,
}

impl SittingNow {
    pub fn good(&self) -> usize {
        self.shots.iter().filter(|shot| shot.fault.is_none()).count()
    }
}

/// The agent's part; may block for seconds. Complaints are for the nurse.
pub trait Enrolling: Send + Sync + 'static {
    fn sitting(&self, bed: &str) -> Result<SittingNow, Words>;

    /// Takes the next picture of a camera and judges it.
    fn take(&self, bed: &str, camera: &str) -> Result<(), Words>;

    /// Forgets one picture, or all of them.
    fn forget(&self, bed: &str, number: Option<usize>);

    /// Enrols the good pictures and forgets them; what is to be said.
    fn finish(&self, bed: &str) -> Result<Words, Words>;

    /// The face of a picture, as the nets see it.
    fn shot(&self, number: usize) -> Option<Picture>;
}
