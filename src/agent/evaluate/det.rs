//! Detection error trade-off curves (Martin et al. 1997; ISO/IEC 19795-1): both axes in standard deviations of the
//! normal distribution, so that good systems do not vanish in a corner.

use std::path::Path;

use plotters::prelude::*;

/// One curve: (horizontal, vertical) error rates, 0..=1.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

const TICKS: [f64; 9] = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.4, 0.8];
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 92, 175), RGBColor(203, 64, 66), RGBColor(34, 125, 81), RGBColor(150, 99, 46)];

/// Writes the curves as an SVG of 760 × 640.
///
/// # Errors
/// When the file cannot be written.
pub fn plot(path: &Path, horizontal: &str, vertical: &str, curves: &[Curve]) -> anyhow::Result<()> {
    let lowest = curves.iter().flat_map(|curve| &curve.points).map(|(x, _)| *x).filter(|x| *x > 0.0);
    let left = probit(lowest.fold(0.01, f64::min).max(1e-6));
    let root = SVGBackend::new(path, (760, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(18)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(left..probit(0.8), probit(1e-4)..probit(0.8))?;
    let label = |value: &f64| percent(*value);
    chart
        .configure_mesh()
        .x_desc(horizontal)
        .y_desc(vertical)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .x_labels(12)
        .y_labels(12)
        .draw()?;
    for tick in TICKS {
        let at = probit(tick);
        chart.draw_series([PathElement::new(vec![(left, at), (probit(0.8), at)], BLACK.mix(0.08))])?;
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points = curve.points.iter().map(|(x, y)| (probit(x.max(1e-6)), probit(y.max(1e-4))));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}

fn percent(deviations: f64) -> String {
    let share = 100.0 * normal(deviations);
    if share >= 1.0 { format!("{share:.0}%") } else { format!("{share:.1e}%") }
}

/// Standard normal distribution (Abramowitz and Stegun 26.2.17, error below 7.5e-8).
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial;
    if z >= 0.0 { 1.0 - tail } else { tail }
}

/// Its inverse, by bisection.
fn probit(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if normal(middle) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_normal_distribution() {
        assert!((probit(0.5)).abs() < 1e-6);
        assert!((probit(0.025) + 1.959_964).abs() < 1e-4);
        assert!((normal(probit(1e-4)) - 1e-4).abs() < 1e-6);
    }

    #[test]
    fn a_plot_shows_every_curve() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("det.svg");
        let curve = |name: &str| Curve { name: name.to_owned(), points: vec![(0.1, 0.01), (1e-3, 0.2)] };
        plot(&path, "FMR", "FNMR", &[curve("alle"), curve("cohort")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg") && text.contains("cohort") && text.contains("alle"));
    }
}
