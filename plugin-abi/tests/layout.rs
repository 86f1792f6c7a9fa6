//! The header for C and the Rust types are one contract: sizes, alignments, offsets and the record's bytes agree, and
//! the layout of ABI 0.7 is the one that was released.
//!
//! Needs a C compiler with gcc's options: `CC`, or `cc` (`gcc` on Windows); and for one test `CXX` or `c++` (`g++`).

use plugin_abi::ffi;
use plugin_abi::handshake::{
    ABI, AbiVersion, FIELDS, FLAG_DEBUG, FLAG_UNWIND, LANGUAGE_C, LAYOUT, MessageFormat, Record,
    TARGET, TypeLayout, text,
};
use std::fmt::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A plugin that uses what a header of macros can get wrong, beside Arrow's structs from somewhere else.
const SMALL_PLUGIN: &str = r#"
#ifdef ARROW_FROM_ELSEWHERE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_NULLABLE 2
#include <stdint.h>
struct ArrowSchema { const char *format, *name, *metadata; int64_t flags, n_children; struct ArrowSchema **children,
    *dictionary; void (*release)(struct ArrowSchema *); void *private_data; };
struct ArrowArray { int64_t length, null_count, offset, n_buffers, n_children; const void **buffers; struct ArrowArray
    **children, *dictionary; void (*release)(struct ArrowArray *); void *private_data; };
#endif
#include "dora_plugin_helpers.h"
#include "dora_plugin.h"
static DoraStatus create(const DoraKind *kind, const DoraHost *host, const DoraCreateArgs *args, void **instance) {
    (void)kind;
    const DoraMsgSchema *type = NULL;
    *instance = NULL;
    dora_log(host, DORA_LOG_INFO, "plain");
    dora_log(host, DORA_LOG_WARN, "%d", 1);
    if (dora_port(args->inputs, args->n_inputs, "in") == DORA_NO_PORT) {
        return dora_fail(host, "no %s", "input");
    }
    (void)dora_leaf_schema(host, "u", &type);
    return dora_send_text(host, 0, type, dora_str("x"));
}
static DoraStatus on_event(void *instance, const DoraEvent *event) {
    DoraStr bytes;
    uint64_t number = dora_msg_unix_nanos(event->msg);
    (void)instance;
    return dora_msg_u64(event->msg, &number) | dora_msg_text(event->msg, &bytes) | dora_msg_bytes(event->msg, &bytes);
}
static DoraStatus destroy(void *instance) { (void)instance; return DORA_OK; }
static const DoraPort port = { sizeof(DoraPort), DORA_STR("in"), DORA_STR(""), DORA_STR("") };
static const DoraPort *const ports[] = { &port };
static const DoraKind kind = { sizeof(DoraKind), DORA_STR("k"), DORA_STR(""), ports, DORA_COUNT(ports), NULL, 0,
    DORA_STR(""), create, on_event, dora_no_save_state, dora_no_restore_state, destroy };
DORA_PLUGIN("small", "1.0.0", &kind);
"#;

/// A fresh folder with one source file in it.
struct Source {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Source {
    fn new(name: &str, content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a source file");
        Self { folder, file }
    }

    /// Runs a compiler on it, or `None` when there is no such compiler.
    fn compile(&self, compiler: &str, options: &[&str]) -> Option<Output> {
        let mut words = compiler.split_whitespace();
        let result = Command::new(words.next()?)
            .args(words)
            .args(options)
            .arg("-I")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
            .arg(&self.file)
            .arg("-o")
            .arg(self.program())
            .output();
        match result {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            other => Some(other.expect("the compiler runs")),
        }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("out.exe")
    }
}

fn from_environment(variable: &str, default: &str) -> String {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.trim().is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn c_compiler() -> String {
    from_environment("CC", if cfg!(windows) { "gcc" } else { "cc" })
}

fn compile_c(source: &Source, options: &[&str]) -> Output {
    let compiler = c_compiler();
    source
        .compile(&compiler, options)
        .unwrap_or_else(|| panic!("no C compiler `{compiler}`: install one or set CC"))
}

#[track_caller]
fn assert_silent(output: &Output, options: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{options:?}: {said}"
    );
}

/// What a C program says when it is compiled and run.
fn run_c(main: &str, options: &[&str]) -> String {
    let source = Source::new("main.c", main);
    assert_silent(&compile_c(&source, options), options);
    let output = Command::new(source.program())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout)
        .expect("the program prints text")
        .replace('\r', "")
}

/// C statements that print a type in the form of [`described`].
fn c_printing(name: &str, c_type: &str, fields: &[&str]) -> String {
    let mut out = format!(
        "printf(\"{name} %u %u\", (unsigned)sizeof({c_type}), (unsigned)DORA_ALIGNOF({c_type}));\n"
    );
    for field in fields {
        let _ = writeln!(
            out,
            "printf(\" {field}=%u\", (unsigned)offsetof({c_type}, {field}));"
        );
    }
    out + "printf(\"\\n\");\n"
}

/// A type as one line: name, size, alignment, then each field's offset.
fn described(
    name: &str,
    size: usize,
    align: usize,
    fields: impl Iterator<Item = (&'static str, usize)>,
) -> String {
    let mut out = format!("{name} {size} {align}");
    for (field, offset) in fields {
        let _ = write!(out, " {field}={offset}");
    }
    out + "\n"
}

/// The list that goes into every record, in lines.
fn rust_layout() -> String {
    LAYOUT
        .iter()
        .zip(FIELDS)
        .map(|(layout, (name, fields))| {
            assert_eq!(layout.name, text::<16>(name));
            assert_eq!(usize::from(layout.fields), fields.len());
            let offsets = layout.offsets.iter().map(|offset| usize::from(*offset));
            described(
                name,
                layout.size.into(),
                layout.align.into(),
                fields.iter().copied().zip(offsets),
            )
        })
        .collect()
}

/// The name of a type of the list in C.
fn c_type(name: &str) -> String {
    match name {
        "ArrowArray" | "ArrowSchema" => format!("struct {name}"),
        _ => format!("Dora{name}"),
    }
}

fn run_statements(statements: &str) -> String {
    let includes = "#include <stdio.h>\n#include \"dora_plugin.h\"\n";
    let main = format!("{includes}int main(void) {{\n{statements}return 0;\n}}\n");
    run_c(&main, &["-std=c11"])
}

#[test]
fn every_type_lies_in_c_as_in_rust() {
    let statements: String = FIELDS
        .iter()
        .map(|(name, fields)| c_printing(name, &c_type(name), fields))
        .collect();
    assert_eq!(run_statements(&statements), rust_layout());
}

/// Size of a field, which offsets do not tell where padding follows.
fn width<T, F>(_: impl Fn(&T) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! widths {
    ($($ty:ident { $($field:ident),* })*) => {
        [$((stringify!($ty), vec![$((stringify!($field), width(|value: &ffi::$ty| &value.$field))),*])),*]
    };
}

#[test]
fn every_field_is_as_wide_in_c_as_in_rust() {
    #[rustfmt::skip]
    let types = widths! {
        Str { ptr, len }
        Bytes { ptr, len, owner, release }
        ArrowArray { length, null_count, offset, n_buffers, n_children, buffers, children, dictionary, release,
            private_data }
        ArrowSchema { format, name, metadata, flags, n_children, children, dictionary, release, private_data }
        MsgSchema { size, n_nodes, id, schema, retain, release }
        MsgVt { size, retain, release, view }
        Msg { size, n_nodes, vt, array, schema, meta, meta_len }
        HostBuf { ptr, len, owner }
        Leaf { length, null_count, buffers, n_buffers }
        LogRecord { size, level, line, reserved, target, message, fields, file, spans }
        ErrorReport { size, kind, text, file, line, reserved }
        Library { size, level, log, folder }
        Host { size, context, library, level, retain, release, intern_schema, alloc_output, free_buf, send_copy,
            send_buf, send_array, log, report_error, request_stop }
        Event { size, kind, input, reason, msg }
        CreateArgs { size, restart_count, inputs, n_inputs, outputs, n_outputs, config, node_id, dataflow_id }
        Port { size, name, description, data_type }
        Kind { size, name, description, inputs, n_inputs, outputs, n_outputs, config_schema, create, on_event,
            save_state, restore_state, destroy }
        Plugin { size, abi_major, abi_minor, kinds, n_kinds }
    };
    let names = types.each_ref().map(|(name, fields)| {
        let fields: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        (*name, fields)
    });
    let all = FIELDS.map(|(name, fields)| (name, fields.to_vec()));
    assert_eq!(names, all, "the list above is whole");
    let (mut statements, mut expected) = (String::new(), String::new());
    for (name, field, width) in types.iter().flat_map(|(name, fields)| {
        let fields = fields.iter();
        fields.map(move |(field, width)| (name, field, width))
    }) {
        let c_type = c_type(name);
        let _ = writeln!(
            statements,
            "printf(\"{name}.{field} %u\\n\", (unsigned)sizeof((({c_type} *)0)->{field}));"
        );
        let _ = writeln!(expected, "{name}.{field} {width}");
    }
    assert_eq!(run_statements(&statements), expected);
}

#[test]
fn the_layout_of_this_abi_is_the_released_one() {
    if usize::BITS != 64 {
        return; // The file has the offsets of 64-bit machines.
    }
    let released = include_str!("layout_0_7.txt").replace('\r', "");
    assert_eq!(
        (ABI.major, ABI.minor),
        (0, 7),
        "a new ABI has a new file, and the old one stays"
    );
    assert_eq!(
        rust_layout(),
        released,
        "the layout of ABI {ABI} is frozen: a change needs a new minor version and its own file"
    );
}

macro_rules! described {
    ($ty:ty, $name:literal, $($field:ident),*) => {
        ($name, described($name, size_of::<$ty>(), align_of::<$ty>(),
            [$((stringify!($field), offset_of!($ty, $field))),*].into_iter()), vec![$(stringify!($field)),*])
    };
}

#[test]
fn the_record_lies_in_c_as_in_rust() {
    #[rustfmt::skip]
    let types = [
        described!(AbiVersion, "AbiVersion", major, minor),
        described!(MessageFormat, "MessageFormat", major, minor, patch),
        described!(TypeLayout, "TypeLayout", name, size, align, fields, reserved, offsets),
        described!(Record, "Record", magic, size, abi, message_format, flags, language, pointer_width, layout_types,
            target, name, version, sdk, compiler, abi_stable, layout),
    ];
    let statements: String = types
        .iter()
        .map(|(name, _, fields)| c_printing(name, &format!("Dora{name}"), fields))
        .collect();
    let expected: String = types.iter().map(|(_, line, _)| line.as_str()).collect();
    assert_eq!(run_statements(&statements), expected);
}

/// The record that C compiles, read back.
fn c_record(name: &str, version: &str, options: &[&str]) -> Record {
    let main = format!(
        r#"#include <stdio.h>
#include "dora_plugin.h"
DORA_HANDSHAKE("{name}", "{version}");
int main(void) {{
    const unsigned char *bytes = (const unsigned char *)&DORA_PLUGIN_RECORD;
    for (size_t i = 0; i < sizeof(DORA_PLUGIN_RECORD); i++) {{
        printf("%02x", bytes[i]);
    }}
    return 0;
}}
"#
    );
    let hex = run_c(&main, options);
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
        .collect();
    assert_eq!(bytes.len(), size_of::<Record>());
    // SAFETY: the record is made of integers alone, and there are enough bytes for it.
    unsafe { bytes.as_ptr().cast::<Record>().read_unaligned() }
}

#[test]
fn the_record_of_c_says_what_that_of_rust_says() {
    let (c, rust) = (
        c_record("näme", "1.2.3", &["-std=c11"]),
        Record::new("näme", "1.2.3", true, true),
    );
    assert_eq!(c.magic, rust.magic);
    assert_eq!(c.size, rust.size);
    assert_eq!(c.abi, rust.abi);
    assert_eq!(c.message_format, rust.message_format);
    assert_eq!(c.flags, rust.flags);
    assert_eq!(c.pointer_width, rust.pointer_width);
    assert_eq!(c.layout_types, rust.layout_types);
    assert_eq!(c.name, rust.name);
    assert_eq!(c.version, rust.version);
    assert_eq!(c.layout, rust.layout);
    // On Windows the C compiler may be gcc beside Rust for MSVC, with the same layout.
    if !cfg!(windows) {
        assert_eq!(c.target, text(TARGET));
    }
}

#[test]
fn the_record_of_c_says_that_it_is_c() {
    let debug = c_record("x", "1", &["-std=c11"]);
    assert_eq!(debug.language, LANGUAGE_C);
    assert_eq!(debug.flags, FLAG_UNWIND | FLAG_DEBUG);
    assert_eq!(
        debug.sdk,
        text(concat!("dora_plugin.h ", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(debug.abi_stable, [0; 16]);
    let compiler = std::str::from_utf8(&debug.compiler).expect("UTF-8");
    assert!(
        compiler.contains(' ') && compiler.contains('.'),
        "{compiler}"
    );
    assert_eq!(c_record("x", "1", &["-O2"]).flags, FLAG_UNWIND);
}

#[test]
fn a_name_that_does_not_fit_is_refused_when_it_is_compiled() {
    let long = "n".repeat(64);
    let main = format!("#include \"dora_plugin.h\"\nDORA_HANDSHAKE(\"{long}\", \"1\");\n");
    let output = compile_c(&Source::new("long.c", &main), &["-std=c11", "-c"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the name of a plugin has at most 63"),
        "{said}"
    );
}

#[test]
fn the_header_compiles_in_c_without_a_warning() {
    let source = Source::new("small.c", SMALL_PLUGIN);
    for options in [
        vec!["-std=c11", "-c"],
        vec!["-std=c11", "-c", "-O2", "-Wconversion", "-Wshadow"],
        vec!["-std=c17", "-c"],
        vec!["-std=gnu11", "-c", "-DARROW_FROM_ELSEWHERE"],
    ] {
        let options = [&options[..], &STRICT].concat();
        assert_silent(&compile_c(&source, &options), &options);
    }
}

#[test]
fn the_header_compiles_in_cpp_without_a_warning() {
    let compiler = from_environment("CXX", if cfg!(windows) { "g++" } else { "c++" });
    let source = Source::new("small.cpp", SMALL_PLUGIN);
    for options in [
        vec!["-std=c++11", "-c"],
        vec!["-std=c++11", "-c", "-O2", "-DARROW_FROM_ELSEWHERE"],
        vec!["-std=c++17", "-c", "-fvisibility=hidden"],
    ] {
        let options = [&options[..], &STRICT].concat();
        let Some(output) = source.compile(&compiler, &options) else {
            eprintln!("skipped: no C++ compiler `{compiler}`; install one or set CXX");
            return;
        };
        assert_silent(&output, &options);
    }
}
