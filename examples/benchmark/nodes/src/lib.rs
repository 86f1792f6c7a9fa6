//! The plugin `stopwatch`: exports the node kinds `sender`, `reader`, `relay` and `idle`.

mod clock;
mod idle;
mod reader;
mod relay;
mod sender;

plugin_abi::export_plugin!(sender::Sender, reader::Reader, relay::Relay, idle::Idle);
