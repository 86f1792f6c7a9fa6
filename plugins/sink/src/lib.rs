//! The plugin `sink`: exports the node kind of the same name.

mod node;

plugin_abi::export_plugin!(node::Sink);
