//! The graph across machines: which outputs leave a machine, which inputs come from another one, whether nodes of
//! different machines fit each other.
//!
//! Invariant: coordinator and daemons compute the same from the same placement. Pure. Absent: how messages travel.

use super::{Placement, Prepare};
use crate::descriptor::{
    Descriptor, LogLevel, Node, Problems, ProcessPlace, QueuePolicy, Source, Spanned, ThreadPlace,
};
use crate::ids::{MachineId, NodeId, PortName};
use crate::plugin::info::{ANY_PORT, KindInfo};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A machine's connections to others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteEdges {
    /// Outputs of nodes here that are read elsewhere, by node and output.
    pub outputs: Vec<RemoteOutput>,
    /// Inputs of nodes here that read nodes elsewhere, by node and input.
    pub inputs: Vec<RemoteInput>,
    /// Inputs of nodes here that read log lines of nodes elsewhere.
    pub logs: Vec<RemoteLogs>,
    /// Log lines of nodes here that are read elsewhere, each selection once, and the machines that read it.
    pub log_readers: BTreeMap<LogSelection, BTreeSet<MachineId>>,
}

/// Which log lines of a machine's nodes are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogSelection {
    /// Down to which level; `None` for what goes to the log files.
    pub level: Option<LogLevel>,
    /// Only of this node.
    pub node: Option<NodeId>,
}

/// An output that is read elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOutput {
    /// The node.
    pub node: NodeId,
    /// Its output.
    pub output: PortName,
    /// Who reads it, by machine.
    pub readers: Vec<RemoteReader>,
}

/// A reader on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteReader {
    /// The machine.
    pub machine: MachineId,
    /// The node.
    pub node: NodeId,
    /// Its input.
    pub input: PortName,
    /// What happens to a message for a full queue.
    pub policy: QueuePolicy,
    /// Most messages that wait.
    pub queue_size: usize,
}

/// An input that reads another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteInput {
    /// The node.
    pub node: NodeId,
    /// Its input.
    pub input: PortName,
    /// The machine that sends.
    pub machine: MachineId,
    /// The node that sends.
    pub sender: NodeId,
    /// Its output.
    pub output: PortName,
    /// What happens to a message for a full queue.
    pub policy: QueuePolicy,
    /// Most messages that wait.
    pub queue_size: usize,
}

/// An input that reads log lines of other machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLogs {
    /// The node.
    pub node: NodeId,
    /// Its input.
    pub input: PortName,
    /// The machines.
    pub machines: Vec<MachineId>,
    /// Which lines.
    pub selection: LogSelection,
}

impl RemoteEdges {
    /// The connections of a machine.
    pub fn of(descriptor: &Descriptor, placement: &Placement, here: &MachineId) -> Self {
        let mut edges = Self::default();
        let mut outputs: BTreeMap<(&NodeId, &PortName), Vec<RemoteReader>> = BTreeMap::new();
        for reader in &descriptor.nodes {
            let Some(machine) = placement.of(&reader.id) else {
                continue;
            };
            for (input, spec) in &reader.inputs {
                match &spec.source {
                    Source::Output { node, output } => match placement.of(node) {
                        Some(from) if from == machine => {}
                        Some(from) if from == here => outputs
                            .entry((node, output))
                            .or_default()
                            .push(RemoteReader {
                                machine: machine.clone(),
                                node: reader.id.clone(),
                                input: input.clone(),
                                policy: spec.policy,
                                queue_size: spec.queue_size.get(),
                            }),
                        Some(from) if machine == here => edges.inputs.push(RemoteInput {
                            node: reader.id.clone(),
                            input: input.clone(),
                            machine: from.clone(),
                            sender: node.clone(),
                            output: output.clone(),
                            policy: spec.policy,
                            queue_size: spec.queue_size.get(),
                        }),
                        _ => {}
                    },
                    Source::Logs { level, node } => {
                        let selection = LogSelection {
                            level: *level,
                            node: node.clone(),
                        };
                        edges.add_logs(reader, input, selection, (placement, machine, here));
                    }
                    _ => {}
                }
            }
        }
        edges.outputs = outputs
            .into_iter()
            .map(|((node, output), mut readers)| {
                readers.sort_by(|a, b| {
                    (&a.machine, &a.node, &a.input).cmp(&(&b.machine, &b.node, &b.input))
                });
                RemoteOutput {
                    node: node.clone(),
                    output: output.clone(),
                    readers,
                }
            })
            .collect();
        edges
            .inputs
            .sort_by(|a, b| (&a.node, &a.input).cmp(&(&b.node, &b.input)));
        edges
    }

    /// Those with one machine, but for nodes there that are over.
    #[must_use]
    pub fn with(&self, machine: &MachineId, over: &BTreeSet<NodeId>) -> Self {
        let inputs = self.inputs.iter();
        let inputs = inputs.filter(|it| it.machine == *machine && !over.contains(&it.sender));
        let there =
            |reader: &&RemoteReader| reader.machine == *machine && !over.contains(&reader.node);
        let outputs = self.outputs.iter().map(|output| RemoteOutput {
            readers: output.readers.iter().filter(there).cloned().collect(),
            ..output.clone()
        });
        let logs = self
            .logs
            .iter()
            .filter(|logs| logs.machines.contains(machine));
        let logs = logs.map(|logs| RemoteLogs {
            machines: vec![machine.clone()],
            ..logs.clone()
        });
        Self {
            outputs: outputs
                .filter(|output| !output.readers.is_empty())
                .collect(),
            inputs: inputs.cloned().collect(),
            logs: logs.collect(),
            log_readers: BTreeMap::new(),
        }
    }

    /// An input on a machine reads log lines.
    fn add_logs(
        &mut self,
        reader: &Node,
        input: &PortName,
        selection: LogSelection,
        (placement, machine, here): (&Placement, &MachineId, &MachineId),
    ) {
        let wanted: Vec<&MachineId> = match &selection.node {
            Some(node) => placement.of(node).into_iter().collect(),
            None => placement.machines.keys().collect(),
        };
        if machine != here {
            if wanted.contains(&here) {
                let readers = self.log_readers.entry(selection).or_default();
                readers.insert(machine.clone());
            }
            return;
        }
        let elsewhere = wanted.into_iter().filter(|wanted| *wanted != here);
        let machines: Vec<MachineId> = elsewhere.cloned().collect();
        if !machines.is_empty() {
            self.logs.push(RemoteLogs {
                node: reader.id.clone(),
                input: input.clone(),
                machines,
                selection,
            });
        }
    }
}

impl Prepare {
    /// The connections of a machine. What its nodes read of nodes that are over counts as read elsewhere.
    pub fn edges(&self, here: &MachineId) -> RemoteEdges {
        let (descriptor, placement) = self.without_what_is_over(here);
        RemoteEdges::of(&descriptor, &placement, here)
    }

    /// The descriptor with the nodes that a machine makes: see [`local_part`].
    pub fn part(&self, here: &MachineId) -> Descriptor {
        let (descriptor, placement) = self.without_what_is_over(here);
        let mut part = local_part(&descriptor, &placement, here);
        if let Some(again) = &self.again {
            apart(&mut part, &again.own);
        }
        part
    }

    /// Nodes that are over read nothing, and are on no machine that there is.
    fn without_what_is_over(&self, here: &MachineId) -> (Cow<'_, Descriptor>, Cow<'_, Placement>) {
        let mut descriptor = Cow::Borrowed(&self.descriptor);
        let mut placement = Cow::Borrowed(&self.placement);
        let nowhere = self.again.as_ref().and_then(|again| {
            // Any other name does; ids have a longest.
            let mut names = ["nowhere", "nowhere-else"].into_iter();
            let name = names.find(|name| *name != here.as_str())?;
            Some((again, name.parse::<MachineId>().ok()?))
        });
        if let Some((again, nowhere)) = nowhere {
            for node in &mut descriptor.to_mut().nodes {
                if again.over.contains_key(&node.id) {
                    node.inputs.clear();
                    placement
                        .to_mut()
                        .nodes
                        .insert(node.id.clone(), nowhere.clone());
                }
            }
        }
        (descriptor, placement)
    }
}

/// Puts these nodes into processes of their own. Nobody calls them inline any more, nor is called by them.
fn apart(part: &mut Descriptor, own: &BTreeSet<NodeId>) {
    for node in &mut part.nodes {
        let mut sources = node.inputs.values().map(|input| &input.source);
        let reads = sources.any(|source| match source {
            Source::Output { node, .. } => own.contains(node),
            _ => false,
        });
        let is_own = own.contains(&node.id);
        if is_own {
            node.process = Some(Spanned {
                value: ProcessPlace::Own,
                at: node.at,
            });
        }
        if (is_own || reads) && *node.thread_place() == ThreadPlace::Sender {
            node.thread = None;
        }
    }
}

/// The descriptor with the nodes of one machine only. Inputs keep their sources, also those that lead elsewhere
/// ([`RemoteEdges::inputs`] lists them). `exit_when_nodes_finish` stays only when the machine runs all nodes: otherwise
/// the coordinator sees to it, because only it sees all nodes.
pub fn local_part(descriptor: &Descriptor, placement: &Placement, here: &MachineId) -> Descriptor {
    let is_here = |node: &&Node| placement.of(&node.id) == Some(here);
    let nodes: Vec<Node> = descriptor.nodes.iter().filter(is_here).cloned().collect();
    let whole = nodes.len() == descriptor.nodes.len();
    Descriptor {
        file: descriptor.file.clone(),
        nodes,
        exit_when_nodes_finish: descriptor.exit_when_nodes_finish && whole,
        warnings: descriptor.warnings.clone(),
    }
}

/// Checks what no machine can check alone: ports and types of nodes that are connected across machines. `kinds` are
/// those that all machines have reported; what one machine could check is checked again, which finds nothing new.
pub fn check_together(descriptor: &Descriptor, kinds: &BTreeMap<NodeId, KindInfo>) -> Problems {
    descriptor.check_kinds(kinds)
}

/// An output that a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredOutput {
    /// Its name.
    pub name: String,
    /// Its Arrow type, if it is declared.
    pub data_type: Option<String>,
}

/// The outputs of a node: those that the descriptor lists, else those that its kind declares by name, and those that
/// the runtime makes for it.
pub fn declared_outputs(node: &Node, kind: Option<&KindInfo>) -> Vec<DeclaredOutput> {
    let type_of = |name: &str| {
        kind.and_then(|kind| kind.output(name))
            .and_then(|port| port.data_type.clone())
    };
    let of = |name: &str| DeclaredOutput {
        name: name.to_owned(),
        data_type: type_of(name),
    };
    let mut outputs: Vec<DeclaredOutput> = match (&node.outputs, kind) {
        (Some(listed), _) => listed.iter().map(|port| of(port.value.as_str())).collect(),
        (None, Some(kind)) => kind
            .outputs
            .iter()
            .filter(|port| port.name != ANY_PORT)
            .map(|port| of(&port.name))
            .collect(),
        (None, None) => Vec::new(),
    };
    for made in node.runtime_outputs() {
        if outputs.iter().all(|output| output.name != made.as_str()) {
            outputs.push(DeclaredOutput {
                name: made.to_string(),
                data_type: Some("Utf8".to_owned()),
            });
        }
    }
    outputs
}

#[cfg(test)]
mod tests;
