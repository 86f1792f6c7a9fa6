//! What is made of times, and how numbers are written.
//!
//! Absent: measuring, and what a table says.

/// Of sorted nanoseconds, the time below which so many of a hundred lie, in microseconds: the largest where there are too
/// few to tell.
pub fn percentile(times: &[u64], percent: f64) -> Option<f64> {
    let at = (times.len() as f64 * percent / 100.0) as usize;
    let nanos = times.get(at.min(times.len().checked_sub(1)?))?;
    Some(*nanos as f64 / 1_000.0)
}

/// The one in the middle.
pub fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

/// Bytes, in the largest unit that they fill.
pub fn size(bytes: usize) -> String {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    match bytes {
        MIB.. => format!("{} MiB", bytes / MIB),
        KIB.. => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}

/// A whole number whose digits can be told apart.
pub fn thousands(number: f64) -> String {
    let mut text = format!("{number:.0}");
    let mut at = text.len();
    while at > 3 {
        at -= 3;
        text.insert(at, ',');
    }
    text
}

/// Three digits that count, or all before the point.
pub fn short(number: f64) -> String {
    match number {
        100.0.. => thousands(number),
        10.0.. => format!("{number:.1}"),
        ..0.1 if number > 0.0 => format!("{number:.4}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_there_is() {
        let times: Vec<_> = (1..=1_000).map(|micros| micros * 1_000).collect();
        assert_eq!(percentile(&times, 50.0), Some(501.0));
        assert_eq!(percentile(&times, 99.9), Some(1_000.0));
        assert_eq!(percentile(&times[..3], 99.9), Some(3.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(
            [0.123, 12.34, 1_234.5].map(short),
            ["0.12", "12.3", "1,234"]
        );
        assert_eq!([8, 4 << 10, 40 << 20].map(size), ["8 B", "4 KiB", "40 MiB"]);
    }
}
