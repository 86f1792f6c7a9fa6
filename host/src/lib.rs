//! The runtime behind the `dora` command.
pub mod plugin;
