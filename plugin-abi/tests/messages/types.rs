//! Types: what they are called, which are one, and which are none of Arrow's.

use super::{interned, kinds, type_of};
use plugin_abi::ffi::ArrowSchema;
use plugin_abi::message::Schema;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

thread_local! {
    static RELEASED: Cell<usize> = const { Cell::new(0) };
}

unsafe extern "C" fn release(schema: *mut ArrowSchema) {
    // SAFETY: called with the schema that carries it.
    unsafe { (*schema).release = None };
    RELEASED.set(RELEASED.get() + 1);
}

/// A type as C would write it. What it points to stays.
fn schema(format: &CStr, children: Vec<ArrowSchema>) -> ArrowSchema {
    let children: Vec<*mut ArrowSchema> = children
        .into_iter()
        .map(|child| Box::into_raw(Box::new(child)))
        .collect();
    ArrowSchema {
        format: format.to_owned().into_raw(),
        name: null(),
        metadata: null(),
        flags: 2,
        n_children: children.len() as i64,
        children: children.leak().as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release),
        private_data: null_mut::<c_void>(),
    }
}

fn leaf(format: &CStr) -> ArrowSchema {
    schema(format, vec![])
}

#[test]
fn each_kind_of_array_has_a_name_for_its_type() {
    let names: Vec<(&str, String)> = kinds::all()
        .iter()
        .map(|(kind, array)| (*kind, super::message(array).0.data_type()))
        .collect();
    for (kind, expected) in [
        ("bytes", "UInt8"),
        ("struct", "Struct<texts: List<Utf8>, number: UInt64>"),
        ("fixed-size list", "FixedSizeList<Int32, 2>"),
        ("dictionary", "Dictionary<Int8, Utf8>"),
        ("map", "Map<entries: Struct<key: Utf8, value: Int32>>"),
        (
            "run-end encoded",
            "RunEndEncoded<run_ends: Int32, values: Utf8>",
        ),
        ("dense union", "Union<Int32, Float64>"),
        ("timestamp with a zone", "Timestamp(ns, Europe/Berlin)"),
        ("decimal", "Decimal128(10, 2)"),
        ("decimal 256", "Decimal256(76, 10)"),
        ("fixed-size binary", "FixedSizeBinary(3)"),
        ("utf8 view", "Utf8View"),
        ("null", "Null"),
    ] {
        let found = names.iter().find(|(name, _)| *name == kind);
        assert_eq!(
            found.map(|(_, name)| name.as_str()),
            Some(expected),
            "{kind}"
        );
    }
}

#[test]
fn equal_types_are_one_and_others_are_not() {
    let types = || kinds::all().into_iter().map(|(_, array)| type_of(&array));
    for (first, second) in types().zip(types()) {
        assert_eq!((first.id(), first.as_ptr()), (second.id(), second.as_ptr()));
    }
    let named = |name: &'static CStr| {
        let mut child = leaf(c"i");
        child.name = name.as_ptr();
        interned(schema(c"+s", vec![child]))
    };
    assert_ne!(named(c"a").id(), named(c"b").id());
    // What tells metadata from what follows them.
    let with_metadata = |metadata: *const c_char| {
        let mut schema = leaf(c"i");
        schema.metadata = metadata;
        interned(schema)
    };
    let empty = 0_i32.to_ne_bytes();
    let none = with_metadata(null());
    assert_ne!(none.id(), with_metadata(empty.as_ptr().cast()).id());
}

/// A type that is refused, and what the refusal says.
fn none_of_arrows() -> Vec<(ArrowSchema, &'static str)> {
    let struct_of = |count: usize| schema(c"+s", (0..count).map(|_| leaf(c"i")).collect());
    let mut dictionary = leaf(c"f");
    dictionary.dictionary = Box::into_raw(Box::new(leaf(c"u")));
    let mut name = leaf(c"i");
    name.name = c"\xff".as_ptr();
    let mut negative = leaf(c"+s");
    negative.n_children = -1;
    let mut no_list = leaf(c"+s");
    (no_list.n_children, no_list.children) = (1, null_mut());
    let mut no_child = leaf(c"+s");
    (no_child.n_children, no_child.children) = (1, vec![null_mut()].leak().as_mut_ptr());
    let mut no_format = leaf(c"i");
    no_format.format = null();
    let mut metadata = leaf(c"i");
    metadata.metadata = (-1_i32).to_ne_bytes().to_vec().leak().as_ptr().cast();
    let mut deep = leaf(c"i");
    for _ in 0..100 {
        deep = schema(c"+l", vec![deep]);
    }
    vec![
        (leaf(c"?"), "format \"?\""),
        (leaf(c""), "format \"\""),
        (leaf(c"\xff"), "not UTF-8"),
        (no_format, "format string is missing"),
        (leaf(c"w:-1"), "format \"w:-1\""),
        (leaf(c"w:x"), "format \"w:x\""),
        (schema(c"+w:-1", vec![leaf(c"i")]), "format \"+w:-1\""),
        (leaf(c"+l"), "format \"+l\" with 0 children"),
        (
            schema(c"+l", vec![leaf(c"i"), leaf(c"i")]),
            "format \"+l\" with 2 children",
        ),
        (
            schema(c"i", vec![leaf(c"i")]),
            "format \"i\" with 1 children",
        ),
        (leaf(c"+w:2"), "format \"+w:2\" with 0 children"),
        (
            schema(c"+ud:0,1", vec![leaf(c"i")]),
            "format \"+ud:0,1\" with 1 children",
        ),
        (
            schema(c"+r", vec![leaf(c"i")]),
            "format \"+r\" with 1 children",
        ),
        (
            schema(c"+r", vec![leaf(c"g"), leaf(c"i")]),
            "run ends that are not",
        ),
        (schema(c"+m", vec![leaf(c"i")]), "struct of keys and values"),
        (
            schema(c"+m", vec![struct_of(3)]),
            "struct of keys and values",
        ),
        (dictionary, "as the index of a dictionary"),
        (name, "not UTF-8"),
        (schema(c"+l", vec![leaf(c"?")]), "format \"?\""),
        (negative, "negative number of children"),
        (no_list, "children are missing"),
        (no_child, "a child is missing"),
        (metadata, "negative length"),
        (deep, "nested deeper than 64"),
    ]
}

#[test]
fn what_is_no_type_is_refused_and_released() {
    for (schema, expected) in none_of_arrows() {
        let before = RELEASED.get();
        // SAFETY: what is broken is what `intern` looks at before it follows a pointer.
        let error = unsafe { Schema::intern(schema) }.expect_err(expected);
        assert!(
            error.to_string().contains(expected),
            "{error}, not {expected}"
        );
        assert_eq!(RELEASED.get(), before + 1, "{expected}");
    }
    let mut released = leaf(c"i");
    released.release = None;
    // SAFETY: nothing is behind it.
    let error = unsafe { Schema::intern(released) }.expect_err("released");
    assert!(error.to_string().contains("released already"), "{error}");
}

#[test]
fn a_type_is_released_with_its_last_reference() {
    let before = RELEASED.get();
    let mut schema = leaf(c"tsn:Antarctica/Troll");
    schema.name = c"here alone".as_ptr();
    let first = interned(schema);
    let second = first.clone();
    drop(first);
    assert_eq!(RELEASED.get(), before);
    drop(second);
    assert_eq!(RELEASED.get(), before + 1);
}
