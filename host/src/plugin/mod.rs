//! Plugins: from an untrusted file to running instances.
pub mod preflight;
