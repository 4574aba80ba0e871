//! Values that must never be printed: names, insurance numbers, templates, crops.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Holds something personal. `Debug` and `Display` print `[private]`, always; reading it is explicit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private<T>(T);

impl<T> Private<T> {
    pub fn new(value: T) -> Self {
        Private(value)
    }

    /// The value itself. Search for this name to see where personal data is read.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

/// Masks a person's name for people who need to tell rows apart, not to know who it is:
/// the first character stays, the rest becomes `*` (张三丰 → 张**).
pub fn mask_name(name: &str) -> String {
    let mut masked = String::new();
    for (at, character) in name.chars().take(8).enumerate() {
        masked.push(if at == 0 { character } else { '*' });
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_values_print_as_private() {
        let name = Private::new("张三".to_owned());
        assert_eq!(format!("{name:?} {name}"), "[private] [private]");
        assert_eq!(mask_name("张三丰"), "张**");
    }
}
