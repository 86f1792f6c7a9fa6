//! The guard or the worker of a command is killed: nothing that they have started is left, also what has left its session,
//! and a daemon has a new worker.
//!
//! Linux only, where that is promised.

use crate::cluster::{Cluster, DEADLINE, example};
use host_testing::fixtures::{self, Profile};
use host_testing::{Background, cc, fault, repo_root, wait_until};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts a child and a grandchild with a session of its own, and writes down their numbers.
const SCRIPT: &str = "setsid sh -c 'echo $$ > deep.new; mv deep.new deep; exec sleep 1000' & \
                      echo $$ > near.new; mv near.new near; exec sleep 1000";

/// A node that starts the two.
fn starts() -> String {
    let plugin = fixtures::library("flow", Profile::Debug);
    format!(
        "nodes:\n  - id: starts\n    path: {}\n    kind: starts\n    inputs: {{tick: dora/timer/secs/1}}\n    \
         config: {{script: \"{SCRIPT}\"}}\n",
        plugin.display()
    )
}

/// The two processes that a script has started in a folder.
struct Started([u32; 2]);

impl Started {
    fn wait(folder: PathBuf) -> Self {
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name));
            text.unwrap_or_default().trim().parse().ok()
        };
        wait_until("both processes run", DEADLINE, || {
            ["near", "deep"].iter().all(|name| read(name).is_some())
        });
        let started = ["near", "deep"].map(|name| read(name).expect("a number"));
        for name in ["near", "deep"] {
            std::fs::remove_file(folder.join(name)).expect("removed");
        }
        assert!(started.iter().all(|id| is_alive(*id)), "{started:?}");
        Self(started)
    }

    fn end(&self) {
        self.end_but(&[]);
    }

    /// Waits until they, and these, have ended.
    fn end_but(&self, others: &[u32]) {
        for id in self.0.iter().chain(others) {
            wait_until("nothing is left", DEADLINE, || !is_alive(*id));
        }
    }
}

/// A zombie that nobody has collected yet has ended.
fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

fn worker(guard: &Background) -> u32 {
    let children = guard.children();
    assert_eq!(children.len(), 1, "{guard}");
    children[0]
}

fn signal(name: &str, ids: &[u32]) {
    let ids = ids.iter().map(u32::to_string);
    let mut kill = Command::new("kill");
    kill.args(["-s", name]).args(ids);
    host_testing::run(&mut kill, DEADLINE).success();
}

/// A `dora run` whose node has started the two.
fn running(cluster: &Cluster) -> (Background, Started) {
    cluster.write("starts.yml", starts());
    let run = cluster.background(&["run", "starts.yml"]);
    let started = Started::wait(cluster.here());
    (run, started)
}

#[test]
fn a_run_that_is_killed_leaves_nothing() {
    let checked = "nothing that its nodes have started is left, in whatever session";
    let _row = fault(
        "SIGKILL of dora run, and of its group",
        "its guard",
        checked,
    );
    let cluster = Cluster::without_coordinator();
    let (run, started) = running(&cluster);
    let worker = worker(&run);
    run.signal("KILL");
    started.end_but(&[worker]);
    run.kill();
    // As a group, as whoever starts a command in one of its own kills it.
    let (run, started) = running(&cluster);
    run.kill();
    started.end();
}

#[test]
fn a_run_whose_worker_dies_leaves_nothing_and_says_how() {
    let checked = "nothing is left; the signal is told; exit code 128 and the signal";
    let _row = fault(
        "SIGKILL and SIGABRT of dora run's worker",
        "its worker",
        checked,
    );
    let cluster = Cluster::without_coordinator();
    for (name, code) in [("KILL", 137), ("ABRT", 134)] {
        let (run, started) = running(&cluster);
        signal(name, &[worker(&run)]);
        let run = run.end(DEADLINE);
        started.end();
        assert_eq!(run.status.and_then(|status| status.code()), Some(code));
        let line = format!(
            "error: the worker was killed by SIG{name}; every process of its nodes has been ended\n"
        );
        assert!(run.stderr.ends_with(&line), "{run}");
        let crashed = run
            .stderr
            .contains("crashed: SIGABRT in thread dora\n   0: ");
        assert_eq!(crashed, name == "ABRT", "{run}");
    }
}

#[test]
fn a_frozen_worker_ends_with_its_guard() {
    let checked = "nothing is left";
    let _row = fault(
        "SIGKILL of a guard whose worker is stopped",
        "dora run",
        checked,
    );
    let cluster = Cluster::without_coordinator();
    let (run, started) = running(&cluster);
    let worker = worker(&run);
    run.signal_child("STOP");
    run.signal("KILL");
    started.end_but(&[worker]);
    run.kill();
}

#[test]
fn a_run_that_ends_in_order_ends_what_its_nodes_have_left() {
    let cluster = Cluster::without_coordinator();
    // What both get counts once: the second would end the nodes at once.
    for both in [false, true] {
        let (run, started) = running(&cluster);
        let mut ids = vec![run.id()];
        if both {
            ids.push(worker(&run));
        }
        signal("INT", &ids);
        let run = run.end(DEADLINE);
        started.end();
        assert!(run.stderr.contains("starts  stopped"), "{run}");
        let stopping = run.stderr.matches("stopping; nodes have").count();
        assert_eq!(stopping, 1, "{run}");
        run.success();
    }
}

#[test]
fn a_build_that_is_killed_leaves_nothing() {
    let checked = "nothing that it has started is left";
    let _row = fault("SIGKILL of dora build", "its worker, its group", checked);
    let cluster = Cluster::without_coordinator();
    let text = "nodes:\n  - {id: a, path: x, build: sh script}\n";
    cluster.write("build.yml", text);
    cluster.write("script", SCRIPT);
    for whole in [false, true] {
        let build = cluster.background(&["build", "build.yml"]);
        let started = Started::wait(cluster.here());
        match whole {
            true => drop(build.kill()),
            false => signal("KILL", &[worker(&build)]),
        }
        started.end();
    }
}

#[test]
fn a_daemon_that_is_killed_leaves_nothing() {
    let checked = "its worker and all that its nodes have started are gone";
    let _row = fault("SIGKILL of a daemon", "its guard", checked);
    let mut cluster = Cluster::new(&["A"]);
    cluster.write("starts.yml", starts());
    cluster.start("starts.yml", &[]);
    let started = Started::wait(cluster.path().join("A"));
    let daemon = cluster.take_daemon("A");
    let worker = worker(&daemon);
    daemon.signal("KILL");
    started.end_but(&[worker]);
}

/// The pause after the first death of a worker, and after one that has lived so long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);

/// The pauses that a guard has told of, such as `200ms`.
fn told_pauses(guard: &Background) -> Vec<String> {
    let said = guard.stderr();
    // The last one may not be whole.
    let lines = said.split_inclusive('\n').filter_map(|line| {
        let (_, pause) = line.split_once("another worker starts in ")?;
        Some(pause.strip_suffix('\n')?.to_owned())
    });
    lines.collect()
}

#[test]
fn a_daemon_whose_worker_dies_has_another_one() {
    let checked = "told; another one starts, connects and runs dataflows; longer pauses each time";
    let _row = fault(
        "SIGKILL of a daemon's worker, 5 times",
        "its worker",
        checked,
    );
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("starts.yml", starts());
    cluster.start("starts.yml", &["--name", "starts"]);
    let started = Started::wait(cluster.path().join("A"));
    let daemon = cluster.daemon("A");
    let first = worker(daemon);
    let mut killed = Instant::now();
    signal("KILL", &[first]);
    started.end_but(&[first]);
    daemon.complains(
        "error: the worker was killed by SIGKILL; every process of its nodes has been ended; another worker starts in \
         100ms\n",
        DEADLINE,
    );
    wait_until("it has connected again", DEADLINE, || {
        daemon
            .stdout()
            .matches("Connected to dora-coordinator")
            .count()
            == 2
    });
    cluster.until_status("starts", "failed");
    cluster.write("example.yml", example());
    let fresh = cluster.start("example.yml", &[]);
    cluster.until_status(&fresh, "finished");
    assert_ne!(worker(daemon), first);
    let status = cluster.json(&["status", "--json"]);
    assert_eq!(status["daemons"][0]["pid"], daemon.id());

    // While it dies again and again the pause grows, and it can be told to end meanwhile.
    let mut pause = FIRST_PAUSE;
    for deaths in 2..=5 {
        wait_until("there is a worker", DEADLINE, || {
            daemon.children().len() == 1
        });
        let (before, now) = (killed, Instant::now());
        signal("KILL", &[worker(daemon)]);
        wait_until("its death is told", DEADLINE, || {
            told_pauses(daemon).len() == deaths
        });
        let told = told_pauses(daemon).pop().unwrap_or_default();
        pause *= 2;
        if told != format!("{pause:?}") {
            // On a busy machine it may have lived so long that it has not died of its start.
            assert!(before.elapsed() >= LONG, "{told}: {daemon}");
            pause = FIRST_PAUSE;
            assert_eq!(told, format!("{pause:?}"));
        }
        killed = now;
    }
    daemon.signal("TERM");
    let mut cluster = cluster;
    let run = cluster.take_daemon("A").end(DEADLINE);
    let status = run.status.expect("it has ended");
    assert_eq!((status.code(), status.signal()), (Some(143), None), "{run}");
}

#[test]
fn a_frozen_worker_removes_the_shared_memory_that_nobody_else_can() {
    let checked = "its shared memory is gone, though its exit hangs and nobody else has it open";
    let _row = fault(
        "SIGKILL of the guard of a daemon whose worker is stopped",
        "machine B, the last of its cluster",
        checked,
    );
    let mut cluster = Cluster::new(&["A"]);
    let library = cluster.path().join("exit.so");
    let source = repo_root().join("cli/tests/faults/machines/exit.c");
    cc(&source, &library, &[]);
    cluster.set("LD_PRELOAD", library);
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    let frozen = worker(cluster.daemon("B"));
    let files = shared_memory(frozen);
    assert!(!files.is_empty(), "connections on one host have some");
    cluster.daemon("B").signal_child("STOP");
    cluster.take_daemon("A").finish();
    cluster.take_coordinator().finish();
    cluster.take_daemon("B").signal("KILL");
    wait_until("its worker has ended", DEADLINE, || !is_alive(frozen));
    let left = files.iter().filter(|file| file.exists());
    assert_eq!(left.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}

/// The named shared memory that a process has mapped.
fn shared_memory(id: u32) -> BTreeSet<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap_or_default();
    let files = maps.lines().filter_map(|line| {
        let file = line.get(line.find("/dev/shm/")?..)?;
        (!file.ends_with(" (deleted)")).then(|| PathBuf::from(file))
    });
    files.collect()
}

#[test]
fn killed_daemons_leave_no_shared_memory() {
    let checked = "no shared memory is left";
    let _row = fault(
        "SIGKILL of daemons, and of their workers, that share memory",
        "machines A and B",
        checked,
    );
    let mut cluster = Cluster::new(&["A", "B"]);
    let plugin = fixtures::library("flow", Profile::Debug);
    let plugin = plugin.display();
    let text = format!(
        "nodes:\n  - id: pacer\n    path: {plugin}\n    kind: pacer\n    deploy: {{machine: A}}\n    inputs: {{tick: \
         dora/timer/millis/10}}\n    config: {{count: 1000000, bytes: 1000000, micros: 2000}}\n  - id: meter\n    path: \
         {plugin}\n    kind: meter\n    deploy: {{machine: B}}\n    inputs: {{in: pacer/out}}\n"
    );
    cluster.write("large.yml", text);
    for machine in ["A", "B"] {
        cluster.start("large.yml", &[]);
        let workers = ["A", "B"].map(|machine| worker(cluster.daemon(machine)));
        let mapped = || {
            let all = &shared_memory(workers[0]) | &shared_memory(workers[1]);
            &all - &shared_memory(cluster.coordinator().id())
        };
        // Where too little memory may be locked there is none.
        if host::sys::memory_lock::limit().is_none_or(|limit| limit >= 64 << 20) {
            wait_until("memory is shared", DEADLINE, || !mapped().is_empty());
        }
        let files = mapped();
        println!("{machine}: {files:?}");
        match machine {
            "A" => signal("KILL", &workers),
            _ => {
                for machine in ["A", "B"] {
                    cluster.take_daemon(machine).signal("KILL");
                }
            }
        }
        wait_until("no memory is left", DEADLINE, || {
            files.iter().all(|file| !file.exists())
        });
        if machine == "A" {
            for machine in ["A", "B"] {
                let daemon = cluster.daemon(machine);
                wait_until("it has connected again", DEADLINE, || {
                    daemon.stdout().matches("Connected to").count() == 2
                });
            }
        }
    }
}
