//! Programs that cannot be a node: each is refused with what is wrong, where, and what to do.

use crate::dataflow::{Ended, Running};
use host_testing::python::node_script;
use host_testing::{Folder, fixtures, fresh_dir};
use std::path::Path;
use std::time::{Duration, Instant};

/// A folder with files of these texts; scripts may be run.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = fresh_dir();
    for (name, text) in files {
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        std::fs::write(&path, text).expect("written");
        if name.ends_with(".sh") {
            make_executable(&path);
        }
    }
    folder
}

/// Writes a program of this text.
#[cfg(unix)]
pub fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    make_executable(path);
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("changed");
}

#[cfg(not(unix))]
fn make_executable(_: &Path) {}

/// Runs a dataflow of one node with these keys, in a folder with these files.
fn node_of(files: &[(&str, &str)], keys: &str, args: &[&str]) -> Ended {
    node_in(folder(files), keys, args)
}

fn node_in(folder: Folder, keys: &str, args: &[&str]) -> Ended {
    let text = format!("nodes:\n  - id: node\n{keys}    outputs: [out]\n");
    Running::in_folder(folder, &text, args).end()
}

/// Checks that nothing was started, with all of these words.
fn refused(ended: Ended, words: &[&str]) {
    let mut ended = ended.exits(1).says("nothing was started");
    for word in words {
        ended = ended.says(word);
    }
}

#[test]
fn a_program_that_is_missing_is_named_with_all_that_was_tried() {
    let words = [
        "dataflow.yml:3:11: node `node`: `nodes/eye` was not found; tried eye, eye.exe, libeye.so, eye.dll, libeye.dylib in",
        "build it, or correct the path",
    ];
    refused(node_of(&[], "    path: nodes/eye\n", &[]), &words);
    let words = [
        "`nodes/eye` was not found",
        "the node has a `build`, run `dora build` first",
    ];
    refused(
        node_of(&[], "    path: nodes/eye\n    build: cargo build\n", &[]),
        &words,
    );
    // A bare name is looked for on PATH, too.
    let words = ["`no-eye` was not found", "folders of PATH"];
    refused(node_of(&[], "    path: no-eye\n", &[]), &words);
}

#[cfg(unix)]
#[test]
fn what_is_no_program_is_refused_before_anything_starts() {
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "eye.txt",
            "hello",
            &["eye.txt` is not executable", "chmod +x"],
        ),
        (
            "eye.sh",
            "hello",
            &["is no program (it starts with \"hello\")", "#!/bin/sh"],
        ),
        (
            "eye.sh",
            "#!/no/such/shell\n",
            &["its first line names the interpreter `/no/such/shell`, which was not found"],
        ),
        (
            "eye.sh",
            "#!/usr/bin/env no-such-shell\n",
            &["interpreter `no-such-shell`, which was not found"],
        ),
        ("eye.sh", "", &["eye.sh"]),
    ];
    for (file, text, words) in cases {
        let keys = format!("    path: {file}\n");
        refused(node_of(&[(file, text)], &keys, &[]), words);
    }
    refused(
        node_of(
            &[("eye.sh", "#!/bin/sh\n")],
            "    path: eye.sh\n    deploy: {working_dir: nowhere}\n",
            &[],
        ),
        &["nowhere"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_for_another_machine_is_refused() {
    let shell = Path::new("/bin/sh").canonicalize().expect("a shell");
    // Ours say who they are; any other program is held to what the file says.
    let ours = fixtures::executable("node-executable");
    for (file, words) in [
        (ours, "built for riscv64 Linux, this machine is "),
        (shell, "was built for riscv64 Linux, this machine is "),
    ] {
        let mut bytes = std::fs::read(file).expect("a program");
        // The machine in the header of an ELF file.
        bytes[18..20].copy_from_slice(&[0xF3, 0x00]);
        let folder = folder(&[]);
        let path = folder.path().join("eye-node");
        std::fs::write(&path, &bytes).expect("written");
        make_executable(&path);
        refused(
            node_in(folder, "    path: eye-node\n", &[]),
            &["eye-node`", words],
        );
    }
}

#[cfg(unix)]
#[test]
fn a_damaged_executable_of_ours_is_refused() {
    let whole = std::fs::read(fixtures::executable("flow-node")).expect("a program");
    for part in [64, whole.len() / 2, whole.len() - 1000] {
        let folder = folder(&[]);
        let path = folder.path().join("eye-node");
        std::fs::write(&path, &whole[..part]).expect("written");
        make_executable(&path);
        let keys = "    path: eye-node\n    kind: relay\n";
        refused(
            node_in(folder, keys, &[]),
            &["eye-node", "file is incomplete"],
        );
    }
}

#[cfg(unix)]
#[test]
fn an_executable_of_another_version_is_refused_as_a_plugin_is() {
    let mut seen = Vec::new();
    for file in [fixtures::path("flow"), fixtures::executable("flow-node")] {
        let bytes = std::fs::read(&file).expect("a file");
        let folder = folder(&[]);
        let path = folder.path().join(file.file_name().expect("a name"));
        std::fs::write(&path, other_version(bytes)).expect("written");
        make_executable(&path);
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let keys = format!("    path: {name}\n    kind: relay\n");
        let ended = node_in(folder, &keys, &[]);
        let error = ended.run().stderr.clone();
        refused(ended, &[]);
        let line = error.lines().find(|line| line.contains("node `node`"));
        let line = line.unwrap_or_else(|| panic!("no line: {error}"));
        // The words behind the file's name.
        let (_, words) = line.split_once(&name).expect("its name");
        seen.push(words.to_owned());
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].contains("ABI"), "{}", seen[0]);
}

/// The file with a record that says another ABI.
#[cfg(unix)]
fn other_version(mut bytes: Vec<u8>) -> Vec<u8> {
    let magic = plugin_abi::handshake::MAGIC;
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(magic.len())
        .position(|window| window == magic)
    {
        at += found + magic.len();
        // Behind the size of the record.
        bytes[at + 4] ^= 1;
    }
    bytes
}

#[cfg(unix)]
#[test]
fn a_program_that_makes_no_node_is_ended_after_the_time_for_it() {
    let began = Instant::now();
    let ended = node_of(
        &[("eye.sh", "#!/bin/sh\nexec sleep 600\n")],
        "    path: eye.sh\n",
        &["--start-timeout", "1s"],
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    ended
        .exits(1)
        .row("node", "failed")
        .says("its process has not connected within 1s");
}

#[cfg(unix)]
#[test]
fn a_program_that_ends_before_it_is_a_node_is_named_with_its_last_words() {
    let words = "#!/bin/sh\necho looking\necho 'no camera' >&2\nexit 4\n";
    node_of(&[("eye.sh", words)], "    path: eye.sh\n", &[])
        .exits(1)
        .row("node", "failed")
        .says("node: looking")
        .says("exited before initializing dora: its process ended with exit code 4")
        .says("the last it wrote to stderr:\nno camera");
    node_of(&[("eye.sh", "#!/bin/sh\n")], "    path: eye.sh\n", &[])
        .exits(1)
        .says("exited before initializing dora, with exit code 0");
}

#[cfg(unix)]
#[test]
fn arguments_variables_and_the_folder_reach_a_program() {
    let show = "#!/bin/sh\necho \"args $1|$2|$#\"\necho \"env $SECRET\"\necho \"in $(pwd -P)\"\n";
    let keys = "    path: eye.sh\n    args: 'one \"two three\"'\n    env: {SECRET: 'x y'}\n";
    let folder = folder(&[("eye.sh", show), ("work/eye.sh", show)]);
    let path = folder.path().canonicalize().expect("a folder");
    let ended = node_in(folder, keys, &[]).exits(1);
    ended
        .says("node: args one|two three|2")
        .says("node: env x y")
        .says(&format!("node: in {}\n", path.display()));
    let folder = self::folder(&[("work/eye.sh", show)]);
    let path = folder.path().canonicalize().expect("a folder").join("work");
    let keys = format!("{keys}    deploy: {{working_dir: work}}\n");
    node_in(folder, &keys, &[])
        .exits(1)
        .says(&format!("node: in {}\n", path.display()));
}

/// A bare name leads to what lies beside the descriptor first, then to what is on PATH.
#[cfg(unix)]
#[test]
fn a_bare_name_is_found_beside_the_descriptor_and_on_path() {
    let beside = [("eye.sh", "#!/bin/sh\necho beside\n")];
    node_of(&beside, "    path: eye.sh\n", &[]).says("node: beside");
    // Every system has this one on PATH, and it is no node.
    node_of(&[], "    path: echo\n    args: from PATH\n", &[])
        .exits(1)
        .says("node: from PATH");
    let both = [("echo", "#!/bin/sh\necho beside\n")];
    let folder = folder(&both);
    make_executable(&folder.path().join("echo"));
    node_in(folder, "    path: echo\n", &[]).says("node: beside");
}

#[test]
fn python_that_is_not_there_is_said_with_where_it_was_looked_for() {
    let keys = format!(
        "    path: '{}'\n    env: {{PATH: /nowhere, VIRTUAL_ENV: /no/venv}}\n",
        node_script().display()
    );
    refused(
        node_of(&[], &keys, &[]),
        &["no Python was found", "VIRTUAL_ENV is /no/venv", "--uv"],
    );
}
