//! Numbers for people: quantities with their units, and where an axis has its marks.
//!
//! Invariant: any finite numbers give a finite axis of few marks. Absent: SVG.

/// Marks that an axis has about as many of.
const MARKS: f64 = 5.0;

/// Prefixes of bytes, each 1,024 times the one before.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Seconds between the marks of a time axis, from one minute on.
const STEPS: [f64; 13] = [
    60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0,
    86_400.0, 172_800.0,
];

/// An axis: its ends, and its marks with their texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Value at its start.
    pub low: f64,
    /// Value at its end, above `low`.
    pub high: f64,
    /// Value and text of each mark, rising.
    pub marks: Vec<(f64, String)>,
}

impl Axis {
    /// Where a value lies, from 0 (`low`) to 1 (`high`).
    pub fn place(&self, value: f64) -> f64 {
        // Halves, so that the difference of two huge numbers is finite.
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }
}

/// An axis for values from `min` to `max`. It starts at zero unless that would squeeze the values into its upper half.
pub fn axis(min: f64, max: f64, unit: &str) -> Axis {
    let low = if min > 0.0 && min <= max / 2.0 {
        0.0
    } else {
        min
    };
    let (low, high) = if low < max {
        (low, max)
    } else {
        let margin = (max.abs() / 20.0).max(0.5);
        // What cannot be negative is not shown to be.
        let least = if low < 0.0 { f64::MIN } else { 0.0 };
        ((low - margin).max(least), (max + margin).min(f64::MAX))
    };
    let (factor, unit) = prefixed(low.abs().max(high.abs()), unit);
    let step = nice_step((high - low) / factor / MARKS);
    let (first, last) = ((low / factor / step).floor(), (high / factor / step).ceil());
    let (count, ends) = (last - first, [first, last].map(|end| end * step * factor));
    let few = (1.0..=4.0 * MARKS).contains(&count);
    // Numbers at the end of what can be computed with, or nearer to each other than to be told apart.
    if !few || !ends.iter().all(|end| end.is_finite()) || ends[0] >= ends[1] {
        let ends = [low, high].map(|value| (value, significant(value)));
        return Axis {
            low,
            high,
            marks: ends.to_vec(),
        };
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let marks = (0..=count as u32).map(|at| {
        let value = (first + f64::from(at)) * step;
        // Minus zero would read "-0".
        let text = if step < 1e7 {
            format!("{:.decimals$}", value + 0.0)
        } else {
            significant(value)
        };
        (value * factor, text + &unit_suffix(&unit))
    });
    Axis {
        low: ends[0],
        high: ends[1],
        marks: marks.collect(),
    }
}

/// An axis for the time from the start of the run, in seconds. It ends where the run ends.
pub fn time_axis(seconds: f64) -> Axis {
    let high = if seconds > 0.0 { seconds } else { 1.0 };
    let raw = high / MARKS;
    let last = STEPS.last().copied().unwrap_or(1.0);
    let step = match STEPS.iter().find(|step| **step >= raw) {
        Some(_) if raw < 30.0 => nice_step(raw),
        Some(step) => *step,
        None => last * (raw / last).ceil(),
    };
    let marks = (0..=(high / step) as u32).map(|at| {
        let value = f64::from(at) * step;
        (value, duration(value))
    });
    Axis {
        low: 0.0,
        high,
        marks: marks.collect(),
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let fits = factors
        .iter()
        .find(|factor| **factor * power >= raw * 0.999_999);
    fits.unwrap_or(&10.0) * power
}

/// A quantity with its unit, to three digits or so: `1.50 GiB`, `42.0 %`.
pub fn quantity(value: f64, unit: &str) -> String {
    let (factor, unit) = prefixed(value.abs(), unit);
    format!("{}{}", significant(value / factor), unit_suffix(&unit))
}

/// A duration in the largest unit that leaves no more than two: `9.9 s`, `1 min 30 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        let tenths = format!("{seconds:.1}");
        return format!("{} s", tenths.strip_suffix(".0").unwrap_or(&tenths));
    }
    let whole = seconds.round() as u64;
    let (large, small, name, rest) = match whole {
        0..3600 => (60, 1, "min", "s"),
        3600..86_400 => (3600, 60, "h", "min"),
        _ => (86_400, 3600, "d", "h"),
    };
    match (whole / large, whole % large / small) {
        (count, 0) => format!("{count} {name}"),
        (count, left) => format!("{count} {name} {left} {rest}"),
    }
}

/// The factor and name of the unit that a quantity of this size is best told in.
fn prefixed(size: f64, unit: &str) -> (f64, String) {
    if !matches!(unit, "B" | "B/s") {
        return (1.0, unit.to_owned());
    }
    let mut factor = 1.0;
    for (at, prefix) in BINARY.iter().enumerate() {
        if size < factor * 1024.0 || at + 1 == BINARY.len() {
            return (factor, format!("{prefix}{unit}"));
        }
        factor *= 1024.0;
    }
    (1.0, unit.to_owned())
}

fn unit_suffix(unit: &str) -> String {
    if unit.is_empty() {
        String::new()
    } else {
        format!("\u{a0}{unit}")
    }
}

fn significant(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e7).contains(&size) => format!("{value:.2e}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        let marks = axis.marks.iter();
        marks.map(|(_, text)| text.replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn quantities_read_well() {
        for (value, unit, text) in [
            (0.0, "B", "0 B"),
            (512.0, "B", "512 B"),
            (1536.0, "B", "1.50 KiB"),
            (1_073_741_824.0, "B", "1 GiB"),
            (-2048.0, "B/s", "-2 KiB/s"),
            (42.04, "%", "42.0 %"),
            (0.25, "°C", "0.250 °C"),
            (123.4, "", "123"),
            (1e-9, "", "1.00e-9"),
            (f64::MAX, "", "1.80e308"),
        ] {
            assert_eq!(quantity(value, unit).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (9.91, "9.9 s"),
            (59.0, "59 s"),
            (60.0, "1 min"),
            (90.0, "1 min 30 s"),
            (7500.0, "2 h 5 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn axes_have_round_marks() {
        let gib = 1024.0 * 1024.0 * 1024.0;
        for (min, max, unit, marks) in [
            (3.0, 180.0, "%", "0 % 50 % 100 % 150 % 200 %"),
            (90.0, 100.0, "%", "90 % 92 % 94 % 96 % 98 % 100 %"),
            (1.0 * gib, 3.0 * gib, "B", "0 GiB 1 GiB 2 GiB 3 GiB"),
            (-1.0, 1.0, "", "-1.0 -0.5 0.0 0.5 1.0"),
            (0.0, 0.0, "", "0.0 0.1 0.2 0.3 0.4 0.5"),
            (5.0, 5.0, "", "4.4 4.6 4.8 5.0 5.2 5.4 5.6"),
        ] {
            assert_eq!(
                texts(&axis(min, max, unit)).join(" "),
                marks,
                "{min}..{max}"
            );
        }
    }

    #[test]
    fn time_axes_have_round_marks() {
        for (seconds, marks) in [
            (0.0, "0 s 0.2 s 0.4 s 0.6 s 0.8 s 1 s"),
            (9.9, "0 s 2 s 4 s 6 s 8 s"),
            (600.0, "0 s 2 min 4 min 6 min 8 min 10 min"),
            (86_400.0, "0 s 6 h 12 h 18 h 1 d"),
        ] {
            assert_eq!(texts(&time_axis(seconds)).join(" "), marks, "{seconds}");
        }
    }

    #[test]
    fn no_numbers_break_an_axis() {
        let values = [0.0, -0.0, 1e-320, 1.0, 1e16, 1e16 + 2.0, f64::MAX, f64::MIN];
        for min in values {
            for max in values.into_iter().filter(|max| *max >= min) {
                for unit in ["", "B"] {
                    let axis = axis(min, max, unit);
                    let name = format!("{min:e} to {max:e} {unit}: {axis:?}");
                    assert!((2..=21).contains(&axis.marks.len()), "{name}");
                    assert!(axis.low < axis.high, "{name}");
                    for value in [min, max] {
                        assert!((-0.01..=1.01).contains(&axis.place(value)), "{name}");
                    }
                }
            }
        }
        assert!(time_axis(1e9).marks.len() < 10);
    }
}
