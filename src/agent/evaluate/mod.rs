//! Error rates of a face pack on labelled pictures, each with what it was measured on.

pub mod cohort;
pub mod det;
pub mod faces;
pub mod pad;

use serde::Serialize;

use crate::domain::interval::wilson;

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
        let tries = n.max(1) as f64;
        let value = hits as f64 / tries;
        Rate { value, interval: wilson(value, tries), n }
    }
}

/// Exact two-sided 95 % interval of `hits` in `n` (Clopper and Pearson 1934), by bisection on the binomial tails.
pub fn clopper_pearson(hits: usize, n: usize) -> [f64; 2] {
    let solve = |holds: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if holds(middle) { low = middle } else { high = middle }
        }
        (low + high) / 2.0
    };
    let lower = if hits == 0 { 0.0 } else { solve(&|p| 1.0 - at_most(hits - 1, n, p) < 0.025) };
    let upper = if hits >= n { 1.0 } else { solve(&|p| at_most(hits, n, p) > 0.025) };
    [lower, upper]
}

/// Chance of at most `hits` in `n` tries of chance `p`.
fn at_most(hits: usize, n: usize, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 || hits >= n { 1.0 } else { 0.0 };
    }
    let (mut log_term, odds) = (n as f64 * (1.0 - p).ln(), (p / (1.0 - p)).ln());
    let mut sum = log_term.exp();
    for k in 1..=hits.min(n) {
        log_term += ((n - k + 1) as f64 / k as f64).ln() + odds;
        sum += log_term.exp();
    }
    sum.min(1.0)
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

    #[test]
    fn the_exact_interval_agrees_with_the_tables() {
        let near = |found: [f64; 2], wanted: [f64; 2]| {
            assert!((found[0] - wanted[0]).abs() < 1e-4 && (found[1] - wanted[1]).abs() < 1e-4, "{found:?}");
        };
        near(clopper_pearson(0, 20), [0.0, 0.1684]);
        near(clopper_pearson(1, 10), [0.0025, 0.4450]);
        near(clopper_pearson(10, 10), [0.6915, 1.0]);
    }
}
