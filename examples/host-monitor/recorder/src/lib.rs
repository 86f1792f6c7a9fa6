//! The plugin `host_recorder`: exports the node kind `recorder`.

mod chart;
mod file;
mod history;
mod node;

plugin_abi::export_plugin!(node::Recorder);
