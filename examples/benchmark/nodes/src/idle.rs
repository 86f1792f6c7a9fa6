//! Runs and has nothing to do, until the first message comes.
//!
//! Absent: anything that it does when it has said that it runs.

use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::path::PathBuf;

/// What a descriptor may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A file that is made when the node is, which tells that it runs.
    file: Option<PathBuf>,
}

/// The node.
pub struct Idle;

impl Node for Idle {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("idle")
            .about("Has nothing to do, and ends with the first message")
            .input(Port::ANY)
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        if let Some(file) = config.file {
            File::create(file)?;
        }
        Ok(Self)
    }

    fn on_input(&mut self, _: Input<'_>, _: &Outputs) -> Result<Flow> {
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;

    #[test]
    fn says_that_it_runs_and_ends_with_the_first_message() {
        let file = std::env::temp_dir().join(format!("idle-{}", std::process::id()));
        let config = format!("{{\"file\": {:?}}}", file.display().to_string());
        let mut node =
            Harness::<Idle>::with_ports(&config, &["tick".to_owned()], &[]).expect("it starts");
        std::fs::remove_file(&file).expect("it was made");
        assert_eq!(node.input("tick", ()), Ok(Flow::Done));
    }
}
