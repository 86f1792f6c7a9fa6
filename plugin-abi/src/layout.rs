//! The deep layout check of Rust plugins: the only module that knows `abi_stable`'s checker.
//!
//! The offsets in the handshake record cannot tell a `u32` from an `i32`. `abi_stable` describes every type that the
//! plugin's table reaches; comparing two descriptions says whether both sides mean the same. Its own version rule
//! accepts newer minors below 1.0, so the handshake decides about versions before this runs. Below 1.0 equal minors
//! mean equal tables, so no type is a prefix type yet. Absent: loading.

use crate::ffi::{Library, Plugin};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, check_layout_compatibility,
};
use abi_stable::type_layout::{TLData, TLFieldOrFunction, TypeLayout};
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
/// One short line that names the type and the field that differ.
///
/// # Safety
/// `plugin` is null, or came from [`own`] of a library with the same version of `abi_stable`, which is never unloaded.
pub unsafe fn check(plugin: *const c_void) -> Result<(), String> {
    // SAFETY: the caller vouches for the pointer.
    let plugin: Option<&'static TypeLayout> = unsafe { plugin.cast::<TypeLayout>().as_ref() };
    let plugin = plugin.ok_or("the plugin does not describe its types")?;
    check_layout_compatibility(<Contract as StableAbi>::LAYOUT, plugin)
        .map_err(|errors| first_difference(&errors))
}

/// The outermost difference in the order of declaration. The report as text has both descriptions in full for each
/// difference, tens of kilobytes.
fn first_difference(report: &AbiInstabilityErrors) -> String {
    // What has no differences of its own is only on the way to one.
    let first = report.errors.iter().find(|error| !error.errs.is_empty());
    let Some(first) = first else {
        return format!("type {} differs", report.interface.name());
    };
    let mut place = Place::start(report.interface);
    for step in &first.stack_trace {
        place.enter(&step.expected);
    }
    // Fields explain sizes.
    let of_fields = first.errs.iter().find(|difference| {
        matches!(
            difference,
            AbiInstability::UnexpectedField(_) | AbiInstability::FieldCountMismatch(_)
        )
    });
    match of_fields.or(first.errs.first()) {
        Some(AbiInstability::Name(names)) => {
            let (here, there) = (names.expected.name(), names.found.name());
            format!("{place} ({here} here, {there} there)")
        }
        Some(AbiInstability::UnexpectedField(fields)) if place.owner.is_some() => {
            place.inside(Some(fields.expected.name()));
            format!("{place} ({} there)", fields.found.name())
        }
        Some(AbiInstability::FieldCountMismatch(counts)) if place.owner.is_some() => {
            place.inside(None);
            let (here, there) = (counts.expected, counts.found);
            format!("{place} (fields: {here} here, {there} there)")
        }
        _ => {
            if place.owner.is_some() {
                place.inside(None);
            }
            place.to_string()
        }
    }
}

/// Where in the contract a difference is.
struct Place {
    /// The last of the contract's own types on the way, and its field that the way goes through.
    type_name: &'static str,
    field: Option<&'static str>,
    /// What the way has come to, if that is one of the contract's own types; else a pointer, a number or a function.
    owner: Option<&'static str>,
}

impl Place {
    fn start(contract: &'static TypeLayout) -> Self {
        Self {
            type_name: contract.name(),
            field: None,
            owner: Some(contract.name()),
        }
    }

    fn enter(&mut self, step: &TLFieldOrFunction) {
        let TLFieldOrFunction::Field(field) = step else {
            // Parameters are fields in the report, but the field that holds the function says more.
            self.owner = None;
            return;
        };
        if self.owner.is_some() {
            self.inside(Some(field.name()));
        }
        let layout = field.layout();
        self.owner = matches!(layout.data(), TLData::Struct { .. }).then(|| layout.name());
    }

    /// Goes to a field of the type that the way has come to, or to that type itself.
    fn inside(&mut self, field: Option<&'static str>) {
        self.type_name = self.owner.unwrap_or(self.type_name);
        self.field = field;
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "type {} differs", self.type_name)?;
        match self.field {
            Some(field) => write!(f, " at field {field}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same few types, with what the tests change as parameters.
    macro_rules! contract {
        ($module:ident, $kind:ty, $message:ty, { $($more:ident)? }, fn($($parameter:ty),*) -> $result:ty, [$first:ident $second:ident]) => {
            mod $module {
                use super::*;
                #[repr(C)]
                #[derive(StableAbi)]
                pub struct Msg {
                    bytes: *const $message,
                    $($more: usize,)?
                }
                #[repr(C)]
                #[derive(StableAbi)]
                pub struct Event {
                    kind: $kind,
                    msg: *const Msg,
                }
                #[repr(C)]
                #[derive(StableAbi)]
                pub struct Text {
                    ptr: *const u8,
                }
                #[repr(C)]
                #[derive(StableAbi)]
                pub struct Table {
                    size: usize,
                    $first: Text,
                    $second: Text,
                    next: *const Table,
                    on_event: unsafe extern "C" fn($($parameter),*) -> $result,
                }
                #[repr(C)]
                #[derive(StableAbi)]
                pub struct Contract {
                    table: *const *const Table,
                }
                pub fn layout() -> &'static TypeLayout {
                    <Contract as StableAbi>::LAYOUT
                }
            }
        };
    }
    contract!(here, u32, u8, {}, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(again, u32, u8, {}, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(signed, i32, u8, {}, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(wider, u64, u8, {}, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(pointed_to, u32, i8, {}, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(longer, u32, u8, { more }, fn(*mut u8, *const Event) -> i32, [name description]);
    contract!(returns, u32, u8, {}, fn(*mut u8, *const Event) -> u32, [name description]);
    contract!(takes, u32, u8, {}, fn(*const u8, *const Event) -> i32, [name description]);
    contract!(takes_more, u32, u8, {}, fn(*mut u8, *const Event, u8) -> i32, [name description]);
    contract!(swapped, u32, u8, {}, fn(*mut u8, *const Event) -> i32, [description name]);

    #[test]
    fn a_difference_is_one_line_with_type_and_field() {
        let table = [
            (again::layout(), ""),
            (
                signed::layout(),
                "type Event differs at field kind (u32 here, i32 there)",
            ),
            (
                wider::layout(),
                "type Event differs at field kind (u32 here, u64 there)",
            ),
            (
                pointed_to::layout(),
                "type Msg differs at field bytes (u8 here, i8 there)",
            ),
            (
                longer::layout(),
                "type Msg differs (fields: 1 here, 2 there)",
            ),
            (
                returns::layout(),
                "type Table differs at field on_event (i32 here, u32 there)",
            ),
            (
                takes::layout(),
                "type Table differs at field on_event (*mut here, *const there)",
            ),
            (takes_more::layout(), "type Table differs at field on_event"),
            (
                swapped::layout(),
                "type Table differs at field name (description there)",
            ),
        ];
        for (there, expected) in table {
            let found = check_layout_compatibility(here::layout(), there);
            let text = found.map_err(|report| first_difference(&report));
            let expected = if expected.is_empty() {
                Ok(())
            } else {
                Err(expected.to_owned())
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_plugin_has_to_describe_its_types() {
        // SAFETY: null, and this side's own description.
        unsafe {
            assert!(check(std::ptr::null()).is_err());
            assert_eq!(check(own()), Ok(()));
        }
    }
}
