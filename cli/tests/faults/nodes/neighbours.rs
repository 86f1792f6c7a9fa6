//! A dataflow whose node fails in every way that there is, in a daemon that runs another dataflow: that one gets all of its
//! messages, and nothing of the first is left.

use crate::cluster::{Cluster, DEADLINE};
use crate::dataflow::Dataflow;
use crate::place::{Place, each};
use host_testing::{fault, fixtures, wait_until};

/// Ways to fail that leave the daemon's process alone.
const INSIDE: [&str; 7] = [
    "create",
    "create-panic",
    "error",
    "panic",
    "stop",
    "stop-panic",
    "drop",
];
/// Ways that take their process along.
const OUTSIDE: [&str; 5] = ["segfault", "abort", "exit", "overflow", "double-free"];

/// The dataflow beside it, which goes on until it is stopped.
fn neighbour() -> String {
    let flow = fixtures::path("flow").display().to_string();
    let node = |id: &str, kind: &str, keys: &str| {
        format!("  - id: {id}\n    path: '{flow}'\n    kind: {kind}\n    {keys}\n")
    };
    let source =
        "config: {count: 1000000}\n    inputs: {tick: dora/timer/millis/5}\n    outputs: [out]";
    let waits = |of: &str| {
        format!("inputs: {{in: {{source: {of}, queue_size: 100, queue_policy: backpressure}}}}")
    };
    let relay = format!(
        "process: own\n    outputs: [out]\n    {}",
        waits("beside/out")
    );
    [
        "nodes:\n".to_owned(),
        node("beside", "source", source),
        node("through", "relay", &relay),
        node("bystander", "checker", &waits("through/out")),
    ]
    .concat()
}

/// What the daemon's worker has: threads and open files.
#[cfg(target_os = "linux")]
fn held(cluster: &Cluster) -> [usize; 2] {
    let workers = cluster.daemon("A").children();
    let [worker] = workers[..] else {
        panic!("not one worker: {workers:?}\n{cluster}");
    };
    ["task", "fd"].map(|what| {
        let list = std::fs::read_dir(format!("/proc/{worker}/{what}"));
        list.map_or(0, Iterator::count)
    })
}

#[test]
fn a_dataflow_that_fails_harms_no_other_of_its_daemon() {
    let cluster = Cluster::new(&["A"]);
    cluster.write("neighbour.yml", neighbour());
    let beside = cluster.start("neighbour.yml", &[]);
    cluster.until_status(&beside, "running");
    let goes_on = || {
        let more = ["topic", "echo", "through/out", "--count", "3"];
        cluster.dora(&more).success();
    };
    goes_on();
    #[cfg(target_os = "linux")]
    let before = std::cell::OnceCell::new();
    each(&[Place::Daemon, Place::Own, Place::Shared], |place| {
        let checked =
            "another dataflow of its daemon misses nothing; no process, thread or file is left";
        let ways = match place {
            Place::Daemon => INSIDE.to_vec(),
            _ => OUTSIDE.to_vec(),
        };
        let _row = fault(
            format!("a node fails in {} ways", ways.len()),
            place,
            checked,
        );
        for how in ways {
            let settings = [("how", how), ("at", "3")];
            let dataflow = Dataflow::new(place, "failing", &settings);
            let mark = cluster.path().display().to_string();
            cluster.write("failing.yml", dataflow.text(&mark));
            let run = cluster.dora(&["start", "--attach", "failing.yml"]);
            let code = run.status.and_then(|status| status.code());
            assert_eq!(code, Some(i32::from(how != "drop")), "{how}: {run}");
            goes_on();
        }
        #[cfg(target_os = "linux")]
        {
            let mark = cluster.path().display().to_string();
            wait_until("no process is left", DEADLINE, || {
                crate::dataflow::with_variable("OF_SUBJECT", &mark).is_empty()
            });
            // What is made once and kept is there after the first place.
            let [threads, files] = *before.get_or_init(|| held(&cluster));
            wait_until("no thread and no file is left", DEADLINE, || {
                let [threads_now, files_now] = held(&cluster);
                threads_now <= threads && files_now <= files
            });
        }
    });
    cluster.dora(&["stop", &beside]).success();
    let bystander = cluster.dora(&["logs", &beside, "bystander"]).success();
    let said = bystander.lines().find(|line| line.contains("received "));
    let said = said.unwrap_or_else(|| panic!("it has checked nothing: {bystander}"));
    assert!(said.contains(" missing 0"), "{said}");
}
