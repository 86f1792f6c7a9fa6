//! How a node ends.

use plugin_abi::hosting::NodeFailure;

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, or because all its inputs are closed.
    Finished,
    /// It was told to.
    Stopped,
    /// With an error or a panic.
    Failed {
        /// Why.
        failure: Box<NodeFailure>,
        /// The input whose message it took last.
        last_input: Option<String>,
    },
    /// It could not be made.
    NotCreated(NodeFailure),
    /// It did not stop within the grace period.
    Stuck,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Stopped => f.write_str("stopped"),
            Self::Failed {
                failure,
                last_input,
            } => {
                write!(f, "failed: {failure}")?;
                match last_input {
                    Some(input) => write!(f, " (last input: `{input}`)"),
                    None => Ok(()),
                }
            }
            Self::NotCreated(failure) => write!(f, "could not be made: {failure}"),
            Self::Stuck => f.write_str("did not stop in time"),
        }
    }
}

impl Ending {
    /// Whether the dataflow has failed because of it.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::NotCreated(_) | Self::Stuck
        )
    }
}
