//! Takes the time of each message that comes, or counts them.
//!
//! Invariant: the payload is not touched beyond the time that it carries. Absent: percentiles; the report has the times.

use crate::clock;
use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;

/// Of messages without a time on them, the first so many and then each so-manieth are looked at the clock for: for each
/// it would be part of what is measured.
const FIRST: u64 = 4_096;
const LOOK: u64 = 16;

/// What a descriptor may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether each message carries its time, so that it is known how long it took; else all carry that of the first, and it
    /// is known only how many came in which time.
    latencies: bool,
    /// Where to write the report: a number per line, how many messages came, nanoseconds from when the first was sent
    /// to when the last came, and the nanoseconds of each.
    file: Option<PathBuf>,
}

/// The node.
pub struct Reader {
    config: Config,
    latencies: Vec<u64>,
    received: u64,
    first: u64,
    last: u64,
}

impl Node for Reader {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("reader")
            .about("Measures what a `sender` sends, and reports when that has ended")
            .input(Port::new("in").of("UInt8"))
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        Ok(Self {
            latencies: Vec::with_capacity(if config.latencies { 100_000 } else { 0 }),
            config,
            received: 0,
            first: 0,
            last: 0,
        })
    }

    fn on_input(&mut self, input: Input<'_>, _: &Outputs) -> Result<Flow> {
        self.received += 1;
        if !self.config.latencies && self.received > FIRST && !self.received.is_multiple_of(LOOK) {
            return Ok(Flow::Continue);
        }
        self.last = clock::now();
        if self.config.latencies || self.received == 1 {
            let sent = input.bytes()?.first_chunk().copied().unwrap_or_default();
            let sent = u64::from_ne_bytes(sent);
            if self.received == 1 {
                self.first = sent;
            }
            if self.config.latencies {
                self.latencies.push(self.last.saturating_sub(sent));
            }
        }
        Ok(Flow::Continue)
    }

    fn on_stop(&mut self, why: Stop, _: &Outputs) -> Result<()> {
        if let (Stop::InputsClosed, Some(file)) = (why, &self.config.file) {
            let mut lines = format!(
                "{}\n{}\n",
                self.received,
                self.last.saturating_sub(self.first)
            );
            for nanos in &self.latencies {
                writeln!(lines, "{nanos}")?;
            }
            std::fs::write(file, lines)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;
    use crate::clock;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    #[test]
    fn reports_how_long_each_message_took() {
        let folder = std::env::temp_dir();
        let file = folder.join(format!("stopwatch-{}", std::process::id()));
        let config = format!(
            "{{\"latencies\": true, \"file\": {:?}}}",
            file.display().to_string()
        );
        let mut node = Harness::<Reader>::new(&config).expect("it starts");
        for _ in 0..3 {
            let sent = clock::now() - 1_000_000;
            let bytes = sent.to_ne_bytes();
            assert_eq!(node.input("in", bytes.as_slice()), Ok(Flow::Continue));
        }
        node.stop(Stop::InputsClosed).expect("it reports");
        let report = std::fs::read_to_string(&file).expect("a report");
        std::fs::remove_file(&file).expect("it is there");
        let numbers: Vec<u64> = report
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        assert_eq!((numbers.len(), numbers[0]), (5, 3), "{report}");
        assert!(
            numbers[2..].iter().all(|nanos| *nanos >= 1_000_000),
            "{report}"
        );
    }
}
