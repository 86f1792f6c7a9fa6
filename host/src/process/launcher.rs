//! Runs the nodes outside this process, for one daemon or one `dora run`: says of each who does it.
//!
//! Invariant: no process is started before the engine makes a node. Absent: the wires, and how a process is started.

use super::dora::sniff::Versions;
use super::processes::Processes;
use super::program::{self, Kind, Launchable};
use super::{Placed, Runs};
use crate::descriptor::{Descriptor, Node, NodePath, Problem, Problems, ProcessPlace, Severity};
use crate::engine::{Chosen, ChosenCode, OwnInputs};
use crate::ids::NodeId;
use crate::plugin::describe::Describer;
use crate::plugin::info::{ANY_PORT, KindInfo, PluginInfo, PortInfo};
use crate::plugin::preflight::{Isolation, Machine};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How nodes outside are run.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// The program that is started as a host process and as a helper: it must know their hidden subcommands.
    pub program: PathBuf,
    /// Where plugins run that do not say so.
    pub usual_place: ProcessPlace,
    /// How long a process of ours has to connect.
    pub start_timeout: Duration,
    /// Whether Python runs under `uv`.
    pub uv: bool,
    /// Which of dora's nodes are served.
    pub versions: Versions,
}

/// Runs nodes outside this process. Clones are the same. Any thread.
#[derive(Debug, Clone)]
pub struct Launcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: LaunchOptions,
    describer: Describer,
    nodes: Processes,
    machine: Machine,
}

/// The nodes of a descriptor, of which some run outside.
#[derive(Debug, Clone, Copy)]
pub struct OutsideNodes<'a> {
    /// The descriptor.
    pub descriptor: &'a Descriptor,
    /// Who runs each.
    pub programs: &'a BTreeMap<NodeId, Placed>,
    /// What each declares.
    pub kinds: &'a BTreeMap<NodeId, KindInfo>,
    /// Where paths start.
    pub folders: &'a [PathBuf],
}

impl LaunchOptions {
    /// The usual ones, with a program for host processes and helpers.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            usual_place: ProcessPlace::Daemon,
            start_timeout: Duration::from_secs(60),
            uv: false,
            versions: Versions::All,
        }
    }
}

impl Launcher {
    /// With what serves dora's nodes.
    pub fn new(options: LaunchOptions, nodes: Processes) -> Self {
        Self(Arc::new(Inner {
            describer: Describer::with_program(options.program.clone()),
            options,
            nodes,
            machine: Machine::this(),
        }))
    }

    /// Where plugins run that do not say so.
    pub fn usual_place(&self) -> &ProcessPlace {
        &self.0.options.usual_place
    }

    /// What serves dora's nodes.
    pub fn nodes(&self) -> &Processes {
        &self.0.nodes
    }

    /// What a file declares, as a helper process finds out.
    ///
    /// # Errors
    /// Why it is refused, in the words that follow its path.
    pub fn describe(&self, file: &Path, runs: &Runs) -> Result<PluginInfo, String> {
        let isolation = match runs {
            Runs::Host(Some(_)) => Isolation::Shared,
            _ => Isolation::Own,
        };
        let describer = self.0.describer.clone().isolation(isolation);
        let described = match runs {
            _ => describer.describe(file),
        };
        described.map_err(|error| error.to_string())
    }

    /// Who runs the nodes that are not run here.
    ///
    /// # Errors
    /// Why some cannot be run.
    pub fn place(&self, nodes: &OutsideNodes<'_>) -> Result<BTreeMap<NodeId, Chosen>, Problems> {
        let mut problems = Problems::new(&nodes.descriptor.file);
        let mut chosen = BTreeMap::new();
        let described = super::dora::outside::dora_descriptor(nodes.descriptor);
        let described = Arc::new(described);
        for node in &nodes.descriptor.nodes {
            let Some(placed) = nodes.programs.get(&node.id) else {
                continue;
            };
            let outside = match (&placed.runs, &placed.file) {
                (Runs::Dynamic, _) => Ok(self.0.nodes.dora_node(node, None, described.clone())),
                (Runs::Executable | Runs::Foreign, Some(file)) => self
                    .launchable(nodes, node, file)
                    .map(|found| match found.kind {
                        Kind::Dora => {
                            self.0
                                .nodes
                                .dora_node(node, Some(found.launch), described.clone())
                        }
                        Kind::Native(_) => todo!(),
                    }),
                _ => continue,
            };
            match outside {
                Ok(outside) => {
                    let code = ChosenCode::Outside(outside, OwnInputs::new());
                    let kind = nodes.kinds.get(&node.id).cloned().unwrap_or_else(anything);
                    chosen.insert(node.id.clone(), Chosen { code, kind });
                }
                Err(text) => problems.push(problem(node, text)),
            }
        }
        if problems.errors() > 0 {
            Err(problems)
        } else {
            Ok(chosen)
        }
    }

    fn launchable(
        &self,
        nodes: &OutsideNodes<'_>,
        node: &Node,
        file: &Path,
    ) -> Result<Launchable, String> {
        let folder = self.folder(nodes, node)?;
        let options = program::Options {
            uv: self.0.options.uv,
            machine: &self.0.machine,
            lookup: &|name| std::env::var_os(name),
        };
        program::choose(node, file, &folder, &options).map_err(|problem| problem.to_string())
    }

    /// Where a node works: its `working_dir`, or the descriptor's folder, where that is on this machine.
    fn folder(&self, nodes: &OutsideNodes<'_>, node: &Node) -> Result<PathBuf, String> {
        let folder = nodes
            .descriptor
            .folder_of(node)
            .map_err(|error| error.to_string())?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let there = nodes.folders.iter().find(|folder| folder.is_dir());
        Ok(there.cloned().unwrap_or(folder))
    }
}

/// What is known of a node that declares nothing.
fn anything() -> KindInfo {
    let any = || PortInfo {
        name: ANY_PORT.into(),
        description: String::new(),
        data_type: None,
    };
    KindInfo {
        inputs: vec![any()],
        outputs: vec![any()],
        ..KindInfo::default()
    }
}

fn problem(node: &Node, text: String) -> Problem {
    let at = match &node.path {
        NodePath::File(path) => path.at,
        NodePath::Dynamic => node.at,
    };
    Problem {
        severity: Severity::Error,
        at: Some(at),
        node: Some(node.id.to_string()),
        text,
    }
}
