//! x

pub mod descriptor;
pub mod ids;
pub mod plugin;
