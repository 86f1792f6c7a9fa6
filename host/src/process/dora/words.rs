//! One vocabulary for what nodes of every generation ask and are told.
//!
//! Invariant: names are valid and messages complete Arrow once they are here. Absent: encodings.

use crate::ids::{NodeId, PortName};
use plugin_abi::message::Message;
use uuid::Uuid;

/// Longest text that a node is sent or whose sender is quoted, in bytes.
pub const MAX_TEXT: usize = 8192;

/// What one delivery of shared memory is called until its reader has given it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DropToken(pub Uuid);

/// What a node asks, after it has registered.
#[derive(Debug)]
pub enum NodeRequest {
    /// It wants events; answered when all nodes do.
    Subscribe,
    /// It waits for events, and has given back deliveries.
    NextEvent {
        /// What it has given back.
        released: Vec<DropToken>,
    },
    /// It has given back deliveries. No reply.
    Released(Vec<DropToken>),
    /// It wants to know when its shared memory is free again.
    SubscribeDrops,
    /// It waits for its shared memory.
    NextDrops,
    /// It sends. No reply.
    Send(Sent),
    /// It has sent past the daemon. No reply.
    SentDirectly {
        /// The output.
        output: PortName,
    },
    /// These outputs send no more.
    CloseOutputs(Vec<PortName>),
    /// No output sends any more.
    OutputsDone,
    /// It reads no more events.
    EventsDropped,
    /// Registers again, on a connection that has.
    RegisterAgain,
    /// A dynamic node asks how it is configured.
    NodeConfig {
        /// Which it says it is; any text.
        node: String,
    },
    /// What is not served.
    Unserved {
        /// The request's name.
        what: &'static str,
    },
}

/// A message from a node.
#[derive(Debug)]
pub struct Sent {
    /// The output.
    pub output: PortName,
    /// The message, or why its bytes are none.
    pub message: Result<Message, String>,
    /// What its sender calls the shared memory it came in, which nobody needs any more, and the memory's name.
    pub token: Option<(DropToken, String)>,
}

/// What a node is answered.
#[derive(Debug, Clone)]
pub enum NodeReply {
    /// Yes, or why not.
    Done(Result<(), String>),
    /// Events; none mean that there will be no more.
    Events(Vec<NodeEvent>),
    /// Shared memory that is free again; none mean that there will be no more.
    Drops(Vec<DropToken>),
}

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum NodeEvent {
    /// It should end.
    Stop,
    /// A message. One of the type `Null` without values is a tick.
    Input {
        /// The input.
        input: PortName,
        /// The message.
        message: Message,
    },
    /// An input's sender has ended.
    InputClosed {
        /// The input.
        input: PortName,
    },
    /// A closed input has a sender again. Unknown before 1.0.
    InputRecovered {
        /// The input.
        input: PortName,
    },
    /// A node whose messages it reads has started again. Unknown before 1.0.
    NodeRestarted {
        /// The node.
        node: NodeId,
    },
    /// A node whose messages it reads has failed. Unknown before 1.0.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// The inputs that it fed.
        inputs: Vec<PortName>,
        /// How it failed.
        error: String,
    },
    /// All inputs are closed.
    AllInputsClosed,
}

impl NodeEvent {
    /// About how many bytes it takes on a wire.
    pub fn size(&self) -> usize {
        const REST: usize = 128;
        match self {
            Self::Input { message, .. } => match message.plain() {
                Some((_, values)) => values.len() + REST,
                None => message.array().map_or(0, |it| it.get_buffer_memory_size()) + REST,
            },
            Self::NodeFailed { error, .. } => error.len() + REST,
            _ => REST,
        }
    }
}

/// A frame that is none of the protocol's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed request: {0}")]
pub struct Malformed(pub String);

impl Malformed {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// A port's name from a wire.
pub(super) fn port(name: &str) -> Result<PortName, Malformed> {
    name.parse()
        .map_err(|_| Malformed(format!("`{}` is no name of a port", excerpt(name))))
}

/// Whether a parameter is between 1.x nodes only.
pub(super) fn is_internal(key: &str) -> bool {
    key.starts_with("__dora_") || matches!(key, "_framing" | "_schema_hash" | "_wire_size")
}

/// The start of a text that may be anything, printable.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    let cut = text.floor_char_boundary(MOST);
    let mut out = text[..cut].escape_debug().to_string();
    if cut < text.len() {
        out.push('…');
    }
    out
}
