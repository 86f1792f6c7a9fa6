//! Sends a sample of this machine on each tick.

use crate::machine::{Machine, host_name};
use crate::reading::{SAMPLE, to_array};
use host_readings::{HOST, SEQUENCE};
use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// What a descriptor may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many samples to send before the node ends. Without it, until the dataflow is stopped.
    count: Option<u64>,
    /// A path on the disk to watch. Without it, the disk of the current folder.
    disk: Option<PathBuf>,
    /// The network interface to watch. Without it, all but loopback together.
    interface: Option<String>,
}

/// The node: the machine, and how many samples have been sent and are still to come.
pub struct Sampler {
    machine: Machine,
    host: Option<String>,
    sequence: i64,
    left: Option<u64>,
}

impl Node for Sampler {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("sampler")
            .about("Samples load, memory, disk, network and temperature of this machine")
            .input(Port::new("tick").about("Any message; usually a timer"))
            .output(
                Port::new("sample")
                    .of(SAMPLE)
                    .about("One row; null where this machine has nothing to say"),
            )
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        Ok(Self {
            machine: Machine::open(config.disk.as_deref(), config.interface.as_deref())?,
            host: host_name(),
            sequence: 0,
            left: config.count,
        })
    }

    fn on_input(&mut self, _tick: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        if self.left != Some(0) {
            self.send(outputs)?;
            self.sequence += 1;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(if self.left == Some(0) {
            Flow::Done
        } else {
            Flow::Continue
        })
    }
}

impl Sampler {
    fn send(&mut self, outputs: &Outputs) -> Result<()> {
        let sample = to_array(&self.machine.read())?;
        let mut parameters = Parameters::new().with(SEQUENCE, self.sequence);
        if let Some(host) = &self.host {
            parameters.set(HOST, host.as_str());
        }
        outputs.send_with("sample", &sample as &dyn arrow_array::Array, &parameters)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, Sampler, host_name};
    use crate::reading::SAMPLE;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use host_readings::columns;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn sends_the_declared_struct_with_sequence_host_and_time() {
        let mut node = Harness::<Sampler>::new("{}").expect("it starts");
        node.timer("tick", Duration::from_millis(100));
        assert_eq!(node.advance(Duration::from_secs(1)), Ok(Flow::Continue));
        let sent = node.take("sample");
        assert_eq!(sent.len(), 10);
        for (at, message) in sent.iter().enumerate() {
            assert_eq!((message.data_type().as_str(), message.len()), (SAMPLE, 1));
            let mut expected = Parameters::new().with("sequence", at as i64);
            if let Some(host) = host_name() {
                expected.set("host", host);
            }
            assert_eq!(message.parameters(), Ok(expected));
            let sent_at = UNIX_EPOCH + Duration::from_millis(100) * (at as u32 + 1);
            let stamp = message.timestamp().system_time();
            let early = sent_at.duration_since(stamp).expect("not late");
            assert!(early < Duration::from_micros(1), "{stamp:?}");
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_machine() {
        let mut node = Harness::<Sampler>::new("{}").expect("it starts");
        node.input("tick", ()).expect("a sample");
        let sent = node.take("sample");
        let array = sent[0].array().expect("an array");
        let sample = array.as_struct();
        let total = Machine::open(None, None).expect("it").read().memory_total;
        let memory = columns(sample)
            .into_iter()
            .find(|column| column.name == "memory_total")
            .expect("a column");
        assert_eq!(memory.values, [total.map(|total| total as f64)]);
        assert_eq!(
            memory.unit,
            "B",
            "the unit is gone from {:?}",
            array.data_type()
        );
    }

    #[test]
    fn ends_with_the_last_sample() {
        for (config, expected) in [
            (r#"{"count": 3}"#, 3),
            (r#"{"count": 0}"#, 0),
            (r#"{"count": null}"#, 50),
        ] {
            let mut node = Harness::<Sampler>::new(config).expect("it starts");
            node.timer("tick", Duration::from_millis(100));
            let flow = node.advance(Duration::from_secs(5)).expect("it runs");
            assert_eq!(flow == Flow::Done, expected < 50, "{config}");
            assert_eq!(node.take("sample").len(), expected, "{config}");
        }
    }

    #[test]
    fn refuses_what_this_machine_does_not_have() {
        let error = Harness::<Sampler>::new(r#"{"interface": "none"}"#).expect_err("no such");
        assert!(error.text.contains("there is no \"none\""), "{error}");
    }
}
