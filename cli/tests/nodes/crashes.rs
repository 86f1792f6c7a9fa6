//! Processes that crash: the nodes in them end with the reason, all others go on, nothing is left behind.

use crate::DEADLINE;
use crate::dataflow::{Dataflow, Ended};
use crate::place::{ALL, HOSTED, Place, each};
use host_testing::{fixtures, run, wait_until};
use std::process::Command;

/// A number of bytes that nobody else sends, so that what is left of them is seen.
fn bytes() -> u64 {
    1_000_000 + u64::from(std::process::id() % 100_000) * 8
}

/// How a process crashes, and what is said of it.
const CRASHES: [(&str, &str); 3] = [
    ("segfault", "ended with SIGSEGV"),
    ("abort", "ended with SIGABRT"),
    ("exit", "ended with exit code 0"),
];

fn kill(processes: &[u32]) {
    for process in processes {
        let script = format!("kill -s KILL {process}");
        run(Command::new("sh").args(["-c", &script]), DEADLINE).success();
    }
}

/// That the crash took along whom it had to, and nobody else.
fn others_go_on(place: Place, ended: Ended) -> Ended {
    assert_eq!(
        ended.checked("witness"),
        (10, 0),
        "{place}: {}",
        ended.run()
    );
    let ended = ended.row("source", "finished").row("checker", "finished");
    match place {
        Place::Shared => ended.row("other", "failed"),
        _ => ended,
    }
}

#[test]
fn a_crash_ends_the_nodes_of_its_process_and_says_where_it_was() {
    each(&HOSTED, |place| {
        for (how, text) in CRASHES {
            let settings = [("how", how), ("at", "3")];
            let mut dataflow = Dataflow::new(place, "failing", &settings);
            // The others have not done all before it.
            dataflow.tick = 20;
            let ended = dataflow.run().exits(1).row("subject", "failed");
            let ended = others_go_on(place, ended);
            let failure = failure(&ended, "subject");
            assert!(failure.contains(text), "{place}: {failure}");
            let within = " in its callback for input `in`";
            assert!(failure.contains(within), "{place}: {failure}");
            if place == Place::Shared {
                let process = "of its host process `work`";
                assert!(failure.contains(process), "{failure}");
            }
            if how != "exit" && place != Place::Executable {
                // Where it was, as far as one can tell without its author's debug information.
                let text = text.replace("ended with ", "crashed: ");
                let library = fixtures::path("flow");
                let library = library.file_stem().expect("a name").to_string_lossy();
                let frame = |line: &str| line.contains(&*library) && line.contains("+0x");
                let said = &ended.run().stderr;
                let of_crash = said.rsplit_once(&text).map(|(_, after)| after);
                let has = of_crash.is_some_and(|after| after.lines().any(frame));
                assert!(has, "{place}: no place: {}", ended.run());
            }
            if how == "exit" {
                let hint = "a node must not call exit";
                assert!(failure.contains(hint), "{place}: {failure}");
            }
        }
    });
}

/// The line of a node's failure in the summary.
fn failure(ended: &Ended, node: &str) -> String {
    let begin = format!("error: node `{node}` failed: ");
    let mut lines = ended.run().stderr.lines();
    let line = lines.find(|line| line.starts_with(&begin));
    line.unwrap_or_else(|| panic!("{node} has no line: {}", ended.run()))
        .to_owned()
}

#[test]
fn a_node_of_dora_that_crashes_is_named_with_its_signal() {
    let dora: Vec<Place> = ALL.into_iter().filter(|it| it.is_dora()).collect();
    each(&dora, |place| {
        for (how, text) in &CRASHES[..2] {
            let settings = [("how", *how), ("at", "3")];
            let ended = Dataflow::new(place, "failing", &settings).run().exits(1);
            let failure = failure(&others_go_on(place, ended), "subject");
            assert!(failure.contains(text), "{place}: {failure}");
        }
    });
}

#[test]
fn a_process_that_is_killed_is_told_in_a_line_and_leaves_nothing() {
    let places: Vec<Place> = ALL.into_iter().filter(|it| *it != Place::Daemon).collect();
    let source = format!("count: 1000000, bytes: {}", bytes());
    each(&places, |place| {
        let mut dataflow = Dataflow::new(place, "inspect", &[]);
        // Memory that a node of dora 0.x has not told of yet stays when it is killed: it is to be between two messages.
        (dataflow.source, dataflow.tick) = (&source, 1000);
        let running = dataflow.start();
        running.says(
            "subject",
            match place.is_dora() {
                true => "passed on",
                false => "on_input",
            },
        );
        let processes = running.subjects();
        assert!(!processes.is_empty(), "{place}");
        kill(&processes);
        running.says("subject", "failed: its process ended with SIGKILL");
        running.stop();
        let ended = running.end().exits(1).row("subject", "failed");
        let failure = failure(&ended, "subject");
        assert!(failure.contains("SIGKILL"), "{place}: {failure}");
        ended.row("source", "stopped").row("witness", "stopped");
        nothing_is_left(place);
    });
}

/// No shared memory of the test's messages.
fn nothing_is_left(place: Place) {
    let is_ours = |entry: std::io::Result<std::fs::DirEntry>| {
        let length = entry.ok()?.metadata().ok()?.len();
        (length == bytes()).then_some(())
    };
    wait_until(&format!("{place}: no memory is left"), DEADLINE, || {
        let entries = std::fs::read_dir("/dev/shm").expect("shared memory");
        entries.filter_map(is_ours).count() == 0
    });
}

#[test]
fn nodes_begin_again_in_a_new_process() {
    each(&HOSTED, |place| {
        let settings = [("how", "abort"), ("at", "3"), ("times", "1")];
        let mut dataflow = Dataflow::new(place, "failing", &settings);
        (dataflow.source, dataflow.tick) = ("count: 1000000", 10);
        dataflow.keys = "    restart_policy: on-failure\n    restart_delay: 0.01\n";
        let running = dataflow.start();
        running.says("subject", "restart_count 1");
        running.stop();
        let ended = running
            .end()
            .exits(0)
            .row("subject", "stopped (1 restart)")
            .row("witness", "stopped");
        if place == Place::Shared {
            ended.row("other", "stopped (1 restart)");
        }
    });
}

#[test]
fn two_nodes_of_a_process_crash_and_begin_again_many_times() {
    let settings = [("how", "segfault"), ("at", "2"), ("times", "8")];
    let mut dataflow = Dataflow::new(Place::Shared, "failing", &settings);
    (dataflow.source, dataflow.tick) = ("count: 1000000", 5);
    dataflow.keys = "    restart_policy: always\n    restart_delay: 0.01\n";
    let running = dataflow.start();
    running.says("subject", "restart_count 8");
    running.stop();
    running
        .end()
        .exits(0)
        .row("subject", "stopped (8 restarts)")
        .row("other", "stopped (8 restarts)");
}
