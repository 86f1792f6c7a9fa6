//! Nodes that do not return from a callback in the time that `health_check_timeout` gives it.

use crate::DEADLINE;
use crate::dataflow::Dataflow;
use crate::place::{HOSTED, Place, each};
use host_testing::{fault, fixtures, fresh_dir, run, wait_until};
use std::process::Command;

/// What is said of a node that hangs.
const SAID: &str =
    "did not return within 600ms (`health_check_timeout`) in its callback for input `in`";

/// A node that blocks in its first callback until there is a file.
fn stubborn<'a>(place: Place, settings: &'a [(&'a str, &'a str)], keys: &'a str) -> Dataflow<'a> {
    let mut dataflow = Dataflow::new(place, "stubborn", settings);
    (dataflow.source, dataflow.tick) = ("count: 1000000", 20);
    dataflow.input = "queue_size: 1";
    dataflow.keys = keys;
    dataflow
}

#[test]
fn a_node_that_hangs_is_ended_and_named_and_the_others_go_on() {
    each(&HOSTED, |place| {
        let checked = "named with callback, time and the frames of its thread, its process is killed; others get all";
        let _row = fault("a callback blocks for ever", place, checked);
        let settings = [("until", "/nowhere/at/all")];
        let mut dataflow = stubborn(place, &settings, "    health_check_timeout: 0.6\n");
        (dataflow.source, dataflow.tick) = ("count: 30", 100);
        let ended = dataflow
            .run()
            .exits(1)
            .says(&format!(
                "error: node `subject` failed: its process {SAID}, and was ended"
            ))
            .row("subject", "failed")
            .row("source", "finished");
        has_stack(&ended.run().stderr);
        let report = super::crashes::report(&ended, "subject");
        assert!(report.contains(SAID), "{place}: {report}");
        has_stack(&report);
        assert_eq!(
            ended.checked("witness"),
            (30, 0),
            "{place}: {}",
            ended.run()
        );
        if place == Place::Shared {
            ended
                .row("other", "failed")
                .says("its process ended with SIGKILL of its host process `work`")
                .says(&format!("node `subject` in it {SAID}"));
        }
    });
}

/// That the frames are there of the thread that hangs, one of them of the node's code.
fn has_stack(text: &str) {
    let stack = text.split_once("hangs: the stack of thread ");
    let stack = stack.and_then(|(_, rest)| rest.split_once("hangs: that was all"));
    let (frames, _) = stack.unwrap_or_else(|| panic!("no stack: {text}"));
    let file = fixtures::path("flow");
    let own = |line: &str| {
        let of_plugin = line.contains(&*file.file_stem().expect("a name").to_string_lossy());
        (of_plugin || line.contains("flow-node")) && line.contains("+0x")
    };
    assert!(frames.lines().any(own), "{text}");
}

#[test]
fn a_node_that_hung_begins_again() {
    each(&HOSTED, |place| {
        let checked = "its process is killed, and started again by restart_policy";
        let _row = fault("a callback blocks for ever", place, checked);
        let folder = fresh_dir();
        let file = folder.path().join("go on");
        let until = format!("'{}'", file.display());
        let settings = [("until", &*until)];
        let keys = "    health_check_timeout: 0.6\n    restart_policy: on-failure\n    restart_delay: 0.01\n";
        let running = stubborn(place, &settings, keys).start();
        running.says("subject", "failed: its process did not return within 600ms");
        std::fs::write(&file, "").expect("written");
        // Once for each message from here on, and for each time that it hung before.
        running.says_times("subject", "blocks", 20);
        running.stop();
        let ended = running.end().exits(0).row("checker", "stopped");
        let (received, _) = ended.checked("checker");
        assert!(received > 0, "{place}: {}", ended.run());
    });
}

#[test]
fn a_plugin_in_the_daemon_that_hangs_is_told_of() {
    let checked = "warned of by name, callback and time, with the frames of its thread; it goes on when it can";
    let _row = fault("a callback blocks for ever", Place::Daemon, checked);
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let until = format!("'{}'", file.display());
    let settings = [("until", &*until)];
    let running = stubborn(Place::Daemon, &settings, "    health_check_timeout: 0.6\n").start();
    running.says(
        "subject",
        &format!("{SAID}; in the daemon it cannot be ended"),
    );
    running.says("subject", "the stack of its thread:");
    let library = host_testing::fixtures::path("flow");
    let library = library.file_stem().expect("a name").to_string_lossy();
    wait_until("a frame of the plugin", DEADLINE, || {
        running.count(&format!("{library}")) > 0
    });
    std::fs::write(&file, "").expect("written");
    running.stop();
    running
        .end()
        .exits(0)
        .row("subject", "stopped")
        .says("exceeds its `health_check_timeout` is only told of");
}

/// Callbacks that wait long for their readers are no nodes that hang.
#[test]
fn waiting_for_a_reader_is_no_hang() {
    for place in [Place::Daemon, Place::Own, Place::Shared, Place::Executable] {
        let mut dataflow = Dataflow::new(place, "relay", &[]);
        dataflow.keys = "    health_check_timeout: 0.3\n";
        (dataflow.source, dataflow.tick) = ("count: 4", 5);
        dataflow.reader = Some(("slow", "micros: 1000000"));
        let ended = dataflow.run().exits(0);
        assert_eq!(ended.checked("checker"), (4, 0), "{place}: {}", ended.run());
        let said = &ended.run().stderr;
        assert!(!said.contains("did not return"), "{place}: {}", ended.run());
    }
}

/// A node of dora whose process does nothing any more.
#[test]
fn a_node_of_dora_that_is_silent_is_ended() {
    each(
        &[Place::Dora("1.1.0"), Place::Dora("0.4.1"), Place::DoraRust],
        |place| {
            let checked = "named, its process is killed; others go on";
            let _row = fault("a node's process hangs (SIGSTOP)", place, checked);
            let mut dataflow = Dataflow::new(place, "inspect", &[]);
            (dataflow.source, dataflow.tick) = ("count: 1000000", 20);
            dataflow.input = "queue_size: 1";
            dataflow.keys = "    health_check_timeout: 1\n";
            let running = dataflow.start();
            running.says("subject", "passed on");
            let processes = running.subjects();
            assert!(!processes.is_empty(), "{place}");
            for process in processes {
                let script = format!("kill -s STOP {process}");
                run(Command::new("sh").args(["-c", &script]), DEADLINE).success();
            }
            running.says(
                "subject",
                "failed: its process neither asked for events nor sent anything within 1s",
            );
            wait_until("it is gone", DEADLINE, || running.subjects().is_empty());
            running.stop();
            running
                .end()
                .exits(1)
                .row("subject", "failed")
                .row("witness", "stopped");
        },
    );
}
