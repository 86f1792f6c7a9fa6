//! Plugins: from an untrusted file to node kinds that can be run.
//!
//! Invariant: the only module that opens libraries. The order is the file check (`preflight`), a private copy
//! (`copies`), loading (`load`), and what it declares (`info`); nothing of a plugin runs before the file check has passed.
//! Absent: running nodes.

mod about;
mod copies;
pub mod describe;
pub mod info;
mod load;
pub mod preflight;

pub use about::{about, about_file};
pub use copies::{Copies, CopyError};
pub use load::{LibraryLog, LoadError, Loader, LoaderOptions, Plugin};

/// Set to 1 to load plugins where they are, without a private copy.
pub const IN_PLACE_VARIABLE: &str = "DORA_PLUGIN_IN_PLACE";

/// Whether [`IN_PLACE_VARIABLE`] is set.
pub fn in_place_wanted() -> bool {
    std::env::var_os(IN_PLACE_VARIABLE).is_some_and(|value| value == "1")
}
