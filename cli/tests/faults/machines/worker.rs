//! A plugin takes the worker of its daemon along: the guard says which and how, makes another one, and nobody else is harmed.

use crate::cluster::{Cluster, DEADLINE, example};
use crate::dataflow::Dataflow;
use crate::place::Place;
use host_testing::{fault, fixtures, wait_until};

/// How a worker crashes, and what the node that has done it is told to have died of.
const CRASHES: [(&str, &str); 5] = [
    ("segfault", "SIGSEGV"),
    ("abort", "SIGABRT"),
    ("exit", "exit code 0"),
    ("overflow", "SIGABRT (stack overflow)"),
    ("double-free", "SIGABRT (free(): double free detected"),
];

/// Puts every node of a descriptor on a machine.
fn on(machine: &str, text: &str) -> String {
    let line = |line: &str| match line.starts_with("  - id: ") {
        true => format!("{line}\n    deploy: {{machine: {machine}}}\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// A dataflow that goes on until it is stopped, and misses nothing.
fn bystander() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    format!(
        "nodes:\n  - id: beside\n    path: '{flow}'\n    kind: source\n    config: {{count: 1000000}}\n    inputs: {{tick: \
         dora/timer/millis/5}}\n    outputs: [out]\n  - id: witness\n    path: '{flow}'\n    kind: checker\n    inputs: \
         {{in: {{source: beside/out, queue_size: 100, queue_policy: backpressure}}}}\n"
    )
}

#[test]
fn a_crash_of_the_worker_is_told_and_another_one_starts() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("bystander.yml", on("B", &bystander()));
    cluster.write("example.yml", example());
    let beside = cluster.start("bystander.yml", &[]);
    let daemon = cluster.daemon("A");
    for (round, (how, died)) in CRASHES.into_iter().enumerate() {
        let checked = "node and callback are named; another worker starts and runs dataflows; B misses nothing";
        let _row = fault(
            format!("crash of a daemon's worker: {how}"),
            "machine A of two",
            checked,
        );
        let settings = [("how", how), ("at", "3")];
        let mut dataflow = Dataflow::new(Place::Daemon, "failing", &settings);
        // It has started, and that is known, before the crash.
        dataflow.tick = 100;
        let text = dataflow.text("");
        cluster.write("crash.yml", on("A", &text));
        let crash = cluster.start("crash.yml", &[]);
        let told = format!("error: node `subject` crashed the daemon of machine `A`: {died}");
        let mut line = String::new();
        wait_until("the guard tells it", DEADLINE, || {
            let said = daemon.stderr();
            let lines = said.split_inclusive('\n').filter(|it| it.ends_with('\n'));
            line = lines
                .rev()
                .find(|it| it.contains(&told))
                .unwrap_or_default()
                .to_owned();
            !line.is_empty()
        });
        assert!(line.contains(" in its callback for input `in`"), "{line}");
        assert!(line.contains("; another worker starts in "), "{line}");
        wait_until("it has connected again", DEADLINE, || {
            let stdout = daemon.stdout();
            stdout.matches("Connected to dora-coordinator").count() == round + 2
        });
        cluster.until_status(&crash, "failed");
        let fresh = cluster.start("example.yml", &[]);
        cluster.until_status(&fresh, "finished");
        let more = ["topic", "echo", "beside/out", "--count", "3"];
        cluster.dora(&more).success();
    }
    assert!(
        !cluster.daemon("B").stderr().contains("the worker"),
        "{cluster}"
    );
    cluster.dora(&["stop", &beside]).success();
    let witness = cluster.dora(&["logs", &beside, "witness"]).success();
    let said = witness.lines().find(|line| line.contains("received "));
    let said = said.unwrap_or_else(|| panic!("it has checked nothing: {witness}"));
    assert!(said.contains(" missing 0"), "{said}");
}
