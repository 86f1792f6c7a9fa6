//! The same node kinds as an executable of its own.

mod clock;
mod idle;
mod reader;
mod relay;
mod sender;

plugin_abi::executable!(sender::Sender, reader::Reader, relay::Relay, idle::Idle);
