//! What the page `/calibrate` needs from the agent: presentations are filmed with one camera, and thresholds follow from them.

use crate::base::health::Words;

/// One presentation that was filmed.
#[derive(Clone, Debug, PartialEq)]
pub struct FilmedNow {
    /// `live`, or the kind of attack.
    pub species: String,
    /// P(live), 0 to 1; `None` where no face was found.
    pub score: Option<f32>,
}

/// Thresholds that follow from what was filmed, with the exact 95 % intervals of their error rates in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct FitNow {
    pub live_at: f32,
    pub attack_below: f32,
    pub live: usize,
    pub attacks: usize,
    pub bpcer: (f64, f64, f64),
    pub apcer_max: (f64, f64, f64),
    /// Too few were filmed to rely on it: how many living people and attacks are wanted.
    pub wanted: Option<(usize, usize)>,
}

/// One camera with what was filmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalibrationNow {
    pub camera: String,
    pub cameras: Vec<String>,
    pub filmed: Vec<FilmedNow>,
    pub fit: Option<FitNow>,
    /// The thresholds that were written last: live from, attack below.
    pub written: Option<(f32, f32)>,
}

/// Kinds of presentation that are offered, Chinese and English.
pub const SPECIES: [(&str, &str, &str); 5] = [
    ("live", "真人", "a living person"),
    ("print", "打印照片", "a printed photo"),
    ("screen", "屏幕翻拍", "a screen"),
    ("cutout", "挖孔面具", "a cut-out mask"),
    ("mask", "立体面具", "a solid mask"),
];

/// The agent's part; may block for seconds.
pub trait Calibrating: Send + Sync + 'static {
    fn calibration(&self, camera: &str) -> Result<CalibrationNow, Words>;

    /// Films one presentation and keeps its score; the pictures are forgotten at once.
    fn film(&self, camera: &str, species: &str) -> Result<Words, Words>;

    /// Writes the thresholds; they count when the agent starts anew.
    fn settle(&self, camera: &str) -> Result<Words, Words>;

    /// Forgets what was filmed.
    fn discard(&self, camera: &str) -> Result<Words, Words>;
}
