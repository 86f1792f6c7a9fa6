//! What the chart shows: the course of each column, in memory that does not grow with time.
//!
//! Invariant: a series holds at most [`LIMIT`] buckets. When it is full, neighbours merge, so a long run is drawn
//! from coarser buckets, and no lowest or highest value is lost. Absent: how it is drawn.

use arrow_array::StructArray;
use host_readings::{Statistic, columns};

/// Buckets of a series: about one per pixel of the chart. Even, so that neighbours pair up.
const LIMIT: usize = 800;

/// Rows that follow each other. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Time of the first row.
    pub from: i64,
    /// Time of the last row.
    pub to: i64,
    /// The lowest value; of use only when `count` is not 0.
    pub min: f64,
    /// The highest value; of use only when `count` is not 0.
    pub max: f64,
    sum: f64,
    /// How many of the rows have a value.
    pub count: u64,
}

impl Bucket {
    fn of(time: i64, value: Option<f64>) -> Self {
        Self {
            from: time,
            to: time,
            min: value.unwrap_or(f64::INFINITY),
            max: value.unwrap_or(f64::NEG_INFINITY),
            sum: value.unwrap_or(0.0),
            count: u64::from(value.is_some()),
        }
    }

    fn merged(self, later: &Self) -> Self {
        Self {
            from: self.from,
            to: later.to,
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            sum: self.sum + later.sum,
            count: self.count + later.count,
        }
    }

    /// Mean of the values; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// The course of one number.
#[derive(Debug, Clone)]
pub struct Series {
    buckets: Vec<Bucket>,
    /// Rows that make a bucket full.
    rows: u64,
    /// Rows in the last bucket.
    filled: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            rows: 1,
            filled: 0,
        }
    }
}

impl Series {
    /// Adds the next row; `None` is a gap.
    pub fn push(&mut self, time: i64, value: Option<f64>) {
        let bucket = Bucket::of(time, value);
        if let Some(last) = self.buckets.last_mut().filter(|_| self.filled < self.rows) {
            *last = last.merged(&bucket);
            self.filled += 1;
            return;
        }
        if self.buckets.len() >= LIMIT {
            self.halve();
        }
        self.buckets.push(bucket);
        self.filled = 1;
    }

    /// Merges neighbours. All buckets are full when this is called, and are so afterwards.
    fn halve(&mut self) {
        let pairs = self.buckets.chunks(2);
        self.buckets = pairs.filter_map(merge).collect();
        self.rows *= 2;
    }

    /// The buckets, in the order of time.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// All rows as one bucket; `None` when none of them has a value.
    pub fn summary(&self) -> Option<Bucket> {
        merge(&self.buckets).filter(|all| all.count > 0)
    }

    /// The last value, or the mean of the last bucket in a long run.
    pub fn last(&self) -> Option<f64> {
        self.buckets.iter().rev().find_map(Bucket::mean)
    }
}

fn merge(buckets: &[Bucket]) -> Option<Bucket> {
    let (first, rest) = buckets.split_first()?;
    Some(rest.iter().fold(*first, |all, later| all.merged(later)))
}

/// One column of the samples, and what the statistics said of it.
#[derive(Debug, Clone)]
pub struct Track {
    /// The column's name.
    pub name: String,
    /// Unit of its values.
    pub unit: String,
    /// Whether its values only ever rise, so that the rate is what to show.
    pub counter: bool,
    /// The values themselves.
    pub values: Series,
    /// Their rolling means.
    pub means: Series,
    /// Their rates, per second.
    pub rates: Series,
    /// The last statistic.
    pub last: Option<Statistic>,
}

/// The whole run so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Name of the machine, once known.
    pub host: Option<String>,
    /// Rows so far.
    pub samples: u64,
    /// Time of the first and the last message, in nanoseconds since the epoch.
    pub span: Option<(i64, i64)>,
    /// The columns of the first sample that hold numbers.
    pub tracks: Vec<Track>,
}

impl History {
    /// Adds a sample.
    pub fn add_sample(&mut self, time: i64, sample: &StructArray) {
        let columns = columns(sample);
        if self.tracks.is_empty() {
            self.tracks = columns.iter().map(Track::of).collect();
        }
        for column in columns {
            if let Some(track) = self.track(column.name) {
                for value in column.values {
                    track.values.push(time, value);
                }
            }
        }
        self.samples += arrow_array::Array::len(sample) as u64;
        self.extend(time);
    }

    /// Adds statistics. Those of columns that no sample has shown yet are left out.
    pub fn add_statistics(&mut self, time: i64, statistics: Vec<Statistic>) {
        for statistic in statistics {
            if let Some(track) = self.track(&statistic.column) {
                track.means.push(time, statistic.mean);
                track.rates.push(time, statistic.rate);
                track.last = Some(statistic);
            }
        }
        self.extend(time);
    }

    fn track(&mut self, name: &str) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.name == name)
    }

    fn extend(&mut self, time: i64) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }
}

impl Track {
    fn of(column: &host_readings::Column<'_>) -> Self {
        Self {
            name: column.name.to_owned(),
            unit: column.unit.to_owned(),
            counter: column.counter,
            values: Series::default(),
            means: Series::default(),
            rates: Series::default(),
            last: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_stays_small_and_loses_no_extreme() {
        let mut series = Series::default();
        let rows = 10 * LIMIT as i64 + 3;
        for at in 0..rows {
            let value = match at {
                1234 => Some(-5.0),
                4321 => Some(99.0),
                _ => (at % 10 > 0).then_some(1.0),
            };
            series.push(at, value);
        }
        let buckets = series.buckets();
        assert!(buckets.len() <= LIMIT && buckets.len() > LIMIT / 2);
        let summary = series.summary().expect("values");
        assert_eq!((summary.min, summary.max), (-5.0, 99.0));
        assert_eq!((summary.from, summary.to), (0, rows - 1));
        let with_value = (0..rows).filter(|at| at % 10 > 0).count();
        assert_eq!(summary.count, with_value as u64);
        let follow = buckets.windows(2).all(|two| two[0].to + 1 == two[1].from);
        assert!(follow, "rows are lost or doubled");
    }

    #[test]
    fn a_short_run_keeps_each_row() {
        let mut series = Series::default();
        for (at, value) in [Some(1.0), None, Some(3.0)].into_iter().enumerate() {
            series.push(at as i64, value);
        }
        let means: Vec<_> = series.buckets().iter().map(Bucket::mean).collect();
        assert_eq!(means, [Some(1.0), None, Some(3.0)]);
        assert_eq!(series.last(), Some(3.0));
        assert_eq!(series.summary().and_then(|all| all.mean()), Some(2.0));
        assert_eq!(Series::default().summary(), None);
    }
}
