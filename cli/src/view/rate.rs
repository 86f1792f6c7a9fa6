//! `dora topic hz`: messages in a window of time, as numbers.
//!
//! Invariant: memory is bounded: of more messages than are kept only their number counts. Pure: times are given.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The window is counted in so many parts.
const PARTS: u32 = 100;

/// Messages of a window that moves on. Times count from the begin of the measurement.
#[derive(Debug)]
pub struct Rate {
    window: Duration,
    parts: VecDeque<Part>,
    last: Option<Duration>,
}

/// What came within a part of the window.
#[derive(Debug, Default)]
struct Part {
    index: u64,
    messages: u64,
    bytes: u64,
    lost: u64,
    /// The shortest and the longest time between a message and the one before.
    gaps: Option<(Duration, Duration)>,
}

/// What the window held at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Messages per second.
    pub hz: f64,
    /// Bytes of data per second.
    pub bytes: f64,
    /// Messages in the window.
    pub messages: u64,
    /// Messages that did not come through.
    pub lost: u64,
    /// The shortest and the longest time between two messages.
    pub gaps: Option<(Duration, Duration)>,
}

impl Rate {
    /// Nothing has come yet. The window is longer than a millisecond.
    pub fn new(window: Duration) -> Self {
        Self {
            window: window.max(Duration::from_millis(1)),
            parts: VecDeque::new(),
            last: None,
        }
    }

    /// A message came.
    pub fn message(&mut self, now: Duration, bytes: usize) {
        let gap = self.last.map(|last| now.saturating_sub(last));
        self.last = Some(now);
        let part = self.part(now);
        part.messages += 1;
        part.bytes += bytes as u64;
        if let Some(gap) = gap {
            let (least, most) = part.gaps.unwrap_or((gap, gap));
            part.gaps = Some((least.min(gap), most.max(gap)));
        }
    }

    /// Messages were lost. The time until the next one says nothing then.
    pub fn lost(&mut self, now: Duration, messages: u64) {
        self.last = None;
        self.part(now).lost += messages;
    }

    /// What the window holds.
    pub fn at(&mut self, now: Duration) -> Measured {
        let oldest = self.index(now).saturating_sub(u64::from(PARTS) - 1);
        while self.parts.front().is_some_and(|part| part.index < oldest) {
            self.parts.pop_front();
        }
        let sum = |count: fn(&Part) -> u64| self.parts.iter().map(count).sum::<u64>();
        let (messages, bytes, lost) =
            (sum(|it| it.messages), sum(|it| it.bytes), sum(|it| it.lost));
        let covered = now.saturating_sub(self.length() * u32::try_from(oldest).unwrap_or(u32::MAX));
        let seconds = covered.as_secs_f64().max(f64::MIN_POSITIVE);
        let gaps = self.parts.iter().filter_map(|part| part.gaps);
        Measured {
            hz: messages as f64 / seconds,
            bytes: bytes as f64 / seconds,
            messages,
            lost,
            gaps: gaps.reduce(|(a, b), (c, d)| (a.min(c), b.max(d))),
        }
    }

    fn length(&self) -> Duration {
        self.window / PARTS
    }

    fn index(&self, now: Duration) -> u64 {
        let index = now.as_nanos() / self.length().as_nanos().max(1);
        u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// The part of this moment; one that is late counts to the latest.
    fn part(&mut self, now: Duration) -> &mut Part {
        let index = self.index(now);
        let is_new = self.parts.back().is_none_or(|latest| latest.index < index);
        let latest = match is_new {
            true => None,
            false => self.parts.pop_back(),
        };
        if self.parts.len() >= PARTS as usize {
            self.parts.pop_front();
        }
        let fresh = || Part {
            index,
            ..Part::default()
        };
        self.parts.push_back_mut(latest.unwrap_or_else(fresh))
    }
}

impl Measured {
    /// As an object.
    pub fn json(&self) -> Value {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        json!({
            "hz": self.hz,
            "bytes_per_second": self.bytes,
            "messages": self.messages,
            "lost": self.lost,
            "shortest_ms": self.gaps.map(|(least, _)| millis(least)),
            "longest_ms": self.gaps.map(|(_, most)| millis(most)),
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} Hz  {}/s", self.hz, size(self.bytes))?;
        if let Some((least, most)) = self.gaps {
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            write!(f, "  every {:.2} to {:.2} ms", millis(least), millis(most))?;
        }
        write!(f, "  {} messages  {} lost", self.messages, self.lost)
    }
}

/// `812 B`, `1.2 KB`, `3.4 MB`.
fn size(bytes: f64) -> String {
    match bytes {
        ..1e3 => format!("{bytes:.0} B"),
        ..1e6 => format!("{:.1} KB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_output_is_measured_from_its_first_second_on() {
        let mut rate = Rate::new(10_000 * MS);
        for n in 1..=100 {
            rate.message(n * 10 * MS, 8);
        }
        let measured = rate.at(1000 * MS);
        assert_eq!(
            measured.to_string(),
            "100.0 Hz  800 B/s  every 10.00 to 10.00 ms  100 messages  0 lost"
        );
        let json = measured.json().to_string();
        let expected = r#"{"hz":100.0,"bytes_per_second":800.0,"messages":100,"lost":0,"shortest_ms":10.0,"longest_ms":10.0}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut rate = Rate::new(1_000 * MS);
        rate.message(5 * MS, 1_000_000);
        rate.lost(6 * MS, 3);
        for n in 0..50 {
            rate.message(5_000 * MS + n * 10 * MS, 1);
        }
        assert_eq!(rate.at(5_500 * MS).messages, 50);
        assert_eq!(rate.at(5_500 * MS).lost, 0);
        assert_eq!(
            rate.at(60_000 * MS).to_string(),
            "0.0 Hz  0 B/s  0 messages  0 lost"
        );
    }

    #[test]
    fn a_gap_with_losses_is_no_interval() {
        let mut rate = Rate::new(1_000 * MS);
        rate.message(10 * MS, 1);
        rate.lost(400 * MS, 7);
        rate.message(500 * MS, 1);
        rate.message(520 * MS, 1);
        let measured = rate.at(1_000 * MS);
        assert_eq!(measured.gaps, Some((20 * MS, 20 * MS)));
        assert_eq!((measured.messages, measured.lost), (3, 7));
    }

    #[test]
    fn memory_is_bounded() {
        let mut rate = Rate::new(MS);
        for n in 0..100_000 {
            rate.message(n * MS, 1);
        }
        assert!(rate.parts.len() <= PARTS as usize);
    }
}
