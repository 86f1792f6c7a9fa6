//! The runtime behind the `dora` command.

#![deny(unsafe_code)]

pub mod descriptor;
pub mod engine;
pub mod ids;
pub mod launch;
#[allow(unsafe_code)]
pub mod plugin;
#[allow(unsafe_code)]
pub mod sys;
