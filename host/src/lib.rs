//! The runtime behind the `dora` command.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod build;
pub mod client;
pub mod control;
pub mod coordinator;
pub mod daemon;
pub mod descriptor;
pub mod engine;
pub mod find;
pub mod guard;
pub mod hosted;
pub mod ids;
pub mod launch;
pub mod link;
pub mod local;
pub mod logs;
mod lookout;
#[allow(unsafe_code)]
pub mod plugin;
pub mod process;
pub mod scaffold;
#[allow(unsafe_code)]
pub mod sys;
mod tail;

pub use plugin_abi::codec;
