//! What a plugin's author writes: the trait [`Node`] and the declaration of a node kind.
//!
//! Invariant: callbacks of one node never run at the same time. Absent: the C contract; `export` translates.

use crate::message::Message;
use crate::outputs::Outputs;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// An error of a node: anything with a text, and its chain of causes. `?` makes one of every error, `.into()` of
/// text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a callback returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether a node goes on after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Call me again.
    Continue,
    /// I am finished: my outputs close and I am dropped. `on_stop` is not called.
    Done,
}

/// Why a node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The user, or the end of the dataflow, asks.
    Requested,
    /// All inputs are closed: nothing more can come.
    InputsClosed,
}

/// A node: made once per node of a dataflow, fed with events, dropped at its end.
///
/// The host calls one callback at a time, but not always from the same thread. A callback that returns an error or
/// panics ends this node, with the error's whole chain in the log, and no other.
pub trait Node: Send + Sized + 'static {
    /// What the descriptor's `config:` is read into. [`NoConfig`] for a node without one.
    type Config: DeserializeOwned + JsonSchema;

    /// The kind's name, ports and description.
    fn kind() -> Kind;

    /// Makes a node. Outputs may be sent from here on; readers get them when all nodes are ready.
    ///
    /// # Errors
    /// Whatever keeps the node from working; the dataflow does not start then.
    fn create(config: Self::Config, context: &Context<'_>) -> Result<Self>;

    /// A message has come.
    ///
    /// # Errors
    /// Whatever ends this node.
    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow>;

    /// Nothing will come on this input any more. After the last one, [`Node::on_stop`] follows by itself.
    ///
    /// # Errors
    /// Whatever ends this node.
    fn on_input_closed(&mut self, input: &str, outputs: &Outputs) -> Result<Flow> {
        let _ = (input, outputs);
        Ok(Flow::Continue)
    }

    /// The last callback before the node is dropped, unless it ended by itself. Sending still works when the
    /// inputs are closed, and no longer reaches anybody when a stop was requested.
    ///
    /// # Errors
    /// Whatever kept the node from ending well.
    fn on_stop(&mut self, why: Stop, outputs: &Outputs) -> Result<()> {
        let _ = (why, outputs);
        Ok(())
    }

    /// The node's state, to be taken up by a newer instance; `None` when the kind keeps none.
    ///
    /// # Errors
    /// Whatever keeps it from being saved.
    fn save_state(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Takes up what `save_state` gave, before the first event.
    ///
    /// # Errors
    /// The state cannot be understood; by default every state.
    fn restore_state(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Err("this node kind keeps no state".into())
    }
}

/// The config of a node that has none: an empty map, or nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// What a node is told when it is made.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) node_id: &'a str,
    pub(crate) dataflow_id: &'a str,
    pub(crate) inputs: &'a [String],
    pub(crate) folder: &'a str,
    pub(crate) restart_count: u32,
    pub(crate) outputs: &'a Outputs,
}

impl Context<'_> {
    /// The node's id in its dataflow.
    pub fn node_id(&self) -> &str {
        self.node_id
    }

    /// The dataflow's UUID.
    pub fn dataflow_id(&self) -> &str {
        self.dataflow_id
    }

    /// Names of the inputs that the descriptor connects.
    pub fn inputs(&self) -> &[String] {
        self.inputs
    }

    /// The handle to send with; clone it for the node's own threads.
    pub fn outputs(&self) -> &Outputs {
        self.outputs
    }

    /// The folder of the plugin's original file: where its data files lie.
    pub fn folder(&self) -> &Path {
        Path::new(self.folder)
    }

    /// How often this node has been restarted; 0 the first time.
    pub fn restart_count(&self) -> u32 {
        self.restart_count
    }
}

/// A message on an input. Its data and metadata are those of the [`Message`] it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub(crate) name: &'a str,
    pub(crate) message: &'a Message,
}

impl<'a> Input<'a> {
    /// The input's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The message; clone it to keep it after the callback.
    pub fn message(&self) -> &'a Message {
        self.message
    }
}

impl std::ops::Deref for Input<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.message
    }
}

/// The declaration of a node kind.
#[derive(Debug, Clone)]
pub struct Kind {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

impl Kind {
    /// A kind without ports. The name is unique in the plugin.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// What it does, for people.
    #[must_use]
    pub fn about(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Adds an input: a [`Port`], or just its name.
    #[must_use]
    pub fn input(mut self, port: impl Into<Port>) -> Self {
        self.inputs.push(port.into());
        self
    }

    /// Adds an output: a [`Port`], or just its name.
    #[must_use]
    pub fn output(mut self, port: impl Into<Port>) -> Self {
        self.outputs.push(port.into());
        self
    }

    /// Whether the kind declares an output of that name, or any name.
    pub(crate) fn has_output(&self, name: &str) -> bool {
        self.outputs
            .iter()
            .any(|port| port.name == name || port.name == Port::ANY)
    }
}

/// A declared input or output.
#[derive(Debug, Clone)]
pub struct Port {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) data_type: String,
}

impl Port {
    /// The name of a port that stands for every name that is not declared otherwise.
    pub const ANY: &'static str = "*";

    /// A port for data of any type.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            data_type: String::new(),
        }
    }

    /// The Arrow type of its data, in the words of [`crate::types`]: `UInt64`, `List<Float32>`.
    #[must_use]
    pub fn of(mut self, data_type: &str) -> Self {
        self.data_type = data_type.into();
        self
    }

    /// As [`Port::of`], from a type of the arrow crates.
    #[cfg(feature = "arrow")]
    #[must_use]
    pub fn of_type(self, data_type: &arrow_schema::DataType) -> Self {
        self.of(&crate::message::arrow::type_text(data_type))
    }

    /// What it carries, for people.
    #[must_use]
    pub fn about(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }
}

impl From<&str> for Port {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}
