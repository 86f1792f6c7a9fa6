//! An output's way out of the host process.
//!
//! Invariant: nothing leaves that nobody elsewhere wants. Absent: waiting for readers: the daemon reads slowly where they
//! do, and the node's thread then waits in the connection.

use super::bench::Place;
use crate::engine::{Outlet, OutletPushed};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use plugin_abi::wire::WireError;
use std::sync::Arc;
use std::time::Duration;

/// One output.
#[derive(Debug)]
pub struct NodeOutlet {
    place: Arc<Place>,
    output: u32,
}

impl NodeOutlet {
    /// The way out of a node's output of this index.
    pub fn new(place: Arc<Place>, output: u32) -> Self {
        Self { place, output }
    }
}

impl Outlet for NodeOutlet {
    fn push(&self, message: Message) -> OutletPushed {
        if !self.place.is_wanted(self.output) {
            return OutletPushed::In;
        }
        let Some(channel) = self.place.channel() else {
            return OutletPushed::Closed;
        };
        let sent = channel
            .put_message(self.output, &message, &|| false)
            .and_then(|()| channel.flush(&|| false));
        match sent {
            Ok(_) => OutletPushed::In,
            Err(WireError::Encode(error)) => {
                self.place.warn(&format!("a message was not sent: {error}"));
                OutletPushed::Dropped
            }
            Err(_) => OutletPushed::Closed,
        }
    }

    fn wait_for_room(&self, _: Duration, _: &dyn Fn() -> bool) {}

    fn nudge(&self) {}

    fn close(&self) {}

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        let channel = self.place.channel()?;
        let read = self.place.reads(self.output);
        read.then(|| channel.pool().room(len)).flatten()
    }
}
