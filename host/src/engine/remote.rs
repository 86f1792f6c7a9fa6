//! The edge of the process: inputs that are fed from outside, and readers outside.
//!
//! Invariant: whoever feeds an input never waits; a node that sends waits for an outlet as it does for a reader here.
//! Absent: how messages travel.

use super::mailbox::{OnTaken, Slot};
use super::plan::{From, PlannedInput, PlannedNode};
use super::route::Target;
use crate::ids::{NodeId, PortName};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use std::time::Duration;

/// An input whose sender is outside this process. Any thread; nothing here waits. Clones are the same.
#[derive(Debug, Clone)]
pub struct RemoteInput {
    /// The reading node.
    pub node: NodeId,
    /// Its input.
    pub input: PortName,
    /// The sending node.
    pub sender: NodeId,
    /// Its output.
    pub output: PortName,
    target: Target,
}

impl RemoteInput {
    pub(super) fn new(node: &PlannedNode, input: &PlannedInput, target: Target) -> Option<Self> {
        let From::Remote {
            node: sender,
            output,
        } = &input.from
        else {
            return None;
        };
        Some(Self {
            node: node.id.clone(),
            input: input.name.clone(),
            sender: sender.clone(),
            output: output.clone(),
            target,
        })
    }

    fn slot(&self) -> Slot {
        self.target.slot
    }

    /// Hands over a message; those of one thread come out in their order. A full queue drops by its policy; one with the
    /// policy `backpressure` misses the message, which does not happen as long as its sender keeps to what
    /// [`RemoteInput::on_taken`] says. After the node's end it is counted as discarded.
    pub fn push(&self, message: Message) {
        self.target.mailbox.push_or_miss(self.slot(), message);
    }

    /// Counts messages that were lost on their way to this input. Nobody is told of them as taken.
    pub fn lost(&self, messages: u64) {
        self.target.mailbox.lost(self.slot(), messages);
    }

    /// The sender has ended: the input is closed after what is in it.
    pub fn close(&self) {
        self.target.mailbox.close(self.slot());
    }

    /// From now on tells `listener` of messages that leave the queue, each message that was pushed once, and when the
    /// input takes no more, exactly once and at once if that is so already. To be set before the first message, or anew before the
    /// first one of another sender: of those that are in then it is told nothing.
    ///
    /// The listener is called on the node's thread and in [`RemoteInput::push`], outside of locks; it must not wait. A
    /// message that leaves while the input is shut may be told of after that.
    pub fn on_taken(&self, listener: OnTaken) {
        self.target.mailbox.on_taken(self.slot(), listener);
    }
}

/// What became of a message at an outlet.
#[derive(Debug)]
pub enum OutletPushed {
    /// It is in.
    In,
    /// It is in, and another was dropped for it; or it was dropped itself.
    Dropped,
    /// The outlet takes nothing any more.
    Closed,
    /// There is no room, and the readers are to be waited for: here it is back.
    Full(Message),
}

/// A reader of an output that is outside this process. Any thread.
pub trait Outlet: Send + Sync + std::fmt::Debug {
    /// Hands a message over without waiting. On the sender's thread.
    fn push(&self, message: Message) -> OutletPushed;

    /// After [`OutletPushed::Full`]: waits until there may be room, until `stop` says so, or for `patience` at most. `stop`
    /// is asked before the wait and after each [`Outlet::nudge`], which must not be missed in between.
    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool);

    /// Makes those who wait for room ask whether they are to stop. Must not wait.
    fn nudge(&self);

    /// No more messages: the readers are told so after what is in. Must not wait; may be called again.
    fn close(&self);

    /// Memory for a message that leaves without a copy, once it has been filled; `None` when it is not worth it or there
    /// is none. Must not wait.
    fn room(&self, _len: usize) -> Option<Box<dyn Room>> {
        None
    }
}
