//! A dataflow whose nodes are told what to do one by one, by somebody who decides elsewhere: the engine of a host process.
//!
//! Invariant: carries out the actions of a state machine that it does not have, and tells what that one is told. Absent:
//! restarts, a start together, a grace period.

use super::dataflow::{Dataflow, event_of};
use super::mailbox::Order;
use super::plan::NodeIndex;
use super::state::{Ending, Event};
use super::{Report, mailbox::InputCount};
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
}

/// What is told of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    /// An instance has been made.
    Created(NodeIndex),
    /// An instance has ended; the flag says whether all its inputs were closed.
    Ended(NodeIndex, Ending, bool),
}

impl Dataflow {
    /// Obeys until nobody gives orders any more; says then how many messages there were. `tell` must not wait.
    pub async fn drive(mut self, mut orders: Receiver<Drive>, tell: impl Fn(Driven)) -> Report {
        let mut ticking = false;
        loop {
            tokio::select! {
                told = self.told.recv() => match told.map(event_of) {
                    Some(Event::Created(node)) => tell(Driven::Created(node)),
                    Some(Event::Ended(node, ending, closed)) => {
                        tell(Driven::Ended(node, ending, closed));
                    }
                    Some(Event::Lost(node, ending)) => tell(Driven::Ended(node, ending, false)),
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
                    None => return self.finish(),
                },
            }
        }
    }

    /// Messages of a node so far: by input, and by output how many were sent.
    pub fn counts(&self, node: NodeIndex) -> (Vec<(String, InputCount)>, Vec<(String, u64)>) {
        let Some(running) = self.nodes.get(node) else {
            return Default::default();
        };
        let mailbox = self.workers.get(running.worker);
        let inputs = running.inputs.iter().filter_map(|input| {
            let count = mailbox?.mailbox.count(input.slot);
            Some((input.name.clone(), count))
        });
        let outputs = running.shared.outputs.iter();
        let outputs = outputs.map(|output| (output.name.clone(), output.route.sent()));
        (inputs.collect(), outputs.collect())
    }
}
