//! A thousand nodes in one dataflow: a chain and a fan-out. Prints what they took; asserts that nothing is lost and that
//! memory stays small.

use crate::harness::{Ended, alone, descriptor, launch, plan};
use std::fmt::Write;
use std::time::Instant;

const NODES: usize = 1_000;
const MESSAGES: u64 = 20;
/// Bytes that a thousand nodes may take while they run.
const MEMORY: usize = 100 << 20;

#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * 4_096)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> usize {
    0
}

/// Runs a descriptor alone; says how long it took until a node had sent something, and how much memory it took then.
fn measured(what: &str, yaml: &str, last: &str) -> Ended {
    let _alone = alone();
    let descriptor = descriptor(yaml);
    let plan = plan(&descriptor);
    let before = resident();
    let began = Instant::now();
    let live = launch(descriptor, &plan);
    live.log.wait_for(last, "closed in", 1);
    let through = began.elapsed();
    let grown = resident().saturating_sub(before);
    println!(
        "{what}: {MESSAGES} messages through {NODES} nodes in {through:?}, {} MB",
        grown >> 20
    );
    assert!(grown < MEMORY, "{what} took {grown} bytes");
    live.end()
}

#[test]
fn a_chain_of_a_thousand_nodes_loses_nothing() {
    let mut yaml = format!(
        "nodes:\n  - id: n0\n    kind: source\n    config: {{count: {MESSAGES}}}\n    inputs: {{tick: dora/timer/micros/100}}\n"
    );
    for node in 1..NODES - 1 {
        let before = node - 1;
        write!(
            yaml,
            "  - id: n{node}\n    kind: relay\n    inputs: {{in: {{source: n{before}/out, queue_policy: backpressure}}}}\n    outputs: [out]\n"
        )
        .expect("text");
    }
    let before = NODES - 2;
    write!(
        yaml,
        "  - id: last\n    kind: checker\n    inputs: {{in: {{source: n{before}/out, queue_policy: backpressure}}}}\n"
    )
    .expect("text");
    let ended = measured("chain", &yaml, "last");
    assert_eq!(ended.checked("last"), (MESSAGES, 0));
    let relays = ended.report.nodes.iter().skip(1);
    assert!(
        relays
            .clone()
            .all(|node| node.received == MESSAGES && node.dropped() == 0)
    );
    assert_eq!(relays.count(), NODES - 1);
}

#[test]
fn a_fan_out_to_a_thousand_readers_reaches_them_all() {
    let mut yaml = format!(
        "nodes:\n  - id: source\n    kind: source\n    config: {{count: {MESSAGES}}}\n    inputs: {{tick: dora/timer/micros/100}}\n"
    );
    for node in 1..NODES {
        write!(
            yaml,
            "  - id: n{node}\n    kind: checker\n    inputs: {{in: {{source: source/out, queue_policy: backpressure}}}}\n"
        )
        .expect("text");
    }
    let ended = measured("fan-out", &yaml, "n999");
    for node in 1..NODES {
        assert_eq!(ended.checked(&format!("n{node}")), (MESSAGES, 0), "n{node}");
    }
}
