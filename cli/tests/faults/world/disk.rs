//! Disks that are full or may not be written: dataflows go on, what is lost is told and counted, and when there is room
//! again nothing more is.
//!
//! The disks are small file systems in memory, mounted where one process sees them. Where that is not permitted the tests
//! say so.

use super::{beside, bystander, goes_on, missed_nothing};
use crate::cluster::{Cluster, DEADLINE, assert_fails};
use host_testing::{Background, Run, cc, fault, fresh_dir, repo_root, run, skipped, wait_until};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Mounts a file system with these options over a folder before the program runs.
const MOUNT: &str = "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"";

/// The words that begin a program for which a disk is mounted over a folder. `None` where it may not be, and says so.
pub(super) fn with_disk<'a>(options: &'a str, folder: &'a str) -> Option<Vec<&'a str>> {
    let permitted = |words: &[&str]| {
        let folder = fresh_dir();
        let mut command = Command::new("unshare");
        command
            .args(words)
            .args(["--mount", "sh", "-c", MOUNT, "sh", "size=16k"]);
        let tried = run(command.arg(folder.path()).arg("true"), DEADLINE);
        match tried.status.is_some_and(|status| status.success()) {
            true => Ok(()),
            false => Err(tried.stderr.trim().to_owned()),
        }
    };
    let user = ["--user", "--map-root-user"];
    let first: &[&str] = match (permitted(&[]), permitted(&user)) {
        (Ok(()), _) => &[],
        (_, Ok(())) => &user,
        (Err(reason), _) => {
            skipped(&format!(
                "no network namespaces: nor such of disks: {reason}"
            ));
            return None;
        }
    };
    let rest = ["--mount", "sh", "-c", MOUNT, "sh", options, folder];
    Some([&["unshare"][..], first, &rest].concat())
}

/// The words that begin a program which sees the disks that a process sees. It begins in their root.
pub(super) fn entering(process: &Background) -> Vec<String> {
    let target = process.id().to_string();
    let users = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/user")).expect("a namespace");
    let mut words = vec!["nsenter", "--target", &target, "--mount"];
    if users(&target) != users("self") {
        words.extend(["--user", "--preserve-credentials"]);
    }
    words.into_iter().map(ToOwned::to_owned).collect()
}

/// Changes the disk that a process sees.
fn remount(process: &Background, options: &str, folder: &Path) {
    let words = entering(process);
    let (first, rest) = words.split_first().expect("words");
    let mut command = Command::new(first);
    command.args(rest);
    command.args(["mount", "-o", &format!("remount,{options}")]);
    run(command.arg(folder), DEADLINE).success();
}

/// The dataflow of a talker has ended well, and who looked on has seen all of its lines; that they are not in the log file was
/// told once, and how many.
fn lines_were_lost(cluster: &Cluster, run: Run, lines: u64) {
    let said = run.stderr.matches("on_input on ThreadId").count() as u64;
    assert_eq!(said, lines, "who looks on sees every line: {run}");
    let daemon = cluster.daemon("A");
    daemon.complains("cannot write the log file", DEADLINE);
    daemon.complains(
        "log lines of node `witness` are not in its log file",
        DEADLINE,
    );
    let told = daemon.stderr().matches("cannot write the log file").count();
    assert!(told <= 2, "once per dataflow: {told}: {daemon}");
    run.success();
    goes_on(cluster);
}

/// The talker runs once more, and all of its lines are in its log file.
fn lines_are_kept(cluster: &Cluster, lines: u64) {
    let again = cluster.start("talks.yml", &[]);
    cluster.until_status(&again, "finished");
    let logs = cluster.dora(&["logs", &again, "witness"]).success();
    let kept = logs.matches("on_input on ThreadId").count() as u64;
    assert_eq!(kept, lines, "{logs}");
}

#[test]
fn a_full_disk_loses_log_lines_and_no_message() {
    let mut cluster = Cluster::without_coordinator();
    let out = cluster.path().join("A/out");
    std::fs::create_dir_all(&out).expect("a folder");
    let folder = out.display().to_string();
    let Some(words) = with_disk("size=16k", &folder) else {
        return;
    };
    let checked =
        "all messages arrive; told once; lost lines are counted; with room again lines are kept";
    let _row = fault("disk full", "out/ of a daemon", checked);
    cluster.begin("A", &words);
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    cluster.write("bystander.yml", bystander("A"));
    let bystander = cluster.start("bystander.yml", &[]);
    // Each message is a line of more than a hundred bytes.
    cluster.write("talks.yml", beside("A", 400, "inspect"));
    let run = cluster.dora(&["start", "--attach", "talks.yml"]);
    lines_were_lost(&cluster, run, 400);

    remount(cluster.daemon("A"), "size=16m", &out);
    lines_are_kept(&cluster, 400);
    missed_nothing(&cluster, &bystander);
}

#[test]
fn a_disk_that_becomes_read_only_loses_log_lines_and_no_message() {
    /// At 5 ms each, so that it becomes so while they are said; `dora logs` shows 2,000 at most.
    const LINES: u64 = 1500;
    let mut cluster = Cluster::without_coordinator();
    let library = cluster.path().join("disk.so");
    let source = repo_root().join("cli/tests/faults/world/disk.c");
    cc(&source, &library, &["-O2"]);
    let out = cluster.path().join("A/out");
    let read_only = cluster.path().join("A/out.ro");
    cluster.set("DISK_OF_TEST", &out);
    cluster.set("LD_PRELOAD", library);
    let checked = "all messages arrive; told once; lost lines are counted; when it may be written again lines are kept";
    let _row = fault(
        "disk becomes read-only",
        "out/ of a daemon, its files open",
        checked,
    );
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    cluster.write("bystander.yml", bystander("A"));
    let bystander = cluster.start("bystander.yml", &[]);
    cluster.write("talks.yml", beside("A", LINES, "inspect"));
    let start = cluster.background(&["start", "--attach", "--name", "talks", "talks.yml"]);
    let list = cluster.until_status("talks", "running");
    let id = list["uuid"].as_str().expect("an id");
    let file = out.join(id).join("log_witness.txt");
    wait_until("its log file is written", DEADLINE, || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    std::fs::write(&read_only, "").expect("written");
    let run = start.end(DEADLINE);
    lines_were_lost(&cluster, run, LINES);

    std::fs::remove_file(&read_only).expect("removed");
    lines_are_kept(&cluster, LINES);
    missed_nothing(&cluster, &bystander);
}

#[test]
fn a_folder_that_may_not_be_written_is_replaced_by_the_users_own() {
    let mut cluster = Cluster::without_coordinator();
    let out = cluster.path().join("A/out");
    std::fs::create_dir_all(&out).expect("a folder");
    let (folder, instead) = (out.display().to_string(), cluster.path().join("data"));
    let Some(words) = with_disk("ro", &folder) else {
        return;
    };
    let checked =
        "said at the start, with where lines go instead; they are all there; all messages arrive";
    let _row = fault("disk read-only", "out/ of a daemon", checked);
    cluster.begin("A", &words);
    cluster.set("XDG_DATA_HOME", &instead);
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    let daemon = cluster.daemon("A");
    let said = format!("logs go to {}", instead.join("dora/out").display());
    daemon.complains(&said, DEADLINE);
    cluster.write("talks.yml", beside("A", 100, "inspect"));
    let talks = cluster.start("talks.yml", &[]);
    let ended = cluster.until_status(&talks, "finished");
    assert_eq!(ended["ended"]["nodes"][1]["received"], 100, "{ended:#}");
    let logs = cluster.dora(&["logs", &talks, "witness"]).success();
    assert_eq!(logs.matches("on_input on ThreadId").count(), 100, "{logs}");
    assert!(instead.join("dora/out").join(&talks).is_dir(), "{logs}");
}

#[test]
fn a_coordinator_whose_disk_is_full_goes_on_and_remembers_when_there_is_room() {
    let mut cluster = Cluster::without_coordinator();
    let state = cluster.path().join("state");
    std::fs::create_dir_all(&state).expect("a folder");
    let folder = state.display().to_string();
    // Room for the folder itself and nothing else.
    let Some(words) = with_disk("size=4k,nr_inodes=2", &folder) else {
        return;
    };
    let checked = "told; dataflows start, run and end; written again when there is room, and known to the next one";
    let _row = fault("disk full", "the coordinator's record", checked);
    cluster.begin("coordinator", &words);
    cluster.start_coordinator(&[]);
    std::fs::write(state.join("seen"), "").expect("outside it is another disk");
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    cluster.write("bystander.yml", bystander("A"));
    cluster.write("short.yml", beside("A", 20, "checker"));
    let running = cluster.start("bystander.yml", &[]);
    let short = cluster.start("short.yml", &[]);
    cluster.until_status(&short, "finished");
    let coordinator = cluster.coordinator();
    coordinator.complains("cannot be written: ", DEADLINE);
    let told = coordinator.stderr().matches("cannot be written: ").count();
    assert_eq!(told, 1, "{coordinator}");

    remount(coordinator, "size=16m,nr_inodes=100", &state);
    let again = cluster.start("short.yml", &[]);
    cluster.until_status(&again, "finished");
    cluster
        .coordinator()
        .complains("is written again", DEADLINE);
    missed_nothing(&cluster, &running);
}

#[test]
fn a_coordinator_whose_disk_hangs_goes_on() {
    /// Of each a line goes to the record, which is waited for two seconds: one after the other they would take twenty.
    const STARTS: usize = 10;
    const SOON: Duration = Duration::from_secs(15);
    let mut cluster = Cluster::without_coordinator();
    let state = cluster.path().join("state");
    std::fs::create_dir_all(&state).expect("a folder");
    // Whoever opens a pipe to write waits until somebody reads.
    let record = state.join(format!("coordinator-{}.json.new", cluster.port()));
    run(Command::new("mkfifo").arg(&record), DEADLINE).success();
    let checked = "told; 10 starts at once take no longer than one; commands are answered; written again when it answers";
    let _row = fault("disk hangs", "the coordinator's record", checked);
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    cluster.write("bystander.yml", bystander("A"));
    let began = Instant::now();
    let starts: Vec<Background> = (0..STARTS)
        .map(|_| cluster.background(&["start", "--detach", "bystander.yml"]))
        .collect();
    for start in starts {
        start.end(DEADLINE).success();
    }
    let took = began.elapsed();
    println!("{STARTS} starts took {took:.1?}");
    assert!(took < SOON, "{took:?}: {cluster}");
    let coordinator = cluster.coordinator();
    coordinator.complains("the disk does not answer", DEADLINE);
    assert!(
        !coordinator.stderr().contains("not heard of"),
        "{coordinator}"
    );

    // It reads for as long as it lives, so that whoever writes goes on; then the record is a file like any other.
    let script = "exec 3<>\"$1\"; echo reads; exec cat <&3 >/dev/null";
    let mut reader = Command::new("sh");
    let reader = Background::start(reader.args(["-c", script, "sh"]).arg(&record));
    reader.says("reads", DEADLINE);
    std::fs::remove_file(&record).expect("removed");
    cluster.dora(&["stop", "--all"]).success();
    cluster
        .coordinator()
        .complains("is written again", DEADLINE);
}

#[test]
fn a_daemon_whose_cache_is_full_starts_nothing_and_says_why() {
    let mut cluster = Cluster::without_coordinator();
    let cache = cluster.path().join("cache");
    std::fs::create_dir_all(&cache).expect("a folder");
    let folder = cache.display().to_string();
    let Some(words) = with_disk("size=64k", &folder) else {
        return;
    };
    let checked = "the start fails and names the file; others run; with room again it starts";
    let _row = fault("disk full", "a daemon's copies of plugins", checked);
    cluster.begin("A", &words);
    cluster.start_coordinator(&[]);
    for machine in ["A", "B"] {
        cluster.start_daemon(machine, &[]);
        cluster.connected(machine);
    }
    cluster.write("bystander.yml", bystander("B"));
    cluster.write("short.yml", beside("A", 20, "checker"));
    let running = cluster.start("bystander.yml", &[]);
    let refused = cluster.dora(&["start", "--attach", "short.yml"]);
    assert_fails(&refused, &["No space left on device", "beside"]);
    goes_on(&cluster);

    remount(cluster.daemon("A"), "size=1g", &cache);
    let run = cluster.dora(&["start", "--attach", "short.yml"]);
    let line = "witness@A: received 20 missing 0";
    assert!(run.stderr.contains(line), "{run}");
    run.success();
    missed_nothing(&cluster, &running);
}
