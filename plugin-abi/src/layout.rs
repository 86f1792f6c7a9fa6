//! The deep layout check of Rust plugins: the only module that knows `abi_stable`'s checker.
//!
//! The offsets in the handshake record cannot tell a `u32` from an `i32`. `abi_stable` describes every type that the
//! plugin's table reaches; comparing two descriptions says whether both sides mean the same. Its own version rule
//! accepts newer minors below 1.0, so the handshake decides about versions before this runs. Below 1.0 equal minors
//! mean equal tables, so no type is a prefix type yet. Absent: loading.

use crate::ffi::{Library, Plugin};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::type_layout::TypeLayout;
use std::ffi::c_void;

/// Name of the exported function that returns the library's description.
pub const SYMBOL: &str = "dora_plugin_layout";

/// The signature of [`SYMBOL`].
pub type LayoutFn = unsafe extern "C" fn() -> *const c_void;

/// Everything that crosses: reached from the table that the entry returns and the one that it takes.
#[repr(C)]
#[derive(StableAbi)]
struct Contract {
    plugin: *const Plugin,
    library: *const Library,
}

/// This side's description of the contract, for [`check`] on the other side.
pub fn own() -> *const c_void {
    std::ptr::from_ref(<Contract as StableAbi>::LAYOUT).cast()
}

/// Compares a plugin's description with this side's.
///
/// # Errors
/// One line that names the type and the field that differ.
///
/// # Safety
/// `plugin` came from [`own`] of a library with the same version of `abi_stable`, which is never unloaded.
pub unsafe fn check(plugin: *const c_void) -> Result<(), String> {
    // SAFETY: the caller vouches for the pointer.
    let plugin: &'static TypeLayout = unsafe { &*plugin.cast() };
    check_layout_compatibility(<Contract as StableAbi>::LAYOUT, plugin)
        .map_err(|errors| first_difference(&errors.to_string()))
}

/// The report lists every difference with both descriptions in full, tens of kilobytes: keep the first one's type
/// and field.
fn first_difference(report: &str) -> String {
    report.lines().take(40).collect::<Vec<_>>().join("\n")
}
