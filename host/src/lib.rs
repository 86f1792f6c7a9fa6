//! The runtime behind the `dora` command.

#![deny(unsafe_code)]

pub mod descriptor;
pub mod engine;
pub mod ids;
pub mod launch;
pub mod local;
pub mod logs;
#[allow(unsafe_code)]
pub mod plugin;
#[allow(unsafe_code)]
pub mod sys;
