//! Cables that are slow or lose frames: what was promised arrives whole, and nobody is taken for lost.

use super::{Lab, THERE, text};
use crate::cluster::DEADLINE;
use host_testing::{fault, fixtures, run};
use std::time::{Duration, Instant};

/// What each of both sources sends, one message each ten milliseconds.
const COUNT: u64 = 300;

/// A source and a checker on each of the machines, crossed; everything waits for its reader.
fn crossed() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    let way = |from: &str, to: &str| {
        format!(
            "  - id: source-{from}\n    path: '{flow}'\n    kind: source\n    deploy: {{machine: {from}}}\n    config: \
             {{count: {COUNT}, bytes: 4000}}\n    inputs: {{tick: dora/timer/millis/10}}\n    outputs: [out]\n  - id: \
             checker-{to}\n    path: '{flow}'\n    kind: checker\n    deploy: {{machine: {to}}}\n    inputs: {{in: \
             {{source: source-{from}/out, queue_size: 100, queue_policy: backpressure}}}}\n"
        )
    };
    format!("nodes:\n{}{}", way("A", "B"), way("B", "A"))
}

/// Both ways at once, and commands beside them; how long a command on B took.
fn all_arrives(lab: &Lab) -> Duration {
    lab.cluster.write("crossed.yml", crossed());
    let start = lab
        .cluster
        .background(&["start", "--attach", "crossed.yml"]);
    std::fs::create_dir_all(lab.cluster.path().join(THERE)).expect("a folder");
    let began = Instant::now();
    let list = run(
        &mut lab.cluster.command(THERE, &["list", "--json"]),
        DEADLINE,
    )
    .success();
    let took = began.elapsed();
    println!("a command on B took {took:?}: {list}");
    let ended = start.end(DEADLINE);
    for checker in ["checker-B@B", "checker-A@A"] {
        let line = format!("{checker}: received {COUNT} missing 0");
        assert!(ended.stderr.contains(&line), "{line}: {ended}");
    }
    ended.success();
    let coordinator = lab.cluster.coordinator().stderr();
    assert!(!coordinator.contains("not heard of"), "{coordinator}");
    let status = lab.cluster.json(&["status", "--json"]);
    let daemons = status["daemons"].as_array().expect("an array");
    let states: Vec<_> = daemons
        .iter()
        .map(|daemon| text(&daemon["state"]))
        .collect();
    assert_eq!(states, ["connected", "connected"], "{status:#}");
    took
}

#[test]
fn over_a_slow_cable_everything_arrives() {
    let delay = Duration::from_millis(100);
    let Some(lab) = Lab::with_bad_cable(delay, 0) else {
        return;
    };
    let checked = "nobody is taken for lost; with backpressure every message arrives, both ways; commands work";
    let _row = fault("slow link: 100 ms each way", "to machine B", checked);
    let took = all_arrives(&lab);
    // A connection and a question take two ways there and back.
    assert!(took >= 4 * delay, "it is slow: {took:?}");
}

#[test]
fn over_a_lossy_cable_everything_arrives() {
    let Some(lab) = Lab::with_bad_cable(Duration::ZERO, 50) else {
        return;
    };
    let checked = "nobody is taken for lost; with backpressure every message arrives, both ways; commands work";
    let _row = fault("lossy link: 5 % of the frames", "to machine B", checked);
    all_arrives(&lab);
    let lost = lab.network.lost();
    println!("{lost} frames were lost");
    assert!(lost > 10, "{lost}");
}
