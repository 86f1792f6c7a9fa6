//! From a valid descriptor and loaded plugins to what the engine runs: which node sits on which thread, with which
//! inputs, and who reads whom.
//!
//! Invariant: indices are right by construction, so the engine looks nothing up by name. Pure. Absent: threads.

mod seating;

use super::outside::Outside;
use super::route::PATIENCE;
use super::state::START_GRACE;
use crate::descriptor::{Descriptor, InputSpec, Node, QueuePolicy, Restart, Source, ThreadPlace};
use crate::ids::{NodeId, PortName};
use crate::plugin::Plugin;
use crate::plugin::info::{ANY_PORT, KindInfo, PortInfo};
use plugin_abi::hosting::KindTable;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Number of a node in its dataflow.
pub type NodeIndex = usize;

/// A dataflow, ready to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The nodes, in the descriptor's order.
    pub nodes: Vec<PlannedNode>,
    /// The threads.
    pub workers: Vec<PlannedWorker>,
    /// As in the descriptor.
    pub exit_when_nodes_finish: bool,
    /// What nodes have for their end when the dataflow ends by itself; at first [`START_GRACE`].
    pub grace: Duration,
    /// A sender that has waited so long for a reader says so; at first 5 s.
    pub patience: Duration,
    /// All nodes are made, and then wait for [`Command::Go`](super::Command::Go): until then no node takes a message, no
    /// timer ticks and nodes' own threads wait in their first send. What a node sends while it is made waits in its
    /// readers' queues, and before outlets. At first `false`.
    pub held: bool,
}

/// One node.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// Its id.
    pub id: NodeId,
    /// What its instances are made from.
    pub code: PlannedCode,
    /// Its inputs, in the order of their indices.
    pub inputs: Vec<PlannedInput>,
    /// Its outputs, in the order of their indices.
    pub outputs: Vec<PlannedOutput>,
    /// The output on which the runtime sends its log lines.
    pub log_output: Option<String>,
    /// When it is started again.
    pub restart: Restart,
    /// How often it has been made before.
    pub restarts: u32,
    /// Its thread: index into [`Plan::workers`].
    pub worker: usize,
    /// Whether the node that it reads from calls it inline.
    pub inline: bool,
}

/// What a node's instances are made from.
#[derive(Debug, Clone)]
pub enum PlannedCode {
    /// A plugin in this process.
    Plugin {
        /// The plugin that it comes from.
        plugin: Arc<Plugin>,
        /// The node kind.
        kind: KindTable,
        /// Its config: JSON text, `null` for none.
        config: String,
    },
    /// Somebody else runs it.
    Outside(Arc<dyn Outside>),
}

/// One input.
#[derive(Debug, Clone)]
pub struct PlannedInput {
    /// Its name.
    pub name: PortName,
    /// Where its messages come from.
    pub from: From,
    /// Most messages that wait.
    pub capacity: usize,
    /// What happens when so many wait.
    pub policy: QueuePolicy,
    /// Without a message for so long, it counts as closed.
    pub timeout: Option<Duration>,
    /// Its number in the mailbox of its thread.
    pub slot: usize,
}

/// Where an input's messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// An output of a node.
    Output {
        /// The sending node.
        node: NodeIndex,
        /// Index of its output.
        output: usize,
    },
    /// An output of a node outside this process.
    Remote {
        /// The sending node.
        node: NodeId,
        /// Its output.
        output: PortName,
    },
    /// Without the engine: the process that runs the node makes it, from another node there (`true`) or a timer.
    Own(bool),
    /// A timer of that period.
    Timer(Duration),
    /// The dataflow's log lines, which the engine does not make; index of the source in [`Source::Logs`] terms.
    Logs(Source),
}

/// One output.
#[derive(Debug, Clone)]
pub struct PlannedOutput {
    /// Its name.
    pub name: String,
    /// The Arrow type that the plugin declares; empty for any.
    pub data_type: String,
}

/// One thread.
#[derive(Debug, Clone)]
pub struct PlannedWorker {
    /// Its name, for debuggers.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<NodeIndex>,
    /// Processor cores that it may run on; empty for all.
    pub cpu_affinity: Vec<usize>,
}

/// What is known of a node besides its descriptor.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// What its instances are made from.
    pub code: ChosenCode,
    /// The kind, as declared.
    pub kind: KindInfo,
}

/// What a node's instances are made from.
#[derive(Debug, Clone)]
pub enum ChosenCode {
    /// A loaded plugin.
    Plugin(Arc<Plugin>),
    /// Somebody else runs it, and feeds these inputs of it.
    Outside(Arc<dyn Outside>, OwnInputs),
}

/// Inputs of a node outside that the engine does not feed: those that read timers or nodes of the same process.
pub type OwnInputs = BTreeSet<PortName>;

/// Why a checked descriptor cannot become a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A node has no loaded plugin.
    #[error("node `{0}` has no loaded plugin")]
    NoPlugin(NodeId),
    /// An input reads an output that does not exist; the descriptor was not checked against the plugins.
    #[error("node `{node}` reads `{from}`, which does not exist")]
    NoSource {
        /// The reading node.
        node: NodeId,
        /// What it reads.
        from: String,
    },
    /// A node is to be called by a sender that is not in this process.
    #[error(
        "node `{node}` has `thread: sender`, and its sender `{from}` runs on another machine: use `thread: own`, or \
         place both on one machine"
    )]
    SenderElsewhere {
        /// The reading node.
        node: NodeId,
        /// The node that it reads.
        from: NodeId,
    },
}

/// Inputs whose sender is not in this process: reading node and input.
pub type RemoteInputs = BTreeSet<(NodeId, PortName)>;

impl Plan {
    /// Makes the plan of a descriptor that has been checked against its plugins' declarations, and that is whole.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn new(
        descriptor: &Descriptor,
        chosen: &BTreeMap<NodeId, Chosen>,
    ) -> Result<Self, PlanError> {
        Self::share(descriptor, chosen, &RemoteInputs::new())
    }

    /// As [`Plan::new`] for a share of a dataflow: the inputs in `remote` may read nodes that are not in the descriptor.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn share(
        descriptor: &Descriptor,
        chosen: &BTreeMap<NodeId, Chosen>,
        remote: &RemoteInputs,
    ) -> Result<Self, PlanError> {
        let index: HashMap<&NodeId, NodeIndex> = descriptor
            .nodes
            .iter()
            .enumerate()
            .map(|(i, node)| (&node.id, i))
            .collect();
        let mut nodes = Vec::new();
        for node in &descriptor.nodes {
            let chosen = chosen
                .get(&node.id)
                .ok_or_else(|| PlanError::NoPlugin(node.id.clone()))?;
            nodes.push(PlannedNode {
                id: node.id.clone(),
                code: code(node, chosen).ok_or_else(|| PlanError::NoPlugin(node.id.clone()))?,
                inputs: Vec::new(),
                outputs: outputs(node, &chosen.kind),
                log_output: node.logs.logs_as.as_ref().map(ToString::to_string),
                restart: node.restart.clone(),
                restarts: 0,
                worker: 0,
                inline: chosen.is_here() && *node.thread_place() == ThreadPlace::Sender,
            });
        }
        let mut plan = Self {
            nodes,
            workers: Vec::new(),
            exit_when_nodes_finish: descriptor.exit_when_nodes_finish,
            grace: START_GRACE,
            patience: PATIENCE,
            held: false,
        };
        plan.connect(descriptor, &index, chosen, remote)?;
        plan.seat(descriptor);
        Ok(plan)
    }

    fn connect(
        &mut self,
        descriptor: &Descriptor,
        index: &HashMap<&NodeId, NodeIndex>,
        chosen: &BTreeMap<NodeId, Chosen>,
        remote: &RemoteInputs,
    ) -> Result<(), PlanError> {
        for (reader, node) in descriptor.nodes.iter().enumerate() {
            let chosen = chosen.get(&node.id);
            for (name, input) in &node.inputs {
                let own = chosen.is_some_and(|chosen| chosen.feeds_itself(name));
                let from = match elsewhere(node, name, input, index, remote)? {
                    _ if own => From::Own(matches!(input.source, Source::Output { .. })),
                    Some(from) => from,
                    None => self.source(&node.id, input, index)?,
                };
                if let Some(planned) = self.nodes.get_mut(reader) {
                    planned.inputs.push(PlannedInput {
                        name: name.clone(),
                        from,
                        capacity: input.queue_size.get(),
                        policy: input.policy,
                        timeout: input.input_timeout.filter(|_| !own),
                        slot: 0,
                    });
                }
            }
        }
        Ok(())
    }

    fn source(
        &mut self,
        reader: &NodeId,
        input: &InputSpec,
        index: &HashMap<&NodeId, NodeIndex>,
    ) -> Result<From, PlanError> {
        let (node, output) = match &input.source {
            Source::Timer { period } => return Ok(From::Timer(*period)),
            logs @ Source::Logs { .. } => return Ok(From::Logs(logs.clone())),
            Source::Output { node, output } => (node, output),
        };
        let missing = || PlanError::NoSource {
            node: reader.clone(),
            from: input.source.to_string(),
        };
        let sender = *index.get(node).ok_or_else(missing)?;
        let outputs = &mut self.nodes.get_mut(sender).ok_or_else(missing)?.outputs;
        let found = outputs
            .iter()
            .position(|planned| planned.name == output.as_str());
        Ok(From::Output {
            node: sender,
            output: found.ok_or_else(missing)?,
        })
    }
}

impl Chosen {
    fn is_here(&self) -> bool {
        matches!(self.code, ChosenCode::Plugin(_))
    }

    fn feeds_itself(&self, input: &PortName) -> bool {
        matches!(&self.code, ChosenCode::Outside(_, own) if own.contains(input))
    }
}

fn code(node: &Node, chosen: &Chosen) -> Option<PlannedCode> {
    Some(match &chosen.code {
        ChosenCode::Plugin(plugin) => PlannedCode::Plugin {
            plugin: plugin.clone(),
            kind: plugin.kind(&chosen.kind.name)?,
            config: node.config_text(),
        },
        ChosenCode::Outside(outside, _) => PlannedCode::Outside(outside.clone()),
    })
}

/// Where an input reads from when its sender is not in this process.
fn elsewhere(
    reader: &Node,
    name: &PortName,
    input: &InputSpec,
    index: &HashMap<&NodeId, NodeIndex>,
    remote: &RemoteInputs,
) -> Result<Option<From>, PlanError> {
    if !remote.contains(&(reader.id.clone(), name.clone())) {
        return Ok(None);
    }
    let (node, output) = match &input.source {
        Source::Output { node, .. } if index.contains_key(node) => return Ok(None),
        Source::Output { node, output } => (node, output),
        // Lines that somebody else makes and brings have no sender.
        Source::Logs { .. } => (&reader.id, name),
        Source::Timer { .. } => return Ok(None),
    };
    if *reader.thread_place() == ThreadPlace::Sender {
        return Err(PlanError::SenderElsewhere {
            node: reader.id.clone(),
            from: node.clone(),
        });
    }
    let (node, output) = (node.clone(), output.clone());
    Ok(Some(From::Remote { node, output }))
}

/// The outputs that the descriptor lists, or all that the kind declares by name, and those that the runtime makes.
fn outputs(node: &Node, kind: &KindInfo) -> Vec<PlannedOutput> {
    let planned = |name: &str, port: Option<&PortInfo>| PlannedOutput {
        name: name.to_owned(),
        data_type: port
            .and_then(|port| port.data_type.clone())
            .unwrap_or_default(),
    };
    let own = |output: &PortName| planned(output.as_str(), kind.output(output.as_str()));
    let mut outputs: Vec<_> = match &node.outputs {
        Some(listed) => listed.iter().map(|output| own(&output.value)).collect(),
        None => {
            let named = kind.outputs.iter().filter(|port| port.name != ANY_PORT);
            named.map(|port| planned(&port.name, Some(port))).collect()
        }
    };
    for name in node.runtime_outputs() {
        if !outputs.iter().any(|output| output.name == name.as_str()) {
            outputs.push(planned(name.as_str(), None));
        }
    }
    outputs
}
