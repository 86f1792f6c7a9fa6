//! What the paths of a descriptor lead to in the real program: which file is run, and in which folder. The table of all forms
//! is that of `host/src/descriptor/resolve/tests/tricks.rs`.

use crate::dataflow::{Ended, Running};
use crate::programs::script;
use host_testing::{Folder, fixtures, fresh_dir, fresh_dir_named};
use std::fs;
use std::path::Path;

/// Says who it is and where it works.
const SHOW: &str = "#!/bin/sh\necho \"$1 in $(pwd -P)\"\n";

/// A folder with programs in it, and links; the descriptor will be in its `flow`.
fn world() -> Folder {
    let root = fresh_dir();
    let path = |name: &str| root.path().join(name);
    for folder in ["flow/work/deep", "flow/a b$HOME", "opt"] {
        fs::create_dir_all(path(folder)).expect("a folder");
    }
    for file in [
        "up.sh",
        "opt/opt.sh",
        "flow/x.sh",
        "flow/work/deep/y.sh",
        "flow/a b$HOME/z.sh",
    ] {
        script(&path(file), SHOW);
    }
    std::os::unix::fs::symlink("../opt", path("flow/link")).expect("a link");
    root
}

/// Runs one node with these keys, in which `ROOT` is the folder.
fn node(keys: &str) -> (Ended, String) {
    let root = world();
    let path = root
        .path()
        .canonicalize()
        .expect("a folder")
        .display()
        .to_string();
    let keys = keys.replace("ROOT", &path);
    let text = format!("nodes: [{{id: node, args: it, outputs: [out], {keys}}}]");
    let ended = Running::below(root, "flow", &text, &["--start-timeout", "20s"]).end();
    (ended, path)
}

#[test]
fn a_program_is_run_where_its_paths_say() {
    for (keys, folder) in [
        ("path: x.sh", "flow"),
        ("path: ../up.sh", "flow"),
        ("path: ROOT/opt/opt.sh", "flow"),
        ("path: link/opt.sh", "flow"),
        ("path: link/../up.sh", "flow"),
        ("path: $OF_TEST/flow/x.sh", "flow"),
        (r"path: work\deep\y.sh", "flow"),
        ("path: a b$$HOME/z.sh", "flow"),
        (
            r"path: y.sh, deploy: {working_dir: work\deep}",
            "flow/work/deep",
        ),
        (
            "path: ../../x.sh, deploy: {working_dir: $OF_TEST/flow/work/deep}",
            "flow/work/deep",
        ),
        ("path: opt.sh, deploy: {working_dir: link}", "opt"),
    ] {
        let (ended, root) = node(keys);
        ended
            .exits(1)
            .says(&format!("node: it in {root}/{folder}\n"));
    }
}

#[test]
fn what_no_path_can_be_is_refused_in_one_line() {
    for (keys, why) in [
        (r#"path: "x\0.sh""#, "`path` contains a NUL character"),
        (
            r#"path: x.sh, deploy: {working_dir: "w\0"}"#,
            "`working_dir` contains a NUL character",
        ),
        (
            r#"path: "./\e[2J.sh""#,
            r"`./\u{1b}[2J.sh` was not found; tried \u{1b}[2J.sh, ",
        ),
        (
            "path: /dev/zero",
            "/dev/zero`: is neither a file nor a directory",
        ),
        (
            "path: ROOT/opt/opt.sh, deploy: {working_dir: gone}",
            "flow/gone` does not exist; make it, or correct `working_dir`",
        ),
        (
            "path: x.sh, send_stdout_as: ../up",
            "`../up` cannot be a port name: it starts with a dot",
        ),
    ] {
        let (ended, _) = node(keys);
        let ended = ended.exits(1).says("nothing was started").says(why);
        let said = &ended.run().stderr;
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n'),
            "{said:?}"
        );
    }
}

/// A file that has been found is not looked for again with what its name would mean in a descriptor.
#[test]
fn a_plugin_in_a_folder_of_any_name_runs_wherever_it_may() {
    for process in ["daemon", "own", "work"] {
        let root = world();
        let file = fixtures::path("flow");
        let name = file.file_name().expect("a name");
        fs::copy(&file, root.path().join("flow/a b$HOME").join(name)).expect("copied");
        let text = format!(
            "nodes: [{{id: node, path: a b$$HOME/flow, kind: source, process: {process}, config: {{count: 3}}, \
             outputs: [out], inputs: {{tick: dora/timer/millis/5}}}}]"
        );
        let ended = Running::below(root, "flow", &text, &[]).end();
        ended.exits(0).row("node", "finished");
    }
}

/// Such names exist on Linux alone.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_is_one_like_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let flow = fixtures::path("flow").display().to_string();
    let node = |id: &str, keys: &str, file: &str| {
        format!(
            "  - {{id: {id}, path: '{file}', kind: source, {keys} config: {{count: 3}}, outputs: [out], inputs: {{tick: dora/timer/millis/5}}}}\n"
        )
    };
    let executable = fixtures::executable("flow-node").display().to_string();
    let text = [
        "nodes:\n".to_owned(),
        node("inside", "", &flow),
        node("own", "process: own,", &flow),
        node("shared", "process: work,", &flow),
        format!("  - {{id: program, path: '{executable}', kind: relay, outputs: [out], inputs: {{in: inside/out}}}}\n"),
    ]
    .concat();
    let name = OsStr::from_bytes(b"dora-test-\xff\xfe");
    let mut ended = Running::in_folder(fresh_dir_named(name), &text, &[])
        .end()
        .exits(0);
    for id in ["inside", "own", "shared", "program"] {
        ended = ended.row(id, "finished");
    }
    // What is in it, a plugin in a process of its own cannot be told of.
    let inside = fresh_dir_named(name);
    let copy: &Path = &inside.path().join("libflow.so");
    fs::copy(fixtures::path("flow"), copy).expect("copied");
    let text = format!("nodes:\n{}", node("own", "process: own,", "libflow.so"));
    Running::in_folder(inside, &text, &[])
        .end()
        .exits(1)
        .says("a plugin whose path is not UTF-8 runs in the daemon only; rename it");
}
