//! Nodes that fail in each of their callbacks and in a thread of their own: they are named with the reason, their readers
//! get what was sent before, and whoever does not read them gets everything.

use crate::dataflow::{Dataflow, Ended};
use crate::place::{ALL, Place, each};
use host_testing::fault;

/// Those that run the kinds of the plugin, which know more ways to fail than nodes of dora.
const OF_PLUGINS: [Place; 4] = [Place::Daemon, Place::Own, Place::Shared, Place::Executable];
/// What the source sends.
const ALL_OF_IT: (u64, u64) = (10, 0);

/// A node that fails at its third message, with the settings of its kind.
struct Failure<'a> {
    fault: &'a str,
    kind: &'a str,
    settings: &'a [(&'a str, &'a str)],
    /// What is said of a kind of the plugin, each somewhere.
    said: &'a [&'a str],
    /// How the node has ended.
    ended: &'a str,
    /// How many messages its reader has got.
    passed: u64,
}

/// Runs it in each place and checks that it alone is harmed.
fn alone(places: &[Place], failure: &Failure) {
    each(places, |place| {
        let checked = match failure.ended {
            "failed" => "node and reason are named; what it sent arrives; others get all",
            _ => "the reason is told, the node goes on; all messages arrive",
        };
        let _row = fault(failure.fault, place, checked);
        let mut dataflow = Dataflow::new(place, failure.kind, failure.settings);
        // Long enough for threads of its own to send something.
        dataflow.tick = 20;
        let ended = dataflow
            .run()
            .exits(i32::from(failure.ended == "failed"))
            .row("subject", failure.ended)
            .row("checker", "finished");
        let ended = failure.said.iter().fold(ended, |it, text| it.says(text));
        let checker = ended.checked("checker");
        assert_eq!(checker, (failure.passed, 0), "{place}: {}", ended.run());
        others_got_all(place, &ended);
    });
}

fn others_got_all(place: Place, ended: &Ended) {
    let witness = ended.checked("witness");
    assert_eq!(witness, ALL_OF_IT, "{place}: {}", ended.run());
    if place == Place::Shared {
        // Of the same host process.
        assert_eq!(ended.counts("other"), [10, 10, 0], "{}", ended.run());
    }
}

const ERROR: &str = "error: node `subject` failed: no picture: the lens is covered";
const AT_THE_THIRD: &str = "no picture at message 3";

#[test]
fn an_error_in_on_event() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node returns an error",
            kind: "failing",
            settings: &[("how", "error"), ("at", "3")],
            said: &[ERROR],
            ended: "failed",
            passed: 2,
        },
    );
}

#[test]
fn an_error_that_a_callback_reports() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node reports an error and goes on",
            kind: "failing",
            settings: &[("how", "reported"), ("at", "3")],
            said: &[ERROR],
            ended: "failed",
            passed: 3,
        },
    );
}

#[test]
fn a_panic_in_on_event() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node panics in on_event",
            kind: "failing",
            settings: &[("how", "panic"), ("at", "3")],
            said: &[
                "error: node `subject` failed: ",
                "failing.rs:",
                AT_THE_THIRD,
            ],
            ended: "failed",
            passed: 2,
        },
    );
}

#[test]
fn an_error_in_on_stop() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node returns an error from on_stop",
            kind: "failing",
            settings: &[("how", "stop")],
            said: &["error: node `subject` failed: cannot park"],
            ended: "failed",
            passed: 10,
        },
    );
}

#[test]
fn a_panic_in_on_stop() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node panics in on_stop",
            kind: "failing",
            settings: &[("how", "stop-panic")],
            said: &[
                "error: node `subject` failed: ",
                "failing.rs:",
                "parked badly",
            ],
            ended: "failed",
            passed: 10,
        },
    );
}

#[test]
fn a_panic_in_drop() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node panics in drop",
            kind: "failing",
            settings: &[("how", "drop")],
            said: &[
                "failed while it was dropped: ",
                "failing.rs:",
                "dropped badly",
            ],
            ended: "finished",
            passed: 10,
        },
    );
}

#[test]
fn a_panic_in_a_thread_of_the_nodes_own() {
    alone(
        &OF_PLUGINS,
        &Failure {
            fault: "a node's own thread panics",
            kind: "own-thread",
            settings: &[("count", "5"), ("then", "panic")],
            said: &[
                "subject: thread \"own\" panicked: the thread is out of its depth",
                "own_thread.rs:",
            ],
            ended: "finished",
            passed: 5,
        },
    );
}

/// Nothing starts, and everybody is told why.
fn not_made(places: &[Place], how: &str, said: impl Fn(Place) -> Vec<&'static str>) {
    each(places, |place| {
        let fault_is = match how {
            "create" => "a node returns an error from create",
            _ => "a node panics in create",
        };
        let _row = fault(fault_is, place, "nothing starts; node and reason are named");
        let ended = Dataflow::new(place, "failing", &[("how", how)]).run();
        let ended = ended.exits(1).row("subject", "failed");
        let ended = said(place)
            .into_iter()
            .fold(ended, |it, text| it.says(text));
        if !place.is_dora() {
            assert_eq!(ended.counts("witness")[0], 0, "{place}: {}", ended.run());
        }
    });
}

#[test]
fn an_error_in_create() {
    not_made(&ALL, "create", |place| match place.is_dora() {
        true => vec![
            "exited before initializing dora",
            "RuntimeError: no picture",
        ],
        false => vec!["no picture: the lens is covered", "error: node `subject`"],
    });
}

#[test]
fn a_panic_in_create() {
    not_made(&OF_PLUGINS, "create-panic", |_| {
        vec!["error: node `subject`", "failing.rs:", "no picture at all"]
    });
}

#[test]
fn a_node_of_dora_that_raises_or_ends_with_a_code() {
    let dora: Vec<Place> = ALL.into_iter().filter(|it| it.is_dora()).collect();
    each(&dora, |place| {
        for (how, said) in [
            (
                "error",
                [
                    "its process ended with exit code 1",
                    "RuntimeError: no picture",
                ],
            ),
            (
                "code",
                [
                    "its process ended with exit code 3",
                    "error: node `subject`",
                ],
            ),
        ] {
            let checked = "node and exit code are named, with what it printed; others get all";
            let _row = fault(format!("a node of dora fails: {how}"), place, checked);
            let settings = [("how", how), ("at", "3")];
            let ended = Dataflow::new(place, "failing", &settings).run();
            let ended = ended.exits(1).row("subject", "failed");
            let ended = said.iter().fold(ended, |it, text| it.says(text));
            others_got_all(place, &ended);
        }
    });
}
