//! Refusals by the kind of file.

use crate::{file, good, text};
use host::plugin::preflight::{FileKind, read};
use host_testing::fixtures;

#[test]
fn files_that_no_loader_knows() {
    let long = format!("#!/usr/bin/env python3\n{}", "x".repeat(4096));
    let with_record = [b"# ", good()].concat();
    let table: &[(&[u8], &str)] = &[
        (b"", "is empty"),
        (b"x", "is not a shared library (starts with \"x\")"),
        (
            b"\x7fEL",
            "is not a shared library (starts with \"\\x7fEL\")",
        ),
        (
            long.as_bytes(),
            "is not a shared library (starts with \"#!/usr/bin/env python3\")",
        ),
        (
            b"a line that is longer than anyone wants to read\n",
            "is not a shared library (starts with \"a line that is longer th\")",
        ),
        (
            "sagt \"gr\u{fc}\u{df}'\"\r\n".as_bytes(),
            "is not a shared library (starts with \"sagt 'gr\u{fc}\u{df}''\")",
        ),
        (
            b"\x1b[31mred\n",
            "is not a shared library (starts with \"\\x1b[31mred\")",
        ),
        (
            b"PK\x03\x04\xff\xfe",
            "is not a shared library (starts with \"PK\\x03\\x04\\xff\\xfe\")",
        ),
        (
            b"!<arch>\nxyz",
            "is not a shared library (a static library)",
        ),
        (
            b"\xca\xfe\xba\xbe\0\0\0\x02rest",
            "is a universal Mach-O file; take the part for this machine out of it with `lipo -thin`",
        ),
        // A Java class starts like that, too.
        (
            b"\xca\xfe\xba\xbe\0\0\0\x41rest",
            "is not a shared library (starts with \"\\xca\\xfe\\xba\\xbe\\x00\\x00\\x00Arest\")",
        ),
        // A text does not become a plugin because a record is somewhere in it.
        (
            &with_record,
            "is not a shared library (starts with \"# \\x7fELF\\x02\\x01\\x01\")",
        ),
    ];
    for (bytes, expected) in table {
        if bytes.len() > 10_000 && !cfg!(target_os = "linux") {
            continue;
        }
        assert_eq!(text(bytes), *expected);
    }
}

#[test]
fn a_library_without_record() {
    assert_eq!(
        text(&file(&fixtures::path("plain-library"))),
        "is a shared library but no dora plugin (no handshake record)"
    );
}

#[test]
fn executables_are_told_apart_by_their_record() {
    let node = file(&fixtures::executable("node-executable"));
    assert!(matches!(
        read(&node).map(|report| report.kind),
        Ok(FileKind::NodeExecutable { handshake }) if handshake.details.as_ref().is_some_and(|d| d.name == "node-executable")
    ));
    assert_eq!(
        text(&node),
        "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`"
    );
    let this = std::env::current_exe().map(|path| file(&path));
    assert_eq!(
        this.map(|bytes| text(&bytes)).ok().as_deref(),
        Some("is an executable, not a plugin")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn other_kinds_of_elf_files() {
    use crate::bytes::File;
    let of_type = |number| text(&File::new(good()).put(16, 2, number).bytes);
    assert_eq!(of_type(1), "is not a shared library (an ELF object file)");
    assert_eq!(
        of_type(2),
        "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`"
    );
    assert_eq!(of_type(4), "is not a shared library (a core dump)");
    assert_eq!(
        of_type(77),
        "is not a shared library (an ELF file of an unknown kind)"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn another_processor() {
    use crate::bytes::File;
    let here = host::plugin::preflight::Machine::this().platform;
    for (number, name) in [
        (183, "aarch64"),
        (62, "x86_64"),
        (243, "riscv64"),
        (4711, "processor 4711"),
    ] {
        if here.arch == name {
            continue;
        }
        assert_eq!(
            text(&File::new(good()).put(18, 2, number).bytes),
            format!("built for {name} Linux, this machine is {here}")
        );
    }
    let freebsd = File::new(good()).put(7, 1, 9).bytes.clone();
    assert_eq!(
        text(&freebsd),
        format!("built for {} FreeBSD, this machine is {here}", here.arch)
    );
}
