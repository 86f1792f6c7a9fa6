//! Ctrl-C and Ctrl-Break end a dataflow in order; whatever ends `dora`, nothing that it started is left.

use crate::wine::{DEADLINE, Event, Windows, with_count};
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
    for event in [Event::CtrlC, Event::CtrlBreak] {
        let Some(windows) = Windows::new() else {
            return;
        };
        endless(&windows);
        let flow = windows.in_console(event, "examples/quickstart", &["run", "dataflow.yml"]);
        flow.says("sink received message", DEADLINE);
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

/// Windows ends a program that has answered such an event, so that it must not answer before its end.
#[test]
fn the_consoles_end_log_off_and_shutdown_stop_the_nodes_in_order() {
    for event in [Event::Close, Event::LogOff, Event::Shutdown] {
        let Some(windows) = Windows::new() else {
            return;
        };
        endless(&windows);
        let flow = windows.in_console(event, "examples/quickstart", &["run", "dataflow.yml"]);
        flow.says("sink received message", DEADLINE);
        windows.go();
        let run = flow.end(DEADLINE);
        for words in ["stopping; nodes have 10s to end", "sink    stopped"] {
            assert!(
                run.stderr.contains(words),
                "`{words}` is missing after {event:?}: {run}"
            );
        }
    }
}

#[test]
fn nothing_is_left_when_dora_is_killed() {
    let Some(windows) = Windows::new() else {
        return;
    };
    endless(&windows);
    let flow = windows.start("examples/quickstart", &["run", "dataflow.yml"]);
    flow.says("sink received message", DEADLINE);
    assert!(windows.processes().len() >= 3, "{:?}", windows.processes());
    // As the task manager does it: the process learns nothing of it.
    flow.signal("KILL");
    host_testing::wait_until("all have ended", DEADLINE, || {
        windows.processes().is_empty()
    });
    drop(flow);
}
