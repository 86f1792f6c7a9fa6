//! A process may open no more files: who connects is not served, and nobody who is there is harmed; accepting neither spins
//! nor ends.

use super::{beside, bystander, goes_on, missed_nothing, worker};
use crate::cluster::{Cluster, DEADLINE, lasting_port};
use host_testing::{fault, run};
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// How long a process is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// What it may do of that on a processor: far more than it needs, and far less than one that spins gets.
const MOST_BUSY: Duration = Duration::from_millis(800);
/// Connections that are more than its last descriptors.
const STRANGERS: usize = 60;

/// Lets a process have descriptors below this number only, beside those that it has.
fn limit(process: u32, files: usize) {
    let mut command = Command::new("prlimit");
    command.args([format!("--pid={process}"), format!("--nofile={files}:")]);
    run(&mut command, DEADLINE).success();
}

/// The descriptor that a process gets next.
fn next_descriptor(process: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("its files");
    let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
    let numbers: BTreeSet<usize> = numbers.collect();
    (0..).find(|number| !numbers.contains(number)).expect("one")
}

/// What a process has done on processors so far.
fn busy(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let after = stat.rsplit(") ").next().expect("its name is over");
    // From the third on; user and system are the 14th and the 15th, in hundredths of seconds.
    let ticks = after.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Connections that nobody asked for, until the process has no descriptor left.
fn strangers(port: u16, process: u32, files: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(("127.0.0.1", port)).expect("the system takes it");
    let connections: Vec<_> = (0..STRANGERS).map(connect).collect();
    host_testing::wait_until("no descriptor is left", DEADLINE, || {
        next_descriptor(process) >= files
    });
    connections
}

/// That it does not spin.
fn is_calm(process: u32) {
    let before = busy(process);
    // How long it is watched, which is what this is about.
    std::thread::sleep(WATCHED);
    let did = busy(process).saturating_sub(before);
    println!("busy for {did:?} of {WATCHED:?}");
    assert!(did < MOST_BUSY, "it spins: {did:?}");
}

#[test]
fn a_daemon_without_descriptors_goes_on_and_recovers() {
    let nodes = lasting_port();
    let mut cluster = Cluster::new(&[]);
    cluster.start_daemon("A", &["--local-listen-port", &nodes.to_string()]);
    cluster.connected("A");
    cluster.write("bystander.yml", bystander("A"));
    let own =
        beside("A", 50, "checker").replace("kind: checker\n", "kind: checker\n    process: own\n");
    cluster.write("own.yml", own);
    let running = cluster.start("bystander.yml", &[]);
    goes_on(&cluster);
    let status = cluster.json(&["status", "--json"]);
    let address = status["daemons"][0]["address"].as_str().expect("text");
    let link: u16 = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let process = worker(cluster.daemon("A"));
    for (port, place) in [
        (nodes, "a daemon, its port for nodes"),
        (link, "a daemon, its port for daemons"),
    ] {
        let checked = "it neither spins nor ends; a start fails and says why; what runs misses nothing; then all is well";
        let _row = fault("file descriptors exhausted", place, checked);
        let files = next_descriptor(process);
        limit(process, files);
        let open = strangers(port, process, files);
        is_calm(process);
        let start = cluster.dora(&["start", "--attach", "own.yml"]);
        assert!(start.stderr.contains("oo many open files"), "{start}");
        assert_eq!(start.status.and_then(|it| it.code()), Some(1), "{start}");
        goes_on(&cluster);
        limit(process, 4_096);
        drop(open);
        let fresh = cluster.dora(&["start", "--attach", "own.yml"]);
        let line = "witness@A: received 50 missing 0";
        assert!(fresh.stderr.contains(line), "{fresh}\n{cluster}");
    }
    assert_eq!(worker(cluster.daemon("A")), process, "{cluster}");
    missed_nothing(&cluster, &running);
}

#[test]
fn a_coordinator_without_descriptors_goes_on_and_recovers() {
    let checked = "it neither spins nor ends; daemons and dataflows go on; then commands and new daemons are served";
    let _row = fault("file descriptors exhausted", "the coordinator", checked);
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.write("bystander.yml", bystander("A"));
    let running = cluster.start("bystander.yml", &["--name", "camera"]);
    goes_on(&cluster);
    let process = cluster.coordinator().id();
    let files = next_descriptor(process);
    limit(process, files);
    let open = strangers(cluster.port(), process, files);
    is_calm(process);
    // Nobody serves it, and it says so in time.
    let list = cluster.dora(&["list"]);
    assert_eq!(list.status.and_then(|it| it.code()), Some(1), "{list}");
    assert!(list.stderr.contains("error: "), "{list}");
    limit(process, 4_096);
    drop(open);
    let status = cluster.all_connected(2);
    assert!(
        status["daemons"][0]["pid"] == cluster.daemon("A").id(),
        "{status:#}"
    );
    cluster.start_daemon("C", &[]);
    cluster.connected("C");
    cluster.until_status("camera", "running");
    let said = cluster.coordinator().stderr();
    assert!(!said.contains("not heard of"), "nobody was lost: {said}");
    missed_nothing(&cluster, &running);
}
