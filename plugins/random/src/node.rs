//! Sends a random number on each tick, and ends by itself.

use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a descriptor may set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many numbers to send before the node ends.
    count: u64,
    /// Starts the sequence: equal seeds give equal numbers. Without one each run differs.
    seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            count: 100,
            seed: None,
        }
    }
}

/// The node: a generator and how many numbers are still to come.
pub struct Random {
    generator: fastrand::Rng,
    left: u64,
}

impl Node for Random {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("random")
            .about("Sends a random number on each tick")
            .input(Port::new("tick").about("Any message; usually a timer"))
            .output(Port::new("random").of("UInt64").about("A random number"))
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        let generator = config
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Ok(Self {
            generator,
            left: config.count,
        })
    }

    fn on_input(&mut self, _tick: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        if self.left > 0 {
            outputs.send("random", self.generator.u64(..))?;
            self.left -= 1;
        }
        Ok(if self.left == 0 {
            Flow::Done
        } else {
            Flow::Continue
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Random;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;
    use std::time::Duration;

    fn numbers(config: &str) -> Vec<u64> {
        let mut node = Harness::<Random>::new(config).expect("it starts");
        node.timer("tick", Duration::from_millis(10));
        node.advance(Duration::from_secs(10)).expect("it runs");
        let sent = node.take("random");
        sent.iter()
            .map(|message| message.value().expect("a number"))
            .collect()
    }

    #[test]
    fn sends_as_many_numbers_as_asked_and_a_hundred_by_default() {
        assert_eq!(numbers(r#"{"count": 3}"#).len(), 3);
        assert_eq!(numbers("{}").len(), 100);
        assert_eq!(numbers(r#"{"count": 0}"#).len(), 0);
    }

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let config = r#"{"count": 5, "seed": 7}"#;
        assert_eq!(numbers(config), numbers(config));
        assert_ne!(numbers(config), numbers(r#"{"count": 5, "seed": 8}"#));
    }

    #[test]
    fn is_done_with_the_last_number() {
        let mut node = Harness::<Random>::new(r#"{"count": 2}"#).expect("it starts");
        assert_eq!(node.input("tick", ()), Ok(Flow::Continue));
        assert_eq!(node.input("tick", ()), Ok(Flow::Done));
    }

    #[test]
    fn refuses_a_config_that_it_does_not_know() {
        let error = Harness::<Random>::new(r#"{"cuont": 3}"#).expect_err("misspelt");
        assert!(error.text.contains("unknown field `cuont`"), "{error}");
    }
}
