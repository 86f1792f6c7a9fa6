//! A thousand plugins in one dataflow.

use crate::cluster::{Cluster, find};
use crate::usage::{Usage, settled};
use crate::{DEADLINE, alone};
use host_testing::{fault, fixtures, wait_until};
use std::fmt::Write;
use std::time::Instant;

const NODES: usize = 1_000;
const MESSAGES: u64 = 20;

/// What a worker that has run a thousand nodes may have more than before. 10 MiB were seen, in pages that something else has
/// a part of; without giving anything back it is 35 to 85 MiB.
const SLACK: Usage = Usage {
    memory: 20 << 10,
    descriptors: 4,
    threads: 4,
    shared: 0,
};

/// A source and readers of it, each of which gets everything.
fn text(nodes: usize) -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    let mut text = format!(
        "nodes:\n  - id: source\n    path: '{flow}'\n    kind: source\n    config: {{count: {MESSAGES}}}\n    inputs: {{tick: \
         dora/timer/millis/20}}\n    outputs: [out]\n"
    );
    for node in 1..nodes {
        write!(
            text,
            "  - id: n{node}\n    path: '{flow}'\n    kind: checker\n    inputs: {{in: {{source: source/out, queue_policy: \
             backpressure}}}}\n"
        )
        .expect("text");
    }
    text
}

/// Runs so many to their end.
fn run(cluster: &Cluster, nodes: usize) {
    cluster.write("nodes.yml", text(nodes));
    let began = Instant::now();
    let uuid = cluster.start("nodes.yml", &[]);
    let started = began.elapsed();
    wait_until("the end of the dataflow", DEADLINE, || {
        let list = cluster.json(&["list", "--json"]);
        find(&list, &uuid).is_some_and(|it| !it["ended"].is_null())
    });
    println!(
        "{nodes} nodes: started in {started:.1?}, over after {:.1?}",
        began.elapsed()
    );
    let list = cluster.json(&["list", "--json"]);
    let dataflow = find(&list, &uuid).expect("it was there");
    assert_eq!(dataflow["status"], "finished", "{cluster}");
    let rows = dataflow["ended"]["nodes"].as_array().expect("rows");
    assert_eq!(rows.len(), nodes);
    for row in rows {
        assert_eq!(row["ended"], "finished", "{row}");
        let reads = row["node"] != "source";
        assert!(!reads || row["received"] == MESSAGES, "{row}");
        assert_eq!(row["dropped"], 0, "{row}");
    }
}

#[test]
fn a_thousand_nodes_run_and_end_and_leave_nothing() {
    let _alone = alone();
    let checked = "all run and get everything; all end in order; memory and threads are given back";
    let _row = fault("1000 plugins in one dataflow", "one daemon", checked);
    let cluster = Cluster::new(&["A"]);
    // What is made once and kept: the library, the pools.
    run(&cluster, 2);
    let before = Usage::of_worker(cluster.daemon("A"));
    println!("before: {before}");
    run(&cluster, NODES);
    let after = settled("the worker", cluster.daemon("A"), before.and(SLACK));
    println!("after: {after}");
}
