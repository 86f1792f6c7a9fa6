//! Plugins as the host sees them: so far what a plugin says of itself.

pub mod info;
