//! How nodes end, wherever they run: when their inputs do, when they are told to, and when they fail; and how they begin
//! again.

use crate::dataflow::Dataflow;
use crate::place::{ALL, Place, each};

#[test]
fn a_node_is_told_that_its_input_has_ended_and_ends() {
    each(&ALL, |place| {
        let dataflow = Dataflow::new(place, "failing", &[("how", "done"), ("at", "1000")]);
        let ended = dataflow.run().exits(0).says("subject: closed in");
        assert_eq!(ended.checked("checker"), (10, 0), "{place}");
        ended
            .says("checker: closed in")
            .row("subject", "finished")
            .row("checker", "finished");
    });
}

#[cfg(unix)]
#[test]
fn a_stop_ends_all_nodes_well() {
    each(&ALL, |place| {
        let mut dataflow = Dataflow::new(place, "inspect", &[]);
        (dataflow.source, dataflow.tick) = ("count: 1000000", 20);
        let running = dataflow.start();
        running.says("subject", "on_input");
        running.stop();
        running
            .end()
            .exits(0)
            .says("subject: on_stop")
            .row("source", "stopped")
            .row("subject", "stopped")
            .row("checker", "stopped");
    });
}

/// A way to fail, and what is said of it: of a kind of the plugin, and of a node of dora.
struct Failure {
    how: &'static str,
    plugin: &'static str,
    dora: Option<[&'static str; 2]>,
}

const FAILURES: [Failure; 5] = [
    Failure {
        how: "error",
        plugin: "error: node `subject` failed: no picture: the lens is covered",
        dora: Some([
            "error: node `subject` failed: its process ended with exit code 1",
            "RuntimeError: no picture",
        ]),
    },
    Failure {
        how: "panic",
        plugin: "no picture at message 3",
        dora: None,
    },
    Failure {
        how: "reported",
        plugin: "error: node `subject` failed: no picture: the lens is covered",
        dora: None,
    },
    Failure {
        how: "create",
        plugin: "no picture: the lens is covered",
        dora: Some([
            "exited before initializing dora",
            "RuntimeError: no picture",
        ]),
    },
    Failure {
        how: "code",
        plugin: "",
        dora: Some([
            "its process ended with exit code 3",
            "error: node `subject`",
        ]),
    },
];

#[test]
fn a_node_that_fails_is_named_with_its_reason() {
    each(&ALL, |place| {
        for failure in FAILURES {
            let wanted: &[&str] = match (place.is_dora(), &failure.dora) {
                (true, Some(texts)) => texts,
                (false, _) if !failure.plugin.is_empty() => {
                    &[failure.plugin, "error: node `subject`"]
                }
                _ => continue,
            };
            let settings = [("how", failure.how), ("at", "3")];
            let dataflow = Dataflow::new(place, "failing", &settings);
            let mut ended = dataflow.run().exits(1).row("subject", "failed");
            for text in wanted {
                ended = ended.says(text);
            }
            if failure.how != "create" {
                let witness = ended.checked("witness");
                assert_eq!(
                    witness,
                    (10, 0),
                    "{place}: the others go on: {}",
                    ended.run()
                );
            }
        }
    });
}

#[cfg(unix)]
#[test]
fn a_node_that_has_failed_begins_again_and_knows_it() {
    each(&ALL, |place| {
        let settings = [("how", "error"), ("at", "3"), ("times", "2")];
        let mut dataflow = Dataflow::new(place, "failing", &settings);
        (dataflow.source, dataflow.tick) = ("count: 1000000", 10);
        dataflow.keys = "    restart_policy: on-failure\n    restart_delay: 0.01\n";
        let running = dataflow.start();
        for count in 0..=2 {
            running.says("subject", &format!("restart_count {count}"));
        }
        running.stop();
        let ended = running.end().exits(0);
        // What the first two have passed on before they failed.
        let (received, _) = ended.checked("checker");
        assert!(received >= 4, "{place}: {}", ended.run());
        ended
            .row("subject", "stopped (2 restarts)")
            .row("checker", "stopped");
    });
}

#[cfg(unix)]
#[test]
fn a_node_that_does_not_stop_is_ended_by_force() {
    // In the daemon there is nothing that could be ended; a test of `dora run` shows what becomes of that.
    let places: Vec<Place> = ALL.into_iter().filter(|it| *it != Place::Daemon).collect();
    each(&places, |place| {
        let mut dataflow = Dataflow::new(place, "stubborn", &[("until", "/nowhere/at/all")]);
        (dataflow.source, dataflow.tick) = ("count: 1000000", 20);
        dataflow.input = "queue_size: 1";
        dataflow.args = &["--grace", "300ms"];
        let running = dataflow.start();
        running.says("subject", "blocks");
        running.stop();
        running
            .end()
            .exits(1)
            .row("subject", "did not stop")
            .row("source", "stopped")
            .row("witness", "stopped");
    });
}
