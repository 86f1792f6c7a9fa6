//! Processes that crash: the nodes in them end with the reason, all others go on, nothing is left behind.

use crate::DEADLINE;
use crate::dataflow::{Dataflow, Ended};
use crate::place::{ALL, HOSTED, Place, each};
use host_testing::{fault, fixtures, run, wait_until};
use std::process::Command;

/// A number of bytes that nobody else sends, so that what is left of them is seen.
fn bytes() -> u64 {
    1_000_000 + u64::from(std::process::id() % 100_000) * 8
}

/// How a process crashes, what is said of it, and what it says itself of where it was.
const CRASHES: [(&str, &str, &str); 5] = [
    ("segfault", "ended with SIGSEGV", "crashed: SIGSEGV"),
    ("abort", "ended with SIGABRT", "crashed: SIGABRT"),
    ("exit", "ended with exit code 0", ""),
    // It ends as Rust's own handler ends it.
    ("overflow", "ended with SIGABRT", "crashed: SIGSEGV"),
    ("double-free", "ended with SIGABRT", "crashed: SIGABRT"),
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
        for (how, text, said_itself) in CRASHES {
            let checked =
                "signal, node and callback are named; its process alone ends; others get all";
            let _row = fault(format!("crash of a process: {how}"), place, checked);
            let settings = [("how", how), ("at", "3")];
            let mut dataflow = Dataflow::new(place, "failing", &settings);
            // The others have not done all before it, nor has one in its process before the report is written.
            dataflow.tick = if place == Place::Shared { 100 } else { 20 };
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
            if !said_itself.is_empty() && place != Place::Executable {
                // Where it was, as far as one can tell without its author's debug information.
                let library = fixtures::path("flow");
                let library = library.file_stem().expect("a name").to_string_lossy();
                let frame = |line: &str| line.contains(&*library) && line.contains("+0x");
                let said = &ended.run().stderr;
                let of_crash = said.rsplit_once(said_itself).map(|(_, after)| after);
                let has = of_crash.is_some_and(|after| after.lines().any(frame));
                assert!(has, "{place}: no place: {}", ended.run());
            }
            has_all(
                &report(&ended, "subject"),
                "subject",
                &format!("its process {text}"),
            );
            if place != Place::Executable {
                let why = match how {
                    "overflow" => "(stack overflow)",
                    "double-free" => "(free(): double free detected",
                    _ => "",
                };
                assert!(failure.contains(why), "{place}: {failure}");
            }
            if place == Place::Shared && how != "exit" {
                let ended = ended.run().to_string();
                assert!(ended.contains("node `subject` in it crashed"), "{ended}");
                assert!(ended.contains(", which called node `subject`"), "{ended}");
            }
            if how == "exit" {
                let hint = "a node must not call exit";
                assert!(failure.contains(hint), "{place}: {failure}");
            }
        }
    });
}

/// The report of a crash: its file, in the folder of the test, and what is in it.
pub(super) fn report(ended: &Ended, node: &str) -> String {
    let name = format!("/crash_{node}.txt");
    let said = ended.run().stderr.as_str();
    let end = said.find(&name).map(|at| at + name.len());
    let before = end.and_then(|end| said.get(..end));
    let path = before
        .and_then(|before| before.rsplit_once("see "))
        .map(|(_, path)| path);
    let path = path.unwrap_or_else(|| panic!("no report of {node}: {}", ended.run()));
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// That a report says what there is to say of a node of the fixture that has got a message.
fn has_all(report: &str, node: &str, crash: &str) {
    for part in [
        &format!("node: {node}\n"),
        "dataflow: 01",
        "time: 20",
        "host: dora ",
        "\nplugin: ",
        "plugin version: flow ",
        "sdk: plugin-abi ",
        "compiler: rustc ",
        "abi: 0.7, message format v",
        "last message: on input `in`, 2 values",
        ", sent at 1",
        &format!("crash: {crash}"),
    ] {
        assert!(report.contains(part), "`{part}` is missing: {report}");
    }
}

#[test]
fn a_plugin_that_crashes_dora_run_is_named_and_reported() {
    let within = "in its callback for input `in`";
    for (how, text, code) in [
        ("segfault", "SIGSEGV", 139),
        ("abort", "SIGABRT", 134),
        ("overflow", "SIGABRT (stack overflow)", 134),
        (
            "double-free",
            "SIGABRT (free(): double free detected in tcache 2)",
            134,
        ),
        ("exit", "exit code 0", 1),
    ] {
        let checked =
            "signal, node and callback are named; a report is left; its exit code tells the signal";
        let _row = fault(format!("crash of a process: {how}"), "dora run", checked);
        let settings = [("how", how), ("at", "3")];
        let ended = Dataflow::new(Place::Daemon, "failing", &settings).run();
        let crash = format!("crashed `dora run`: {text} {within}");
        let ended = ended
            .exits(code)
            .says(&format!("error: node `subject` {crash}"))
            .says("every process of its nodes has been ended");
        let report = report(&ended, "subject");
        has_all(&report, "subject", &crash);
        let frame = |line: &str| line.contains("+0x") && line.contains("flow");
        assert!(how == "overflow" || report.lines().any(frame), "{report}");
    }
}

#[test]
fn a_panic_is_reported_with_its_place_and_its_frames() {
    let places = [Place::Daemon, Place::Own, Place::Shared, Place::Executable];
    each(&places, |place| {
        let checked = "a report is left with place, last message and frames, with names if `RUST_BACKTRACE` asks for them";
        let _row = fault("a node panics in on_event", place, checked);
        let settings = [("how", "panic"), ("at", "3")];
        let mut dataflow = Dataflow::new(place, "failing", &settings);
        let addresses = dataflow.run().exits(1).row("subject", "failed");
        let addresses = report(&addresses, "subject");
        has_all(&addresses, "subject", "panicked at ");
        assert!(addresses.contains("failing.rs:"), "{addresses}");
        let (_, frames) = addresses.split_once("trace:\n").expect("frames");
        let own = |line: &str| line.contains("flow") && line.contains("+0x");
        assert!(frames.lines().any(own), "{place}: {addresses}");
        assert!(!frames.contains("Failing"), "{place}: {addresses}");
        // As of any Rust program.
        dataflow.backtrace = "1";
        let named = dataflow.run().exits(1).row("subject", "failed");
        let named = report(&named, "subject");
        let (_, frames) = named.split_once("trace:\n").expect("frames");
        assert!(frames.contains("Failing"), "{place}: {named}");
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
        for (how, text, _) in &CRASHES[..2] {
            let checked = "node and signal are named; others get all";
            let _row = fault(format!("crash of a process: {how}"), place, checked);
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
        let checked = "node and signal are named; others go on; no process and no memory is left";
        let _row = fault("SIGKILL of a node's process", place, checked);
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
        let checked = "restart_policy starts all its nodes again";
        let _row = fault("crash of a process: abort, once", place, checked);
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
    let checked = "restart_policy starts both its nodes again each time";
    let _row = fault(
        "crash of a process: segfault, 8 times",
        Place::Shared,
        checked,
    );
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
