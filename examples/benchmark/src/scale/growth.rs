//! How fast a figure grows.
//!
//! Absent: judging it; noise bends a short line as it likes.

/// Fewer nodes than these tell what a first one costs, not what more cost.
const FROM: f64 = 10.0;

/// The power of the count that a figure grows with: 0 is not at all, 1 is in step. The line of least squares through the
/// logarithms, from ten on; `None` of fewer than two such points.
pub fn power(points: &[(f64, f64)]) -> Option<f64> {
    let usable = points.iter().filter(|(x, y)| *x >= FROM && *y > 0.0);
    let logs: Vec<_> = usable.map(|(x, y)| (x.ln(), y.ln())).collect();
    if logs.len() < 2 {
        return None;
    }
    let count = logs.len() as f64;
    let (x, y) = logs
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x / count, b + y / count));
    let (mut across, mut along) = (0.0, 0.0);
    for (a, b) in &logs {
        across += (a - x) * (b - y);
        along += (a - x).powi(2);
    }
    Some(across / along)
}

/// Says it of some figures, where there is something to say.
pub fn print(of: &str, figures: &[(&str, Vec<(f64, f64)>)]) {
    let told = figures
        .iter()
        .filter_map(|(what, points)| Some((what, power(points)?)));
    let lines: Vec<_> = told
        .map(|(what, power)| format!("- {what}: to the power of {power:.2}"))
        .collect();
    if !lines.is_empty() {
        println!(
            "\nFrom {FROM} {of} on, with their number grow:\n\n{}",
            lines.join("\n")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_found() {
        let counts = [1.0, 10.0, 100.0, 1_000.0];
        for wanted in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let points = counts.map(|count: f64| (count, 3.0 * count.powf(wanted)));
            let found = power(&points).expect("enough points");
            assert!((found - wanted).abs() < 1e-9, "{found} for {wanted}");
        }
    }

    #[test]
    fn what_a_first_one_costs_does_not_count() {
        assert_eq!(power(&[(1.0, 900.0), (10.0, 5.0), (100.0, 5.0)]), Some(0.0));
        assert_eq!(power(&[(1.0, 1.0), (2.0, 2.0), (10.0, 3.0)]), None);
    }
}
