//! Passes each message on.
//!
//! Absent: a look at what is in it.

use plugin_abi::prelude::*;

/// The node. It keeps nothing.
pub struct Relay;

impl Node for Relay {
    type Config = NoConfig;

    fn kind() -> Kind {
        Kind::new("relay")
            .about("Passes each message on")
            .input(Port::new("in"))
            .output(Port::new("out"))
    }

    fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        outputs.send("out", input.message())?;
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::Relay;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    #[test]
    fn passes_on_what_comes() {
        let mut node = Harness::<Relay>::new("{}").expect("it starts");
        assert_eq!(node.input("in", 7_u64), Ok(Flow::Continue));
        let sent = node.take("out");
        assert_eq!(
            sent.iter().map(|it| it.value::<u64>()).collect::<Vec<_>>(),
            [Ok(7)]
        );
    }
}
