//! How nodes end, wherever they run: when their inputs do, when they are told to; and how they begin again. How they fail
//! is in `../faults`.

use crate::dataflow::{Dataflow, Running};
use crate::place::{ALL, Place, each, python};
use host_testing::{fixtures, fresh_dir};

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
        dataflow.args = &["--grace", "2s"];
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

/// Its node has ended, or reads no more, and its process has not.
#[cfg(unix)]
#[test]
fn a_process_of_dora_that_outlives_its_events_is_ended_at_a_stop() {
    for release in ["1.1.0", "0.4.1"] {
        for (what, ends) in [
            // Events are dropped with the node.
            ("drops", "del event, node"),
            // It goes on beside them.
            ("sleeps", "pass"),
        ] {
            let place = Place::Dora(release);
            if !place.is_there() {
                continue;
            }
            let venv = python(release).expect("just looked for");
            let script = format!(
                "import time\nfrom dora import Node\nnode = Node()\nevent = node.next()\n{ends}\nprint('outlives', \
                 flush=True)\ntime.sleep(600)\n"
            );
            let folder = fresh_dir();
            std::fs::write(folder.path().join("node.py"), script).expect("written");
            let flow = fixtures::path("flow");
            let text = format!(
                "nodes:\n  - id: source\n    path: '{}'\n    kind: source\n    config: {{count: 1000000}}\n    inputs: \
                 {{tick: dora/timer/millis/20}}\n    outputs: [out]\n  - id: py\n    path: node.py\n    env: {{VIRTUAL_ENV: \
                 '{}'}}\n    inputs: {{in: source/out}}\n",
                flow.display(),
                venv.folder().display()
            );
            let running = Running::in_folder(folder, &text, &["--grace", "500ms"]);
            running.says("py", "outlives");
            running.stop();
            let ended = running.end().row("source", "stopped");
            assert_eq!(ended.code(), Some(1), "{release} {what}: {}", ended.run());
            ended.row("py", "did not stop");
        }
    }
}

/// A node that reads nothing but log lines has nothing to wait for when all others have ended.
#[test]
fn a_reader_of_log_lines_ends_after_all_others() {
    each(
        &[Place::Daemon, Place::Own, Place::Dora("1.1.0")],
        |place| {
            let flow = fixtures::path("flow");
            let text = format!(
                "nodes:\n  - id: source\n    path: '{}'\n    kind: source\n    config: {{count: 3}}\n    inputs: {{tick: \
             dora/timer/millis/20}}\n    outputs: [out]\n  - id: reader\n{}    inputs: {{in: dora/logs}}\n    outputs: [out]\n",
                flow.display(),
                place.node("relay", &[], &[]),
            );
            Running::in_folder(fresh_dir(), &text, &[])
                .end()
                .exits(0)
                .row("source", "finished")
                .row("reader", "finished");
        },
    );
}
