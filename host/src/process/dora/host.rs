//! What the wires need from the rest of the runtime: the engine's end of each node.
//!
//! Invariant: nothing here waits; who has to wait is woken. Absent: any implementation.

use super::launch::Launch;
use super::sniff::Hello;
use super::words::NodeEvent;
use crate::ids::PortName;
use plugin_abi::message::Message;
use std::sync::Arc;
use tokio::sync::Notify;

/// The runtime, as nodes find it. Any thread.
pub trait NodeHost: Send + Sync {
    /// A node has registered its first connection; the version has been checked. What it gets afterwards goes through
    /// the answer, until [`NodeEnd::detached`]. `wake` is to be called when [`NodeEnd::started`], [`NodeEnd::take`] or
    /// [`NodeEnd::has_room`] may have changed its answer.
    ///
    /// # Errors
    /// No such dataflow or node, or it is no process node: the text that the node prints.
    fn attach(&self, hello: &Hello, wake: Wake) -> Result<Arc<dyn NodeEnd>, String>;

    /// How the dynamic node of that name is configured.
    ///
    /// # Errors
    /// There is none, or more than one: the text that the node prints.
    fn configuration(&self, node: &str) -> Result<Launch, String>;

    /// A node was refused with this text, which it prints itself, too.
    fn refused(&self, hello: &Hello, text: &str);

    /// A connection was closed for what it sent before it had registered.
    fn stranger(&self, fault: &str);
}

/// The engine's end of one node. Any thread.
pub trait NodeEnd: Send + Sync {
    /// The node has subscribed, and waits for [`Self::started`].
    fn subscribed(&self);

    /// Whether all nodes have subscribed, or why there will be no start. Asked again after each wake.
    fn started(&self) -> Option<Result<(), String>>;

    /// At most `most` events, oldest first, and whether they were the last. Asked only when the node waits for events.
    fn take(&self, most: usize) -> Taken;

    /// The node sends. Without room for another message nothing is read from the node until [`Self::has_room`].
    fn send(&self, output: &PortName, message: Message);

    /// The node has sent past this process.
    fn sent_directly(&self, output: &PortName);

    /// Whether another message may come: readers with `backpressure` hold their sender by this.
    fn has_room(&self) -> bool;

    /// These outputs send no more.
    fn close_outputs(&self, outputs: &[PortName]);

    /// No output sends any more.
    fn outputs_done(&self);

    /// The node reads no more events.
    fn events_dropped(&self);

    /// Something that the node did wrong, for its log.
    fn fault(&self, text: &str);

    /// The node has no connection any more.
    fn detached(&self);
}

/// What a node is to be told next.
#[derive(Debug, Default)]
pub struct Taken {
    /// Oldest first.
    pub events: Vec<NodeEvent>,
    /// No events follow these.
    pub last: bool,
}

/// Wakes the connections of one node. Clones wake the same ones. Any thread; never blocks.
#[derive(Debug, Clone, Default)]
pub struct Wake(pub(super) Arc<Notify>);

impl Wake {
    /// Something may have changed.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}
