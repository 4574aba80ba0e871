//! Error rates of a face pack on labelled pictures, each with what it was measured on.

pub mod det;
pub mod faces;
pub mod pad;

use serde::Serialize;

/// A rate with what it was measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    pub value: f64,
    /// Wilson score interval, 95 %, pairs taken as independent (they share people, so it is too narrow).
    pub interval: [f64; 2],
    pub n: usize,
}

impl Rate {
    pub fn new(hits: usize, n: usize) -> Rate {
        let (p, m, z) = (hits as f64 / n.max(1) as f64, n.max(1) as f64, 1.96);
        let center = (p + z * z / (2.0 * m)) / (1.0 + z * z / m);
        let half = z / (1.0 + z * z / m) * (p * (1.0 - p) / m + z * z / (4.0 * m * m)).sqrt();
        Rate { value: p, interval: [(center - half).max(0.0), (center + half).min(1.0)], n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_no_error_is_not_zero() {
        let rate = Rate::new(0, 100);
        assert_eq!(rate.value, 0.0);
        assert!(rate.interval[1] > 0.03 && rate.interval[1] < 0.04);
    }
}
