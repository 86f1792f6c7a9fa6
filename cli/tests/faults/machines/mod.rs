//! Processes that are killed or frozen while dataflows run: what goes on, what is said of it and how soon, and what comes
//! back. Unix only, because of the signals.
//!
//! Invariant: how long something may take to be noticed is asserted with room for a busy machine; what is measured is
//! printed.

mod attached;
mod coordinator;
#[cfg(target_os = "linux")]
mod crashes;
mod daemon;
mod frozen;
#[cfg(target_os = "linux")]
mod guard;
mod starting;
mod twice;
#[cfg(target_os = "linux")]
mod worker;

use crate::cluster::{Cluster, DEADLINE, find};
use host_testing::{Background, Run, wait_until};
use serde_json::Value;
use std::time::{Duration, Instant};

/// An error, or the truth, comes within five seconds; a busy machine takes some more.
const SOON: Duration = Duration::from_secs(8);

/// What the sink on this machine has received so far.
fn received(daemon: &Background) -> usize {
    daemon.stdout().matches("sink received message: ").count()
}

/// Checks that the sink of an example that has ended got all messages or knows of them: on a busy machine its queue may
/// have been full. How many it got.
fn all_counted(dataflow: &Value) -> u64 {
    let sink = &dataflow["ended"]["nodes"][2];
    let number = |what: &str| sink[what].as_u64().expect("a number");
    let received = number("received");
    assert_eq!(received + number("dropped"), 100, "{dataflow:#}");
    received
}

/// Waits until the sink on this machine has received more than it has now.
fn flows(daemon: &Background) {
    let before = received(daemon);
    wait_until("messages go on", DEADLINE, || {
        received(daemon) > before + 20
    });
}

/// Runs a command and checks that it comes back soon.
fn soon(cluster: &Cluster, args: &[&str]) -> Run {
    let began = Instant::now();
    let run = cluster.dora(args);
    let took = began.elapsed();
    assert!(took < SOON, "after {took:?}: {run}");
    run
}

/// How `dora list` shows a machine of a dataflow.
fn reach(list: &Value, dataflow: &str, machine: &str) -> String {
    let found = find(list, dataflow).expect("the dataflow");
    let reach = found["machines"][machine].as_str();
    reach.expect("the machine").to_owned()
}

/// Nodes of a dataflow that is not over and their states, such as `rust-sink@B: running`.
fn nodes(cluster: &Cluster, dataflow: &str) -> Vec<String> {
    let nodes = cluster.json(&["node", "list", "--json"]);
    let nodes = nodes.as_array().expect("an array").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    nodes
        .filter(|node| node["dataflow"] == dataflow)
        .map(|node| {
            let (id, machine) = (text(&node["node"]), text(&node["machine"]));
            format!("{id}@{machine}: {}", text(&node["state"]))
        })
        .collect()
}

/// Waits until the nodes of a dataflow are as wanted, in whatever order.
fn until_nodes(cluster: &Cluster, dataflow: &str, wanted: &[&str]) {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    let until = Instant::now() + DEADLINE;
    loop {
        let mut found = nodes(cluster, dataflow);
        found.sort_unstable();
        if found == wanted {
            return;
        }
        assert!(Instant::now() < until, "{found:?} {wanted:?}\n{cluster}");
    }
}
