//! The same node as an executable of its own.

mod node;

plugin_abi::executable!(node::Sink);
