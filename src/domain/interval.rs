//! How much a count says of the share behind it.

/// Two-sided 95 %.
const Z: f64 = 1.96;

/// Wilson's score interval (1927), 95 %, of a share (0 to 1) that was counted over `n` > 0 independent tries.
pub fn wilson(share: f64, n: f64) -> [f64; 2] {
    let spread = Z * Z / n;
    let middle = (share + spread / 2.0) / (1.0 + spread);
    let half = Z / (1.0 + spread) * (share * (1.0 - share) / n + spread / (4.0 * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}
