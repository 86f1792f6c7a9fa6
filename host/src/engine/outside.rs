//! Nodes whose code runs outside this process: what the engine asks of whoever runs them, and what it is told.
//!
//! Invariant: such a node has a seat, a thread and queues like any other; only its callbacks lead out of the process, and
//! it ends when it says so. Absent: processes and wires.

use super::Crash;
use super::mailbox::{Door, Order};
use super::seat::{SeatHandle, SeatShared};
use super::state::Ending;
use crate::ids::{DataflowId, NodeId};
use plugin_abi::ffi::Status;
use plugin_abi::hosting::{Callbacks, Event, LogLine, NodeFailure, Room};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// An event for a node outside: the one that a plugin's instance gets.
pub type OutsideEvent<'a> = Event<'a>;

/// A node whose code runs outside this process. Any thread.
pub trait Outside: Send + Sync + fmt::Debug {
    /// Begins an instance, and returns when it has connected and is ready to [go](Body::go). On the node's own thread,
    /// which may wait here; after [`Outside::stop`] it returns early, with any failure.
    ///
    /// # Errors
    /// Why there is no instance. [`OutsideEnd::ended`] is not called for it then.
    fn create(&self, end: OutsideEnd) -> Result<Box<dyn Body>, NodeFailure>;

    /// The node is asked to stop, or its dataflow is given up: whatever waits in [`Outside::create`] or in a [`Body`]
    /// returns. Never waits.
    fn stop(&self);

    /// The node is over for good. After [`Ending::Stuck`] it has not ended in time, and is to be ended by force. Never
    /// waits.
    fn retire(&self, ending: &Ending);

    /// Whether the dataflow ends when only such nodes are left: those that somebody else starts, or does not.
    fn is_optional(&self) -> bool {
        false
    }

    /// Whether somebody reads an output now: where nobody does, what is sent need not leave the node's process. Called
    /// once before the first instance, then at changes. Never waits.
    fn wanted(&self, _output: u32, _wanted: bool) {}

    /// What has become of a node that it reads. Never waits.
    fn upstream(&self, _news: Upstream<'_>) {}

    /// Memory for a message to this node that it gets without a copy, once it has been filled; `None` when it is not worth
    /// it or there is none. Never waits.
    fn room(&self, _len: usize) -> Option<Box<dyn Room>> {
        None
    }

    /// What the engine has not seen of its messages. Asked when the dataflow is over.
    fn counts(&self) -> OutsideCounts {
        OutsideCounts::default()
    }
}

/// What has become of a node, for those that read it.
#[derive(Debug, Clone, Copy)]
pub enum Upstream<'a> {
    /// It has failed for good. Before its outputs close.
    Failed {
        /// The node.
        node: &'a NodeId,
        /// The reader's inputs that it fed.
        inputs: &'a [&'a str],
        /// Why.
        error: &'a str,
    },
    /// It has ended and is made again.
    Restarts {
        /// The node.
        node: &'a NodeId,
    },
}

/// Messages that did not pass through the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideCounts {
    /// By input: messages that the node has taken.
    pub taken: BTreeMap<String, u64>,
    /// By input: messages that the policy of its queue has dropped.
    pub dropped: BTreeMap<String, u64>,
    /// By output: messages that were sent.
    pub sent: BTreeMap<String, u64>,
}

/// One instance of a node outside. Only on the node's thread; dropped when the instance has ended.
pub trait Body {
    /// All nodes of the dataflow have been made: it may begin.
    fn go(&mut self);

    /// An event. May wait until the other end can take it: meanwhile the queues of the node fill, and their policies rule.
    /// Returns when [`Outside::stop`] is called or the instance has ended.
    fn event(&mut self, event: OutsideEvent<'_>);

    /// Nothing else waits for the node now: what was put together goes out.
    fn idle(&mut self);

    /// What takes messages on their senders' threads while the node's own thread waits for work. Asked once, after
    /// [`Body::go`].
    fn door(&self) -> Option<Arc<dyn Door>> {
        None
    }
}

/// What an instance outside tells the engine. Any thread, also after the instance's end: then it has no effect. Clones
/// are the same.
#[derive(Clone)]
pub struct OutsideEnd {
    handle: SeatHandle,
    about: Arc<About>,
}

/// What does not change from instance to instance.
pub(super) struct About {
    pub(super) dataflow: DataflowId,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) level: Arc<AtomicU32>,
}

impl OutsideEnd {
    pub(super) fn new(shared: Arc<SeatShared>, restart_count: u32, about: Arc<About>) -> Self {
        Self {
            handle: SeatHandle::new(shared, restart_count),
            about,
        }
    }

    /// The node.
    pub fn node(&self) -> &NodeId {
        self.handle.node()
    }

    /// Its dataflow.
    pub fn dataflow(&self) -> DataflowId {
        self.about.dataflow
    }

    /// How often the node has been made before.
    pub fn restart_count(&self) -> u32 {
        self.handle.restart_count()
    }

    /// The names of its inputs, in the order of their indices.
    pub fn inputs(&self) -> &[String] {
        &self.about.inputs
    }

    /// The names of its outputs, in the order of their indices.
    pub fn outputs(&self) -> &[String] {
        &self.about.outputs
    }

    /// Sends on an output. Waits for readers whose policy is `backpressure`, and until the dataflow begins, but not once
    /// the node is to stop: then it refuses.
    pub fn send(&self, output: u32, message: Message) -> Status {
        self.handle.send(output, message)
    }

    /// Whether [`OutsideEnd::send`] may wait now: else a thread that must not wait may call it.
    pub fn may_wait(&self, output: u32) -> bool {
        self.handle.may_wait(output)
    }

    /// The node's [door](Body::door) takes messages again.
    pub fn resume(&self) {
        self.handle.resume();
    }

    /// Nothing more comes on this output: its readers are told so after what was sent.
    pub fn close_output(&self, output: u32) {
        self.handle.close_output(output);
    }

    /// A line of the node's log.
    pub fn log(&self, line: &LogLine<'_>) {
        self.handle.log(line);
    }

    /// A warning of the runtime about the node.
    pub fn warn(&self, text: &str) {
        self.handle.warn(text);
    }

    /// The instance has crashed: where there is more to read about it, for its failure.
    pub fn crashed(&self, crash: Crash) -> Option<String> {
        self.handle.crashed(crash)
    }

    /// The most verbose level wanted of the node, which may change at any time.
    pub fn level(&self) -> Arc<AtomicU32> {
        self.about.level.clone()
    }

    /// The engine's clock.
    pub fn now(&self) -> Timestamp {
        self.handle.now()
    }

    /// Whether the instance has been told to stop, or has ended: nothing that it sends is taken any more.
    pub fn is_stopping(&self) -> bool {
        self.handle.is_stopping()
    }

    /// The instance has ended: by itself, because it was asked to, or with a failure. Once per instance.
    pub fn ended(&self, result: Result<(), NodeFailure>) {
        self.handle.order(Order::Ended {
            instance: self.restart_count(),
            result,
            inputs_closed: false,
        });
    }

    /// As [`OutsideEnd::ended`] with `Ok`, by itself because all its inputs were closed, also those that the engine does not feed.
    pub fn ended_with_inputs(&self) {
        self.handle.order(Order::Ended {
            instance: self.restart_count(),
            result: Ok(()),
            inputs_closed: true,
        });
    }
}

impl fmt::Debug for OutsideEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideEnd")
            .field("node", self.node())
            .field("restart_count", &self.restart_count())
            .finish_non_exhaustive()
    }
}
