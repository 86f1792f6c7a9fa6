//! Refusals that only the record decides: the good plugin with a changed record.

use crate::bytes::{File, record_offset};
use crate::{good, text};
use host::plugin::preflight::{Isolation, Machine, check, read};
use host_testing::fixtures::{self, Profile};
use plugin_abi::handshake::{FIELDS, LANGUAGE_C, LAYOUT, Record, TypeLayout};
use std::mem::offset_of;

const VERSION_MISMATCH: &str = "version mismatch: message format v0.5.0 is not compatible with expected message format v0.7.0; rebuild it with plugin-abi 0.7";

/// The record's numbers to change: place, size, value.
type Change = (usize, usize, u64);

fn changed(changes: &[Change]) -> File {
    let mut file = File::new(good());
    let start = record_offset(good());
    for (offset, size, value) in changes {
        file.put(start + offset, *size, *value);
    }
    file
}

fn with_text(offset: usize, size: usize, text: &str) -> File {
    let mut field = File::default();
    field.text(text, size);
    let mut file = File::new(good());
    file.put_raw(record_offset(good()) + offset, &field.bytes);
    file
}

/// Place of a number in the layout of the type `name`.
fn layout(name: &str, offset: usize) -> usize {
    let Some(index) = FIELDS.iter().position(|(found, _)| *found == name) else {
        panic!("the contract has no type {name}");
    };
    offset_of!(Record, layout) + index * size_of::<TypeLayout>() + offset
}

fn offset_of_field(name: &str, field: &str) -> usize {
    let fields = FIELDS.iter().find(|(found, _)| *found == name);
    let index = fields.and_then(|(_, fields)| fields.iter().position(|found| *found == field));
    let Some(index) = index else {
        panic!("the contract has no field {name}::{field}");
    };
    layout(name, offset_of!(TypeLayout, offsets) + 2 * index)
}

const FORMAT_MINOR: usize = offset_of!(Record, message_format.minor);
const FORMAT_PATCH: usize = offset_of!(Record, message_format.patch);
const ABI_MINOR: usize = offset_of!(Record, abi.minor);
const FLAGS: usize = offset_of!(Record, flags);
const LANGUAGE: usize = offset_of!(Record, language);

#[test]
fn versions() {
    let compiler = if cfg!(target_os = "linux") {
        let version = plugin_abi::handshake::COMPILER.split(' ').nth(1);
        format!(" (rustc {})", version.unwrap_or_default())
    } else {
        String::new()
    };
    let other_abi = format!(
        "built for plugin ABI 0.5{compiler}, this dora speaks 0.7; rebuild it with plugin-abi 0.7"
    );
    let table: &[(&[Change], &str)] = &[
        (&[(FORMAT_MINOR, 2, 5)], VERSION_MISMATCH),
        (&[(ABI_MINOR, 2, 5)], &other_abi),
        // An old plugin has both wrong: the message format is what its author knows.
        (&[(FORMAT_MINOR, 2, 5), (ABI_MINOR, 2, 5)], VERSION_MISMATCH),
        // Nothing behind the prefix of another version is looked at: no language has the number 99.
        (&[(FORMAT_MINOR, 2, 5), (LANGUAGE, 2, 99)], VERSION_MISMATCH),
        (&[(ABI_MINOR, 2, 5), (LANGUAGE, 2, 99)], &other_abi),
        (
            &[(ABI_MINOR, 2, 5), (offset_of!(Record, size), 4, 40)],
            &other_abi,
        ),
        (&[(FORMAT_PATCH, 2, 9)], "ok"),
        (
            &[(offset_of!(Record, message_format.major), 2, 1)],
            "version mismatch: message format v1.7.0 is not compatible with expected message format v0.7.0; rebuild it with plugin-abi 0.7",
        ),
    ];
    for (changes, expected) in table {
        // What a shorter record leaves of its section must be padding.
        let mut file = changed(changes);
        if changes
            .iter()
            .any(|(offset, ..)| *offset == offset_of!(Record, size))
        {
            let start = record_offset(good());
            file.put_raw(start + 40, &vec![0; size_of::<Record>() - 40]);
        }
        assert_eq!(text(&file.bytes), *expected, "{changes:?}");
    }
}

#[test]
fn layout_differences_name_type_and_field() {
    let remedy = "build plugin and dora from one release";
    let size = LAYOUT[6].size;
    let (fields, align) = (LAYOUT[6].fields, LAYOUT[6].align);
    assert_eq!(FIELDS[6].0, "Msg");
    let table: &[(&[Change], String)] = &[
        (
            &[(offset_of_field("Msg", "array"), 2, 24)],
            format!("same ABI version but type Msg differs at field array; {remedy}"),
        ),
        // A field that moved explains a size that differs.
        (
            &[
                (offset_of_field("Kind", "create"), 2, 200),
                (layout("Kind", offset_of!(TypeLayout, size)), 2, 300),
            ],
            format!("same ABI version but type Kind differs at field create; {remedy}"),
        ),
        (
            &[(layout("Msg", offset_of!(TypeLayout, size)), 2, 999)],
            format!(
                "same ABI version but type Msg differs in size (999 bytes, here {size}); {remedy}"
            ),
        ),
        (
            &[(layout("Msg", offset_of!(TypeLayout, align)), 2, 64)],
            format!(
                "same ABI version but type Msg differs in alignment (64 bytes, here {align}); {remedy}"
            ),
        ),
        (
            &[(layout("Msg", offset_of!(TypeLayout, fields)), 2, 3)],
            format!(
                "same ABI version but type Msg differs in its number of fields (3, here {fields}); {remedy}"
            ),
        ),
        (
            &[(layout("Msg", 0), 1, u64::from(b'N'))],
            format!("same ABI version but the list of types differs at Msg; {remedy}"),
        ),
        (
            &[(offset_of!(Record, layout_types), 4, 3)],
            format!("same ABI version but the list of types differs at ArrowSchema; {remedy}"),
        ),
    ];
    for (changes, expected) in table {
        assert_eq!(text(&changed(changes).bytes), *expected, "{changes:?}");
    }
}

#[test]
fn damaged_records() {
    let damage = |what: &str| {
        format!("its handshake record is damaged ({what}); rebuild it with plugin-abi 0.7")
    };
    let size = size_of::<Record>();
    let table: &[(Change, String)] = &[
        ((0, 1, 0), damage("it does not start with its mark")),
        ((16, 4, 0), damage("it cannot have 0 bytes")),
        ((16, 4, 31), damage("it cannot have 31 bytes")),
        (
            (16, 4, 0xffff_ffff),
            damage("it cannot have 4294967295 bytes"),
        ),
        (
            (16, 4, size as u64 + 4),
            damage(&format!("{size} of its {} bytes are there", size + 4)),
        ),
        (
            (16, 4, 40),
            damage(&format!("its section has {} bytes more", size - 40)),
        ),
        ((LANGUAGE, 2, 99), damage("no language has the number 99")),
        (
            (offset_of!(Record, layout_types), 4, 1 << 30),
            damage("it cannot list 1073741824 types"),
        ),
        (
            (layout("Str", offset_of!(TypeLayout, fields)), 2, 17),
            damage("no type has 17 fields"),
        ),
        (
            (layout("Str", 0), 1, 0xff),
            damage("its name of a type is no text"),
        ),
        (
            (offset_of!(Record, name), 1, 0xff),
            damage("its name is no text"),
        ),
        // A name is shown on a terminal.
        (
            (offset_of!(Record, name), 1, 0x1b),
            damage("its name is no text"),
        ),
        // Behind a text there are only zeros.
        (
            (offset_of!(Record, sdk) + 31, 1, 7),
            damage("its SDK is no text"),
        ),
    ];
    for (change, expected) in table {
        assert_eq!(text(&changed(&[*change]).bytes), *expected, "{change:?}");
    }
    let target = with_text(offset_of!(Record, target), 48, "nonsense");
    assert_eq!(text(&target.bytes), damage("`nonsense` is no target"));
}

#[test]
fn targets() {
    let here = Machine::this();
    let platform = &here.platform;
    let target = |text: &str| with_text(offset_of!(Record, target), 48, text);
    assert_eq!(
        text(&target("sparc64-unknown-netbsd").bytes),
        format!("built for sparc64 NetBSD, this machine is {platform}")
    );
    if platform.os == "Linux" && platform.arch == "x86_64" && here.libc == "gnu" {
        assert_eq!(
            text(&target("x86_64-unknown-linux-musl").bytes),
            "built for x86_64 Linux (musl), this machine is x86_64 Linux (gnu)"
        );
    }
    let width = changed(&[(offset_of!(Record, pointer_width), 2, 32)]);
    assert_eq!(
        text(&width.bytes),
        format!(
            "built for 32-bit pointers, those of this machine have {} bits",
            usize::BITS
        )
    );
}

#[test]
fn abi_stable_matters_only_to_rust() {
    let version = |version: &str| with_text(offset_of!(Record, abi_stable), 16, version);
    let remedy =
        "this dora compares layouts with abi_stable 0.11.3; rebuild it with plugin-abi 0.7";
    assert_eq!(text(&version("0.11.1").bytes), "ok");
    assert_eq!(
        text(&version("0.10.3").bytes),
        format!("built with abi_stable 0.10.3, {remedy}")
    );
    assert_eq!(
        text(&version("").bytes),
        format!("built with no abi_stable, {remedy}")
    );
    let mut c = version("");
    c.put(record_offset(good()) + LANGUAGE, 2, LANGUAGE_C.into());
    assert_eq!(text(&c.bytes), "ok");
    // A C plugin need not know its target either.
    let empty = [0; 48];
    c.put_raw(record_offset(good()) + offset_of!(Record, target), &empty);
    assert_eq!(text(&c.bytes), "ok");
}

#[test]
fn a_panic_must_unwind_unless_the_node_is_alone() {
    let refusal = "built with panic=abort: a panic would end the daemon; build with unwinding, or set process: own";
    assert_eq!(text(&changed(&[(FLAGS, 2, 0)]).bytes), refusal);
    // A C plugin promises by the same flag.
    assert_eq!(
        text(&changed(&[(FLAGS, 2, 0), (LANGUAGE, 2, LANGUAGE_C.into())]).bytes),
        refusal
    );
    let built = crate::file(&fixtures::library("good-plugin", Profile::Abort));
    assert_eq!(text(&built), refusal);
    let alone = read(&built).and_then(|report| check(&report, &Machine::this(), Isolation::Own));
    assert_eq!(alone, Ok(()));
}
