//! `dora plugin check` and what is refused before anything of it runs; plugins that are replaced while they are loaded;
//! where the DLLs that they need are looked for.

use crate::wine::{DEADLINE, Windows, assert_fails, with_count};
use host_testing::run;
use plugin_abi::handshake::{MAGIC, Record};
use std::fs;
use std::mem::offset_of;
use std::path::Path;

/// The file with another minor version of the plugin ABI in its record.
fn of_another_abi(plugin: &Path) -> Vec<u8> {
    let mut bytes = fs::read(plugin).expect("read");
    let size = (size_of::<Record>() as u32).to_ne_bytes();
    let mark = |window: &[u8]| window[..16] == MAGIC && window[16..] == size;
    let record = bytes.windows(20).position(mark).expect("a record");
    bytes[record + offset_of!(Record, abi.minor)] = 5;
    bytes
}

const MISMATCH: [&str; 2] = [
    "built for plugin ABI 0.5",
    "this dora speaks 0.7; rebuild it with plugin-abi 0.7",
];

#[test]
fn check_says_ok_or_exactly_why_not() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.install(&["random.dll", "status.dll", "sink.dll"]);
    let files = ["random", "status", "sink"].map(|name| format!(r"target\release\{name}.dll"));
    let run = windows.dora("", &["plugin", "check", &files[0], &files[1], &files[2]]);
    for file in &files {
        assert!(run.stdout.contains(&format!("{file}: ok")), "{run}");
    }
    run.success();

    let old = of_another_abi(&windows.built("sink.dll"));
    windows.write("old.dll", &old);
    windows.write("short.dll", &old[..old.len() / 2]);
    windows.write("text.dll", "no library at all");
    for (file, parts) in [
        ("old.dll", &MISMATCH[..]),
        ("short.dll", &["file is incomplete"]),
        ("text.dll", &["is not a shared library"]),
    ] {
        let run = windows.dora("", &["plugin", "check", file]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(
            run.status.and_then(|status| status.code()),
            Some(1),
            "{run}"
        );
        for part in parts {
            assert!(said.contains(part), "`{part}` is missing: {run}");
        }
    }
}

#[test]
fn a_plugin_of_another_version_is_refused_before_the_start() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.quickstart("flow");
    let old = of_another_abi(&windows.built("sink.dll"));
    windows.write("target/release/sink.dll", old);
    let run = windows.dora("flow/quickstart", &["run", "dataflow.yml"]);
    assert_fails(&run, &["dataflow.yml:", "node `sink`", "sink.dll"]);
    assert_fails(&run, &MISMATCH);
    assert!(!run.stdout.contains("sink received"), "{run}");
}

#[test]
fn a_plugin_is_replaced_while_it_is_loaded() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.quickstart("flow");
    let file = "flow/quickstart/dataflow.yml";
    let text = fs::read_to_string(windows.path().join(file)).expect("written");
    windows.write(file, with_count(&text, 1_000_000));
    let flow = windows.start(
        "flow/quickstart",
        &["run", "--stop-after", "20s", "dataflow.yml"],
    );
    flow.line("sink received message", DEADLINE);
    // As a linker does it, and as a user does it by hand; both are refused while the file itself is loaded.
    for words in [
        r"copy /y status.dll sink.dll",
        r"del sink.dll",
        r"ren status.dll sink.dll",
    ] {
        let words = ["/c", words];
        let run = run(
            &mut windows.program(Path::new("cmd"), "target/release", &words),
            DEADLINE,
        );
        run.success();
    }
    let left = fs::read_dir(windows.path().join("target/release")).expect("a folder");
    assert_eq!(left.count(), 2);
    drop(flow);
}

#[test]
fn dlls_beside_a_plugin_are_found_and_others_are_named() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.compile_plugin_with_dll("plugins/echo.dll", "plugins/beside.dll");
    windows.write("elsewhere/keep", "");
    let check = || windows.dora("elsewhere", &["plugin", "check", r"..\plugins\echo.dll"]);
    let run = check();
    assert!(
        run.stdout.contains(r"..\plugins\echo.dll: ok (c-fixture"),
        "{run}"
    );
    // The current folder and PATH do not count: whoever can write there would run code in the daemon.
    let beside = windows.path().join("plugins/beside.dll");
    fs::rename(beside, windows.path().join("elsewhere/beside.dll")).expect("moved");
    let run = check();
    let said = format!("{}{}", run.stdout, run.stderr);
    let missing = "needs the library beside.dll, which could not be found; ";
    assert!(said.contains(missing), "{run}");
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
}
