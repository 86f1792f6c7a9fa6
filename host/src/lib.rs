//! The runtime behind the `dora` command.

#![deny(unsafe_code)]

pub mod descriptor;
pub mod ids;
pub mod plugin;
