//! Ctrl-C and Ctrl-Break end a dataflow in order; whatever ends `dora`, nothing that it started is left.

use crate::wine::{DEADLINE, Windows, with_count};
use std::fs;

/// A quickstart that goes on until it is stopped, with the sink in a process of its own and the source as a program.
fn endless(windows: &Windows) {
    windows.quickstart("examples");
    windows.install(&["random-node.exe"]);
    let file = "examples/quickstart/dataflow.yml";
    let text = fs::read_to_string(windows.path().join(file)).expect("written");
    let text = with_count(&text, 1_000_000)
        .replace("release/random\n", "release/random-node\n")
        .replace("release/sink\n", "release/sink\n    process: own\n");
    windows.write(file, text);
}

#[test]
fn ctrl_c_and_ctrl_break_stop_the_nodes_in_order() {
    for event in ["c", "break"] {
        let Some(windows) = Windows::new() else {
            return;
        };
        endless(&windows);
        let flow = windows.in_console(event, "examples/quickstart", &["run", "dataflow.yml"]);
        flow.line("sink received message", DEADLINE);
        windows.go();
        let run = flow.end(DEADLINE);
        for words in [
            "stopping; nodes have 10s to end",
            "random  stopped",
            "sink    stopped",
        ] {
            assert!(run.stderr.contains(words), "`{words}` is missing: {run}");
        }
        assert_eq!(
            run.status.and_then(|status| status.code()),
            Some(0),
            "{run}"
        );
    }
}

#[test]
fn nothing_is_left_when_dora_is_killed() {
    let Some(windows) = Windows::new() else {
        return;
    };
    endless(&windows);
    let flow = windows.start("examples/quickstart", &["run", "dataflow.yml"]);
    flow.line("sink received message", DEADLINE);
    assert!(windows.processes().len() >= 3, "{:?}", windows.processes());
    // As the task manager does it: the process learns nothing of it.
    flow.signal("KILL");
    host_testing::wait_until("all have ended", DEADLINE, || {
        windows.processes().is_empty()
    });
    drop(flow);
}
