//! A dataflow whose nodes are told what to do one by one, by somebody who decides elsewhere: the engine of a host process.
//!
//! Invariant: carries out the actions of a state machine that it does not have, and tells what that one is told. Absent:
//! restarts, a start together, a grace period.

use super::Report;
use super::dataflow::{Dataflow, event_of};
use super::mailbox::{InputCount, Order};
use super::plan::NodeIndex;
use super::state::{Ending, Event};
use tokio::sync::mpsc::Receiver;

/// What one node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drive {
    /// Make an instance.
    Create {
        /// Of this node.
        node: NodeIndex,
        /// How often it has been made before.
        restart_count: u32,
    },
    /// Let it take messages. Timers tick from the first one on.
    Go(NodeIndex),
    /// Ask it to stop.
    Stop(NodeIndex),
    /// It has ended for good: its readers are told, its inputs are shut.
    Retire(NodeIndex, Ending),
    /// No orders follow.
    End,
}

/// What is told of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    /// An instance has been made.
    Created(NodeIndex),
    /// An instance has ended.
    Ended {
        /// Of this node.
        node: NodeIndex,
        /// How.
        ending: Ending,
        /// Whether all its inputs were closed.
        inputs_closed: bool,
        /// What its inputs have counted so far, in the order of their indices.
        inputs: Vec<InputCount>,
    },
}

impl Dataflow {
    /// Obeys to the end of the orders; says then how many messages there were. `tell` must not wait.
    pub async fn drive(mut self, mut orders: Receiver<Drive>, tell: impl Fn(Driven)) -> Report {
        let mut ticking = false;
        loop {
            tokio::select! {
                told = self.told.recv() => match told.map(event_of) {
                    Some(Event::Created(node)) => tell(Driven::Created(node)),
                    Some(Event::Ended(node, ending, closed)) => {
                        tell(self.ended(node, ending, closed));
                    }
                    Some(Event::Lost(node, ending)) => tell(self.ended(node, ending, false)),
                    _ => return self.finish(),
                },
                order = orders.recv() => match order {
                    Some(Drive::Create { node, restart_count }) => self.create(node, restart_count),
                    Some(Drive::Go(node)) => {
                        self.order(node, Order::Go);
                        if !std::mem::replace(&mut ticking, true) {
                            self.start_timers();
                        }
                    }
                    Some(Drive::Stop(node)) => self.stop(node),
                    Some(Drive::Retire(node, ending)) => self.retire_quietly(node, ending),
                    Some(Drive::End) | None => return self.finish(),
                },
            }
        }
    }

    fn ended(&self, node: NodeIndex, ending: Ending, inputs_closed: bool) -> Driven {
        let running = self.nodes.get(node);
        let worker = running.and_then(|running| self.workers.get(running.worker));
        let inputs = running.into_iter().flat_map(|running| &running.inputs);
        let inputs = inputs.filter_map(|input| Some(worker?.mailbox.count(input.slot)));
        Driven::Ended {
            node,
            ending,
            inputs_closed,
            inputs: inputs.collect(),
        }
    }
}
