//! An output on its way to other machines, as the engine sees it.
//!
//! Invariant: it gets nothing before its readers have been found, because its node is held until then. What is dropped
//! because it comes too fast is said. Absent: the queue (`link`).

use super::losses::Losses;
use crate::engine::{Outlet, OutletPushed};
use crate::ids::{MachineId, PortName};
use crate::link::{Output, Pushed};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Exit {
    output: Output,
    losses: Arc<Losses>,
    /// What is said of a message that had no room.
    dropped: String,
    /// Nobody reads it any more.
    silent: AtomicBool,
}

impl Exit {
    /// `name` is the output's.
    pub fn new(output: Output, name: &PortName, losses: Arc<Losses>) -> Self {
        Self {
            output,
            losses,
            dropped: format!("of output `{name}` dropped before they left this machine"),
            silent: AtomicBool::new(false),
        }
    }

    /// The machines whose readers do not answer within the deadline.
    pub async fn missing(&self, deadline: Duration) -> Vec<MachineId> {
        self.output.missing(deadline).await
    }

    /// Waits for a machine no more.
    pub fn forget(&self, machine: &MachineId) {
        self.output.forget(machine);
    }

    /// Sends nothing more: all its readers have another way now.
    pub fn silence(&self) {
        self.silent.store(true, Ordering::Relaxed);
        self.output.nudge();
    }

    /// Whether that was said.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Ends it, and says what was not said yet.
    pub fn end(&self) {
        self.output.close();
        self.losses.flush();
    }
}

impl Outlet for Exit {
    fn push(&self, message: Message) -> OutletPushed {
        if self.is_silent() {
            return OutletPushed::In;
        }
        match self.output.push(message) {
            Pushed::In => OutletPushed::In,
            Pushed::Dropped => {
                self.losses.count(1, &self.dropped);
                OutletPushed::Dropped
            }
            Pushed::Closed => OutletPushed::Closed,
            Pushed::Full(message) => OutletPushed::Full(message),
        }
    }

    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool) {
        self.output.wait_for_room(patience, stop);
    }

    fn nudge(&self) {
        self.output.nudge();
    }

    fn close(&self) {
        self.output.close();
    }

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        self.output.room(len)
    }
}
