//! The runtime behind the `dora` command.

#![deny(unsafe_code)]

pub mod build;
pub mod descriptor;
pub mod engine;
pub mod ids;
#[allow(unsafe_code)]
pub mod plugin;
pub mod scaffold;
#[allow(unsafe_code)]
pub mod sys;
mod tail;
