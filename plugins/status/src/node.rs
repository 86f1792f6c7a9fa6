//! Counts ticks and says so with each random number that comes.

use plugin_abi::prelude::*;

/// The node: how many ticks have come.
#[derive(Default)]
pub struct Status {
    ticks: u64,
}

impl Node for Status {
    type Config = NoConfig;

    fn kind() -> Kind {
        Kind::new("status")
            .about("Counts ticks and reports each random number with their count")
            .input(Port::new("tick").about("Any message; usually a timer"))
            .input(
                Port::new("random")
                    .of("UInt64")
                    .about("The number to report"),
            )
            .output(Port::new("status").of("Utf8").about("The report"))
    }

    fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
        Ok(Self::default())
    }

    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        match input.name() {
            "tick" => self.ticks += 1,
            _ => {
                let number: u64 = input.value()?;
                let ticks = self.ticks;
                let report =
                    format!("operator received random value {number:#x} after {ticks} ticks");
                outputs.send("status", report)?;
            }
        }
        Ok(Flow::Continue)
    }

    fn on_input_closed(&mut self, input: &str, _: &Outputs) -> Result<Flow> {
        // Ticks never end: without numbers there is nothing left to report.
        Ok(if input == "random" {
            Flow::Done
        } else {
            Flow::Continue
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Status;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    #[test]
    fn reports_each_number_with_the_ticks_so_far() {
        let mut node = Harness::<Status>::new("{}").expect("it starts");
        node.input("random", 255_u64).expect("a number");
        node.input("tick", ()).expect("a tick");
        node.input("random", 0_u64).expect("a number");
        let sent = node.take("status");
        let texts: Vec<_> = sent
            .iter()
            .map(|message| message.text().expect("text"))
            .collect();
        assert_eq!(
            texts,
            [
                "operator received random value 0xff after 0 ticks",
                "operator received random value 0x0 after 1 ticks"
            ]
        );
    }

    #[test]
    fn ends_with_the_numbers_not_with_the_ticks() {
        let mut node = Harness::<Status>::new("{}").expect("it starts");
        assert_eq!(node.close("tick"), Ok(Flow::Continue));
        assert_eq!(node.close("random"), Ok(Flow::Done));
    }

    #[test]
    fn fails_on_what_is_no_number() {
        let mut node = Harness::<Status>::new("{}").expect("it starts");
        let error = node.input("random", "seven").expect_err("text");
        assert_eq!(error.text, "expected UInt64, got Utf8");
    }
}
