//! Two hundred dataflows on one daemon, started and stopped again and again as scripts do it: a command each, a few at a time.

use crate::cluster::Cluster;
use crate::usage::{Usage, settled};
use crate::{alone, asked};
use host_testing::{fault, fixtures};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Dataflows that run at the same time.
const DATAFLOWS: usize = 200;
/// Commands that run at the same time.
const AT_A_TIME: usize = 4;
/// Rounds of a run of the tests: enough to see what grows from the third on.
const ROUNDS: usize = 4;
/// The variable that asks for more of them.
const ROUNDS_VARIABLE: &str = "DORA_LOAD_ROUNDS";
/// The round after which nothing may grow any more: after two the coordinator's record is full (256 dataflows), and the
/// pools of threads and of memory have had their largest size.
const FULL: usize = 3;

/// How much more than after the third round there may be. A dataflow that left a kilobyte would add 200 KiB each round; the
/// allocator's own unrest was seen to be some MiB. A thread pool keeps or ends a thread for ten seconds; nothing else has
/// threads or descriptors that come and go. Shared memory is of connections, of which there are none more.
const SLACK: Usage = Usage {
    memory: 8 << 10,
    descriptors: 4,
    threads: 4,
    shared: 0,
};

fn text() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    format!(
        "nodes:\n  - id: source\n    path: '{flow}'\n    kind: source\n    config: {{count: 1000000}}\n    inputs: {{tick: \
         dora/timer/millis/500}}\n    outputs: [out]\n  - id: reader\n    path: '{flow}'\n    kind: checker\n    inputs: {{in: \
         source/out}}\n"
    )
}

/// Does something for each number, a few at a time.
fn each(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

fn count(list: &Value, status: &str) -> usize {
    let list = list.as_array().expect("an array").iter();
    list.filter(|it| it["status"] == status).count()
}

/// Starts them all, looks whether they run, and stops them all; how long both took.
fn round(cluster: &Cluster) -> (Duration, Duration) {
    let name = |number: usize| format!("load-{number}");
    let began = Instant::now();
    each(DATAFLOWS, |number| {
        cluster.start("load.yml", &["--name", &name(number)]);
    });
    let started = began.elapsed();
    let list = cluster.json(&["list", "--json"]);
    assert_eq!(count(&list, "running"), DATAFLOWS, "{cluster}");
    let nodes = cluster.json(&["node", "list", "--json"]);
    let nodes = nodes.as_array().expect("an array");
    assert_eq!(nodes.len(), 2 * DATAFLOWS);
    assert!(
        nodes.iter().all(|node| node["state"] == "running"),
        "{cluster}"
    );
    let began = Instant::now();
    each(DATAFLOWS, |number| {
        cluster.dora(&["stop", &name(number)]).success();
    });
    let list = cluster.json(&["list", "--json"]);
    let ended = list
        .as_array()
        .expect("an array")
        .iter()
        .rev()
        .take(DATAFLOWS);
    for dataflow in ended {
        assert_eq!(dataflow["status"], "stopped", "{dataflow:#}");
        assert_eq!(dataflow["failed"], 0, "{dataflow:#}");
    }
    (started, began.elapsed())
}

#[test]
fn two_hundred_dataflows_again_and_again_leave_nothing() {
    let _alone = alone();
    let rounds = asked(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds as usize);
    let checked = "none fails; memory, descriptors, threads and shared memory of both do not grow";
    let _row = fault(
        format!("{DATAFLOWS} dataflows, started and stopped {rounds} times"),
        "one daemon, and its coordinator",
        checked,
    );
    let cluster = Cluster::new(&["A"]);
    cluster.write("load.yml", text());
    let all = |round| {
        let usage = |name: &str, process| {
            let usage = Usage::of_worker(process);
            println!("round {round}: {name}: {usage}");
            usage
        };
        [
            usage("daemon", cluster.daemon("A")),
            usage("coordinator", cluster.coordinator()),
        ]
    };
    all(0);
    let mut full = None;
    for number in 1..=rounds {
        let (started, stopped) = round(&cluster);
        println!("round {number}: started in {started:.1?}, stopped in {stopped:.1?}");
        let usage = all(number);
        if number == FULL {
            full = Some(usage);
        }
    }
    let [daemon, coordinator] = full.expect("as many rounds as it takes");
    settled("the daemon", cluster.daemon("A"), daemon.and(SLACK));
    settled(
        "the coordinator",
        cluster.coordinator(),
        coordinator.and(SLACK),
    );
    let said = cluster.coordinator().stderr();
    assert!(!said.contains("not heard of"), "nobody was silent: {said}");
}
