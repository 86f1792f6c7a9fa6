//! What is sent: sizes, paces, how many messages and for how long.
//!
//! Absent: who sends it.

use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What a round of one row takes of a size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub bytes: usize,
    /// Time between two messages that are timed.
    pub pace: Duration,
    /// For how long messages are timed.
    pub timed: Duration,
}

const fn size(bytes: usize, pace: u64, timed: u64) -> Size {
    Size {
        bytes,
        pace: Duration::from_millis(pace),
        timed: Duration::from_millis(timed),
    }
}

/// All sizes: 500 messages per second, and fewer where one takes long.
pub const SIZES: [Size; 8] = [
    size(8, 2, 700),
    size(64, 2, 700),
    size(512, 2, 700),
    size(4 * KIB, 2, 700),
    size(40 * KIB, 2, 700),
    size(400 * KIB, 5, 600),
    size(4 * MIB, 25, 600),
    size(40 * MIB, 250, 1_500),
];

/// Between two ticks to a sender that sends all at the first: no divisor of a pace, or the ticks' thread would wake just
/// when messages are sent.
pub const START_MILLIS: u64 = 97;

/// For how long messages go as fast as they can.
const FLOOD: Duration = Duration::from_millis(250);

/// Bytes that wait for a reader, and how many messages may: of those that are timed none is to be lost, and those that come
/// as fast as they go come in batches.
const WAITING: usize = 64 * MIB;
const QUEUE: usize = 1_000;

/// What one run sends.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Size of a message, at least 8.
    pub bytes: usize,
    /// How many at most.
    pub count: u64,
    /// Time between two of them, which carry the time; zero for as fast as they go.
    pub pace: Duration,
    /// How long at most; zero for as long as it takes.
    pub limit: Duration,
}

impl Load {
    /// Messages that are timed, for this part of the time.
    pub fn paced(size: &Size, part: f64) -> Self {
        let count = size.timed.as_secs_f64() * part / size.pace.as_secs_f64();
        Self {
            bytes: size.bytes,
            // Less is no median.
            count: (count as u64).max(3),
            pace: size.pace,
            limit: Duration::ZERO,
        }
    }

    /// Messages as fast as they go, for this part of the time.
    pub fn flood(size: &Size, part: f64) -> Self {
        Self {
            bytes: size.bytes,
            count: 1_000_000_000,
            pace: Duration::ZERO,
            limit: FLOOD.mul_f64(part),
        }
    }

    /// The same with one message: what starts and ends by itself costs.
    pub fn single(size: &Size) -> Self {
        Self {
            count: 1,
            ..Self::flood(size, 1.0)
        }
    }

    /// Whether messages carry the time.
    pub fn is_timed(&self) -> bool {
        !self.pace.is_zero()
    }

    /// The queue of the reader.
    pub fn queue(&self) -> usize {
        (WAITING / self.bytes).clamp(4, QUEUE)
    }
}
