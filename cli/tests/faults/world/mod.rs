//! What is around the processes fails: disks, clocks, ports, and what the system lends.

mod clock;
mod descriptors;
mod disk;
mod memory;
mod ports;

use crate::cluster::Cluster;
use host_testing::{Background, fixtures};

/// A source and a reader in the daemon of a machine that go on until they are stopped; everything waits for its reader.
fn bystander(machine: &str) -> String {
    beside(machine, 1_000_000, "checker")
}

/// The same with so many messages, one each five milliseconds, and this kind of reader.
fn beside(machine: &str, count: u64, reader: &str) -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    format!(
        "nodes:\n  - id: beside\n    path: '{flow}'\n    kind: source\n    deploy: {{machine: {machine}}}\n    config: {{count: \
         {count}}}\n    inputs: {{tick: dora/timer/millis/5}}\n    outputs: [out]\n  - id: witness\n    path: '{flow}'\n    \
         kind: {reader}\n    deploy: {{machine: {machine}}}\n    inputs: {{in: {{source: beside/out, queue_size: 100, \
         queue_policy: backpressure}}}}\n"
    )
}

/// That its messages go on.
fn goes_on(cluster: &Cluster) {
    let more = ["topic", "echo", "beside/out", "--count", "3"];
    cluster.dora(&more).success();
}

/// Stops it; it has missed nothing.
fn missed_nothing(cluster: &Cluster, dataflow: &str) {
    cluster.dora(&["stop", dataflow]).success();
    let logs = cluster.dora(&["logs", dataflow, "witness"]).success();
    let said = logs.lines().find(|line| line.contains("received "));
    let said = said.unwrap_or_else(|| panic!("it has checked nothing: {logs}\n{cluster}"));
    assert!(said.contains(" missing 0"), "{said}");
}

/// The one process that a command with a guard has started.
fn worker(guard: &Background) -> u32 {
    let children = guard.children();
    assert_eq!(children.len(), 1, "{guard}");
    children[0]
}
