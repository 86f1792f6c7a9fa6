//! What one machine does of a dataflow, and what it is wanted to do. Pure.

use crate::control::{Again, Epoch, Fallen, NodeEnd, NodeState, SendId, ShareStatus, Stage};
use crate::ids::{DataflowId, MachineId, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;

/// What one machine does of it.
#[derive(Debug, Clone)]
pub(super) struct Share {
    pub epoch: Epoch,
    pub nodes: Vec<NodeId>,
    /// Nodes elsewhere that its nodes read.
    pub reads: BTreeSet<NodeId>,
    pub status: Option<ShareStatus>,
    /// The daemon that ran it has ended.
    pub gone: bool,
    /// How, if that is known.
    pub fallen: Option<Fallen>,
    /// What was different when it began for the last time, in another life of its daemon.
    pub again: Option<Box<Again>>,
    /// Since when the daemon is not heard of.
    pub lost: Option<Duration>,
    pub out: Outgoing,
}

/// The order that is under way to a share.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outgoing {
    pub send: Option<SendId>,
    pub wish: Option<Wish>,
    /// Not again before.
    pub next: Duration,
}

/// What a share is wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Prepare,
    Spawn,
    Go,
    Stop(u32),
    /// So many senders elsewhere have ended.
    Senders(usize),
    /// A share elsewhere has begun again in this life of its daemon.
    Begun(Epoch),
}

impl Outgoing {
    /// When a wish may be sent: a new one at once.
    pub fn due(&self, wish: Wish) -> Option<Duration> {
        if self.wish != Some(wish) {
            return Some(Duration::ZERO);
        }
        self.send.is_none().then_some(self.next)
    }

    pub fn ended(&mut self, send: SendId, next: Duration) {
        if self.send == Some(send) {
            self.send = None;
            self.next = next;
        }
    }
}

impl Share {
    pub fn is_ended(&self) -> bool {
        self.gone || self.stage().is_some_and(Stage::is_ended)
    }

    pub fn stage(&self) -> Option<&Stage> {
        self.status.as_ref().map(|status| &status.stage)
    }

    pub fn went(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.went)
    }

    /// Takes a newer status.
    pub fn hear(&mut self, status: &ShareStatus) {
        let known = self.status.as_ref().map_or(0, |known| known.version);
        if status.version > known {
            self.status = Some(status.clone());
        }
        // Whoever speaks of it lives, whatever another life of the daemon made believe.
        self.gone = false;
    }

    pub fn rank(&self) -> Option<u8> {
        self.stage().map(Stage::rank)
    }

    /// How a node of it ended that is lost.
    pub fn lost_end(&self, dataflow: DataflowId, node: &NodeId, machine: &MachineId) -> NodeEnd {
        let culprit = self.fallen.as_ref().and_then(|it| it.culprit.as_ref());
        let why = match (&self.fallen, culprit) {
            (_, Some(culprit)) if culprit.dataflow == dataflow && culprit.node == *node => {
                return NodeEnd::Failed {
                    text: culprit.text.clone(),
                    last_input: culprit.last_input.clone(),
                };
            }
            (_, Some(culprit)) if culprit.dataflow == dataflow => {
                Some(format!("which node `{}` crashed", culprit.node))
            }
            (_, Some(culprit)) => Some(format!(
                "which node `{}` of dataflow {} crashed",
                culprit.node, culprit.dataflow
            )),
            (Some(fallen), None) => Some(format!("which died with {}", fallen.how)),
            (None, None) => None,
        };
        NodeEnd::Lost {
            machine: machine.clone(),
            why,
        }
    }

    /// How a node of it ended, if it has.
    pub fn node_end(&self, node: &NodeId) -> Option<NodeEnd> {
        let over = self.again.as_ref().and_then(|again| again.over.get(node));
        if over.is_some() {
            return over.cloned();
        }
        let status = self.status.as_ref()?;
        match status.nodes.get(node).map(|node| &node.state) {
            Some(NodeState::Ended(end)) => Some(end.clone()),
            _ => None,
        }
    }
}
