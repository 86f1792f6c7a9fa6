//! What became of a dataflow: one entry per node, for the summary and the exit status.

use super::mailbox::InputCount;
use super::state::Ending;
use crate::ids::{DataflowId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of a dataflow.
#[derive(Debug, Clone)]
pub struct Report {
    /// The dataflow.
    pub id: DataflowId,
    /// How long it ran.
    pub took: Duration,
    /// Its nodes, in the descriptor's order.
    pub nodes: Vec<NodeReport>,
    /// Its timers, the shortest period first.
    pub timers: Vec<TimerReport>,
}

/// What became of the ticks of one timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerReport {
    /// Time between two ticks.
    pub period: Duration,
    /// Ticks that were sent to its readers.
    pub sent: u64,
    /// Ticks that were left out because the machine was late.
    pub missed: u64,
}

/// What became of a node.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The node.
    pub id: NodeId,
    /// How it ended.
    pub ending: Ending,
    /// Messages that it received.
    pub received: u64,
    /// Per input: what its queue counted.
    pub inputs: BTreeMap<String, InputCount>,
    /// Per output: messages that it sent.
    pub outputs: BTreeMap<String, u64>,
    /// Per output: messages that did not leave the process, because an outlet dropped them, had no room for them or was
    /// closed. Those that an outlet dropped are lost to its readers, who count them so.
    pub unsent: BTreeMap<String, u64>,
    /// How often it was made again.
    pub restarts: u32,
}

impl Report {
    pub(super) fn new(
        id: DataflowId,
        took: Duration,
        nodes: impl Iterator<Item = NodeReport>,
        timers: Vec<TimerReport>,
    ) -> Self {
        Self {
            id,
            took,
            nodes: nodes.collect(),
            timers,
        }
    }

    /// Nodes because of which the dataflow has failed.
    pub fn failures(&self) -> impl Iterator<Item = &NodeReport> {
        self.nodes.iter().filter(|node| node.ending.is_failure())
    }
}

impl NodeReport {
    /// Messages that it sent.
    pub fn sent(&self) -> u64 {
        self.outputs.values().sum()
    }

    /// Messages for its inputs that it never had although it ran: their policies dropped them, or they were lost on their
    /// way from outside the process.
    pub fn dropped(&self) -> u64 {
        let dropped = self.inputs.values().map(|input| input.dropped);
        dropped.sum::<u64>() + self.lost()
    }

    /// Messages for its inputs that were lost on their way from outside the process.
    pub fn lost(&self) -> u64 {
        self.inputs.values().map(|input| input.lost).sum()
    }

    /// Messages that it sent and that did not leave the process.
    pub fn unsent(&self) -> u64 {
        self.unsent.values().sum()
    }

    /// Ticks that its inputs missed.
    pub fn missed(&self) -> u64 {
        self.inputs.values().map(|input| input.missed).sum()
    }

    /// Messages that were waiting when it ended, or came later.
    pub fn discarded(&self) -> u64 {
        self.inputs
            .values()
            .map(|input| input.discarded + input.queued)
            .sum()
    }
}
