//! The contract between a dora plugin and its host, and the SDK to write one.
pub mod ffi;
pub mod handshake;
pub mod message;
pub mod meta;
pub mod types;
