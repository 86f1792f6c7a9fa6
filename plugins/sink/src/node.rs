//! Prints each report that it receives, and fails on anything else.

use plugin_abi::prelude::*;
use std::io::Write;

/// The node. It keeps nothing.
pub struct Sink;

impl Node for Sink {
    type Config = NoConfig;

    fn kind() -> Kind {
        Kind::new("sink")
            .about("Prints each report on the standard output")
            .input(
                Port::new("message")
                    .of("Utf8")
                    .about("A report of a status node"),
            )
    }

    fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_input(&mut self, input: Input<'_>, _: &Outputs) -> Result<Flow> {
        let text = input.text()?;
        if !is_report(text) {
            return Err(format!("received unexpected message: {text}").into());
        }
        writeln!(std::io::stdout(), "sink received message: {text}")?;
        Ok(Flow::Continue)
    }
}

/// Whether text reads `operator received random value 0x… after N ticks`.
fn is_report(text: &str) -> bool {
    let numbers = text
        .strip_prefix("operator received random value 0x")
        .and_then(|rest| {
            let (value, rest) = rest.split_once(" after ")?;
            Some((value, rest.strip_suffix(" ticks")?))
        });
    numbers.is_some_and(|(value, ticks)| {
        u64::from_str_radix(value, 16).is_ok() && ticks.parse::<u64>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{Sink, is_report};
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    #[test]
    fn knows_a_report() {
        assert!(is_report(
            "operator received random value 0xff after 12 ticks"
        ));
        for other in [
            "",
            "operator received random value 0xfg after 12 ticks",
            "operator received random value 0xff after ticks",
            "operator received random value 0xff after 12 ticks!",
        ] {
            assert!(!is_report(other), "{other}");
        }
    }

    #[test]
    fn takes_reports_and_fails_on_other_text() {
        let mut node = Harness::<Sink>::new("{}").expect("it starts");
        let report = "operator received random value 0x1 after 1 ticks";
        assert_eq!(node.input("message", report), Ok(Flow::Continue));
        let error = node.input("message", "hello").expect_err("no report");
        assert_eq!(error.text, "received unexpected message: hello");
        assert!(!error.panicked);
    }
}
