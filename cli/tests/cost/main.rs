//! What a message costs beside time: allocations and copies, counted in the real `dora` and all its processes.
//!
//! Each cost is the difference between a run with many messages and one with few, divided by that of their numbers, so that
//! what starts and ends a dataflow does not count. Absent: Windows and macOS, whose programs find the C library's functions
//! in another way.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[allow(dead_code)] // Of what it can do this takes little.
#[path = "../machines/cluster.rs"]
mod cluster;
mod counted;
#[cfg(target_arch = "x86_64")]
mod instructions;

use cluster::{Cluster, DEADLINE};
use counted::Counters;
use host_testing::fixtures::path;
use host_testing::{fresh_dir, run};
use std::path::Path;
use std::process::Command;

/// A sender, its reader, and what is between them.
struct Flow<'a> {
    /// The sender's config beside the number of messages.
    load: &'a str,
    /// The reader's queue.
    queue: &'a str,
    /// Lines that are added to the sender and to the reader.
    nodes: [&'a str; 2],
}

impl Flow<'_> {
    /// The descriptor for so many messages. The reader writes into a file how many it got.
    fn descriptor(&self, count: u64, file: &Path) -> String {
        let plugin = path("flow");
        let (plugin, file) = (plugin.display(), file.display());
        let Self { load, queue, .. } = self;
        let [sender, reader] = self.nodes;
        // The sender needs one tick, and sends all within that callback; the others are not to be counted with it.
        format!(
            "
nodes:
  - id: sender
    path: '{plugin}'
    kind: pacer
    config: {{count: {count}, micros: 0, {load}}}
    {sender}
    inputs: {{start: {{source: dora/timer/millis/50, queue_size: 1, queue_policy: drop_newest}}}}
  - id: reader
    path: '{plugin}'
    kind: meter
    config: {{file: '{file}'}}
    {reader}
    inputs: {{in: {{source: sender/out, {queue}}}}}
"
        )
    }
}

/// How many messages the reader of a [`Flow`] got.
fn received(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).expect("the reader wrote it");
    let first = text.lines().next().and_then(|line| line.parse().ok());
    first.unwrap_or_else(|| panic!("no number: {text}"))
}

/// Allocations per message of a dataflow in one process.
fn allocations(flow: &Flow<'_>) -> f64 {
    let counters = Counters::new();
    let counts = [1_000, 21_000];
    let [few, many] = counts.map(|count| {
        let folder = fresh_dir();
        let file = folder.path().join("received");
        let text = flow.descriptor(count, &file);
        std::fs::write(folder.path().join("dataflow.yml"), text).expect("written");
        let before = counters.read();
        let mut dora = Command::new(env!("CARGO_BIN_EXE_dora"));
        dora.current_dir(folder.path())
            .args(["run", "dataflow.yml"])
            .env("DORA_CACHE_DIR", folder.path().join("cache"))
            .envs(counters.variables());
        run(&mut dora, DEADLINE).success();
        assert_eq!(received(&file), count);
        counters.read().allocations - before.allocations
    });
    assert!(few > 1_000, "nothing was counted");
    many.saturating_sub(few) as f64 / (counts[1] - counts[0]) as f64
}

#[test]
fn a_message_between_plugins_is_at_most_one_allocation() {
    let backpressure = "queue_size: 100, queue_policy: backpressure";
    for (bytes, most) in [
        // Small ones go round in blocks that are used again.
        (8, 0.1),
        (64, 0.1),
        // A tenth is for what a dataflow that takes longer does beside.
        (4_096, 1.1),
    ] {
        for (queue, reader) in [
            (backpressure, "thread: own"),
            ("queue_size: 10", "thread: sender"),
        ] {
            let cost = allocations(&Flow {
                load: &format!("bytes: {bytes}"),
                queue,
                nodes: ["", reader],
            });
            println!("{bytes} bytes, {reader}: {cost}");
            assert!(
                cost <= most,
                "{cost} allocations for {bytes} bytes, {reader}"
            );
        }
    }
}

const LENGTH: u64 = 4 << 20;

/// Times that the bytes of a message of 4 MiB are copied on their way.
fn copies(cluster: &Cluster, counters: &Counters, load: &str, nodes: [&str; 2]) -> f64 {
    let counts = [10, 50];
    let [few, many] = counts.map(|count| {
        let file = cluster.here().join("received");
        let flow = Flow {
            load: &format!("bytes: {LENGTH}, {load}"),
            // What is on its way is to fit into the memory that it lies in.
            queue: "queue_size: 4, queue_policy: backpressure",
            nodes,
        };
        cluster.write("dataflow.yml", flow.descriptor(count, &file));
        let before = counters.read();
        cluster
            .dora(&["start", "--attach", "dataflow.yml"])
            .success();
        assert_eq!(received(&file), count);
        counters.read().copied - before.copied
    });
    let bytes = many.saturating_sub(few) as f64;
    bytes / ((counts[1] - counts[0]) * LENGTH) as f64
}

#[test]
fn large_data_are_copied_as_often_as_they_must_be() {
    let counters = Counters::new();
    let mut cluster = Cluster::without_coordinator();
    for (variable, value) in counters.variables() {
        cluster.set(variable, value);
    }
    cluster.start_coordinator(&[]);
    for machine in ["A", "B"] {
        cluster.start_daemon(machine, &[]);
        cluster.connected(machine);
    }
    let place = |machine: &str, place: &str| {
        format!("_unstable_deploy: {{machine: {machine}}}\n    {place}")
    };
    let (daemon, process) = (place("A", ""), place("A", "process: own"));
    let elsewhere = place("B", "");
    for (name, nodes, expected) in [
        ("to a process", [&daemon, &process], [0.0, 1.0]),
        ("from a process", [&process, &daemon], [0.0, 1.0]),
        ("between processes", [&process, &process], [0.0, 1.0]),
        ("between daemons", [&daemon, &elsewhere], [0.0, 1.0]),
        // Memory of a process is not memory of the engine between daemons.
        (
            "from a process to another daemon",
            [&process, &elsewhere],
            [1.0, 2.0],
        ),
    ] {
        let nodes = nodes.map(String::as_str);
        for (load, expected) in ["in_place: true", "written: true"]
            .into_iter()
            .zip(expected)
        {
            let cost = copies(&cluster, &counters, load, nodes);
            println!("{name}, {load}: {cost}");
            assert!(
                (cost - expected).abs() < 0.05,
                "{name}, {load}: copied {cost} times, not {expected}"
            );
        }
    }
}
