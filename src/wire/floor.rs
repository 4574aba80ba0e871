//! The policy floor (签名策略): what a signed policy demands of every terminal. Local configuration can only be stricter.
//!
//! Each demand is absent (nothing is demanded) or a bound in the direction in which checking becomes weaker: a longest
//! time between rounds, a smallest share of beds, a lowest threshold. `policy.toml` is written by the supervisor:
//!
//! ```toml
//! schema = 1
//! mode = "production"
//! liveness = "required"
//! every_at_most = "4h"
//! sample_at_least = 1.0
//! ```

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::policy::Evidence;

/// Why a policy is not understood. A policy with an unknown demand is refused: it would be a demand nobody keeps.
#[derive(Debug, thiserror::Error)]
pub enum BadFloor {
    #[error("{0}")]
    Format(Box<toml::de::Error>),
    #[error("schema {0} is not understood, 1 is; update the program first")]
    Schema(u32),
    #[error("{key} = {found} makes no sense: {wanted}")]
    Value { key: &'static str, found: f64, wanted: &'static str },
}

/// From the least serious to the most serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeastMode {
    Demo,
    Pilot,
    Production,
}

impl LeastMode {
    pub fn name(self) -> &'static str {
        match self {
            LeastMode::Demo => "demo",
            LeastMode::Pilot => "pilot",
            LeastMode::Production => "production",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    Required,
}

/// What is demanded.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    pub schema: u32,
    pub mode: Option<LeastMode>,
    /// Exactly this.
    pub evidence: Option<Evidence>,
    pub liveness: Option<Liveness>,
    /// Of one comparison, above 0 and at most 0.1.
    pub fmr_at_most: Option<f64>,
    /// Similarity (-1..=1) below which nobody is ever taken for the patient, whatever the pack's card says.
    pub match_at_least: Option<f32>,
    #[serde(default, deserialize_with = "span")]
    pub every_at_most: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    pub heartbeat_at_most: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    pub excuse_grace_at_most: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    pub roster_settle_at_most: Option<Duration>,
    /// Shares, 0..=1.
    pub sample_at_least: Option<f32>,
    pub jitter_at_least: Option<f32>,
    pub looks_at_least: Option<u8>,
    pub absent_rounds_at_most: Option<u8>,
    pub unproven_rounds_at_most: Option<u8>,
    pub lifeless_rounds_at_most: Option<u8>,
    #[serde(default)]
    pub quality: QualityFloor,
}

/// What a picture of a face must at least have; nothing in the local configuration is weaker or stronger.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityFloor {
    /// Detector score × mesh flag, 0..=1.
    pub min_score: Option<f32>,
    /// Width of the face in camera pixels.
    pub min_width_px: Option<f32>,
    /// Variance of the Laplacian on the face 96 pixels high.
    pub min_sharpness: Option<f32>,
}

impl Floor {
    /// Reads `policy.toml`.
    ///
    /// # Errors
    /// [`BadFloor`] with what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Floor, BadFloor> {
        let floor: Floor = toml::from_str(&String::from_utf8_lossy(bytes))
            .map_err(|error| BadFloor::Format(Box::new(error)))?;
        if floor.schema != 1 {
            return Err(BadFloor::Schema(floor.schema));
        }
        let number = |number: Option<f32>| number.map(f64::from);
        let (share, similarity, not_negative) = ("0 to 1", "-1 to 1", "0 or more");
        let ranges = [
            ("fmr_at_most", floor.fmr_at_most, 1e-9, 0.1, "above 0, at most 0.1"),
            ("match_at_least", number(floor.match_at_least), -1.0, 1.0, similarity),
            ("sample_at_least", number(floor.sample_at_least), 0.0, 1.0, share),
            ("jitter_at_least", number(floor.jitter_at_least), 0.0, 0.9, "0 to 0.9"),
            ("quality.min_score", number(floor.quality.min_score), 0.0, 1.0, share),
            ("quality.min_width_px", number(floor.quality.min_width_px), 0.0, 4096.0, "0 to 4096"),
            ("quality.min_sharpness", number(floor.quality.min_sharpness), 0.0, 1e6, not_negative),
        ];
        for (key, found, least, most, wanted) in ranges {
            // NaN lies in no range.
            if let Some(found) = found.filter(|found| !(least..=most).contains(found)) {
                return Err(BadFloor::Value { key, found, wanted });
            }
        }
        Ok(floor)
    }
}

/// `"4h"`.
fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let time: Option<Duration> =
        text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
    time.filter(|time| !time.is_zero())
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no time such as \"90s\" or \"4h\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_and_an_unknown_or_senseless_demand_is_refused() {
        let text = "schema = 1\nmode = \"production\"\nliveness = \"required\"\nevery_at_most = \"4h\"\n\
            sample_at_least = 0.5\n[quality]\nmin_score = 0.6\n";
        let floor = Floor::parse(text.as_bytes()).unwrap();
        assert_eq!((floor.mode, floor.sample_at_least), (Some(LeastMode::Production), Some(0.5)));
        assert_eq!(floor.every_at_most, Some(Duration::from_secs(4 * 3600)));
        for (wrong, why) in [
            ("schema = 2", "schema 2"),
            ("schema = 1\nsample_at_lest = 1.0", "sample_at_lest"),
            ("schema = 1\nsample_at_least = 1.5", "0 to 1"),
            ("schema = 1\nsample_at_least = nan", "0 to 1"),
            ("schema = 1\nevery_at_most = \"often\"", "is no time"),
            ("mode = \"pilot\"", "schema"),
        ] {
            let error = Floor::parse(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
