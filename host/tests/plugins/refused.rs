//! What is refused although its file passes the check: each with one line, and nothing of it runs before its turn.

use crate::harness::{Bench, DEADLINE, Installed, Running};
use host::plugin::preflight::{Isolation, PreflightError};
use host::plugin::{LoadError, Plugin};
use host_testing::fixtures::{self, Profile};
use plugin_abi::ffi;
use std::fs;
use std::time::Instant;

#[test]
fn a_difference_that_offsets_cannot_tell_is_found_before_the_entry_runs() {
    let installed = Installed::new("deep-difference");
    assert_eq!(
        Bench::new().refusal(&installed.path),
        "same ABI version but type Event differs at field reason (u32 here, i32 there); build plugin and dora from one release"
    );
    assert!(!installed.folder.path().join("witness").exists());
}

#[test]
fn a_rust_plugin_has_to_describe_its_types() {
    assert_eq!(
        Bench::new().refusal(&fixtures::path("good-plugin")),
        "does not export `dora_plugin_layout`; export it (plugin-abi does so with export_plugin!, C with default visibility)"
    );
}

#[test]
fn a_table_that_makes_no_sense_is_refused_with_what_is_wrong() {
    let table = [
        ("null", "its entry refused (see the log)"),
        ("short table", "its table has 24 bytes, expected 32"),
        (
            "another version",
            "its table is of plugin ABI 0.6, expected 0.7",
        ),
        ("no kinds", "it exports no node kind"),
        ("null kind", "one of its node kinds is missing"),
        (
            "short kind",
            "a node kind's table has 120 bytes, expected 128",
        ),
        (
            "two of a name",
            "it exports no or two node kinds named \"one\"",
        ),
        ("no name", "it exports no or two node kinds named \"\""),
        (
            "schema",
            "the config schema of node kind \"two\" is no JSON (EOF while parsing an object at line 1 column 1)",
        ),
        (
            "ports",
            "port \"in\" of node kind \"two\" is declared twice",
        ),
        (
            "port name",
            "port \"in put\" of node kind \"two\" has a name that is none (letters, digits, `_.-` and `/`)",
        ),
        (
            "port type",
            "port \"in\" of node kind \"two\" declares the type \"Int7\", which Arrow does not have",
        ),
    ];
    let bench = Bench::new();
    for (mode, expected) in table {
        let installed = Installed::new("odd");
        installed.beside("mode", mode);
        // The same content is loaded once, and the entry says the same for ever: give each its own.
        let bench = Bench::new();
        assert_eq!(
            bench.refusal(&installed.path),
            format!("{expected}; correct the plugin"),
            "{mode}"
        );
    }
    let installed = Installed::new("odd");
    installed.beside("mode", "all is well");
    let plugin = bench.load(&installed.path);
    assert_eq!(
        Running::start(&plugin, "one", "{}").input("in", ()),
        ffi::OK
    );
}

#[test]
fn a_plugin_that_was_refused_may_be_loaded_later() {
    let installed = Installed::new("odd");
    installed.beside("mode", "null");
    let bench = Bench::new();
    assert!(bench.refusal(&installed.path).contains("refused"));
    installed.beside("mode", "");
    bench.load(&installed.path);
    assert_eq!(bench.copies().len(), 1);
}

#[test]
fn a_refused_plugin_stays_mapped_for_its_threads() {
    let installed = Installed::new("odd");
    installed.beside("mode", "null with a thread");
    let bench = Bench::new();
    assert!(bench.refusal(&installed.path).contains("its entry refused"));
    drop(bench);
    let witness = installed.folder.path().join("witness");
    let until = Instant::now() + DEADLINE;
    let beat = || fs::read_to_string(&witness).ok()?.parse::<u64>().ok();
    // It goes on for a while after the refusal.
    let start = loop {
        if let Some(beat) = beat() {
            break beat;
        }
        assert!(Instant::now() < until, "the thread is gone");
    };
    while beat().is_none_or(|beat| beat < start + 50) {
        assert!(Instant::now() < until, "the thread is gone");
    }
}

#[test]
fn a_plugin_that_aborts_on_panics_runs_only_alone() {
    let path = fixtures::library("features", Profile::Abort);
    let error = crate::harness::error(&Bench::new().loader, &path);
    assert!(
        matches!(error, LoadError::Refused(PreflightError::PanicAbort)),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "built with panic=abort: a panic would end the daemon; build with unwinding, or set process: own"
    );
    let own = Bench::with(|options| options.isolation = Isolation::Own);
    works(&own.load(&path));
}

fn works(plugin: &Plugin) {
    let mut echo = Running::start(plugin, "echo", "{}");
    assert_eq!(echo.input("in", "text"), ffi::OK);
    assert_eq!(echo.text("out"), "text");
}

#[cfg(target_os = "linux")]
mod in_c {
    use crate::harness::{Bench, Workshop};
    use std::fs;

    /// Leaves a witness when the library is mapped.
    fn constructor(workshop: &Workshop) -> String {
        format!(
            "#include <stdio.h>\n__attribute__((constructor)) static void leave(void) {{ fclose(fopen(\"{}\", \"w\")); }}\n",
            workshop.path("witness").display()
        )
    }

    #[test]
    fn no_code_of_a_plugin_runs_before_its_file_has_passed() {
        let workshop = Workshop::new();
        let good = workshop.echo("good", &constructor(&workshop), &[]);
        let mut bytes = fs::read(&good).expect("read");
        let record = bytes
            .windows(16)
            .position(|window| window == plugin_abi::handshake::MAGIC);
        let minor = record.expect("a record")
            + std::mem::offset_of!(plugin_abi::handshake::Record, message_format)
            + 2;
        bytes[minor] = 5;
        let bad = workshop.path("libbad.so");
        fs::write(&bad, bytes).expect("written");
        let bench = Bench::new();
        assert_eq!(
            bench.refusal(&bad),
            "version mismatch: message format v0.5.0 is not compatible with expected message format v0.7.0; rebuild it with plugin-abi 0.7"
        );
        assert!(!workshop.path("witness").exists());
        assert!(bench.copies().is_empty(), "nothing but a plugin is copied");
        bench.load(&good);
        assert!(workshop.path("witness").exists());
    }

    #[test]
    fn a_record_that_changes_while_it_is_loaded_is_refused() {
        let workshop = Workshop::new();
        // The version of the ABI, in a page that may be written first.
        let change = "#include <stdint.h>\n#include <sys/mman.h>\n\
            __attribute__((constructor)) static void change(void) {\n\
                unsigned char *minor = (unsigned char *)(uintptr_t)&DORA_PLUGIN_RECORD + 22;\n\
                uintptr_t page = (uintptr_t)minor & ~(uintptr_t)4095;\n\
                if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) == 0) *minor = 6;\n\
            }\n";
        let library = workshop.echo("changing", change, &[]);
        assert_eq!(
            Bench::new().refusal(&library),
            "its handshake record changed while it was loaded; rebuild it"
        );
    }

    #[test]
    fn a_missing_library_is_named() {
        let workshop = Workshop::new();
        let gone = workshop.library("gone", "int dependency(void) { return 1; }\n", &[]);
        let search = format!("-L{}", workshop.path("gone").display());
        let more =
            "int dependency(void);\nint use(void);\nint use(void) { return dependency(); }\n";
        let library = workshop.echo("needy", more, &[&search, "-lgone"]);
        fs::remove_file(gone).expect("removed");
        assert_eq!(
            Bench::new().refusal(&library),
            "needs the library libgone.so, which could not be found; install it, or put it beside the plugin and link that with -Wl,-rpath,$ORIGIN"
        );
    }
}
