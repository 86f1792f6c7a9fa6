//! The contract between a dora plugin and its host, and the SDK to write one.
//!
//! A plugin is a shared library that exports node kinds. This is a complete one; `Cargo.toml` says
//! `crate-type = ["cdylib"]` and depends on this crate:
//!
//! ```
//! use plugin_abi::prelude::*;
//!
//! struct Double;
//!
//! impl Node for Double {
//!     type Config = NoConfig;
//!
//!     fn kind() -> Kind {
//!         Kind::new("double")
//!             .about("Sends each number doubled")
//!             .input(Port::new("number").of("UInt64"))
//!             .output(Port::new("doubled").of("UInt64"))
//!     }
//!
//!     fn create(_: NoConfig, _: &Context<'_>) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
//!         outputs.send("doubled", input.value::<u64>()? * 2)?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! plugin_abi::export_plugin!(Double);
//! ```
//!
//! [`node::Node`] is what an author implements, [`outputs::Outputs`] what a node sends with, [`testing::Harness`] how
//! it is tested without a host. A `config:` is any serde type that derives [`schemars::JsonSchema`].
//!
//! Good to know: all instances of a plugin in one process share its statics. A plugin has no async runtime but its
//! own. A panic ends its node alone; a segfault, an abort or `exit()` ends the process that hosts it, and a callback
//! that never returns cannot be killed there: `process: own` in the descriptor is for such plugins.
//!
//! The rest is the contract itself: [`ffi`] (the C types; `include/dora_plugin.h` is their C form), [`handshake`]
//! (the record in the file), [`layout`] (the deep check), [`message`], [`meta`] and [`types`] (data), [`hosting`] (the
//! host's side), [`frames`] (where a thread is). With the feature `executable` a node also runs in a process of its own: [`executable`](crate::executable!),
//! `wire` (to the daemon), `codec` (messages as bytes). Invariant: this crate depends on no other of the workspace. Absent: loading, threads, queues.

#[cfg(feature = "executable")]
pub mod codec;
#[cfg(feature = "executable")]
pub mod executable;
pub mod export;
mod failure;
pub mod ffi;
pub mod frames;
pub mod handshake;
pub mod hosting;
pub mod layout;
mod log;
pub mod message;
pub mod meta;
pub mod node;
pub mod outputs;
pub mod payload;
mod scope;
pub mod testing;
pub mod types;
#[cfg(feature = "executable")]
pub mod wire;

/// Makes `main` of an executable that runs node kinds: with the feature `executable`.
#[cfg(not(feature = "executable"))]
#[macro_export]
macro_rules! executable {
    ($($node:ty),+ $(,)?) => {
        compile_error!("`executable!` needs the feature `executable` of plugin-abi");
    };
}

pub use schemars;
pub use scope::Scope;

/// Everything that a node needs.
pub mod prelude {
    pub use crate::message::Message;
    pub use crate::meta::{Parameters, Value};
    pub use crate::node::{Context, Error, Flow, Input, Kind, NoConfig, Node, Port, Result, Stop};
    pub use crate::outputs::{Buffer, Outputs, SendError};
}
