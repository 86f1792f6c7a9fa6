//! Options of `dora run` that say how nodes in processes are run.

use crate::dataflow::{Dataflow, Ended, Running};
use crate::place::{Place, python};
use host_testing::python::node_script;
use host_testing::{fixtures, fresh_dir};

/// What is said of a node that crashes where the option puts it.
fn crash_under(option: &[&str], keys: &str) -> Ended {
    let mut dataflow = Dataflow::new(Place::Daemon, "failing", &[("how", "abort"), ("at", "3")]);
    (dataflow.args, dataflow.keys) = (option, keys);
    dataflow.run()
}

#[cfg(unix)]
#[test]
fn plugins_run_where_default_process_says() {
    crash_under(&["--default-process", "own"], "")
        .exits(1)
        .says("error: node `subject` failed: its process ended with SIGABRT in its callback")
        .row("source", "finished");
    crash_under(&["--default-process", "work"], "")
        .exits(1)
        .says("error: node `subject` failed: its process ended with SIGABRT of its host process `work` in its callback")
        // They share it.
        .row("source", "failed")
        .row("checker", "failed");
    // As without the option: the process that runs the dataflow is the node's.
    for option in [&["--default-process", "daemon"][..], &[]] {
        crash_under(option, "").exits(128 + 6);
    }
}

#[cfg(unix)]
#[test]
fn what_a_node_says_itself_comes_before_default_process() {
    crash_under(&["--default-process", "own"], "    process: work\n")
        .exits(1)
        .says("SIGABRT of its host process `work` in its callback")
        .row("source", "finished");
    crash_under(&["--default-process", "own"], "    process: daemon\n").exits(128 + 6);
}

#[test]
fn a_place_that_is_no_name_is_refused() {
    let ended = crash_under(&["--default-process", "two words"], "");
    assert_eq!(ended.code(), Some(2), "{}", ended.run());
    ended.says("--default-process");
}

/// A `uv` that writes down what it is asked for, and does it with the Python of an environment.
#[cfg(unix)]
const UV: &str = "#!/bin/sh\necho \"uv got: $*\"\nshift\n[ \"$1\" = python ] && shift\nexec \"$VENV/bin/python\" \"$@\"\n";

#[cfg(unix)]
#[test]
fn python_runs_under_uv() {
    let release = "1.1.0";
    if !Place::Dora(release).is_there() {
        return;
    }
    let venv = python(release).expect("just looked for");
    let folder = fresh_dir();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    crate::programs::script(&tools.join("uv"), UV);
    let path = format!(
        "{}:{}",
        tools.display(),
        std::env::var("PATH").expect("a path")
    );
    let (script, flow) = (node_script(), fixtures::path("flow"));
    let (script, flow) = (script.display(), flow.display());
    let waits = "queue_size: 20, queue_policy: backpressure";
    let text = format!(
        "nodes:\n  - id: source\n    path: '{flow}'\n    kind: source\n    config: {{count: 10}}\n    inputs: {{tick: \
         dora/timer/millis/5}}\n    outputs: [out]\n  - id: py\n    path: '{script}'\n    args: --some more\n    env: \
         {{KIND: relay, VENV: '{}', PATH: '{path}'}}\n    inputs: {{in: {{source: source/out, {waits}}}}}\n    outputs: \
         [out]\n  - id: checker\n    path: '{flow}'\n    kind: checker\n    inputs: {{in: {{source: py/out, {waits}}}}}\n",
        venv.folder().display(),
    );
    let ended = Running::in_folder(folder, &text, &["--uv"]).end().exits(0);
    let asked = format!("py: uv got: run python -u {script} --some more");
    let ended = ended.says(&asked);
    assert_eq!(ended.checked("checker"), (10, 0), "{}", ended.run());
}

#[cfg(unix)]
#[test]
fn a_uv_that_is_not_there_is_said() {
    let folder = fresh_dir();
    let (script, none) = (node_script(), folder.path().join("nothing"));
    let text = format!(
        "nodes:\n  - id: py\n    path: '{}'\n    env: {{PATH: '{}'}}\n    outputs: [out]\n",
        script.display(),
        none.display()
    );
    Running::in_folder(folder, &text, &["--uv"])
        .end()
        .exits(1)
        .says("nothing was started")
        .says("`uv`");
}

#[test]
fn strict_versions_refuse_all_but_those_of_dora_0_4() {
    let words = "version mismatch: message format v1.1.0 is not compatible with expected message format v0.7.0";
    for (release, code) in [("1.1.0", 1), ("0.4.1", 0)] {
        let place = Place::Dora(release);
        if !place.is_there() {
            continue;
        }
        let mut dataflow = Dataflow::new(place, "relay", &[]);
        dataflow.args = &["--strict-versions"];
        let ended = dataflow.run().exits(code);
        if code == 0 {
            assert_eq!(ended.checked("checker"), (10, 0), "{}", ended.run());
            continue;
        }
        let ended = ended.says(&format!("error: node `subject` could not be made: {words}"));
        // The node itself prints it, on its standard error.
        let mut lines = ended.run().stderr.lines();
        let own = lines.any(|line| line.contains("err   subject: ") && line.contains(words));
        assert!(own, "{}", ended.run());
    }
}
