//! Sends messages at a pace, each with the time on it, or as fast as readers take them.
//!
//! Invariant: what is sent exists before the time is taken; what is measured is the way, not the making. Absent: what
//! becomes of it, which the reader tells.

use crate::clock;
use arrow_array::UInt8Array;
use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Up to this size data are copied into the message; larger ones are handed over.
const COPIED: usize = 4_096;
/// Small messages are so fast that a look at the clock for each would be part of what is measured.
const LOOK: u64 = 64;

/// What a descriptor may set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Bytes per message, at least 8.
    bytes: usize,
    /// How many messages to send before the node ends.
    count: u64,
    /// Microseconds between two messages, each of which carries the time in its first 8 bytes. With 0 they go as fast as
    /// readers take them, and carry the time of the first.
    micros: u64,
    /// Milliseconds after which the node ends, although messages are left; with 0 it sends them all.
    millis: u64,
    /// Messages per message on the input, whose ticks are then the pace; with 0 the first one starts them all.
    burst: u64,
    /// Whether data are written into the host's memory from the beginning.
    in_place: bool,
    /// Where to write how many were sent.
    file: Option<PathBuf>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            bytes: 8,
            count: 1_000,
            micros: 2_000,
            millis: 0,
            burst: 0,
            in_place: false,
            file: None,
        }
    }
}

/// A message before it is sent.
enum Data {
    Small,
    Large(Vec<u8>),
    Again,
    InPlace(Buffer<u8>),
}

/// The node.
pub struct Sender {
    load: Load,
    /// Copied into each small message.
    small: Vec<u8>,
    /// What large messages are that do not differ.
    large: UInt8Array,
    sent: u64,
    started: Option<Instant>,
    /// The time of the first message.
    stamp: [u8; 8],
}

impl Node for Sender {
    type Config = Load;

    fn kind() -> Kind {
        Kind::new("sender")
            .about("Sends messages of one size, and measures with a `reader`")
            .input(Port::new("start").about("Any message; usually a timer"))
            .output(Port::new("out").of("UInt8"))
    }

    fn create(load: Load, _: &Context<'_>) -> Result<Self> {
        Ok(Self {
            small: vec![1; load.bytes.clamp(8, COPIED)],
            large: Vec::<u8>::new().into(),
            load,
            sent: 0,
            started: None,
            stamp: [0; 8],
        })
    }

    fn on_input(&mut self, _: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        let started = match self.started {
            Some(started) => started,
            None => self.start(),
        };
        let pace = Duration::from_micros(self.load.micros);
        let sleeps = self.load.burst == 0 && !pace.is_zero();
        let all = match self.load.burst {
            0 => self.load.count,
            burst => self.load.count.min(self.sent + burst),
        };
        let mut due = started;
        while self.sent < all && !self.is_over(started) {
            // Not while the last message is on its way, which would slow it down.
            sleep_until(due + pace / 2, sleeps);
            let data = self.data(outputs)?;
            due += pace;
            sleep_until(due, sleeps);
            self.send(data, outputs)?;
            self.sent += 1;
        }
        if self.sent < self.load.count && !self.is_over(started) {
            return Ok(Flow::Continue);
        }
        if let Some(file) = &self.load.file {
            std::fs::write(file, format!("{}\n", self.sent))?;
        }
        Ok(Flow::Done)
    }
}

impl Sender {
    fn start(&mut self) -> Instant {
        let Load {
            bytes,
            micros,
            in_place,
            ..
        } = self.load;
        let mut large = match bytes > COPIED && micros == 0 && !in_place {
            true => vec![1; bytes],
            false => vec![1; 8],
        };
        self.stamp = clock::now().to_ne_bytes();
        self.small[..8].copy_from_slice(&self.stamp);
        large[..8].copy_from_slice(&self.stamp);
        self.large = large.into();
        *self.started.insert(Instant::now())
    }

    fn is_over(&self, started: Instant) -> bool {
        let looks = self.load.bytes > COPIED || self.sent.is_multiple_of(LOOK);
        let limit = Duration::from_millis(self.load.millis);
        looks && !limit.is_zero() && started.elapsed() >= limit
    }

    fn data(&self, outputs: &Outputs) -> Result<Data> {
        let Load { bytes, micros, .. } = self.load;
        if self.load.in_place {
            let mut room = outputs.buffer("out", bytes.max(8))?;
            if micros > 0 {
                room.fill(1);
            }
            return Ok(Data::InPlace(room));
        }
        Ok(match (bytes > COPIED, micros > 0) {
            (false, _) => Data::Small,
            // Written, so that whoever copies them does not wait for the system to make their pages.
            (true, true) => Data::Large(vec![1; bytes]),
            (true, false) => Data::Again,
        })
    }

    fn send(&mut self, data: Data, outputs: &Outputs) -> Result<()> {
        let (timed, first) = (self.load.micros > 0, self.stamp);
        let stamp = |bytes: &mut [u8]| {
            let stamp = if timed {
                clock::now().to_ne_bytes()
            } else {
                first
            };
            bytes[..8].copy_from_slice(&stamp);
        };
        match data {
            Data::Small => {
                if timed {
                    stamp(&mut self.small);
                }
                outputs.send("out", self.small.as_slice())?;
            }
            Data::Large(mut large) => {
                stamp(&mut large);
                outputs.send("out", large)?;
            }
            Data::Again => outputs.send("out", &self.large)?,
            Data::InPlace(mut room) => {
                stamp(&mut room);
                room.send()?;
            }
        }
        Ok(())
    }
}

/// Does nothing without a pace: the clock takes its time, too.
fn sleep_until(time: Instant, sleeps: bool) {
    if sleeps {
        std::thread::sleep(time.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::Sender;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    fn lengths(node: &mut Harness<Sender>) -> Vec<usize> {
        let sent = node.take("out");
        sent.iter().map(|message| message.len()).collect()
    }

    #[test]
    fn sends_all_at_the_first_tick_or_a_burst_at_each() {
        for bytes in [8, 40_960] {
            for (micros, in_place) in [(0, false), (0, true), (1, false), (1, true)] {
                let load =
                    format!("\"bytes\": {bytes}, \"micros\": {micros}, \"in_place\": {in_place}");
                let all = format!("{{\"count\": 3, {load}}}");
                let mut node = Harness::<Sender>::new(&all).expect("it starts");
                assert_eq!(node.input("start", ()), Ok(Flow::Done));
                assert_eq!(lengths(&mut node), [bytes; 3], "{all}");

                let bursts = format!("{{\"count\": 3, \"burst\": 2, {load}}}");
                let mut node = Harness::<Sender>::new(&bursts).expect("it starts");
                assert_eq!(node.input("start", ()), Ok(Flow::Continue));
                assert_eq!(lengths(&mut node), [bytes; 2], "{bursts}");
                assert_eq!(node.input("start", ()), Ok(Flow::Done));
                assert_eq!(lengths(&mut node), [bytes; 1], "{bursts}");
            }
        }
    }

    #[test]
    fn is_over_after_its_time() {
        let config = r#"{"count": 1000000000, "micros": 0, "millis": 1}"#;
        let mut node = Harness::<Sender>::new(config).expect("it starts");
        assert_eq!(node.input("start", ()), Ok(Flow::Done));
        assert!(!node.take("out").is_empty());
    }
}
