//! Colour of the skin over time: the pulse (remote photoplethysmography) and the answer to a coloured screen.
//!
//! Both are supporting cues: a replayed video carries the pulse of the person filmed, and daylight drowns a screen.

use std::f32::consts::TAU;

/// Slowest and fastest pulse that is looked for, Hz: 42 to 120 beats a minute, below half of 5 frames a second.
const SLOWEST: f32 = 0.7;
const FASTEST: f32 = 2.0;
const STEP: f32 = 0.05;
/// Samples below which nothing is said: 8 seconds at 4 frames a second.
const FEWEST: usize = 32;

/// The clearest rhythm of the skin's colour: (beats a minute, power over the rest's; about 3 for noise alone).
///
/// Plane orthogonal to the skin (POS, Wang et al. 2017) over the whole series. `skin` are mean RGB values, `times`
/// seconds.
pub fn pulse(skin: &[[f32; 3]], times: &[f32]) -> Option<(f32, f32)> {
    if skin.len() < FEWEST || skin.len() != times.len() {
        return None;
    }
    let mean = mean(skin)?;
    let x: Vec<f32> = skin.iter().map(|c| c[1] / mean[1] - c[2] / mean[2]).collect();
    let y: Vec<f32> = skin.iter().map(|c| c[1] / mean[1] + c[2] / mean[2] - 2.0 * c[0] / mean[0]).collect();
    let ratio = deviation(&x) / deviation(&y).max(1e-9);
    let series: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + ratio * y).collect();
    let steps = ((FASTEST - SLOWEST) / STEP) as usize;
    (0..=steps)
        .map(|step| SLOWEST + STEP * step as f32)
        .map(|hertz| (hertz * 60.0, clarity(&series, times, hertz)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// How well the skin followed the screen's colours: the mean correlation over red, green and blue of what was shown with
/// what was seen, frame by frame; -1..=1.
pub fn follows(shown: &[[f32; 3]], seen: &[[f32; 3]]) -> Option<f32> {
    if shown.len() != seen.len() || shown.len() < 6 {
        return None;
    }
    let share = |colours: &[[f32; 3]], channel: usize| -> Vec<f32> {
        // Brightness changes by itself (exposure); the share of a colour in it does not.
        colours.iter().map(|c| c[channel] / (c[0] + c[1] + c[2]).max(1.0)).collect()
    };
    let sum: f32 = (0..3).map(|channel| correlation(&share(shown, channel), &share(seen, channel))).sum();
    Some(sum / 3.0)
}

fn mean(colours: &[[f32; 3]]) -> Option<[f32; 3]> {
    let n = colours.len() as f32;
    let mean = [0, 1, 2].map(|channel| colours.iter().map(|c| c[channel]).sum::<f32>() / n);
    mean.iter().all(|value| *value > 1.0).then_some(mean)
}

fn deviation(series: &[f32]) -> f32 {
    let n = series.len() as f32;
    let mean = series.iter().sum::<f32>() / n;
    (series.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt()
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let covariance = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f32>() / n;
    covariance / (deviation(a) * deviation(b)).max(1e-9)
}

/// Power of one frequency over the mean power of the rest.
fn clarity(series: &[f32], times: &[f32], hertz: f32) -> f32 {
    let n = series.len() as f32;
    let mean = series.iter().sum::<f32>() / n;
    let (mut cos, mut sin, mut total) = (0.0, 0.0, 0.0);
    for (value, time) in series.iter().zip(times) {
        let (s, c) = (TAU * hertz * time).sin_cos();
        (cos, sin) = (cos + (value - mean) * c, sin + (value - mean) * s);
        total += (value - mean).powi(2);
    }
    let explained = 2.0 * (cos * cos + sin * sin) / n;
    explained / 2.0 / ((total - explained).max(1e-12) / (n - 3.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Skin under a lamp that flickers a little, with a pulse of that strength.
    fn filmed(hertz: f32, strength: f32) -> (Vec<[f32; 3]>, Vec<f32>) {
        let times: Vec<f32> = (0..80).map(|at| at as f32 * 0.21).collect();
        let mut state = 7_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as f32 / 65_535.0 - 0.5) * 0.2
        };
        let skin = times
            .iter()
            .map(|t| {
                let (beat, lamp) = (strength * (TAU * hertz * t).sin(), 1.0 + 0.02 * (TAU * 0.3 * t).sin());
                [
                    (170.0 + 0.3 * beat + noise()) * lamp,
                    (120.0 + beat + noise()) * lamp,
                    (100.0 + 0.5 * beat + noise()) * lamp,
                ]
            })
            .collect();
        (skin, times)
    }

    #[test]
    fn a_pulse_is_found_under_a_flickering_lamp() {
        let (skin, times) = filmed(1.2, 0.5);
        let (rate, clarity) = pulse(&skin, &times).unwrap();
        assert!((rate - 72.0).abs() < 3.1 && clarity > 10.0, "{rate} {clarity}");
        let (skin, times) = filmed(1.2, 0.0);
        assert!(pulse(&skin, &times).unwrap().1 < 7.0);
        assert_eq!(pulse(&skin[..20], &times[..20]), None);
    }

    #[test]
    fn skin_takes_the_colour_of_the_screen_and_a_print_under_another_lamp_does_not() {
        let shown: Vec<[f32; 3]> =
            (0..12).map(|at| [[255.0, 0.0, 0.0], [0.0, 255.0, 0.0], [0.0, 0.0, 255.0]][at / 2 % 3]).collect();
        let lit: Vec<[f32; 3]> =
            shown.iter().map(|c| [150.0 + c[0] / 20.0, 110.0 + c[1] / 20.0, 90.0 + c[2] / 20.0]).collect();
        assert!(follows(&shown, &lit).unwrap() > 0.9);
        let other: Vec<[f32; 3]> = (0..12).map(|at| [150.0 + (at * 7 % 5) as f32, 110.0, 90.0]).collect();
        assert!(follows(&shown, &other).unwrap().abs() < 0.5);
    }
}
