//! What happens to a robot's runtime in a day, as counts, in as much time as that takes: messages on timers, nodes that fail
//! and are made again, log files that are rotated, dataflows that come and go beside the robot's own, commands that look, a
//! coordinator that is started anew. At the end of the day the daemon has what it had in its first quarter.
//!
//! Three forms of the same: a run of the tests does a part of the day; with [`WHOLE`] set, the whole of it; with [`SECONDS`]
//! set, so much real time with few messages, as on a robot that has little to do.

use crate::cluster::{Cluster, find};
use crate::usage::{Usage, settled};
use crate::{alone, asked};
use host_testing::{fault, fixtures};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Dataflows that come and go in a day: ten an hour.
const STARTS: u64 = 240;
/// With each so many of the robot's nodes' lines are read.
const LINES: &str = "20";
/// After so many starts the coordinator is started anew: once an hour.
const ANEW: u64 = 10;
/// A run of the tests does a third of the day.
const PART: u64 = 3;
/// Asks for the whole day.
const WHOLE: &str = "DORA_LOAD_WHOLE";
/// Asks for so many seconds of real time.
const SECONDS: &str = "DORA_SOAK_SECONDS";
/// Between two starts in real time.
const PAUSE: Duration = Duration::from_secs(2);

/// How much more than in the first quarter the daemon may have in the last: the allocator's unrest is some MiB; a thread of
/// a pool and its descriptors may be there at one look and not at the other. A leak of a dataflow, a restart, or a
/// connection would be there as often as those happen, in threads or descriptors at least dozens of times.
const SLACK: Usage = Usage {
    memory: 8 << 10,
    descriptors: 6,
    threads: 4,
    shared: 1,
};

/// The robot: sensors on timers whose messages are looked at in the daemon and in another process, a node that says a line
/// for each, one that fails at each so many and is made again, and one that takes its process along.
fn robot(millis: u64) -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    let node = |id: &str, kind: &str, keys: &str| {
        format!("  - id: {id}\n    path: '{flow}'\n    kind: {kind}\n    {keys}\n")
    };
    let all = "queue_size: 200, queue_policy: backpressure";
    [
        "nodes:\n".to_owned(),
        node(
            "sensor",
            "source",
            &format!(
                "config: {{count: 100000000, bytes: 2000}}\n    inputs: {{tick: dora/timer/millis/{millis}}}\n    outputs: [out]"
            ),
        ),
        node(
            "filter",
            "relay",
            &format!("process: own\n    inputs: {{in: {{source: sensor/out, {all}}}}}\n    outputs: [out]"),
        ),
        node(
            "control",
            "checker",
            &format!("inputs: {{in: {{source: filter/out, {all}}}}}"),
        ),
        node(
            "talks",
            "inspect",
            "max_log_size: 20KB\n    max_rotated_files: 3\n    inputs: {in: {source: sensor/out, queue_size: 200, \
             queue_policy: backpressure}}\n    outputs: [out]",
        ),
        node(
            "fails",
            "failing",
            "config: {at: 50}\n    restart_policy: on-failure\n    inputs: {in: {source: sensor/out, queue_size: 200}}\n    \
             outputs: [out]",
        ),
        node(
            "crashes",
            "failing",
            "process: own\n    config: {how: abort, at: 100}\n    restart_policy: on-failure\n    inputs: {in: {source: \
             sensor/out, queue_size: 200}}\n    outputs: [out]",
        ),
    ]
    .concat()
}

/// A dataflow that comes and goes.
fn errand() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    format!(
        "nodes:\n  - id: source\n    path: '{flow}'\n    kind: source\n    config: {{count: 10}}\n    inputs: {{tick: \
         dora/timer/millis/1}}\n    outputs: [out]\n  - id: reader\n    path: '{flow}'\n    kind: checker\n    inputs: {{in: \
         {{source: source/out, queue_policy: backpressure}}}}\n"
    )
}

/// When the day is over.
enum Until {
    Starts(u64),
    Time(Instant),
}

impl Until {
    fn is_over(&self, starts: u64) -> bool {
        match self {
            Self::Starts(most) => starts >= *most,
            Self::Time(time) => Instant::now() >= *time,
        }
    }
}

/// One of the dataflows that come and go; a look at the robot; now and then another coordinator.
fn pass(cluster: &mut Cluster, number: u64, robot: &str) {
    let uuid = cluster.start("errand.yml", &["--name", &format!("errand-{number}")]);
    cluster
        .dora(&["logs", robot, "talks", "--tail", LINES])
        .success();
    cluster.until_status(&uuid, "finished");
    if number % ANEW == ANEW - 1 {
        cluster.take_coordinator().finish();
        cluster.start_coordinator(&[]);
        cluster.until_status(robot, "running");
    }
}

/// The node's row in what is known of the robot's end.
fn row<'a>(robot: &'a Value, node: &str) -> &'a Value {
    let rows = robot["ended"]["nodes"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["node"] == node);
    row.unwrap_or_else(|| panic!("{node} has no row: {robot:#}"))
}

fn quarter(looks: &[Usage], first: bool) -> Usage {
    let many = (looks.len() / 4).max(1);
    let part = match first {
        true => &looks[..many],
        false => &looks[looks.len() - many..],
    };
    part.iter().copied().reduce(Usage::max).expect("some looks")
}

#[test]
fn a_day_of_a_robot_leaves_nothing() {
    let _alone = alone();
    let (until, millis, pause) = match (asked(SECONDS), asked(WHOLE)) {
        (Some(seconds), _) => {
            let time = Instant::now() + Duration::from_secs(seconds);
            (Until::Time(time), 200, PAUSE)
        }
        (None, Some(_)) => (Until::Starts(STARTS), 2, Duration::ZERO),
        (None, None) => (Until::Starts(STARTS / PART), 2, Duration::ZERO),
    };
    let checked = "the robot loses nothing; memory, descriptors, threads and shared memory of its daemon do not grow";
    let _row = fault("a day of a robot, as counts", "one daemon", checked);
    let mut cluster = Cluster::lasting(&["A"]);
    cluster.write("robot.yml", robot(millis));
    cluster.write("errand.yml", errand());
    let began = Instant::now();
    let uuid = cluster.start("robot.yml", &["--name", "robot"]);
    let mut looks = Vec::new();
    let mut number = 0;
    while !until.is_over(number) {
        pass(&mut cluster, number, &uuid);
        number += 1;
        looks.push(Usage::of_worker(cluster.daemon("A")));
        std::thread::sleep(pause);
    }
    let (first, last) = (quarter(&looks, true), quarter(&looks, false));
    println!("the first quarter: {first}\nthe last quarter: {last}");
    settled(
        "the daemon at the end of the day",
        cluster.daemon("A"),
        first.and(SLACK),
    );
    cluster.dora(&["stop", "robot"]).success();
    let list = cluster.until(&["list", "--json"], |list| {
        find(list, &uuid).is_some_and(|robot| !robot["ended"].is_null())
    });
    let ended = find(&list, &uuid).expect("it was there").clone();
    // The others may have failed just then.
    for node in ["sensor", "filter", "control", "talks"] {
        assert_eq!(row(&ended, node)["ended"], "stopped", "{ended:#}");
    }
    let count = |node: &str, what: &str| row(&ended, node)[what].as_u64().expect("a number");
    let restarts = count("fails", "restarts") + count("crashes", "restarts");
    println!(
        "in {:.0?}: {} messages, {restarts} restarts, {number} dataflows that came and went, {} new coordinators",
        began.elapsed(),
        count("sensor", "sent"),
        number / ANEW,
    );
    assert_eq!(count("control", "dropped"), 0, "{ended:#}");
    // What is on its way when it is stopped does not arrive: what waits in two queues and what one process was given.
    let missed = count("sensor", "sent") - count("control", "received");
    assert!(missed <= 450, "{missed} are missing: {ended:#}");
    let missed = count("sensor", "sent") - count("talks", "received");
    assert!(missed <= 250, "{missed} are missing: {ended:#}");
    assert!(restarts > 0, "{ended:#}");
    rotated(&cluster, &uuid);
    // What ended was taken off the list of what runs, however often.
    assert_eq!(find(&cluster.json(&["ps", "--json"]), &uuid), None);
}

/// Log files were rotated, and no more were kept than asked for.
fn rotated(cluster: &Cluster, robot: &str) {
    let folder = cluster.path().join("A/out").join(robot);
    let files = std::fs::read_dir(&folder).expect("its log files");
    let names = files.map(|file| {
        file.expect("a file")
            .file_name()
            .into_string()
            .expect("text")
    });
    let of_talks = names
        .filter(|name| name.contains("talks"))
        .collect::<Vec<_>>();
    assert!((2..=4).contains(&of_talks.len()), "{of_talks:?}");
}
