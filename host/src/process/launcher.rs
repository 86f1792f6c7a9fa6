//! Runs the nodes outside this process, for one daemon or one `dora run`: says of each who does it.
//!
//! Invariant: no process is started before the engine makes a node. Absent: the wires, and how a process is started.

mod hosts;

use super::child::Launch;
use super::dora::sniff::Versions;
use super::host_process::OnPrinted;
use super::native::{self, Native, NativeSpec, OwnProcess};
use super::processes::Processes;
use super::program::{self, Kind, Launchable};
use super::{Placed, Runs};
use crate::descriptor::resolve::{self, Places};
use crate::descriptor::{
    Descriptor, InputSpec, Node, NodePath, Problem, Problems, ProcessPlace, QueuePolicy, Severity,
};
use crate::engine::{Chosen, ChosenCode, Outside, OwnInputs};
use crate::ids::{NodeId, PortName};
use crate::plugin::describe::Describer;
use crate::plugin::info::{ANY_PORT, KindInfo, PluginInfo, PortInfo};
use crate::plugin::preflight::{Isolation, Machine};
use plugin_abi::wire::memory::Pool;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a process that speaks our wire has to connect, if nothing else is said.
const START: Duration = Duration::from_secs(60);

/// How nodes outside are run.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// The program that is started as a host process and as a helper: it must know their hidden subcommands.
    pub program: PathBuf,
    /// Where plugins run that do not say so.
    pub usual_place: ProcessPlace,
    /// How long a process has to connect; without it a minute, and five for a node of dora, which may install packages
    /// before.
    pub start_timeout: Option<Duration>,
    /// Whether Python runs under `uv`.
    pub uv: bool,
    /// Which of dora's nodes are served.
    pub versions: Versions,
}

/// Runs nodes outside this process. Clones are the same. Any thread.
#[derive(Debug, Clone)]
pub struct Launcher(Arc<Inner>);

struct Inner {
    options: LaunchOptions,
    describer: Describer,
    nodes: Processes,
    machine: Machine,
    /// Where long messages lie on their way to other processes.
    pool: Pool,
    printed: OnPrinted,
}

/// The nodes of a descriptor, of which some run outside.
#[derive(Clone, Copy)]
pub struct OutsideNodes<'a> {
    /// The descriptor.
    pub descriptor: &'a Descriptor,
    /// Who runs each.
    pub programs: &'a BTreeMap<NodeId, Placed>,
    /// What each declares.
    pub kinds: &'a BTreeMap<NodeId, KindInfo>,
    /// Where paths start.
    pub places: &'a Places<'a>,
    /// Which outputs are read on other machines.
    pub read_elsewhere: ReadElsewhere<'a>,
}

/// Whether an output of a node is read on other machines.
pub type ReadElsewhere<'a> = &'a dyn Fn(&NodeId, &PortName) -> bool;

impl LaunchOptions {
    /// The usual ones, with a program for host processes and helpers.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            usual_place: ProcessPlace::Daemon,
            start_timeout: None,
            uv: false,
            versions: Versions::All,
        }
    }
}

impl Launcher {
    /// With what serves dora's nodes, and who takes what a process prints that several nodes share.
    pub fn new(options: LaunchOptions, nodes: Processes, printed: OnPrinted) -> Self {
        Self(Arc::new(Inner {
            describer: Describer::with_program(options.program.clone()),
            options,
            nodes,
            machine: Machine::this(),
            pool: Pool::default(),
            printed,
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

    /// What a file declares, as a process of its own finds out.
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
            Runs::Executable => describer.describe_executable(file),
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
        let mut dora: BTreeMap<NodeId, Option<Launch>> = BTreeMap::new();
        let mut shared: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in &nodes.descriptor.nodes {
            let Some(placed) = nodes.programs.get(&node.id) else {
                continue;
            };
            let outside = match (&placed.runs, &placed.file) {
                (Runs::Dynamic, _) => {
                    dora.insert(node.id.clone(), None);
                    continue;
                }
                (Runs::Host(None), Some(file)) => self.alone(nodes, node, file),
                (Runs::Host(Some(name)), _) => {
                    shared.entry(name).or_default().push(node);
                    continue;
                }
                (Runs::Executable | Runs::Foreign, Some(file)) => {
                    match self.launchable(nodes, node, file) {
                        Ok(found) if found.kind == Kind::Dora => {
                            dora.insert(node.id.clone(), Some(found.launch));
                            continue;
                        }
                        found => found.map(|found| self.executable(nodes, node, found.launch)),
                    }
                }
                _ => continue,
            };
            match outside {
                Ok(outside) => {
                    let of = nodes.chosen(&node.id, outside, OwnInputs::new());
                    chosen.insert(node.id.clone(), of);
                }
                Err(text) => problems.push(problem(node, text)),
            }
        }
        let made = &self.0.nodes;
        for (id, outside) in made.dora_nodes(nodes.descriptor, dora, nodes.read_elsewhere) {
            let of = nodes.chosen(&id, outside, OwnInputs::new());
            chosen.insert(id, of);
        }
        for (name, members) in shared {
            match self.together(nodes, name, &members) {
                Ok(of) => chosen.extend(of),
                Err(more) => problems.push(more),
            }
        }
        match problems.errors() {
            0 => Ok(chosen),
            _ => Err(problems),
        }
    }

    fn launchable(
        &self,
        nodes: &OutsideNodes<'_>,
        node: &Node,
        file: &Path,
    ) -> Result<Launchable, String> {
        let options = program::Options {
            uv: self.0.options.uv,
            machine: &self.0.machine,
            lookup: &|name| std::env::var_os(name),
        };
        let folder = nodes.folder(node)?;
        program::choose(node, file, &folder, &options).map_err(|problem| problem.to_string())
    }

    fn executable(
        &self,
        nodes: &OutsideNodes<'_>,
        node: &Node,
        launch: Launch,
    ) -> Arc<dyn Outside> {
        let spec = self.native_spec(nodes, node, launch.program.clone());
        let logs = node.logs.clone();
        let process = OwnProcess { launch, logs };
        Arc::new(Native::new(spec, Arc::new(process), self.0.pool.clone()))
    }

    /// What a node is made from over our wire.
    fn native_spec(&self, nodes: &OutsideNodes<'_>, node: &Node, program: PathBuf) -> NativeSpec {
        let waits = |input: &InputSpec| input.policy == QueuePolicy::Backpressure;
        let kind = nodes.kinds.get(&node.id);
        NativeSpec {
            program,
            plugin: String::new(),
            kind: kind.map_or_else(String::new, |kind| kind.name.clone()),
            config: node.config_text(),
            window: match node.inputs.values().all(waits) {
                true => native::AHEAD,
                false => 1,
            },
            start_timeout: self.0.options.start_timeout.unwrap_or(START),
            callback_timeout: node.health_check_timeout,
        }
    }
}

impl OutsideNodes<'_> {
    fn file(&self, node: &Node) -> Option<PathBuf> {
        self.programs.get(&node.id)?.file.clone()
    }

    /// Where a node works: its `working_dir`, or the descriptor's folder, where that is on this machine.
    fn folder(&self, node: &Node) -> Result<PathBuf, String> {
        resolve::folder_of(node, self.places).map_err(|error| error.to_string())
    }

    fn chosen(&self, node: &NodeId, outside: Arc<dyn Outside>, own: OwnInputs) -> Chosen {
        let kind = self.kinds.get(node).cloned();
        Chosen {
            code: ChosenCode::Outside(outside, own),
            kind: kind.unwrap_or_else(anything),
        }
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

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
