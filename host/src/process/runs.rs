//! Who runs a node: this process, a host process, an executable, or somebody else.
//!
//! Pure. Absent: how that is found out (`launch`), and how it is done.

use std::path::PathBuf;

/// What runs a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The file; `None` for a dynamic node.
    pub file: Option<PathBuf>,
    /// Who runs it.
    pub runs: Runs,
}

/// Who runs a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// It is a plugin of this process.
    Here,
    /// It is a plugin of a host process: its own, or one that is shared under a name.
    Host(Option<String>),
    /// It is an executable that speaks the runtime's own wire.
    Executable,
    /// It is any other program, which has to speak the wire of dora's nodes.
    Foreign,
    /// Somebody else starts it.
    Dynamic,
}

impl Runs {
    /// Whether a host loads it.
    pub fn is_plugin(&self) -> bool {
        matches!(self, Self::Here | Self::Host(_))
    }

    /// Whether what it runs says what it is.
    pub fn declares(&self) -> bool {
        self.is_plugin() || *self == Self::Executable
    }
}
