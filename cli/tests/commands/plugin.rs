//! `dora plugin check` and `dora plugin inspect` on good plugins, bad files and plugins that misbehave.

use super::{Place, assert_run};
use host_testing::fixtures::{self, Profile};
use plugin_abi::handshake::{COMPILER, MAGIC, Record, TARGET};
use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

const MISMATCH: &str = "version mismatch: message format v0.5.0 is not compatible with expected message format v0.7.0; rebuild it with plugin-abi 0.7";

/// The variable that the fixture's constructor obeys.
const CONSTRUCTOR: &str = "DORA_TEST_CONSTRUCTOR";

fn good() -> PathBuf {
    fixtures::path("constructor-plugin")
}

/// Puts a copy of the good plugin, or something else, under `name`.
fn put(place: &Place, name: &str, content: impl AsRef<[u8]>) {
    place.write(name, content);
}

fn good_bytes() -> Vec<u8> {
    fs::read(good()).expect("read")
}

/// The good plugin with another minor version of the message format in its record.
fn of_format_0_5() -> Vec<u8> {
    let mut bytes = good_bytes();
    let size = (size_of::<Record>() as u32).to_ne_bytes();
    let mark = |window: &[u8]| window[..16] == MAGIC && window[16..] == size;
    let record = bytes.windows(20).position(mark).expect("a record");
    bytes[record + offset_of!(Record, message_format.minor)] = 5;
    bytes
}

#[test]
fn a_plugin_of_message_format_0_5_is_refused_word_for_word() {
    let place = Place::new();
    put(&place, "libold.so", of_format_0_5());
    let run = place.dora(&["plugin", "check", "libold.so"]);
    assert_run(&place, &run, 1, &format!("libold.so: {MISMATCH}\n"), "");
    let run = place.dora(&["plugin", "inspect", "libold.so"]);
    let code = run.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{run}");
    assert_eq!(run.stderr, format!("error: libold.so: {MISMATCH}\n"));
    assert!(run.stdout.contains("\n  message format  v0.5.0\n"), "{run}");
}

#[test]
fn nothing_of_a_refused_file_ever_runs() {
    let place = Place::new();
    let proof = place.path().join("proof");
    let place = place.with_env(CONSTRUCTOR, &format!("write {}", proof.display()));
    put(&place, "libold.so", of_format_0_5());
    put(&place, "libgood.so", good_bytes());
    for command in ["check", "inspect"] {
        place.dora(&["plugin", command, "libold.so"]);
        assert!(!proof.exists(), "{command} ran the constructor");
        place.dora(&["plugin", command, "libgood.so"]);
        assert!(proof.exists(), "the constructor of the good one runs");
        fs::remove_file(&proof).expect("removed");
    }
}

#[test]
fn many_files_and_folders_have_one_line_each_in_their_order() {
    let place = Place::new();
    fs::create_dir(place.path().join("folder")).expect("made");
    fs::create_dir(place.path().join("empty")).expect("made");
    put(&place, "folder/libb.so", good_bytes());
    put(&place, "folder/liba.so", "no library\n");
    put(&place, "folder/notes.txt", "not even called one");
    put(&place, "folder/plugin-by-content", good_bytes());
    put(&place, "libold.so", of_format_0_5());
    let run = place.dora(&[
        "plugin", "check", "old", "folder", "empty", "gone", "folder/b",
    ]);
    let expected = format!(
        "libold.so: {MISMATCH}
folder/liba.so: is not a shared library (starts with \"no library\")
folder/libb.so: ok (constructor-plugin 0.1.0, 2 node kinds)
folder/plugin-by-content: ok (constructor-plugin 0.1.0, 2 node kinds)
empty: there are no shared libraries in this folder
gone: not found (tried gone, gone.exe, libgone.so, gone.dll, libgone.dylib)
folder/libb.so: ok (constructor-plugin 0.1.0, 2 node kinds)
"
    );
    assert_run(
        &place,
        &run,
        1,
        &expected.replace('/', std::path::MAIN_SEPARATOR_STR),
        "",
    );
    let run = place.dora(&["plugin", "check", "folder/libb.so"]);
    assert_run(
        &place,
        &run,
        0,
        "folder/libb.so: ok (constructor-plugin 0.1.0, 2 node kinds)\n",
        "",
    );
    assert_eq!(cached(&place), 0, "private copies are removed");
}

/// Folders of private copies that are left.
fn cached(place: &Place) -> usize {
    let folders = fs::read_dir(place.path().join("cache/plugins"));
    folders.map_or(0, Iterator::count)
}

#[test]
fn what_cannot_be_a_plugin_is_told_apart() {
    let place = Place::new();
    let own = |name: &str, profile| fixtures::library(name, profile).display().to_string();
    for (file, expected) in [
        (
            own("plain-library", Profile::Debug),
            "is a shared library but no dora plugin (no handshake record)",
        ),
        (
            own("constructor-plugin", Profile::Abort),
            "built with panic=abort: a panic would end the daemon; build with unwinding, or set process: own",
        ),
        (
            fixtures::executable("node-executable")
                .display()
                .to_string(),
            "is the executable of a node, not a plugin; name the node's shared library, or run it with `load: executable`",
        ),
        (
            env!("CARGO_BIN_EXE_dora").to_owned(),
            "is an executable, not a plugin",
        ),
        (
            own("good-plugin", Profile::Debug),
            "does not export `dora_plugin_layout`; export it (plugin-abi does so with export_plugin!, C with default visibility)",
        ),
    ] {
        let run = place.dora(&["plugin", "check", &file]);
        assert_run(&place, &run, 1, &format!("{file}: {expected}\n"), "");
    }
}

#[test]
fn a_plugin_that_aborts_still_tells_its_kinds() {
    let place = Place::new();
    let file = fixtures::library("constructor-plugin", Profile::Abort);
    let run = place.dora(&["plugin".as_ref(), "inspect".as_ref(), file.as_os_str()]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
    assert!(run.stdout.contains("debug, panics abort\n"), "{run}");
    assert!(run.stdout.contains("\nnode kind quiet\n"), "{run}");
    assert!(run.stderr.contains("built with panic=abort"), "{run}");
}

#[test]
fn check_as_json() {
    let place = Place::new();
    put(&place, "libgood.so", good_bytes());
    put(&place, "libold.so", of_format_0_5());
    let run = place.dora(&[
        "plugin",
        "check",
        "--json",
        "libgood.so",
        "libold.so",
        "gone.so",
    ]);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let expected = serde_json::json!([
        {"path": "libgood.so", "ok": true, "name": "constructor-plugin", "version": "0.1.0", "kinds": ["quiet", "source"]},
        {"path": "libold.so", "ok": false, "error": MISMATCH, "output": []},
        {"path": "gone.so", "ok": false, "error": "not found (tried gone.so)", "output": []},
    ]);
    assert_eq!(found, expected);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
}

/// Checks and inspects the good plugin with this constructor. Returns the words of the check.
fn misbehave(constructor: &str, args: &[&str], stderr_of_inspect: &str) -> String {
    let place = Place::new().with_env(CONSTRUCTOR, constructor);
    put(&place, "x.so", good_bytes());
    let command = |name: &'static str| [&["plugin", name, "x.so"], args].concat();
    let run = place.dora(&command("inspect"));
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
    assert_eq!(run.stderr, stderr_of_inspect, "{run}");
    assert!(
        run.stdout.contains("constructor-plugin 0.1.0"),
        "what the file alone tells: {run}"
    );
    let run = place.dora(&command("check"));
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
    run.stdout
}

#[test]
fn a_crash_is_told_and_dora_lives() {
    let how = if cfg!(windows) {
        "access violation, 0xC0000005"
    } else {
        "SIGSEGV"
    };
    let told = misbehave(
        "crash the device\nis \u{1b}[31mnot there",
        &[],
        &format!(
            "error: x.so: crashed while it was loaded ({how})\nthe last that it wrote:\n  the device\n  is not there\n"
        ),
    );
    assert_eq!(
        told,
        format!("x.so: crashed while it was loaded ({how}); its last words: is not there\n")
    );
}

#[test]
fn a_plugin_that_exits_is_told() {
    let status = if cfg!(windows) {
        "exit code: 3"
    } else {
        "exit status: 3"
    };
    let words =
        format!("x.so: ended the process that loaded it ({status}); a plugin must not call exit\n");
    assert_eq!(misbehave("exit", &[], &format!("error: {words}")), words);
}

#[test]
fn a_plugin_that_hangs_is_ended() {
    let folder = host_testing::fresh_dir();
    let pid = folder.path().join("pid");
    let words = "x.so: was still not loaded after 700ms; its constructors or its entry hang\n";
    let hang = format!("hang {}", pid.display());
    assert_eq!(
        misbehave(&hang, &["--timeout", "700ms"], &format!("error: {words}")),
        words
    );
    assert!(has_ended(&pid), "the helper process is gone");
}

#[cfg(target_os = "linux")]
fn has_ended(file_with_pid: &Path) -> bool {
    let pid = fs::read_to_string(file_with_pid).expect("the constructor ran");
    !Path::new("/proc").join(pid).exists()
}

#[cfg(not(target_os = "linux"))]
fn has_ended(file_with_pid: &Path) -> bool {
    file_with_pid.exists()
}

/// When `dora` itself is killed, the helper must not wait for the plugin for ever.
#[cfg(target_os = "linux")]
#[test]
fn the_helper_ends_with_dora() {
    use std::time::{Duration, Instant};
    let place = Place::new();
    let pid = place.path().join("pid");
    let place = place.with_env(CONSTRUCTOR, &format!("hang {}", pid.display()));
    put(&place, "x.so", good_bytes());
    let mut dora = place.command(&["plugin", "check", "x.so", "--timeout", "60s"]);
    let mut dora = dora.spawn().expect("started");
    let until = Instant::now() + Duration::from_secs(20);
    let wait_for = |done: &dyn Fn() -> bool, what: &str| {
        while !done() {
            assert!(Instant::now() < until, "{what}");
            std::thread::yield_now();
        }
    };
    let is_written = || fs::read_to_string(&pid).is_ok_and(|pid| !pid.is_empty());
    wait_for(&is_written, "the constructor does not run");
    dora.kill().expect("killed");
    dora.wait().expect("ended");
    let stat = format!("/proc/{}/stat", fs::read_to_string(&pid).expect("a pid"));
    // Without its parent, nobody may be there to collect it: a zombie has ended.
    let has_ended = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    wait_for(&has_ended, "the helper still runs");
}

#[test]
fn what_a_plugin_prints_does_not_disturb() {
    for words in [
        "half a line",
        "one\ntwo\n",
        "\u{1}dora-plugin-info {\"Refused\": 3}\n",
    ] {
        let place = Place::new().with_env(CONSTRUCTOR, &format!("print {words}"));
        put(&place, "x.so", good_bytes());
        let run = place.dora(&["plugin", "check", "x.so"]);
        assert_run(
            &place,
            &run,
            0,
            "x.so: ok (constructor-plugin 0.1.0, 2 node kinds)\n",
            "",
        );
    }
}

#[test]
fn inspect_tells_all_of_a_good_plugin() {
    let place = Place::new();
    put(&place, "libx.so", good_bytes());
    let run = place.dora(&["plugin", "inspect", "x"]);
    let told = run.success();
    let (file, kinds) = told.split_once("\n\n").expect("two parts");
    for expected in [
        "  plugin          constructor-plugin 0.1.0".to_owned(),
        "  plugin ABI      0.7".to_owned(),
        "  message format  v0.7.0".to_owned(),
        "  language        Rust".to_owned(),
        format!("  target          {TARGET}"),
        "  SDK             plugin-abi 0.7.0".to_owned(),
        format!("  compiler        {COMPILER}"),
        "  build           debug, panics unwind".to_owned(),
    ] {
        assert!(
            file.lines().any(|line| line == expected),
            "{expected} in {told}"
        );
    }
    assert!(file.starts_with("libx.so\n"), "{told}");
    assert!(
        file.contains(&format!("({} bytes)", good_bytes().len())),
        "{told}"
    );
    let expected = "\
node kind quiet
  Does nothing.
  And it does so in two lines.
  inputs
    any other name  any type       Whatever there is
    sound           List<Float32>  Samples
  outputs
    silence  any type
  config
    gain      number, default 1.5                       How much louder it gets.
    channels  list of integer or null                   In which order channels are read.
    silence   \"keep\" or \"drop\", default \"keep\"  What is done with silence.

node kind source
  no inputs
  outputs
    sound  any type
  no config
";
    let squeeze = |text: &str| {
        let lines = text.lines().map(|line| {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{}{}", " ".repeat(indent), words.join(" "))
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(squeeze(kinds), squeeze(expected));
}

#[test]
fn inspect_as_json_has_the_whole_schema() {
    let place = Place::new();
    put(&place, "libx.so", good_bytes());
    let run = place.dora(&["plugin", "inspect", "--json", "libx.so"]);
    let json: serde_json::Value = serde_json::from_str(&run.success()).expect("JSON");
    for (pointer, expected) in [
        ("/path", serde_json::json!("libx.so")),
        ("/loads", true.into()),
        ("/refused", serde_json::Value::Null),
        ("/file/kind", "plugin".into()),
        ("/file/handshake/message_format", "0.7.0".into()),
        ("/file/size", good_bytes().len().into()),
        ("/plugin/kinds/0/inputs/1/data_type", "List<Float32>".into()),
        (
            "/plugin/kinds/0/config_schema/properties/gain/default",
            1.5.into(),
        ),
        ("/plugin/kinds/1/name", "source".into()),
    ] {
        assert_eq!(
            json.pointer(pointer),
            Some(&expected),
            "{pointer} in {json:#}"
        );
    }
    let run = place.dora(&["plugin", "inspect", "--json", "gone.so"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let expected = serde_json::json!({
        "path": "gone.so", "file": null, "loads": false, "refused": "not found (tried gone.so)", "output": [], "plugin": null
    });
    assert_eq!(json, expected);
    assert_eq!(run.status.and_then(|status| status.code()), Some(1));
}

#[cfg(not(windows))]
#[test]
fn a_dll_tells_here_what_its_file_alone_tells() {
    let place = Place::new();
    put(&place, "x.dll", crate::images::Pe::plugin().build());
    let run = place.dora(&["plugin", "inspect", "x"]);
    let here = match std::env::consts::OS {
        "macos" => "macOS",
        _ => "Linux",
    };
    let here = format!("{} {here}", std::env::consts::ARCH);
    assert_eq!(run.stderr, "", "{run}");
    let told = run.success();
    for expected in [
        "x.dll\n".to_owned(),
        "  target          x86_64-pc-windows-gnu\n".to_owned(),
        "  format          PE for x86_64 Windows, 64 bit\n".to_owned(),
        "  needs           KERNEL32.dll, api-ms-win-core-synch-l1-2-0.dll\n".to_owned(),
        format!(
            "\nIt was built for x86_64 Windows, this machine is {here}: its node kinds can only be told on Windows.\n"
        ),
    ] {
        assert!(told.contains(&expected), "{expected} in {told}");
    }
    let refusal = format!("built for x86_64 Windows, this machine is {here}");
    let run = place.dora(&["plugin", "check", "x.dll"]);
    assert_run(&place, &run, 1, &format!("x.dll: {refusal}\n"), "");
    let run = place.dora(&["plugin", "inspect", "--json", "x.dll"]);
    let json: serde_json::Value = serde_json::from_str(&run.success()).expect("JSON");
    assert_eq!(json["refused"], refusal);
    assert_eq!(json["loads"], false);
}

/// What is wrong with it there is worth more than that it is for another system.
#[cfg(not(windows))]
#[test]
fn a_dll_of_another_message_format_is_told_so() {
    let place = Place::new();
    let mut dll = crate::images::Pe::plugin();
    dll.record[offset_of!(Record, message_format.minor)] = 5;
    put(&place, "x.dll", dll.build());
    let run = place.dora(&["plugin", "inspect", "x.dll"]);
    assert_eq!(run.stderr, format!("error: x.dll: {MISMATCH}\n"), "{run}");
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(1),
        "{run}"
    );
}
