//! Plugins in C on Linux: records without a section, hidden symbols, newer systems, and libraries beside a plugin,
//! held against what the system's own loader does.
#![cfg(target_os = "linux")]

use crate::bytes::{File, record};
use crate::{file, text};
use host::plugin::preflight::{
    Machine, PreflightError, beside, explain_loader_error, read, read_file,
};
use host_testing::{Folder, cc, fresh_dir, run};
use plugin_abi::handshake::{LANGUAGE_C, Record};
use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A folder with what a test compiles.
struct Workshop {
    folder: Folder,
}

impl Workshop {
    fn new() -> Self {
        Self {
            folder: fresh_dir(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles `code` to the library `name`, whose folder is made.
    fn library(&self, name: &str, code: &str, args: &[&str]) -> PathBuf {
        let library = self.path(name);
        let source = library.with_extension("c");
        let written = library
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&source, code));
        assert!(written.is_ok(), "{}: {written:?}", source.display());
        cc(&source, &library, args);
        library
    }

    /// A plugin that calls `extern int dependency(void)`, which `args` must bring along.
    fn dependent(&self, name: &str, args: &[&str]) -> PathBuf {
        let call = "int dependency(void);\nint plugin(void) { return dependency(); }\n";
        self.library(name, &(plugin(SECTION) + call), args)
    }

    /// Opens the files one after the other with the system's loader; gives what it says of the last one.
    fn load(&self, files: &[&Path]) -> String {
        let program = self.path("load");
        if !program.exists() {
            let source = self.path("load.c");
            let written = fs::write(&source, LOADER);
            assert!(written.is_ok(), "{written:?}");
            let mut compile = Command::new("cc");
            compile.arg("-o").arg(&program).arg(&source).arg("-ldl");
            run(&mut compile, Duration::from_secs(60)).success();
        }
        let mut command = Command::new(&program);
        command.args(files).env_remove("LD_LIBRARY_PATH");
        run(&mut command, Duration::from_secs(20)).success()
    }
}

const LOADER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **files) {
    const char *error = "no file";
    for (int i = 1; i < count; i++)
        error = dlopen(files[i], RTLD_NOW | RTLD_LOCAL) ? "ok" : dlerror();
    fputs(error, stdout);
    return 0;
}
"#;

const SECTION: &str = "section(\".dora\"), ";

/// The source of a plugin in C, whose record has these attributes.
fn plugin(attributes: &str) -> String {
    let mut record = record();
    record.put(offset_of!(Record, language), 2, LANGUAGE_C.into());
    record.put_raw(offset_of!(Record, abi_stable), &[0; 16]);
    let bytes: Vec<String> = record.bytes.iter().map(u8::to_string).collect();
    format!(
        "__attribute__(({attributes}aligned(4))) const unsigned char DORA_PLUGIN_RECORD[{}] = {{{}}};\n\
         const void *dora_plugin_entry(const void *library) {{ return (void)library, (void *)0; }}\n",
        bytes.len(),
        bytes.join(",")
    )
}

#[test]
fn records_of_c_plugins() {
    let workshop = Workshop::new();
    let damaged = |what: &str| {
        format!("its handshake record is damaged ({what}); rebuild it with plugin-abi 0.7")
    };
    let entry = "const void *dora_plugin_entry(const void *library) { return library; }\n";
    let table: &[(&str, String, &[&str], String)] = &[
        ("section", plugin(SECTION), &[], "ok".into()),
        ("stripped", plugin(SECTION), &["-s"], "ok".into()),
        ("symbol only", plugin(""), &[], "ok".into()),
        (
            "zeros",
            format!("unsigned char DORA_PLUGIN_RECORD[1248];\n{entry}"),
            &[],
            damaged("its symbol points at no bytes of the file"),
        ),
        (
            "a declaration",
            format!("extern unsigned char DORA_PLUGIN_RECORD[];\nvoid *use(void) {{ return DORA_PLUGIN_RECORD; }}\n{entry}"),
            &[],
            "is a shared library but no dora plugin (no handshake record)".into(),
        ),
        (
            "two",
            plugin(SECTION) + "__attribute__((section(\".dora\"))) const unsigned char more[16] = \"dora-plugin-rec\\n\";\n",
            &[],
            damaged("there are two of them"),
        ),
        (
            "more in the section",
            plugin(SECTION) + "__attribute__((section(\".dora\"), aligned(8))) const unsigned char more[16] = \"more\";\n",
            &[],
            damaged("its section has 16 bytes more"),
        ),
        (
            "hidden",
            plugin(SECTION),
            &["-fvisibility=hidden"],
            "does not export `DORA_PLUGIN_RECORD`; export it (plugin-abi does so with export_plugin!, C with default visibility)".into(),
        ),
        (
            "without entry",
            plugin(SECTION).replace("dora_plugin_entry", "some_other_entry"),
            &[],
            "does not export `dora_plugin_entry`; export it (plugin-abi does so with export_plugin!, C with default visibility)".into(),
        ),
    ];
    for (name, code, args, expected) in table {
        let library = workshop.library("libplugin.so", code, args);
        assert_eq!(text(&file(&library)), *expected, "{name}");
    }
}

#[test]
fn no_code_runs_before_a_plugin_is_refused() {
    let workshop = Workshop::new();
    let witness = workshop.path("ran");
    let constructor = format!(
        "#include <stdio.h>\n__attribute__((constructor)) void run(void) {{ fclose(fopen(\"{}\", \"w\")); }}\n",
        witness.display()
    );
    let library = workshop.library("libplugin.so", &(constructor + &plugin(SECTION)), &[]);
    let mut bytes = File::new(&file(&library));
    let record = crate::bytes::record_offset(&bytes.bytes);
    bytes.put(record + offset_of!(Record, message_format.minor), 2, 5);
    assert!(fs::write(&library, &bytes.bytes).is_ok());
    assert!(matches!(
        crate::verdict(&file(&library)),
        Err(PreflightError::MessageFormat { .. })
    ));
    assert!(!witness.exists());
    // The witness can be called at all.
    assert_eq!(workshop.load(&[&library]), "ok");
    assert!(witness.exists());
}

#[test]
fn a_newer_c_library() {
    let workshop = Workshop::new();
    let versions = workshop.path("versions");
    let map = "GLIBC_2.5 { global: old; };\nGLIBC_2.99 { global: from_the_future; } GLIBC_2.5;\n";
    assert!(fs::write(&versions, map).is_ok());
    let script = format!("-Wl,--version-script={}", versions.display());
    let future = workshop.library(
        "libc.so.6",
        "int old(void) { return 1; }\nint from_the_future(void) { return 2; }\n",
        &["-nostdlib", "-Wl,-soname,libc.so.6", &script],
    );
    let build = |code: &str| {
        let args = ["-nostdlib", &future.to_string_lossy() as &str];
        workshop.library("libplugin.so", &(plugin(SECTION) + code), &args)
    };
    let library = build(
        "int old(void); int from_the_future(void);\nint use(void) { return old() + from_the_future(); }\n",
    );
    let machine = Machine::this();
    let Some(here) = machine.glibc else {
        // Another C library has no versions to compare.
        return;
    };
    assert_eq!(
        text(&file(&library)),
        format!("needs GLIBC_2.99 (symbol from_the_future), this machine has {here}")
    );
    // The loader says the same in its own words.
    let expected = PreflightError::NewerSystem {
        needs: "GLIBC_2.99".into(),
        symbol: None,
        here: here.to_string(),
    };
    assert_eq!(
        explain_loader_error(&workshop.load(&[&library]), &machine),
        expected
    );
    // The loader does without a version that is marked as weak; then so do we.
    let mut weak = File::new(&file(&library));
    let hash = object::elf::hash(b"GLIBC_2.99").to_ne_bytes();
    let Some(need) = weak.bytes.windows(4).position(|window| window == hash) else {
        panic!("the plugin does not need the version");
    };
    weak.put(need + 4, 2, 2);
    assert_eq!(text(&weak.bytes), "ok");
    assert!(fs::write(&library, &weak.bytes).is_ok());
    let words = workshop.load(&[&library]);
    assert!(!words.contains("version `GLIBC_2.99' not found"), "{words}");
}

#[test]
fn the_loader_names_a_missing_library_and_symbol() {
    let workshop = Workshop::new();
    let machine = Machine::this();
    let gone = workshop.library("libgone.so", "int dependency(void) { return 1; }\n", &[]);
    let folder = format!("-L{}", workshop.path("").display());
    let plugin = workshop.dependent("libplugin.so", &[&folder, "-lgone"]);
    assert!(fs::remove_file(gone).is_ok());
    assert_eq!(text(&file(&plugin)), "ok");
    assert_eq!(
        explain_loader_error(&workshop.load(&[&plugin]), &machine).to_string(),
        "needs the library libgone.so, which could not be found; install it, or put it beside the plugin and link that with -Wl,-rpath,$ORIGIN"
    );
    let alone = workshop.dependent("libalone.so", &[]);
    assert_eq!(
        explain_loader_error(&workshop.load(&[&alone]), &machine).to_string(),
        "needs the symbol `dependency`, which no library that it is linked with has"
    );
}

#[test]
fn libraries_beside_the_original_are_found_for_a_copy() {
    let soname = ["-Wl,-soname,libdependency.so"];
    let table: &[(&str, &[&str], &str, &[&str])] = &[
        (
            "its folder",
            &soname,
            "libdependency.so",
            &["-Wl,-rpath,$ORIGIN"],
        ),
        (
            "no SONAME",
            &[],
            "libdependency.so",
            &["-Wl,-rpath,$ORIGIN"],
        ),
        (
            "folder below",
            &[],
            "lib/libdependency.so",
            &["-Wl,-rpath,/nowhere:${ORIGIN}/lib"],
        ),
        (
            "folder beside",
            &soname,
            "../lib/libdependency.so",
            &["-Wl,-rpath,$ORIGIN/../lib"],
        ),
        (
            "RPATH",
            &soname,
            "libdependency.so",
            &["-Wl,--disable-new-dtags,-rpath,$ORIGIN"],
        ),
    ];
    for (name, dependency_args, place, plugin_args) in table {
        let workshop = Workshop::new();
        let code = "int dependency(void) { return 1; }\n";
        let inside = format!("original/x/{place}");
        assert!(fs::create_dir_all(workshop.path("original/x")).is_ok());
        let dependency = workshop.library(&inside, code, dependency_args);
        let search = format!(
            "-L{}",
            dependency.parent().map_or("".into(), Path::to_string_lossy)
        );
        let args: Vec<&str> = [search.as_str(), "-ldependency"]
            .into_iter()
            .chain(plugin_args.iter().copied())
            .collect();
        let original = workshop.dependent("original/x/libplugin.so", &args);
        assert_eq!(workshop.load(&[&original]), "ok", "{name}: the test itself");

        let copy = workshop.path("copy/x/libplugin.so");
        let copied =
            fs::create_dir_all(workshop.path("copy/x")).and_then(|()| fs::copy(&original, &copy));
        assert!(copied.is_ok(), "{copied:?}");
        let alone = workshop.load(&[&copy]);
        assert!(
            alone.contains("libdependency.so: cannot open"),
            "{name}: {alone}"
        );

        let Ok(report) = read_file(&copy) else {
            panic!("{name}: the copy cannot be read");
        };
        let found = beside(&report, &workshop.path("original/x"));
        let [library] = found.as_slice() else {
            panic!("{name}: {found:?}");
        };
        assert_eq!(library.known_by_name, !dependency_args.is_empty(), "{name}");
        assert_eq!(library.link.as_deref(), Some(Path::new(place)), "{name}");
        if !library.known_by_name {
            let link = workshop.path("copy/x").join(place);
            let linked = link
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| symlink(&library.path, &link));
            assert!(linked.is_ok(), "{linked:?}");
        }
        assert_eq!(workshop.load(&[&library.path, &copy]), "ok", "{name}");
    }
}

#[test]
fn an_rpath_also_leads_to_what_libraries_need() {
    let workshop = Workshop::new();
    let soname = |name: &str| format!("-Wl,-soname,{name}");
    let search = format!("-L{}", workshop.path("original").display());
    workshop.library(
        "original/libinner.so",
        "int inner(void) { return 1; }\n",
        &[&soname("libinner.so")],
    );
    workshop.library(
        "original/libdependency.so",
        "int inner(void);\nint dependency(void) { return inner(); }\n",
        &[&soname("libdependency.so"), &search, "-linner"],
    );
    let rpath_link = format!("-Wl,-rpath-link,{}", workshop.path("original").display());
    let rpath = "-Wl,--disable-new-dtags,-rpath,$ORIGIN";
    let original = workshop.dependent(
        "original/libplugin.so",
        &[&search, "-ldependency", &rpath_link, rpath],
    );
    assert_eq!(workshop.load(&[&original]), "ok");
    let copy = workshop.path("libplugin.so");
    assert!(fs::copy(&original, &copy).is_ok());
    let Ok(report) = read(&file(&copy)) else {
        panic!("the copy cannot be read");
    };
    let found = beside(&report, &workshop.path("original"));
    let order: Vec<&str> = found
        .iter()
        .map(|library| library.needed.as_str())
        .collect();
    assert_eq!(order, ["libinner.so", "libdependency.so"]);
    assert_eq!(found[0].link, None);
    assert_eq!(
        workshop.load(&[&found[0].path, &found[1].path, &copy]),
        "ok"
    );
}
