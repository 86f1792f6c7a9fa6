//! What users of Windows stumble over, each told with what to do.

use crate::wine::{DEADLINE, Windows, assert_fails};
use host_testing::Background;

#[test]
fn a_program_that_is_not_there_is_told_with_where_it_was_looked_for() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.write(
        "flow.yml",
        "nodes: [{id: n, path: target/release/missing, build: cargo build, inputs: {tick: dora/timer/millis/10}}]",
    );
    let run = windows.dora("", &["run", "flow.yml"]);
    let folder = format!(r"{}\target\release", windows.name());
    assert_fails(
        &run,
        &[
            "flow.yml:1:23: node `n`: `target/release/missing` was not found; tried missing, missing.exe, ",
            "missing.bat, missing.cmd",
            "missing.dll",
            &folder,
            "the node has a `build`, run `dora build` first",
        ],
    );
}

#[test]
fn a_folder_without_write_permission_does_not_stop_a_run() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.quickstart("examples");
    // A file stands where the folder of the logs should.
    windows.write("examples/quickstart/out", "");
    let run = windows.dora("examples/quickstart", &["run", "dataflow.yml"]);
    assert!(run.stderr.contains(r"cannot write logs to C:\"), "{run}");
    assert!(run.stderr.contains(r"logs go to C:\users\"), "{run}");
    run.success();
}

#[test]
fn a_port_in_use_is_told_with_the_program_that_has_it() {
    let Some(windows) = Windows::new() else {
        return;
    };
    windows.compile("listens.c", "robot server.exe");
    let server = windows.path().join("robot server.exe");
    let server = Background::start(&mut windows.program(&server, "", &[]));
    let line = server.line("port ", DEADLINE);
    let port = line.trim_start_matches("port ");
    let run = windows.dora("", &["coordinator", "--port", port]);
    let words = format!("port {port} of 127.0.0.1 is taken by another program");
    assert_fails(
        &run,
        &[&words, "; end that one, or choose another port: `--port N`"],
    );
    // Wine does not always tell whose a port is.
    let who = run
        .stderr
        .split_once("another program, ")
        .map(|(_, who)| who);
    assert!(
        who.is_none_or(|who| who.starts_with("`robot server.exe` (process ")),
        "{run}"
    );
}
