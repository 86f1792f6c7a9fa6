//! Cables between machines that are cut and healed while dataflows run.

use super::{Lab, number, text};
use crate::cluster::{DEADLINE, endless, reversed};
use host_testing::{fault, fixtures, wait_until};
use serde_json::Value;
use std::time::Duration;

/// A machine that is cut off is noticed within three seconds; a busy machine takes some more.
const NOTICED: Duration = Duration::from_secs(6);
/// Data that lost their way find another when the connection's lease of two seconds is over; a busy machine takes some
/// more.
const RELAYED: Duration = Duration::from_secs(8);
/// What may be on its way when a dataflow is stopped: a hundred messages a second, which a connection that is just being
/// found dead or made anew swallows for its lease of two seconds, and which only a later message would tell of.
const ON_ITS_WAY: u64 = 250;

/// Checks that what A's status node has sent was received by B's sink, or counted as lost; how much was lost.
fn lost(nodes: &[Value]) -> u64 {
    let [_, status, sink] = nodes else {
        panic!("not three nodes: {nodes:#?}");
    };
    let (sent, received) = (number(&status["sent"]), number(&sink["received"]));
    let lost = number(&sink["dropped"]);
    println!("{sent} sent, {received} received, {lost} lost");
    let counted = received + lost;
    assert!(
        counted <= sent && counted + ON_ITS_WAY >= sent,
        "{nodes:#?}"
    );
    lost
}

/// A node whose senders on another machine were stopped a moment before it has finished.
fn none_failed(nodes: &[Value]) {
    let well = |node: &Value| ["stopped", "finished"].contains(&text(&node["ended"]).as_str());
    assert!(nodes.iter().all(well), "{nodes:#?}");
}

#[test]
fn data_between_two_machines_take_another_way_when_theirs_is_cut() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked =
        "data go through the coordinator after 2 s, straight when healed; losses are counted";
    let _row = fault("link cut, then healed", "between machines A and B", checked);
    let status = lab.cluster.json(&["status", "--json"]);
    for (index, address) in [(0, "tcp/10.77.0.2:"), (1, "tcp/10.77.0.3:")] {
        let daemon = &status["daemons"][index];
        assert!(text(&daemon["address"]).starts_with(address), "{daemon:#}");
    }
    let out = lab.start("out", &endless(), "B");

    lab.network.between_a_and_b(false);
    // What is still on its way arrives at first.
    let took = lab.flows("B") + lab.flows("B");
    println!("relayed after {took:?}");
    assert!(took < RELAYED, "{took:?}");
    for machine in ["A", "B"] {
        assert_eq!(lab.reach(&out, machine), "connected");
    }
    assert_eq!(lab.states(&out), ["running"; 3]);

    lab.network.between_a_and_b(true);
    lab.flows("B");
    lab.flows("B");
    assert_eq!(lab.states(&out), ["running"; 3]);
    let nodes = lab.stop(&out);
    assert!(lost(&nodes) > 0, "a cut loses messages: {nodes:#?}");
    let logs = lab.cluster.dora(&["logs", &out]).success();
    assert!(
        logs.contains("lost on the way to input `message`"),
        "{logs}"
    );
}

/// What sources on A send that wait for their readers, and how many of it these hold: the first goes on when the cut is over,
/// the second ends meanwhile.
const WAITING: [(&str, u64, u64); 2] = [("long", 600, 20), ("short", 100, 200)];

/// Beside what is endless: those sources, and their checkers on B.
fn waiting() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    let pair = |(name, count, queue): (&str, u64, u64)| {
        format!(
            "  - id: {name}\n    path: '{flow}'\n    kind: source\n    deploy: {{machine: A}}\n    config: {{count: {count}, \
             bytes: 4000}}\n    inputs: {{tick: dora/timer/millis/10}}\n    outputs: [out]\n  - id: {name}-checker\n    path: \
             '{flow}'\n    kind: checker\n    deploy: {{machine: B}}\n    inputs: {{in: {{source: {name}/out, queue_size: \
             {queue}, queue_policy: backpressure}}}}\n"
        )
    };
    endless() + &WAITING.map(pair).concat()
}

#[test]
fn with_backpressure_a_cut_between_two_machines_loses_nothing() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked = "with backpressure every message arrives, also the last before the end";
    let _row = fault("link cut, then healed", "between machines A and B", checked);
    let out = lab.start("out", &waiting(), "B");
    for open in [false, true] {
        lab.network.between_a_and_b(open);
        // What is still on its way arrives at first.
        let took = lab.flows("B") + lab.flows("B");
        println!("open {open}: after {took:?}");
    }
    let checkers = WAITING.map(|(name, ..)| format!("{name}-checker"));
    wait_until("all has arrived", DEADLINE, || {
        let nodes = lab.cluster.json(&["node", "list", "--json"]);
        let nodes = nodes.as_array().expect("an array");
        let is_over = |checker: &String| {
            let mut states = nodes.iter().filter(|node| node["node"] == *checker);
            states.any(|node| node["state"] == "finished")
        };
        checkers.iter().all(is_over)
    });
    lab.stop(&out);
    let logs = lab.cluster.dora(&["logs", &out]).success();
    for (name, count, _) in WAITING {
        let line = format!("received {count} missing 0");
        assert!(logs.contains(&line), "{name}: {line}: {logs}");
    }
}

#[test]
fn a_machine_that_is_cut_off_is_lost_and_its_data_resume_when_it_is_back() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked = "told within 3 s; its nodes were never stopped; losses are counted";
    let _row = fault(
        "a machine vanishes and returns",
        "machine B of two",
        checked,
    );
    // One that may be started again is not given up after a time, so that it does not matter how long all this takes.
    let id = "id: rust-status-node\n";
    let text = endless();
    assert!(text.contains(id), "{text}");
    let text = text.replace(id, &format!("{id}    restart_policy: on-failure\n"));
    let out = lab.start("out", &text, "B");
    lab.network.of_machine("b", false);
    let took = lab.until_reach(&out, "B", "lost");
    println!("noticed after {took:?}");
    assert!(took < NOTICED, "{took:?}");
    assert_eq!(lab.states(&out), ["running", "running", "unreachable"]);
    let logs = lab.cluster.dora(&["logs", &out]);
    let warning = "no log lines from machine `B`, which is not connected";
    assert!(logs.stderr.contains(warning), "{logs}");

    lab.network.of_machine("b", true);
    let took = lab.until_reach(&out, "B", "connected");
    println!("back after {took:?}");
    lab.until_states(&out, ["running"; 3]);
    lab.flows("B");
    let nodes = lab.stop(&out);
    assert!(lost(&nodes) > 0, "a cut loses messages: {nodes:#?}");
    none_failed(&nodes);
}

#[test]
fn a_machine_that_is_cut_off_for_longer_is_not_waited_for() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked = "inputs that read the other side are closed on both; all else goes on";
    let _row = fault(
        "a machine vanishes for longer and returns",
        "machine B of two",
        checked,
    );
    let out = lab.start("out", &endless(), "B");
    let inward = lab.start("in", &reversed(), "A");
    lab.network.of_machine("b", false);
    // A goes on; on both sides, what reads the other one ends, because its input is closed.
    lab.until_states(&out, ["running", "running", "unreachable"]);
    lab.until_states(&inward, ["unreachable", "unreachable", "finished"]);
    let logs = lab.cluster.dora(&["logs", &inward]);
    let reason = "machine `B` is not heard of any more";
    assert!(logs.stdout.contains(reason), "{logs}");
    lab.cluster
        .daemon("B")
        .complains("machine `A` is not heard of any more", DEADLINE);

    lab.network.of_machine("b", true);
    lab.until_reach(&out, "B", "connected");
    // What was closed stays closed; all else has gone on, and is shown as it is.
    lab.until_states(&out, ["running", "running", "finished"]);
    lab.until_states(&inward, ["running", "running", "finished"]);
    let logs = lab.cluster.dora(&["logs", &out]).success();
    assert!(
        logs.contains("machine `A` is not heard of any more"),
        "{logs}"
    );
    for dataflow in [&out, &inward] {
        let nodes = lab.stop(dataflow);
        let ended: Vec<String> = nodes.iter().map(|it| text(&it["ended"])).collect();
        assert_eq!(ended, ["stopped", "stopped", "finished"]);
    }
}

#[test]
fn while_the_coordinator_is_cut_off_dataflows_go_on() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked = "dataflows go on; both daemons say so, and when it is back";
    let _row = fault("link cut, then healed", "to the coordinator", checked);
    let out = lab.start("out", &endless(), "B");
    lab.network.of_machine("c", false);
    for machine in ["A", "B"] {
        lab.cluster
            .daemon(machine)
            .complains("does not answer; what runs goes on", DEADLINE);
    }
    lab.flows("B");
    lab.network.of_machine("c", true);
    for machine in ["A", "B"] {
        lab.until_reach(&out, machine, "connected");
        lab.cluster
            .daemon(machine)
            .complains("answers again", DEADLINE);
    }
    lab.until_states(&out, ["running"; 3]);
    let nodes = lab.stop(&out);
    none_failed(&nodes);
}

/// Shorter than anybody takes to notice: nothing is decided.
#[test]
fn a_short_cut_is_forgotten() {
    let Some(lab) = Lab::with_daemons() else {
        return;
    };
    let checked = "nobody is taken for lost; data resume each time; losses are counted";
    let _row = fault("link flapping: 3 cuts of 400 ms", "to machine B", checked);
    let out = lab.start("out", &endless(), "B");
    for _ in 0..3 {
        lab.network.of_machine("b", false);
        // How long the cut lasts, which is what this test is about.
        std::thread::sleep(Duration::from_millis(400));
        lab.network.of_machine("b", true);
        lab.flows("B");
        // Connections that have been silent try again more and more rarely: each cut is to be the first.
        lab.until_heard("B");
    }
    assert_eq!(lab.states(&out), ["running"; 3]);
    lost(&lab.stop(&out));
}
