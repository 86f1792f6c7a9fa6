//! The last values of one column, and what they say: the arithmetic, without Arrow and messages.
//!
//! Invariant: at most `limit` values are kept, missing ones included, so that all columns speak of the same time.

use host_readings::Statistic;
use std::collections::VecDeque;
use std::time::Duration;

/// The share of the values that the percentile is not exceeded by.
const SHARE: f64 = 0.95;

/// The last values of a column, oldest first. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Window {
    limit: usize,
    values: VecDeque<(Duration, Option<f64>)>,
}

impl Window {
    /// An empty window for that many values.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            values: VecDeque::new(),
        }
    }

    /// Adds the newest value, `None` for a missing one; the oldest goes when the window is full.
    pub fn push(&mut self, time: Duration, value: Option<f64>) {
        self.values.push_back((time, value));
        if self.values.len() > self.limit {
            self.values.pop_front();
        }
    }

    /// What the values say, under the column's name.
    pub fn statistic(&self, column: &str) -> Statistic {
        let present = self.values.iter();
        let present: Vec<_> = present.filter_map(|(at, v)| Some((*at, (*v)?))).collect();
        let mut sorted: Vec<f64> = present.iter().map(|(_, value)| *value).collect();
        sorted.sort_by(f64::total_cmp);
        Statistic {
            column: column.to_owned(),
            samples: sorted.len() as u64,
            mean: mean(&sorted),
            rate: rate(&present),
            p95: percentile(&sorted, SHARE),
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Change per second from the first to the last value. `None` when no time lies between them.
fn rate(values: &[(Duration, f64)]) -> Option<f64> {
    let ((start, first), (end, last)) = (values.first()?, values.last()?);
    let elapsed = end.checked_sub(*start)?;
    (!elapsed.is_zero()).then(|| (last - first) / elapsed.as_secs_f64())
}

/// The percentile between the two values nearest to it, weighted by their distance (Hyndman and Fan's type 7, the
/// default of R and numpy).
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics of values that come every 100 ms, in a window of `limit`.
    fn of(limit: usize, values: &[Option<f64>]) -> (u64, Option<f64>, Option<f64>, Option<f64>) {
        let mut window = Window::new(limit);
        for (at, value) in values.iter().enumerate() {
            window.push(Duration::from_millis(100) * at as u32, *value);
        }
        let statistic = window.statistic("column");
        let rounded = |value: Option<f64>| value.map(|value| (value * 1e9).round() / 1e9);
        (
            statistic.samples,
            rounded(statistic.mean),
            rounded(statistic.rate),
            rounded(statistic.p95),
        )
    }

    #[test]
    fn mean_rate_and_percentile() {
        let all: Vec<_> = (1..=100).map(|value| Some(f64::from(value))).collect();
        let table = [
            ("nothing", 5, &[][..], (0, None, None, None)),
            ("one", 5, &[Some(3.0)], (1, Some(3.0), None, Some(3.0))),
            ("missing", 5, &[None, None], (0, None, None, None)),
            (
                "two",
                5,
                &[Some(1.0), Some(2.0)],
                (2, Some(1.5), Some(10.0), Some(1.95)),
            ),
            (
                "a gap",
                5,
                &[Some(1.0), None, Some(2.0)],
                (2, Some(1.5), Some(5.0), Some(1.95)),
            ),
            (
                "gaps at the ends",
                5,
                &[None, Some(4.0), Some(2.0), None],
                (2, Some(3.0), Some(-20.0), Some(3.9)),
            ),
            (
                "a hundred",
                100,
                &all,
                (100, Some(50.5), Some(10.0), Some(95.05)),
            ),
            (
                "the last ten",
                10,
                &all,
                (10, Some(95.5), Some(10.0), Some(99.55)),
            ),
            (
                "a window of one",
                1,
                &all,
                (1, Some(100.0), None, Some(100.0)),
            ),
        ];
        for (name, limit, values, expected) in table {
            assert_eq!(of(limit, values), expected, "{name}");
        }
    }

    #[test]
    fn missing_values_push_old_ones_out() {
        let values = [Some(1.0), None, None, Some(5.0)];
        assert_eq!(of(3, &values), (1, Some(5.0), None, Some(5.0)));
    }

    #[test]
    fn values_of_one_moment_have_no_rate() {
        let mut window = Window::new(5);
        for value in [1.0, 2.0] {
            window.push(Duration::from_secs(1), Some(value));
        }
        assert_eq!(window.statistic("column").rate, None);
    }
}
