//! What runs the nodes outside this process, for one daemon or one `dora run`.
//!
//! Invariant: nothing is started before the engine makes a node. Absent: the wires, and how a process is started.

use crate::descriptor::{Descriptor, ProcessPlace};
use crate::engine::{Chosen, RemoteInputs};
use crate::ids::NodeId;
use crate::launch::{Launchable, Runs};
use crate::logs::LogHub;
use crate::plugin::describe::{DescribeError, Describer};
use crate::plugin::info::{KindInfo, PluginInfo};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How nodes outside are run.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// The program that is started as a host process: it must know its hidden subcommand.
    pub program: PathBuf,
    /// Where plugins run that do not say so.
    pub usual_place: ProcessPlace,
    /// How long a process has to connect.
    pub start_timeout: Duration,
    /// Whether only message format 0.7 of dora's nodes is served.
    pub strict_versions: bool,
    /// The port of loopback that dynamic nodes ask; 0 for any, another one if it is taken.
    pub local_port: u16,
}

/// Runs nodes outside this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Processes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ProcessOptions,
    describer: Describer,
    hub: LogHub,
}

impl Processes {
    /// With the running executable for host processes and helpers.
    ///
    /// # Errors
    /// The system does not tell where the running executable is.
    pub fn new(options: ProcessOptions, hub: LogHub) -> Result<Self, DescribeError> {
        let describer = Describer::of(options.program.clone());
        Ok(Self(Arc::new(Inner {
            options,
            describer,
            hub,
        })))
    }

    /// Where plugins run that do not say so.
    pub fn usual_place(&self) -> &ProcessPlace {
        &self.0.options.usual_place
    }
}
