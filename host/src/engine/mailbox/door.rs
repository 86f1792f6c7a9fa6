//! The way past the queues, for a node outside that could take a message at once: the wake of its thread is saved.
//!
//! Invariant: a message goes through the door only when its node's thread waits for work and nothing waits for that thread,
//! so that it overtakes nothing; when the node can take no more, messages stay in their queues, where their policies rule,
//! until it can. Absent: what is behind the door.

use super::taken::ToTell;
use super::{MESSAGES, Mailbox, Slot, State};
use plugin_abi::message::Message;
use std::fmt;
use std::sync::{Arc, MutexGuard};

/// Takes messages on their senders' threads, under the mailbox's lock: never waits, calls no other mailbox, drops no
/// message.
pub trait Door: Send + Sync {
    /// Takes a message on the node's input with this index, or not.
    fn pass(&self, input: u32, message: &Message) -> Passed;
}

/// What became of a message at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// It is to wait for the node's thread.
    No,
    /// It is through.
    Through {
        /// Nothing more is to come out until the node can take more.
        full: bool,
        /// The node's thread is to see to the rest of it.
        behind: bool,
    },
}

/// The door of a mailbox.
pub(super) struct ThisDoor(Arc<dyn Door>);

impl fmt::Debug for ThisDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl Mailbox {
    /// Opens a door past the queues, or closes the one that there is: afterwards nobody is in it. The slots of this mailbox
    /// are the indices of one node's inputs.
    pub fn set_door(&self, door: Option<Arc<dyn Door>>) {
        let mut state = self.state();
        state.door = door.map(ThisDoor);
        drop(state);
        self.resume();
    }

    /// What is behind the door can take messages again.
    pub fn resume(&self) {
        let mut state = self.state();
        let paused = std::mem::take(&mut state.paused);
        if paused && !state.ready.is_empty() {
            self.tell_reader(state, MESSAGES);
        }
    }

    /// Lets a message through the door if that can be: what is to be told then. Else the lock is still held.
    pub(super) fn through<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        slot: Slot,
        message: &Message,
    ) -> Result<ToTell, MutexGuard<'a, State>> {
        if state.door.is_none() {
            return Err(state);
        }
        let Passed::Through { full, behind } = state.pass(slot, message) else {
            return Err(state);
        };
        state.paused = full;
        let left = state.inputs.get_mut(slot.0).map(|input| {
            input.count.taken += 1;
            input.left(1)
        });
        if behind {
            state.nudged = true;
            self.tell_reader(state, MESSAGES);
        }
        Ok(left.unwrap_or_default())
    }
}

impl State {
    fn pass(&self, slot: Slot, message: &Message) -> Passed {
        let (Some(input), Some(ThisDoor(door))) = (self.inputs.get(slot.0), &self.door) else {
            return Passed::No;
        };
        let nothing_waits = self.reader_waits && self.orders.is_empty() && self.ready.is_empty();
        let open = !input.shut && !input.held && !input.closing && input.queue.is_empty();
        match u32::try_from(slot.0) {
            Ok(index) if nothing_waits && open && !self.paused => door.pass(index, message),
            _ => Passed::No,
        }
    }
}
