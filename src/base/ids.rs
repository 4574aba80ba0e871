//! Names of things, each its own type so that a bed can never stand where a person belongs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Says why a text cannot be an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not usable: use 1 to 64 letters, digits, '.', '_' or '-'")]
pub struct BadId {
    pub kind: &'static str,
    pub text: String,
}

fn is_plain(text: &str) -> bool {
    // Letters of any script: wards and beds are named 三病区 or 12床.
    (1..=64).contains(&text.chars().count())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// [`BadId`] when the text is empty, longer than 64 characters or holds anything but
            /// letters, digits, `.`, `_`, `-`.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                if is_plain(&text) { Ok(Self(text)) } else { Err(BadId { kind: $kind, text }) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(/// An agent as the platform knows it.
    DeviceId, "device");
id!(/// A camera as the configuration names it.
    CameraId, "camera");
id!(/// A ward (病区), `adm_dept_codg` or a local name.
    WardId, "ward");
id!(/// A bed within the agent's ward, `adm_bed`.
    BedId, "bed");
id!(/// One stay of one person, `mdtrt_id`: the key under which templates are enrolled.
    StayId, "stay");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_chinese_names_and_refuse_paths() {
        assert!(BedId::new("12床").is_ok());
        assert!(BedId::new("../etc").is_err());
        assert!(BedId::new("").is_err());
        assert!(serde_json::from_str::<BedId>("\"a b\"").is_err());
    }
}
