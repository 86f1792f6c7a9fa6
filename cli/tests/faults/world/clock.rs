//! The time of day jumps by an hour, forward and back: nothing that runs is harmed, and no wait becomes an hour longer or
//! shorter.

use super::{beside, bystander, goes_on, missed_nothing};
use crate::cluster::{Cluster, DEADLINE, endless, example};
use host_testing::{cc, fault, repo_root, run, wait_until};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const HOUR: i64 = 3_600;

/// Sets the clock of what has been started in a folder: so many seconds ahead.
fn set(cluster: &Cluster, folder: &str, seconds: i64) {
    let path = cluster.path().join(folder).join("clock");
    // Not replaced: it is mapped.
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let mut file = file.expect("a clock");
    file.seek(SeekFrom::Start(0)).expect("the begin");
    file.write_all(&seconds.to_ne_bytes()).expect("written");
}

/// A coordinator and daemons on A and B, each with a clock that can be set.
fn with_clocks() -> Cluster {
    let mut cluster = Cluster::without_coordinator();
    let library = cluster.path().join("clock.so");
    let source: PathBuf = repo_root().join("cli/tests/faults/world/clock.c");
    cc(&source, &library, &["-O2"]);
    for folder in ["coordinator", "A", "B"] {
        let folder = cluster.path().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("clock"), 0_i64.to_ne_bytes()).expect("written");
    }
    // Commands have no clock of their own: the real one.
    cluster.set("LD_PRELOAD", library);
    cluster.start_coordinator(&[]);
    for machine in ["A", "B"] {
        cluster.start_daemon(machine, &[]);
        cluster.connected(machine);
    }
    cluster
}

/// What the sink on B has received.
fn received(cluster: &Cluster) -> usize {
    let said = cluster.daemon("B").stdout();
    said.matches("sink received message: ").count()
}

/// Day and hour of the last line that B has written of the witness of a dataflow.
fn hour(cluster: &Cluster, dataflow: &str) -> String {
    let file = format!("B/out/{dataflow}/log_witness.txt");
    let text = std::fs::read_to_string(cluster.path().join(file)).expect("a log file");
    let last = text.lines().last().expect("a line");
    last.get(..13).expect("a time").to_owned()
}

/// Day and hour now, as nobody has set it.
fn hour_now() -> String {
    let mut date = Command::new("date");
    run(date.args(["-u", "+%FT%H"]), DEADLINE)
        .success()
        .trim()
        .to_owned()
}

/// That what runs goes on, and what is new begins and ends, as if nothing had happened; the last that has ended.
fn as_before(cluster: &Cluster, camera: &str) -> String {
    let before = received(cluster);
    wait_until("messages go from A to B", DEADLINE, || {
        received(cluster) > before + 20
    });
    goes_on(cluster);
    let began = Instant::now();
    let fresh = cluster.start("example.yml", &[]);
    let ended = cluster.until_status(&fresh, "finished");
    let took = ended["ended"]["took_seconds"].as_f64().expect("seconds");
    assert!(took <= began.elapsed().as_secs_f64() + 1.0, "{ended:#}");
    let talks = cluster.start("talks.yml", &[]);
    cluster.until_status(&talks, "finished");
    let logs = cluster.dora(&["logs", &talks, "witness"]).success();
    assert_eq!(logs.matches("on_input on ThreadId").count(), 20, "{logs}");
    let status = cluster.json(&["status", "--json"]);
    for daemon in status["daemons"].as_array().expect("an array") {
        let silent = daemon["silent_seconds"].as_f64().expect("seconds");
        assert!(daemon["state"] == "connected" && silent < 5.0, "{status:#}");
    }
    assert_eq!(cluster.until_status(camera, "running")["running"], 3);
    talks
}

#[test]
fn a_clock_that_jumps_by_an_hour_harms_nothing() {
    let cluster = with_clocks();
    cluster.write("example.yml", example());
    cluster.write("endless.yml", endless());
    cluster.write("beside.yml", bystander("B"));
    cluster.write("talks.yml", beside("B", 20, "inspect"));
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    let beside = cluster.start("beside.yml", &[]);
    let mut last = String::new();
    for (folder, place) in [
        ("B", "machine B of two"),
        ("coordinator", "the coordinator"),
    ] {
        for (seconds, jump) in [(HOUR, "an hour forward"), (-HOUR, "two hours back")] {
            let checked = "dataflows run on and end; nobody is taken for lost; timers keep their pace; logs are whole";
            let _row = fault(format!("clock jumps {jump}"), place, checked);
            set(&cluster, folder, seconds);
            last = as_before(&cluster, &camera);
        }
    }
    for process in [
        cluster.coordinator(),
        cluster.daemon("A"),
        cluster.daemon("B"),
    ] {
        let said = process.stderr();
        assert!(!said.contains("not heard of"), "{process}");
    }
    // The jumps were there: B's clock is an hour behind.
    assert_ne!(hour(&cluster, &last), hour_now());
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status(&camera, "stopped");
    missed_nothing(&cluster, &beside);
}

/// Timers of a node, and a process of its own, which jumps along.
#[test]
fn timers_keep_their_pace_when_the_clock_jumps() {
    let cluster = with_clocks();
    let checked = "1,000 ticks take as long as without; all arrive; a stop waits no hour";
    let _row = fault(
        "clock jumps an hour forward and back, 20 times",
        "machine A of two",
        checked,
    );
    let text =
        beside("A", 1_000, "checker").replace("kind: source\n", "kind: source\n    process: own\n");
    cluster.write("ticks.yml", text);
    let began = Instant::now();
    let start = cluster.background(&["start", "--attach", "ticks.yml"]);
    let mut ahead = 0;
    let mut jumps = 0;
    let mut start = Some(start);
    while jumps < 20 {
        wait_until("more messages come", DEADLINE, || {
            // Each 50 ticks.
            began.elapsed().as_millis() >= 250 * (jumps + 1)
        });
        ahead = HOUR - ahead;
        set(&cluster, "A", ahead);
        jumps += 1;
    }
    let ended = start.take().expect("it runs").end(DEADLINE);
    let took = began.elapsed();
    println!("1,000 ticks of 5 ms took {took:?}");
    assert!(took < DEADLINE / 2, "{took:?}");
    let line = "witness@A: received 1000 missing 0";
    assert!(ended.stderr.contains(line), "{ended}");
    ended.success();
}
