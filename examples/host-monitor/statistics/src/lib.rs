//! The plugin `host_statistics`: exports the node kind `statistics`.

mod node;
mod window;

plugin_abi::export_plugin!(node::Statistics);
