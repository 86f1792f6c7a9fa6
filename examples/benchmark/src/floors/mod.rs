//! The floors: what the bare operating system, and bare zenoh, need for the same loads.
//!
//! Invariant: stamps are taken where those of the nodes are. Absent: our code.

mod publishing;
mod stream;
mod wake;

use crate::clock;
use crate::load::Load;
use crate::outcome::Outcome;
use crate::way::Floor;
use eyre::bail;

/// The first argument of this program as a process that takes part; what follows says as what.
pub const PART: &str = "as-part";

/// Measures one.
///
/// # Errors
/// Why there is no outcome.
pub fn run(floor: Floor, load: Load) -> eyre::Result<Outcome> {
    match floor {
        Floor::Wake => wake::run(load),
        Floor::Socket => stream::over_socket(load),
        Floor::Tcp => stream::over_tcp(load),
        Floor::Zenoh(how) => publishing::run(how, load),
    }
}

/// Plays a part in another process than the one that measures.
///
/// # Errors
/// When the other side is gone, or there is no such part.
pub fn play(part: &[&str]) -> eyre::Result<()> {
    match part {
        ["socket-reader", bytes, timed] => stream::read_socket(bytes.parse()?, timed.parse()?),
        ["tcp-reader", port, bytes, timed] => {
            stream::read_tcp(port.parse()?, bytes.parse()?, timed.parse()?)
        }
        ["subscriber", shared, timed] => publishing::subscribe(shared.parse()?, timed.parse()?),
        ["publisher", locator, how, numbers @ ..] => publishing::publish(locator, how, numbers),
        _ => bail!("no such part: {part:?}"),
    }
}

/// What a reader has seen.
struct Seen {
    timed: bool,
    received: u64,
    first: u64,
    last: u64,
    times: Vec<u64>,
}

impl Seen {
    fn new(timed: bool) -> Self {
        Self {
            timed,
            received: 0,
            first: 0,
            last: 0,
            times: Vec::with_capacity(10_000),
        }
    }

    /// A message that came at this time; on it is when it was sent, or without a pace when the first was.
    fn take(&mut self, arrived: u64, message: &[u8]) {
        self.received += 1;
        self.last = arrived;
        let sent = message
            .first_chunk()
            .copied()
            .map_or(arrived, u64::from_ne_bytes);
        if self.received == 1 {
            self.first = sent;
        }
        if self.timed {
            self.times.push(arrived.saturating_sub(sent));
        }
    }

    /// As [`Outcome::read`] takes it.
    fn report(&self) -> String {
        let head = [self.received, self.last.saturating_sub(self.first)];
        let numbers = head.iter().chain(&self.times);
        numbers.map(|number| format!("{number}\n")).collect()
    }
}

/// When to send what is next.
struct Pacing {
    load: Load,
    started: std::time::Instant,
    due: std::time::Instant,
    first: u64,
    sent: u64,
}

/// Small messages are so fast that a look at the clock for each would be part of what is measured.
const LOOK: u64 = 64;
/// Messages that are not small.
const LARGE: usize = 4_096;

impl Pacing {
    fn new(load: Load) -> Self {
        let started = std::time::Instant::now();
        Self {
            load,
            started,
            due: started,
            first: clock::now(),
            sent: 0,
        }
    }

    /// Waits until half of the time has passed: what is made then does not slow down the last message. False at the end.
    fn more(&self) -> bool {
        let Load {
            bytes,
            count,
            pace,
            limit,
        } = self.load;
        let looks = bytes > LARGE || self.sent.is_multiple_of(LOOK);
        let over = looks && !limit.is_zero() && self.started.elapsed() >= limit;
        let more = self.sent < count && !over;
        if more {
            self.sleep_until(self.due + pace / 2);
        }
        more
    }

    /// Waits until the message is to be sent.
    fn now(&mut self) {
        self.due += self.load.pace;
        self.sleep_until(self.due);
        self.sent += 1;
    }

    /// What is on the message that is sent now.
    fn stamp(&self) -> [u8; 8] {
        let time = match self.load.is_timed() {
            true => clock::now(),
            false => self.first,
        };
        time.to_ne_bytes()
    }

    /// Does nothing without a pace: the clock takes its time, too.
    fn sleep_until(&self, time: std::time::Instant) {
        if self.load.is_timed() {
            std::thread::sleep(time.saturating_duration_since(std::time::Instant::now()));
        }
    }
}
