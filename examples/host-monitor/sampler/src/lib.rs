//! The plugin `host_sampler`: exports the node kind `sampler`.

mod machine;
mod node;
mod reading;

plugin_abi::export_plugin!(node::Sampler);
